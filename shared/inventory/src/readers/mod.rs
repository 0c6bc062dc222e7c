//! The readers: each knows at which paths its files are, and turns the bytes of one into packages.
//!
//! A new reader is one file or folder here and one line in [`READERS`], or in [`SCANNERS`] when its files are programs,
//! which are known by their first bytes. A reader is a total function over bounded bytes: it opens nothing, walks nothing,
//! and whatever it cannot use becomes a problem.

mod apk;
mod bitnami;
mod cargo_auditable;
mod cargo_lock;
mod composer;
mod composer_lock;
mod conda;
mod dotnet_deps;
mod dpkg;
mod dpkg_copyright;
mod dpkg_files;
mod gem;
mod gemfile_lock;
mod go_build_info;
mod go_mod;
mod gradle_lockfile;
mod java_archive;
mod maven_pom;
mod npm;
mod npm_lock;
mod nuget_lock;
mod openvex;
mod os_release;
mod pdm_lock;
mod pipfile_lock;
mod pnpm_lock;
mod poetry_lock;
mod python;
mod python_requirements;
mod rpm;
mod rpm_manifest;
mod uv_lock;
mod yarn_lock;

use std::sync::LazyLock;

use tidewatch_core::package::PackageType;

use crate::pattern::{PathPattern, PatternTable};
use crate::reading::{InputFile, RandomFile, Reading};

/// Every reader of files that are known by their paths. The first whose pattern matches reads a file; where several files
/// can name the distribution, the first that does decides.
#[rustfmt::skip] // One line each.
pub(crate) static READERS: &[Reader] = &[
    apk::READER,
    bitnami::READER,
    cargo_lock::READER,
    composer::READER,
    composer_lock::READER,
    conda::READER,
    dotnet_deps::READER,
    // Before dpkg, which takes all other files of status.d.
    dpkg_files::READER,
    dpkg::READER,
    dpkg_copyright::READER,
    gem::READER,
    gemfile_lock::READER,
    go_mod::READER,
    gradle_lockfile::READER,
    java_archive::READER,
    maven_pom::READER,
    npm::READER,
    npm_lock::READER,
    nuget_lock::READER,
    openvex::READER,
    os_release::READER,
    pdm_lock::READER,
    pipfile_lock::READER,
    pnpm_lock::READER,
    poetry_lock::READER,
    python::READER,
    python_requirements::READER,
    rpm::READER,
    rpm_manifest::READER,
    uv_lock::READER,
    yarn_lock::READER,
];

/// Every reader of programs.
pub(crate) static SCANNERS: &[Scanner] = &[cargo_auditable::SCANNER, go_build_info::SCANNER];

/// A reader of one kind of file.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Id in packages and stored inventories: `dpkg`.
    pub(crate) id: &'static str,
    /// The files that it reads.
    pub(crate) paths: &'static [PathPattern],
    /// What its files prove.
    pub(crate) evidence: Evidence,
    /// The most bytes of one file. Of a larger one [`Access::Whole`] gets the beginning, and [`Access::Random`] nothing.
    pub(crate) file_bytes: u64,
    /// How it reads one file.
    pub(crate) access: Access,
}

/// What a file that names packages proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Evidence {
    /// Packages of the distribution: its database, or what belongs to it.
    Distribution,
    /// Packages of a language or of a program that are there.
    Installed,
    /// Packages of this type that somebody asks for. They count where none of their kind is installed.
    LockFile(PackageType),
    /// No packages: it says something about those of others.
    About,
}

/// How a reader reads a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// All of it at once, in memory.
    Whole(fn(&InputFile<'_>) -> Reading),
    /// At any place, of a file that may be large.
    Random(fn(&RandomFile<'_>) -> Reading),
    /// At any place, together with the file beside it, when the same layer has one: it bears the same name with
    /// `companion` added (`-wal`), holds what is not in the first file yet, and says nothing alone.
    RandomWith {
        /// What the name of the other file ends with.
        companion: &'static str,
        /// Reads the two.
        read: fn(&RandomFile<'_>, Option<&RandomFile<'_>>) -> Reading,
    },
}

/// A reader of programs: ELF, PE and Mach-O files, wherever they are.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// Id in packages and stored inventories: `go-build-info`.
    pub(crate) id: &'static str,
    /// Begins one program.
    pub(crate) start: fn() -> Box<dyn Scan + Send>,
}

/// Reads one program as it comes by, in bounded memory.
pub(crate) trait Scan {
    /// Takes the next bytes, as many as there are.
    fn push(&mut self, bytes: &[u8]);
    /// There are no more bytes; when not `complete`, because the archive is cut off. Gives at most `packages` packages.
    fn finish(self: Box<Self>, complete: bool, packages: usize) -> Reading;
}

/// The reader for the file at `path`.
pub(crate) fn reader_for(path: &str) -> Option<&'static Reader> {
    static TABLE: LazyLock<PatternTable> = LazyLock::new(|| {
        let lines = READERS.iter().enumerate();
        PatternTable::new(
            lines.flat_map(|(number, reader)| reader.paths.iter().map(move |path| (number, *path))),
        )
    });
    TABLE.find(path).and_then(|number| READERS.get(number))
}

/// The reader for which the file at `path` is a companion.
pub(crate) fn reader_of_companion(path: &str) -> Option<&'static Reader> {
    READERS.iter().find(|reader| match reader.access {
        Access::RandomWith { companion, .. } => {
            let main = path.strip_suffix(companion);
            main.is_some_and(|main| reader.paths.iter().any(|pattern| pattern.matches(main)))
        }
        Access::Whole(_) | Access::Random(_) => false,
    })
}

