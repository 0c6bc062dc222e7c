//! One reader alone: the one whose id is in the environment variable `FUZZ_READER`, or one form of the files of a reader
//! with several; `list` prints all. The input is the file that it reads. It is read at a path of each name that its files
//! have, whole and cut off. A new reader needs nothing here.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tidewatch_inventory::fuzzing::{self, paths, reader_ids, scanner_ids};
use tidewatch_inventory_fuzz::{PACKAGES, check_findings, pieces};

/// Forms of files that a reader tells by their content, each with a target of its own: the target, the id of the reader,
/// and what its files have at some place.
const FORMS: [(&str, &str, usize, &[u8]); 3] = [
    ("rpm-sqlite", "rpm", 0, b"SQLite format 3\0"),
    ("rpm-ndb", "rpm", 0, b"RpmP"),
    ("rpm-berkeley", "rpm", 12, &[0x61, 0x15, 0x06, 0x00]),
];

struct Target {
    id: &'static str,
    kind: Kind,
}

enum Kind {
    /// With a path for each name of its files.
    Reader(Vec<String>),
    /// With what its files have at some place.
    Form(String, usize, &'static [u8]),
    Scanner,
}

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_READER").unwrap_or_default();
        let all = targets();
        if name == "list" {
            all.iter().for_each(|(name, _)| println!("{name}"));
            std::process::exit(0);
        }
        let found = all.into_iter().find(|(target, _)| *target == name);
        let (_, target) = found.expect("FUZZ_READER names no reader; with FUZZ_READER=list all are listed");
        TARGET.get_or_init(|| target);
    },
    |bytes: &[u8]| {
        let target = TARGET.get().expect("it was set at the beginning");
        match &target.kind {
            Kind::Reader(paths) => paths.iter().for_each(|path| read(target.id, path, bytes)),
            Kind::Form(path, place, magic) => {
                let mut bytes = bytes.to_vec();
                if let Some(space) = bytes.get_mut(*place..place + magic.len()) {
                    space.copy_from_slice(magic);
                }
                read(target.id, path, &bytes);
            }
            Kind::Scanner => scan(target.id, bytes),
        }
    }
);

fn targets() -> Vec<(&'static str, Target)> {
    let mut targets = Vec::new();
    for id in reader_ids() {
        let paths = paths(id);
        let forms = FORMS.iter().filter(|(_, reader, ..)| *reader == id);
        targets.extend(forms.filter_map(|(name, _, place, magic)| {
            Some((*name, Target { id, kind: Kind::Form(paths.first()?.clone(), *place, magic) }))
        }));
        if targets.last().is_none_or(|(_, target)| target.id != id) {
            targets.push((id, Target { id, kind: Kind::Reader(one_of_each_name(paths)) }));
        }
    }
    targets.extend(scanner_ids().into_iter().map(|id| (id, Target { id, kind: Kind::Scanner })));
    targets
}

fn one_of_each_name(mut paths: Vec<String>) -> Vec<String> {
    let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
    paths.sort_by_key(name);
    paths.dedup_by_key(|path| name(path));
    paths
}

fn read(id: &str, path: &str, bytes: &[u8]) {
    for complete in [true, false] {
        // A file that is read at any place is always whole.
        if complete || fuzzing::takes_cut_files(id) {
            let findings = fuzzing::read(id, path, bytes, complete, PACKAGES);
            check_findings(&findings.expect("there is such a reader"));
        }
    }
}

fn scan(id: &str, bytes: &[u8]) {
    for complete in [true, false] {
        let findings = fuzzing::scan(id, [bytes], complete, PACKAGES).expect("there is such a reader");
        check_findings(&findings);
        let in_pieces = fuzzing::scan(id, pieces(bytes), complete, PACKAGES);
        assert_eq!(in_pieces, Some(findings), "it depends on how the bytes come");
    }
}
