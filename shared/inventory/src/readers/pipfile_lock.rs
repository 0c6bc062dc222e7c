//! `Pipfile.lock` of Pipenv: what it has locked for running, not what is for development only, which nobody puts into an
//! image.
//!
//! Specification: <https://pipenv.pypa.io/en/latest/pipfile.html#example-pipfile-lock>.

use serde::Deserialize;

use tidewatch_core::package::PackageType;

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::lenient_json::{self, Entries, Object, Text};
use crate::reading::{InputFile, Reading, is_of_a_dependency, pypi};

pub(super) const READER: Reader = Reader {
    id: "pipfile-lock",
    paths: &[PathPattern::new("**/Pipfile.lock")],
    evidence: Evidence::LockFile(PackageType::Pypi),
    file_bytes: 8 << 20,
    access: Access::Whole(read),
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    default: Entries<Object<Locked>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Locked {
    version: Text,
}

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    if is_of_a_dependency(file.path) {
        return reading;
    }
    let Some(document) = reading.problems.ok_or_add(lenient_json::parse::<Document>(file.bytes)) else {
        return reading;
    };
    for (name, Object(locked)) in document.default.0 {
        // What comes from a repository, a path or an address has no version here.
        let Some(version) = locked.version.0.trim().strip_prefix("==") else { continue };
        // `===` compares texts; the version is the same.
        let version = version.strip_prefix('=').unwrap_or(version);
        let package = pypi::package(&name, version, READER.id, &mut reading);
        if package.is_some_and(|package| !reading.add(package, file.packages)) {
            break;
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const LOCK: &str = r#"{
    "_meta": {
        "hash": {"sha256": "a6b2dfd5367688bec81240eb04e7bde7f92b35491be5934fcb4e2e6ca9d275c0"},
        "pipfile-spec": 6,
        "requires": {"python_version": "3.11"},
        "sources": [{"name": "pypi", "url": "https://pypi.org/simple", "verify_ssl": true}]
    },
    "default": {
        "flask": {
            "hashes": ["sha256:34e815dfaa43340d1d15a5c3a02b8476004037eb4840b34910c6e21679d288f3"],
            "index": "pypi",
            "markers": "python_version >= '3.8'",
            "version": "==3.0.3"
        },
        "markupsafe": {"version": "==2.1.5"},
        "my-fork": {"git": "https://example.org/my-fork.git", "ref": "4b220de5058abfd01ff619c9d2ff6b09a049bea0"},
        "local": {"editable": true, "path": "."},
        "zope.interface": {"version": "===7.0"}
    },
    "develop": {
        "pytest": {"version": "==8.0.1"}
    }
}"#;

    #[test]
    fn what_is_locked_for_running_with_a_version_counts() {
        let reading = read(&file("app/Pipfile.lock", LOCK.as_bytes()));
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn an_entry_that_cannot_be_used_does_not_lose_the_others() {
        let text = r#"{"default": {"a": "1", "b": {"version": 1}, "c": {"version": "=="}, "d": {"version": "==1"}, "": {"version": "==1"}}}"#;
        let reading = read(&file("Pipfile.lock", text.as_bytes()));
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(
            reading.problems.into_reasons(),
            ["names no version of c", "names a package without a name"]
        );
    }

    #[test]
    fn a_damaged_file_and_one_with_too_many_packages_are_problems() {
        let reading = read(&file("Pipfile.lock", &LOCK.as_bytes()[..500]));
        insta::assert_json_snapshot!(reading.problems.into_reasons());
        let reading = read(&InputFile { packages: 1, ..file("Pipfile.lock", LOCK.as_bytes()) });
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(reading.problems.into_reasons().len(), 1);
    }
}
