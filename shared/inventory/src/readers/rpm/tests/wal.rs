//! Write-ahead logs that SQLite made: what it reads of a database with one is what has to be read here.

use std::sync::LazyLock;

use super::sqlite::{TABLES, open, oracle, record, records};
use super::*;

const FRAME_BYTES: usize = 24 + 512;

/// A database and its log.
#[derive(Clone)]
struct Pair {
    database: Vec<u8>,
    wal: Vec<u8>,
}

impl Pair {
    /// A database in which `before` is done before the log begins, and each of `after` as a transaction in the log.
    fn new(before: &str, after: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder);
        connection
            .execute_batch(&format!("PRAGMA page_size = 512; PRAGMA journal_mode = WAL; {TABLES} {before}"))
            .unwrap();
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA wal_autocheckpoint = 0").unwrap();
        for sql in after {
            connection.execute_batch(&format!("BEGIN; {sql}; COMMIT")).unwrap();
        }
        let bytes = |name| std::fs::read(folder.path().join(name)).unwrap();
        Self { database: bytes("rpmdb.sqlite"), wal: bytes("rpmdb.sqlite-wal") }
    }

    /// Some transactions, with frames of the same pages, new ones, and fewer than before.
    fn example() -> Self {
        Self::new(
            &add(1, 700),
            &[&add(2, 100), &add(3, 2000), "DELETE FROM Packages WHERE hnum = 1", &add(4, 300)],
        )
    }

    /// What SQLite reads of the two; `None` when it does not.
    fn oracle(&self) -> Option<Vec<Vec<u8>>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rpmdb.sqlite"), &self.database).unwrap();
        std::fs::write(folder.path().join("rpmdb.sqlite-wal"), &self.wal).unwrap();
        let connection = open(&folder);
        let is_well = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        is_well.is_ok_and(|word| word == "ok").then(|| oracle(&connection))
    }

    fn read(&self) -> (Vec<Vec<u8>>, Vec<String>) {
        records(&self.database, Some(&self.wal))
    }

    fn frames(&self) -> usize {
        (self.wal.len() - 32) / FRAME_BYTES
    }

    /// Sets the checksums anew, those of numbers with the highest byte first when `big`.
    fn sum_up(&mut self, big: bool) {
        let (mut first, mut second) = (0_u32, 0_u32);
        let mut add = |bytes: &[u8]| {
            for pair in bytes.chunks_exact(8) {
                let [one, two] = [&pair[..4], &pair[4..]].map(|number| {
                    let number = number.try_into().unwrap();
                    if big { u32::from_be_bytes(number) } else { u32::from_le_bytes(number) }
                });
                first = first.wrapping_add(one).wrapping_add(second);
                second = second.wrapping_add(two).wrapping_add(first);
            }
            [first.to_be_bytes(), second.to_be_bytes()].concat()
        };
        self.wal[3] = 0x82 | u8::from(big);
        let sums = add(&self.wal[..24]);
        self.wal[24..32].copy_from_slice(&sums);
        for start in (32..self.wal.len()).step_by(FRAME_BYTES) {
            add(&self.wal[start..start + 8]);
            let sums = add(&self.wal[start + 24..start + FRAME_BYTES]);
            self.wal[start + 16..start + 24].copy_from_slice(&sums);
        }
    }
}

/// Adds the record `number`, of `length` bytes.
fn add(number: usize, length: usize) -> String {
    let bytes = data_encoding::HEXUPPER.encode(&record(number, length));
    format!("INSERT INTO Packages VALUES ({number}, x'{bytes}')")
}

#[test]
fn what_is_in_the_log_counts_over_what_is_in_the_database() {
    let pair = Pair::example();
    let expected = vec![record(2, 100), record(3, 2000), record(4, 300)];
    assert_eq!(pair.read(), (expected, vec![]));
    assert_eq!(records(&pair.database, None), (vec![record(1, 700)], vec![]));
}

#[test]
fn a_log_without_bytes_says_nothing() {
    let pair = Pair::new(&add(1, 700), &[]);
    assert!(pair.wal.is_empty());
    assert_eq!(pair.read(), (vec![record(1, 700)], vec![]));
}

#[test]
fn a_log_may_have_all_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(&folder);
    let batch = format!("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; {TABLES} {}", add(1, 100));
    connection.execute_batch(&batch).unwrap();
    let [database, wal] =
        ["rpmdb.sqlite", "rpmdb.sqlite-wal"].map(|name| std::fs::read(folder.path().join(name)).unwrap());
    assert_eq!(database.len(), 4096);
    assert_eq!(records(&database, Some(&wal)), (vec![record(1, 100)], vec![]));
}

