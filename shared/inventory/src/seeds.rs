//! The seeds of the fuzz targets, in `fuzz/corpus/TARGET/`. Those of text were written by hand; those of binary forms are
//! what the tests of their readers build, and are written anew when those build something else.

use std::path::{Path, PathBuf};

use crate::contents::Contents;
use crate::readers::{Access, Evidence, READERS, SCANNERS};
use crate::reading::{InputFile, RandomFile, Reading};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Fails when the seed `name` of `target` is not `bytes`, and writes it: the next run passes, and the file is to be looked at
/// and committed.
pub(crate) fn check(target: &str, name: &str, bytes: &[u8]) {
    let path = folder(target).join(name);
    if std::fs::read(&path).is_ok_and(|seed| seed == bytes) {
        return;
    }
    std::fs::create_dir_all(folder(target)).unwrap();
    std::fs::write(&path, bytes).unwrap();
    panic!("the seed {target}/{name} was another, and is written anew: commit it");
}

/// The seed `name` of `target`.
pub(crate) fn read(target: &str, name: &str) -> Vec<u8> {
    std::fs::read(folder(target).join(name)).unwrap()
}

/// The seeds of the targets of the reader `id`: one target, or one for each form of its files.
fn seeds(id: &str) -> Vec<Vec<u8>> {
    let targets = if id == "rpm" { &["rpm-sqlite", "rpm-ndb", "rpm-berkeley"][..] } else { &[id] };
    let files = targets.iter().flat_map(|target| {
        std::fs::read_dir(folder(target)).unwrap_or_else(|_| panic!("{target} has no seeds"))
    });
    files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn no_reader_of_lock_files_takes_those_within_dependencies() {
    for reader in READERS.iter().filter(|reader| matches!(reader.evidence, Evidence::LockFile(_))) {
        let Access::Whole(read) = reader.access else { panic!("{} reads at any place", reader.id) };
        let seeds = seeds(reader.id);
        for pattern in reader.paths {
            let packages = |path: &str| {
                let read = |bytes| read(&InputFile { path, bytes, complete: true, packages: usize::MAX });
                seeds.iter().map(|bytes| read(bytes)).collect::<Vec<Reading>>()
            };
            let example = pattern.example();
            assert!(packages(&example).iter().any(|reading| !reading.packages.is_empty()), "{example}");
            for place in ["app/node_modules/x", "srv/lib/python3/site-packages/x", "usr/share/doc/x"] {
                let within = packages(&format!("{place}/{example}"));
                assert!(within.iter().all(|reading| *reading == Reading::default()), "{place}/{example}");
            }
        }
    }
}

#[test]
fn every_reader_has_seeds_that_it_finds_something_in() {
    for reader in READERS.iter().filter(|reader| reader.id != "os-release") {
        let paths: Vec<String> = reader.paths.iter().map(|path| path.example()).collect();
        let says_something = seeds(reader.id).into_iter().filter(|bytes| {
            paths.iter().any(|path| {
                let contents = Contents::from(bytes.clone());
                let file = RandomFile { path, contents: &contents, packages: usize::MAX };
                let reading = match reader.access {
                    Access::Whole(read) => {
                        read(&InputFile { path, bytes, complete: true, packages: usize::MAX })
                    }
                    Access::Random(read) => read(&file),
                    Access::RandomWith { read, .. } => read(&file, None),
                };
                let files = reading.owned.into_hashes().len();
                files + reading.packages.len() + reading.vex.len() > 0 || reading.license.is_some()
            })
        });
        assert!(says_something.count() > 0, "the seeds of {} say nothing", reader.id);
    }
    for scanner in SCANNERS {
        let packages = seeds(scanner.id).into_iter().map(|bytes| {
            let mut scan = (scanner.start)();
            scan.push(&bytes);
            scan.finish(true, usize::MAX).packages.len()
        });
        assert!(packages.sum::<usize>() > 0, "the seeds of {} say nothing", scanner.id);
    }
}
