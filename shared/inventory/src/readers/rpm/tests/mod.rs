//! Databases made here and by SQLite, whole, damaged and hostile. The headers of packages are made here.

mod berkeley;
mod ndb;
mod packages;
mod sqlite;
mod wal;

use proptest::prelude::*;

use super::*;

/// Makes the header of a package.
pub(super) struct HeaderBuilder {
    index: Vec<[u32; 4]>,
    data: Vec<u8>,
}

impl HeaderBuilder {
    /// The header of a package without anything.
    pub(super) const fn empty() -> Self {
        Self { index: Vec::new(), data: Vec::new() }
    }

    /// The header of the package `name`, version 1, release 2.
    pub(super) fn new(name: &str) -> Self {
        Self::empty().text(1000, name).text(1001, "1").text(1002, "2")
    }

    fn add(mut self, tag: u32, value_type: u32, count: usize, bytes: &[u8]) -> Self {
        // Numbers lie at multiples of their length.
        self.data.resize(self.data.len().next_multiple_of(4), 0);
        let [place, count] = [self.data.len(), count].map(|number| u32::try_from(number).unwrap());
        self.index.push([tag, value_type, place, count]);
        self.data.extend(bytes);
        self
    }

    pub(super) fn text(self, tag: u32, text: &str) -> Self {
        self.add(tag, 6, 1, format!("{text}\0").as_bytes())
    }

    pub(super) fn texts(self, tag: u32, texts: &[&str]) -> Self {
        let bytes: String = texts.iter().flat_map(|text| [*text, "\0"]).collect();
        self.add(tag, 8, texts.len(), bytes.as_bytes())
    }

    pub(super) fn numbers(self, tag: u32, numbers: &[u32]) -> Self {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        self.add(tag, 4, numbers.len(), &bytes)
    }

    pub(super) fn build(self) -> Vec<u8> {
        let lengths = [self.index.len(), self.data.len()].map(|length| u32::try_from(length).unwrap());
        let numbers = lengths.into_iter().chain(self.index.into_iter().flatten());
        numbers.flat_map(u32::to_be_bytes).chain(self.data).collect()
    }
}

/// Headers with everything that is read of one, for the seeds of the fuzz targets.
pub(super) fn seed_headers() -> Vec<Vec<u8>> {
    let header = |name| {
        HeaderBuilder::new(name)
            .numbers(1003, &[1])
            .text(1014, "GPLv3+ and MIT")
            .text(1022, "x86_64")
            .text(1044, "a-1-2.src.rpm")
    };
    let list = |header: HeaderBuilder| {
        header
            .numbers(1116, &[1, 0])
            .texts(1117, &["libc.so.6", "tool"])
            .texts(1118, &["/usr/bin/", "/lib64/"])
    };
    let old = header("old").texts(1027, &["/etc/old.conf", "/etc/old"]);
    vec![HeaderBuilder::new("bare").build(), list(header("new")).build(), old.build()]
}

/// What the database `bytes` says, with the log `wal` beside it.
pub(super) fn read_with(bytes: &[u8], wal: Option<&[u8]>) -> Reading {
    let contents = Contents::from(bytes.to_vec());
    let wal = wal.map(|wal| Contents::from(wal.to_vec()));
    let file = |contents| RandomFile { path: "var/lib/rpm/Packages", contents, packages: usize::MAX };
    read(&file(&contents), wal.as_ref().map(file).as_ref())
}

/// What the database `bytes` says.
pub(super) fn read_bytes(bytes: &[u8]) -> Reading {
    read_with(bytes, None)
}

/// The names of the packages that were read, and what could not be.
pub(super) fn names_and_problems(reading: Reading) -> (Vec<String>, Vec<String>) {
    let names = reading.packages.into_iter().map(|package| package.name).collect();
    (names, reading.problems.into_reasons())
}

/// Whatever is cut off of a database, what is missing is a problem.
pub(super) fn check_cut_off_anywhere(database: &[u8]) {
    let all = read_bytes(database).packages;
    assert!(!all.is_empty());
    for length in 0..database.len() {
        let reading = read_bytes(&database[..length]);
        assert!(reading.packages.len() <= all.len());
        assert!(reading.packages == all || !reading.problems.is_empty(), "{length} bytes");
    }
}

/// Whatever is in a database, it is read in bounded time.
pub(super) fn check_changed(database: &[u8], changes: &[(prop::sample::Index, u8)]) {
    let mut database = database.to_vec();
    for (place, byte) in changes {
        let length = database.len();
        database[place.index(length)] = *byte;
    }
    let _ = read_bytes(&database);
}
