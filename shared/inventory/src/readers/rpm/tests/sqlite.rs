//! Databases that SQLite made: what it reads of them is what has to be read here.

use rusqlite::Connection;

use super::*;

/// How a database is made.
#[derive(Clone, Debug)]
struct Plan {
    page_bytes: u32,
    auto_vacuum: u8,
    /// Lengths of records, and whether each is deleted again.
    records: Vec<(usize, bool)>,
    vacuum: bool,
}

/// The bytes of a database in the temporary folder `folder`, which is closed.
fn bytes_of(folder: &tempfile::TempDir) -> Vec<u8> {
    std::fs::read(folder.path().join("rpmdb.sqlite")).unwrap()
}

/// Opens a database, or makes one.
pub(super) fn open(folder: &tempfile::TempDir) -> Connection {
    Connection::open(folder.path().join("rpmdb.sqlite")).unwrap()
}

/// As rpm does it, with another table before and after.
pub(super) const TABLES: &str = "CREATE TABLE 'Before' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL); \
     CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL); \
     CREATE TABLE 'Name' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL, \
     FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum)); \
     CREATE INDEX 'Name_key_idx' ON 'Name'(key ASC);";

/// What SQLite reads.
pub(super) fn oracle(connection: &Connection) -> Vec<Vec<u8>> {
    let mut statement = connection.prepare("SELECT blob FROM Packages ORDER BY hnum").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// What is read here, and what is wrong.
pub(super) fn records(database: &[u8], wal: Option<&[u8]>) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut records, mut problems) = (Vec::new(), Vec::new());
    let contents = Contents::from(database.to_vec());
    let wal = wal.map(|wal| Contents::from(wal.to_vec()));
    let _ = crate::readers::rpm::sqlite::read(&contents, wal.as_ref(), &mut |record| {
        match record {
            Ok(record) => records.push(record.to_vec()),
            Err(damage) => problems.push(damage.to_string()),
        }
        ControlFlow::Continue(())
    });
    (records, problems)
}

/// A record of `length` bytes, unlike others.
pub(super) fn record(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|place| (number * 31 + place * 7 + place / 256).to_le_bytes()[0]).collect()
}

fn insert(connection: &Connection, records: impl IntoIterator<Item = Vec<u8>>) {
    connection.execute_batch("SAVEPOINT records").unwrap();
    for record in records {
        connection.execute("INSERT INTO Packages (blob) VALUES (?)", [record]).unwrap();
    }
    connection.execute_batch("RELEASE records").unwrap();
}

/// A database of the packages `names`, with pages of 512 bytes.
fn packages(names: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(&folder);
    connection.execute_batch(&format!("PRAGMA page_size = 512; {TABLES}")).unwrap();
    let long = "x".repeat(1600);
    insert(&connection, names.iter().map(|name| HeaderBuilder::new(name).text(1004, &long).build()));
    drop(connection);
    bytes_of(&folder)
}

fn names_of(database: &[u8]) -> (Vec<String>, Vec<String>) {
    names_and_problems(read_bytes(database))
}

#[test]
fn packages_are_found() {
    let names = ["a", "b", "c", "d"];
    assert_eq!(names_of(&packages(&names)), (names.map(str::to_owned).to_vec(), vec![]));
    assert_eq!(names_of(&packages(&[])), (vec![], vec![]));
}

#[test]
fn pages_may_have_reserved_bytes() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).execute_batch("PRAGMA page_size = 1024; PRAGMA user_version = 1;").unwrap();
    let mut database = bytes_of(&folder);
    // An empty database: its only page has no rows, which would begin at its end.
    database[20] = 32;
    database[105..107].copy_from_slice(&(1024_u16 - 32).to_be_bytes());
    std::fs::write(folder.path().join("rpmdb.sqlite"), &database).unwrap();
    let connection = open(&folder);
    connection.execute_batch(TABLES).unwrap();
    insert(&connection, (0..60).map(|number| record(number, number * 97)));
    let expected = oracle(&connection);
    drop(connection);
    let database = bytes_of(&folder);
    assert_eq!(database[20], 32);
    assert_eq!(records(&database, None), (expected, vec![]));
}

