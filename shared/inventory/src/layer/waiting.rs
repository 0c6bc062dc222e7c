//! Files that are read with a companion: they wait, in the temporary folder, until the whole layer has come by, because
//! either may come first.

use std::collections::BTreeMap;
use std::io;

use super::open_file::content_of;
use crate::contents::Contents;
use crate::inventory::FileContent;
use crate::readers::{Access, Reader};
use crate::reading::{RandomFile, Reading};

/// The most files that wait. There are a handful of places for them.
const MOST: usize = 32;

/// The files of a layer that wait for one another.
#[derive(Default)]
pub(super) struct WaitingFiles {
    files: Vec<WaitingFile>,
    /// Bytes of all files and companions.
    bytes: u64,
    companions: BTreeMap<String, Companion>,
}

struct WaitingFile {
    /// Its number in the tree, and those of hard links to it.
    numbers: Vec<u32>,
    path: String,
    reader: &'static Reader,
    contents: Contents,
}

struct Companion {
    number: u32,
    contents: Contents,
}

impl WaitingFiles {
    /// Adds the file that stands in the tree by `number`. An error is one of the temporary folder.
    pub(super) fn add(
        &mut self,
        number: u32,
        path: String,
        reader: &'static Reader,
        mut contents: Contents,
    ) -> io::Result<()> {
        contents.spill()?;
        self.bytes += contents.length();
        self.files.push(WaitingFile { numbers: vec![number], path, reader, contents });
        Ok(())
    }

    /// Whether the file that stands in the tree by `number` is read with a companion.
    pub(super) fn has(&self, number: u32) -> bool {
        self.files.iter().any(|file| file.numbers.contains(&number))
    }

    /// The file that stands in the tree by `number` also stands there by `link`.
    pub(super) fn add_link(&mut self, number: u32, link: u32) {
        let file = self.files.iter_mut().find(|file| file.numbers.contains(&number));
        if let Some(file) = file {
            file.numbers.push(link);
        }
    }

    /// Adds what the file at `path`, without the end of a companion, is read with.
    pub(super) fn add_companion(
        &mut self,
        number: u32,
        path: String,
        mut contents: Contents,
    ) -> io::Result<()> {
        contents.spill()?;
        self.bytes += contents.length();
        self.companions.insert(path, Companion { number, contents });
        Ok(())
    }

    /// Whether no more may be added.
    pub(super) fn is_full(&self) -> bool {
        self.files.len() + self.companions.len() >= MOST
    }

    /// How many bytes of the temporary folder they take.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads them all: the number of each in the tree, and what is in it. At most `packages` packages together.
    pub(super) fn read(mut self, mut packages: usize) -> Vec<(u32, FileContent)> {
        let mut read = Vec::new();
        for WaitingFile { numbers, path, reader, contents } in self.files {
            let Access::RandomWith { companion, read: reads } = reader.access else { continue };
            let companion_path = format!("{path}{companion}");
            let beside = self.companions.remove(&companion_path);
            let beside_file = beside.as_ref().map(|beside| RandomFile {
                path: &companion_path,
                contents: &beside.contents,
                packages,
            });
            let reading =
                reads(&RandomFile { path: &path, contents: &contents, packages }, beside_file.as_ref());
            let content = content_of(reader.id, reading, None);
            packages = packages.saturating_sub(content.packages.len());
            read.extend(numbers.into_iter().map(|number| (number, content.clone())));
            read.extend(
                beside.map(|beside| (beside.number, content_of(reader.id, Reading::default(), None))),
            );
        }
        // What is left belongs to files of other layers.
        for Companion { number, contents } in self.companions.into_values() {
            let reason = "changes a database of another layer, which is not read with it".to_owned();
            let problem = (contents.length() > 0).then_some(reason);
            read.push((number, content_of("", Reading::default(), problem)));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use tidewatch_core::package::{Package, PackageType};

    use super::*;
    use crate::readers::Evidence;

    /// Says how many bytes the two files have.
    static READER: Reader = Reader {
        id: "pair",
        paths: &[],
        evidence: Evidence::Distribution,
        file_bytes: 1 << 20,
        access: Access::RandomWith {
            companion: "-log",
            read: |file, companion| {
                let lengths =
                    [Some(file), companion].map(|file| file.map_or(0, |file| file.contents.length()));
                let mut reading = Reading::default();
                let name = format!("{}+{}", lengths[0], lengths[1]);
                reading.add(Package::new(PackageType::Rpm, name, "1", "pair"), file.packages);
                reading
            },
        },
    };

    fn contents(length: usize) -> Contents {
        Contents::from(vec![b'x'; length])
    }

    #[test]
    fn a_file_is_read_with_its_companion_whichever_comes_first() {
        for companion_first in [true, false] {
            let mut waiting = WaitingFiles::default();
            let add_companion = |waiting: &mut WaitingFiles| {
                waiting.add_companion(2, "var/db-log".to_owned(), contents(20)).unwrap();
            };
            if companion_first {
                add_companion(&mut waiting);
            }
            waiting.add(1, "var/db".to_owned(), &READER, contents(10)).unwrap();
            waiting.add(3, "usr/db".to_owned(), &READER, contents(30)).unwrap();
            if !companion_first {
                add_companion(&mut waiting);
            }
            let read = waiting.read(10);
            let names: Vec<(u32, Option<&str>)> = read
                .iter()
                .map(|(number, content)| {
                    (*number, content.packages.first().map(|package| package.name.as_str()))
                })
                .collect();
            assert_eq!(names, [(1, Some("10+20")), (2, None), (3, Some("30+0"))]);
            assert!(read.iter().all(|(_, content)| content.problems.is_empty()));
        }
    }

    #[test]
    fn files_that_wait_share_the_room_for_packages() {
        let mut waiting = WaitingFiles::default();
        for number in 1..=2 {
            waiting.add(number, number.to_string(), &READER, contents(1)).unwrap();
        }
        let read = waiting.read(1);
        let counts: Vec<_> =
            read.iter().map(|(_, content)| (content.packages.len(), content.problems.len())).collect();
        assert_eq!(counts, [(1, 0), (0, 1)]);
    }
}
