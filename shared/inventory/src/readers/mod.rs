//! The readers: each knows at which paths its files are, and turns the bytes of one into packages.
//!
//! A new reader is one file here and one line in [`READERS`]. A reader is a total function over bounded bytes: it opens
//! nothing, walks nothing, and whatever it cannot use becomes a problem.

mod apk;
mod dpkg;
mod os_release;
mod stanza;

use tidewatch_core::package::{Distribution, Package};

use crate::paths::{self, PathPattern};

/// Every reader.
pub(crate) static READERS: &[Reader] = &[apk::READER, dpkg::READER, os_release::READER];

/// The most problems that one file reports one by one.
const PROBLEMS: usize = 20;

/// The most bytes of a name, a version, or whatever else one value is. Longer ones are no such thing.
const TEXT_BYTES: usize = 1024;

/// A reader of one kind of file.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Id in packages and stored inventories: `dpkg`.
    pub(crate) id: &'static str,
    /// The files that it reads. Where several can name the distribution, the first that does decides.
    pub(crate) paths: &'static [PathPattern],
    /// The most bytes of one file; what is beyond is cut off.
    pub(crate) file_bytes: usize,
    /// Reads one file.
    pub(crate) read: fn(&InputFile<'_>) -> Reading,
}

/// A file to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputFile<'a> {
    /// Its path in the image.
    pub(crate) path: &'a str,
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// Whether the bytes are all of the file: else its end is cut off, maybe in the middle of a record.
    pub(crate) complete: bool,
    /// The most packages to give.
    pub(crate) packages: usize,
}

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The packages that it says are installed, without locations.
    pub(crate) packages: Vec<Package>,
    /// The distribution that it names.
    pub(crate) distribution: Option<Distribution>,
    /// What could not be used.
    pub(crate) problems: Problems,
}

impl Reading {
    /// Adds a package. When `file` has given as many as it may, that is a problem, and the answer `false`: it is not to be
    /// read on.
    fn add(&mut self, package: Package, file: &InputFile<'_>) -> bool {
        let has_room = self.packages.len() < file.packages;
        if has_room {
            self.packages.push(package);
        } else {
            let read = file.packages;
            self.problems
                .add(|| format!("has more packages than its layer may have: the first {read} were read"));
        }
        has_room
    }
}

/// Problems of one file: the first ones in words, the rest by number, so that a file of garbage stays small.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    reasons: Vec<String>,
    more: usize,
}

impl Problems {
    /// Adds a problem, a lower-case fragment.
    pub(crate) fn add(&mut self, reason: impl FnOnce() -> String) {
        if self.reasons.len() < PROBLEMS { self.reasons.push(reason()) } else { self.more += 1 }
    }

    /// What `result` holds; an error is added.
    fn ok_or_add<T>(&mut self, result: Result<T, TooLong>) -> Option<T> {
        result.map_err(|error| self.add(|| error.to_string())).ok()
    }

    /// The reasons, and how many more there were.
    pub(crate) fn into_reasons(mut self) -> Vec<String> {
        if self.more > 0 {
            self.reasons.push(format!("has {} more problems", self.more));
        }
        self.reasons
    }
}

/// The reader of the file at `path`.
pub(crate) fn reader_for(path: &str) -> Option<&'static Reader> {
    READERS.iter().find(|reader| reader.paths.iter().any(|pattern| pattern.matches(path)))
}

/// Whether any reader can read something at `path` or below it.
pub(crate) fn concerns(path: &str) -> bool {
    READERS.iter().flat_map(|reader| reader.paths).any(|pattern| pattern.concerns(path))
}

/// A value that is too long for what it is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("holds a {0} of more than {TEXT_BYTES} bytes")]
struct TooLong(&'static str);

/// The value of the field `name` as text; an error when it is longer than [`TEXT_BYTES`].
fn short_text(name: &'static str, value: &[u8]) -> Result<String, TooLong> {
    // What is escaped becomes longer.
    let text = (value.len() <= TEXT_BYTES).then(|| paths::text(value));
    text.filter(|text| text.len() <= TEXT_BYTES).ok_or(TooLong(name))
}

/// At most the first 80 characters of what an image says, for a problem.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A whole file without a limit of its packages.
#[cfg(test)]
const fn file<'a>(path: &'a str, bytes: &'a [u8]) -> InputFile<'a> {
    InputFile { path, bytes, complete: true, packages: usize::MAX }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_reader_has_its_file_and_its_line_in_the_table() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/readers");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().replace('_', "-"))
            .filter(|name| !["mod", "stanza"].contains(&name.as_str()))
            .collect();
        let table: BTreeSet<String> = READERS.iter().map(|reader| reader.id.to_owned()).collect();
        assert_eq!(files, table);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic_or_report_without_bound(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            complete in any::<bool>(),
        ) {
            for reader in READERS {
                for pattern in reader.paths {
                    let file = InputFile { path: pattern.place(), bytes: &bytes, complete, packages: 5 };
                    let reading = (reader.read)(&file);
                    prop_assert!(reading.packages.len() <= 5);
                    prop_assert!(reading.problems.into_reasons().len() <= PROBLEMS + 1);
                }
            }
        }

        #[test]
        fn no_text_of_fields_makes_a_reader_panic(text in "([A-Za-z]{1,8}:? ?[a-z0-9.() ]{0,12}\n{1,2}){0,30}") {
            for reader in READERS {
                for pattern in reader.paths {
                    let file = file(pattern.place(), text.as_bytes());
                    let reading = (reader.read)(&file);
                    for package in reading.packages {
                        prop_assert!(!package.name.is_empty() && !package.version.is_empty());
                    }
                }
            }
        }
    }
}