#[test]
fn a_database_without_the_table_or_with_another_in_its_place_is_a_problem() {
    for (sql, problem) in [
        ("CREATE TABLE Package (hnum, blob)", "is an SQLite database without a table Packages"),
        ("CREATE VIEW Packages AS SELECT 1", "is an SQLite database without a table Packages"),
        (
            "CREATE TABLE Packages (hnum, blob); INSERT INTO Packages VALUES (1, 'text')",
            "holds a record that has no bytes where its package should be",
        ),
        (
            "CREATE TABLE Packages (hnum); INSERT INTO Packages VALUES (1)",
            "holds a record that is no row of a table",
        ),
        (
            "CREATE TABLE Packages (hnum PRIMARY KEY, blob) WITHOUT ROWID",
            "has a page 2 that belongs to no table",
        ),
        (
            "PRAGMA encoding = 'UTF-16'; CREATE TABLE Packages (hnum, blob)",
            "is an SQLite database whose texts are not in UTF-8",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        open(&folder).execute_batch(sql).unwrap();
        assert_eq!(names_of(&bytes_of(&folder)), (vec![], vec![problem.to_owned()]));
    }
}

#[test]
fn a_header_that_no_reader_knows_is_a_problem() {
    for (place, byte, problem) in [
        (16, 3, "is an SQLite database without a size of pages"),
        (19, 3, "is an SQLite database of a version that is not known"),
        (20, 33, "is an SQLite database of a version that is not known"),
    ] {
        let mut database = packages(&["a"]);
        database[place] = byte;
        assert_eq!(names_of(&database), (vec![], vec![problem.to_owned()]));
    }
}

#[test]
fn a_chain_that_leads_in_a_circle_ends_in_a_problem() {
    let mut database = packages(&["first-package", "second-package"]);
    // The text of 1,600 bytes goes on in pages of its own that are full, of which the first leads to the second.
    let full = database.chunks(512).position(|page| page[4..].iter().all(|byte| *byte == b'x')).unwrap();
    let number = u32::try_from(full + 1).unwrap();
    database[full * 512..full * 512 + 4].copy_from_slice(&number.to_be_bytes());
    let (names, problems) = names_of(&database);
    assert_eq!(names, ["second-package"]);
    assert_eq!(problems, [format!("leads to page {number} more than once")]);
}

#[test]
fn trees_that_lead_in_a_circle_end_in_a_problem() {
    let names: Vec<String> = (0..40).map(|number| format!("package-{number:02}")).collect();
    let mut database = packages(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let interior = database.chunks(512).position(|page| page[0] == 5).unwrap();
    let number = u32::try_from(interior + 1).unwrap();
    database[interior * 512 + 8..interior * 512 + 12].copy_from_slice(&number.to_be_bytes());
    let (found, problems) = names_of(&database);
    assert!(!found.is_empty() && found.len() < 40);
    assert_eq!(problems, [format!("leads to page {number} more than once")]);
}

#[test]
fn a_row_or_page_that_is_none_is_a_problem_and_the_others_count() {
    let database = packages(&["first-package", "second-package"]);
    let place = memchr::memmem::find(&database, b"first-package").unwrap();
    let leaf = place / 512 * 512;
    let number = leaf / 512 + 1;
    let row = usize::from(u16::from_be_bytes([database[leaf + 8], database[leaf + 9]]));
    let overflow = leaf + row + 2 + 1 + 177;
    for (place, bytes, found, problem) in [
        // Where the row of the first package begins; its length; its chain, which follows 177 bytes; the page's type.
        (leaf + 8, &[255, 255][..], 1, format!("has a page {number} with a row that does not lie in it")),
        (
            leaf + row,
            &[0x8f; 9],
            1,
            "holds a record of 2178749300044435343 bytes, of which none may have more than 16777216"
                .to_owned(),
        ),
        (overflow, &[0; 4], 1, "leads to page 0, which it does not have".to_owned()),
        (overflow, &[255; 4], 1, "leads to page 4294967295, which it does not have".to_owned()),
        (leaf, &[10], 0, format!("has a page {number} that belongs to no table")),
    ] {
        let mut database = database.clone();
        database[place..place + bytes.len()].copy_from_slice(bytes);
        let (names, problems) = names_of(&database);
        assert_eq!(names.len(), found, "{problem}");
        assert_eq!(problems.last(), Some(&problem));
    }
}

#[test]
fn rows_that_lie_in_one_another_cost_no_more_than_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(&folder);
    connection.execute_batch(&format!("PRAGMA page_size = 65536; {TABLES}")).unwrap();
    let name = "a".repeat(1000);
    insert(&connection, [HeaderBuilder::new(&name).build()]);
    drop(connection);
    let mut database = bytes_of(&folder);
    let pages = database.len() / 65_536;
    let leaf = memchr::memmem::find(&database, name.as_bytes()).unwrap() / 65_536 * 65_536;
    // 30,000 pointers to the one row.
    let pointer = database[leaf + 8..leaf + 10].to_vec();
    database[leaf + 3..leaf + 5].copy_from_slice(&30_000_u16.to_be_bytes());
    for place in (leaf + 8..leaf + 8 + 60_000).step_by(2) {
        database[place..place + 2].copy_from_slice(&pointer);
    }
    let (names, problems) = names_of(&database);
    // A header of 1,066 bytes with 4 bytes before it in its row; the file counts with a page more than it has.
    assert_eq!(names.len(), (pages + 1) * 65_536 / 1070);
    assert_eq!(problems[0], "has records that lie in one another");
}

#[test]
fn a_database_that_is_cut_off_anywhere_has_a_problem() {
    check_cut_off_anywhere(&packages(&["a", "b"]));
}

fn plan() -> impl Strategy<Value = Plan> {
    let lengths = prop_oneof![4 => 0..700_usize, 2 => 0..6000_usize, 1 => 0..100_000_usize];
    (
        prop::sample::select(vec![512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536]),
        0..3_u8,
        prop::collection::vec((lengths, any::<bool>()), 0..60),
        any::<bool>(),
    )
        .prop_map(|(page_bytes, auto_vacuum, records, vacuum)| Plan {
            page_bytes,
            auto_vacuum,
            records,
            vacuum,
        })
}

#[test]
fn the_seeds_are_what_is_built_here() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(&folder);
    connection.execute_batch(&format!("PRAGMA page_size = 512; {TABLES}")).unwrap();
    insert(&connection, seed_headers());
    drop(connection);
    crate::seeds::check("rpm-sqlite", "packages", &bytes_of(&folder));
    crate::seeds::check("rpm-sqlite", "overflow", &packages(&["a", "b"]));
    crate::seeds::check("rpm-sqlite", "empty", &packages(&[]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_sqlite_writes_is_read_as_it_reads_it(plan in plan()) {
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder);
        let pragmas = format!(
            "PRAGMA page_size = {}; PRAGMA auto_vacuum = {}; PRAGMA synchronous = OFF; {TABLES} BEGIN",
            plan.page_bytes, plan.auto_vacuum
        );
        connection.execute_batch(&pragmas).unwrap();
        insert(&connection, plan.records.iter().enumerate().map(|(number, (length, _))| record(number, *length)));
        for (number, _) in plan.records.iter().enumerate().filter(|(_, (_, deleted))| *deleted) {
            connection.execute("DELETE FROM Packages WHERE hnum = ?", [number + 1]).unwrap();
        }
        insert(&connection, (0..plan.records.len() / 4).map(|number| record(number + 100, number * 37)));
        connection.execute_batch("COMMIT").unwrap();
        if plan.vacuum {
            connection.execute_batch("VACUUM").unwrap();
        }
        let expected = oracle(&connection);
        drop(connection);
        let (found, problems) = records(&bytes_of(&folder), None);
        prop_assert!(found == expected);
        prop_assert_eq!(problems, Vec::<String>::new());
    }
}

proptest! {
    #[test]
    fn no_change_makes_the_reader_panic(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..20)) {
        static DATABASE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| packages(&["a", "b", "c", "d"]));
        check_changed(&DATABASE, &changes);
    }
}