/// The reader with the id `id`; `None` for a scanner, or one of another version.
pub(crate) fn reader_with_id(id: &str) -> Option<&'static Reader> {
    READERS.iter().find(|reader| reader.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::contents::Contents;
    use crate::reading::PROBLEMS;

    fn read(reader: &Reader, path: &str, bytes: &[u8], complete: bool, packages: usize) -> Reading {
        match reader.access {
            Access::Whole(read) => read(&InputFile { path, bytes, complete, packages }),
            Access::Random(read) => {
                read(&RandomFile { path, contents: &Contents::from(bytes.to_vec()), packages })
            }
            Access::RandomWith { read, .. } => {
                let file = RandomFile { path, contents: &Contents::from(bytes.to_vec()), packages };
                read(&file, Some(&file))
            }
        }
    }

    #[test]
    fn every_reader_has_its_file_and_its_line_in_the_table() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/readers");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().replace('_', "-"))
            .filter(|name| !["mod", "snapshots"].contains(&name.as_str()))
            .collect();
        let ids = READERS.iter().map(|reader| reader.id).chain(SCANNERS.iter().map(|scanner| scanner.id));
        let table: BTreeSet<String> = ids.map(str::to_owned).collect();
        assert_eq!(files, table);
    }

    #[test]
    fn the_page_of_the_inventory_names_every_reader_and_its_files() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/INVENTORY.md");
        let page = std::fs::read_to_string(page).unwrap();
        let row = |id: &str| {
            let quoted = format!("`{id}`");
            let found = page.lines().find(|line| line.starts_with("| ") && line.contains(&quoted));
            found.unwrap_or_else(|| panic!("docs/INVENTORY.md has no row for {id}"))
        };
        for reader in READERS.iter().filter(|reader| reader.id != "os-release") {
            let row = row(reader.id);
            for pattern in reader.paths {
                // Endings follow one another; which case they have, and what stands before a hyphen, does not matter.
                let name = pattern.name().trim_start_matches('*').to_ascii_lowercase();
                let named = row.to_ascii_lowercase().contains(&name);
                assert!(named, "docs/INVENTORY.md does not name {name} of {}", reader.id);
            }
        }
        for scanner in SCANNERS {
            assert!(!row(scanner.id).is_empty());
        }
    }

    #[test]
    fn every_pattern_of_every_reader_is_found_by_the_table() {
        for reader in READERS {
            for pattern in reader.paths {
                let found = reader_for(&pattern.example()).unwrap();
                let first = READERS
                    .iter()
                    .find(|reader| reader.paths.iter().any(|other| other.matches(&pattern.example())));
                assert_eq!(Some(found.id), first.map(|reader| reader.id), "{pattern:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic_or_report_without_bound(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            complete in any::<bool>(),
        ) {
            for reader in READERS {
                for pattern in reader.paths {
                    let reading = read(reader, &pattern.example(), &bytes, complete, 5);
                    prop_assert!(reading.packages.len() <= 5);
                    prop_assert!(reading.problems.into_reasons().len() <= PROBLEMS + 1);
                }
            }
            for scanner in SCANNERS {
                let mut scan = (scanner.start)();
                bytes.chunks(100).for_each(|part| scan.push(part));
                let reading = scan.finish(complete, 5);
                prop_assert!(reading.packages.len() <= 5);
                prop_assert!(reading.problems.into_reasons().len() <= PROBLEMS + 1);
            }
        }

        #[test]
        fn no_text_of_fields_makes_a_reader_panic(text in "([A-Za-z]{1,8}:? ?[a-z0-9.() ]{0,12}\n{1,2}){0,30}") {
            for reader in READERS {
                for pattern in reader.paths {
                    for package in read(reader, &pattern.example(), text.as_bytes(), true, usize::MAX).packages {
                        prop_assert!(!package.name.is_empty() && !package.version.is_empty());
                    }
                }
            }
        }
    }
}