#[test]
fn only_transactions_that_ended_count_wherever_the_log_is_cut_off() {
    let mut pair = Pair::example();
    let mut seen = Vec::new();
    for frames in (0..=pair.frames()).rev() {
        for more in [FRAME_BYTES - 1, 25, 0] {
            pair.wal.truncate(32 + frames * FRAME_BYTES + more);
            let expected = pair.oracle().unwrap();
            assert_eq!(pair.read(), (expected.clone(), vec![]), "{frames} frames and {more} bytes");
            seen.push(expected.len());
        }
    }
    seen.dedup();
    assert_eq!(seen, [3, 2, 3, 2, 1]);
}

#[test]
fn a_log_that_began_anew_over_an_older_one_ends_where_the_older_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(&folder);
    let batch = format!("PRAGMA page_size = 512; PRAGMA journal_mode = WAL; {TABLES} {}", add(1, 9000));
    connection.execute_batch(&batch).unwrap();
    connection.execute_batch(&format!("PRAGMA wal_checkpoint(RESTART); {}", add(2, 100))).unwrap();
    let bytes = |name| std::fs::read(folder.path().join(name)).unwrap();
    let pair = Pair { database: bytes("rpmdb.sqlite"), wal: bytes("rpmdb.sqlite-wal") };
    assert!(pair.frames() > 20);
    assert_eq!(pair.read(), (vec![record(1, 9000), record(2, 100)], vec![]));
}

#[test]
fn checksums_may_be_of_either_byte_order() {
    for big in [false, true] {
        let mut pair = Pair::example();
        let before = pair.wal.clone();
        pair.sum_up(big);
        assert_eq!(pair.wal == before, !big);
        assert_eq!(pair.read(), (pair.oracle().unwrap(), vec![]));
        assert_eq!(pair.read().0.len(), 3);
    }
}

#[test]
fn a_log_that_cannot_be_read_is_a_problem_and_the_database_counts() {
    for (place, byte, problem) in [
        (0, 0, "has a write-ahead log that was not read: it is no log of SQLite"),
        (7, 0, "has a write-ahead log that was not read: it is no log of SQLite"),
        (10, 3, "has a write-ahead log that was not read: it has no size of pages"),
        (16, 0, "has a write-ahead log that was not read: it does not match its checksum"),
    ] {
        let mut pair = Pair::example();
        pair.wal[place] = pair.wal[place].wrapping_add(1) | byte;
        let (records, problems) = pair.read();
        assert_eq!(records, [record(1, 700)], "{place}");
        assert_eq!(problems, [problem]);
    }
}

#[test]
fn a_log_that_claims_pages_without_end_costs_nothing() {
    let mut pair = Pair::example();
    for start in (32..pair.wal.len()).step_by(FRAME_BYTES) {
        if pair.wal[start + 4..start + 8] != [0; 4] {
            pair.wal[start + 4..start + 8].copy_from_slice(&[255; 4]);
        }
    }
    pair.sum_up(false);
    assert_eq!(pair.read().0.len(), 3);
}

/// SQLite begins each log with random numbers, so the seeds cannot be built again. Their first half is the database.
#[test]
fn the_seeds_have_packages_that_only_the_log_holds() {
    for name in ["wal", "small-wal"] {
        let seed = crate::seeds::read("rpm-sqlite", name);
        let (database, wal) = seed.split_at(seed.len() / 2);
        let with_log = Pair { database: database.to_vec(), wal: wal.to_vec() }.read().0.len();
        let without = Pair { database: database.to_vec(), wal: Vec::new() }.read().0.len();
        assert!(with_log > without, "{name}: {with_log} packages, and {without} without the log");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_log_that_was_changed_is_read_as_sqlite_reads_it(place in any::<prop::sample::Index>(), byte in 1..=255_u8) {
        static EXAMPLE: LazyLock<Pair> = LazyLock::new(Pair::example);
        let mut pair = EXAMPLE.clone();
        let place = place.index(pair.wal.len());
        pair.wal[place] ^= byte;
        let (found, problems) = pair.read();
        // SQLite takes a log with a broken header for none.
        prop_assert_eq!(problems.is_empty(), place >= 32);
        prop_assert_eq!(found, pair.oracle().unwrap());
    }
}
