//! The dependencies of a project of Maven, `pom.xml`, whose versions the file itself fixes: by properties, its parent's
//! coordinates and its own dependency management.
//!
//! Specification: <https://maven.apache.org/pom.html#Dependencies>.

use std::collections::BTreeSet;

use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::pom::Pom;
use crate::reading::{InputFile, Reading};

pub(super) const READER: Reader = Reader {
    id: "maven-pom",
    paths: &[PathPattern::new("**/pom.xml")],
    evidence: Evidence::LockFile,
    file_bytes: 1 << 20,
    access: Access::Whole(read),
};

/// Directories whose project files are of what is there, not of what is asked for: unpacked archives, and Maven's local
/// repository.
const INSTALLED: [&str; 2] = ["META-INF", ".m2"];

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    if file.path.split('/').any(|part| INSTALLED.contains(&part)) {
        return reading;
    }
    let (pom, result) = Pom::read(file.bytes);
    if let (Err(error), true) = (result, file.complete) {
        reading.problems.add(|| format!("is no XML that can be read to its end: {error}"));
    }
    let mut seen = BTreeSet::new();
    for dependency in pom.dependencies() {
        // Tests do not run in an image.
        if dependency.scope.as_deref() == Some("test") {
            continue;
        }
        let at = dependency.at;
        let version = at.version.as_deref().and_then(fixed);
        // What the file does not fix, somebody else does: a parent, a profile, a list of versions.
        let (Some(group), Some(artifact), Some(version)) = (at.group, at.artifact, version) else { continue };
        let name = format!("{group}:{artifact}");
        if !seen.insert((name.clone(), version.to_owned())) {
            continue;
        }
        if !reading.add(Package::new(PackageType::Maven, name, version, READER.id), file.packages) {
            break;
        }
    }
    reading
}

/// The version when it is just one: no range but `[1.0]`, and none that a repository decides.
/// Specification: <https://maven.apache.org/pom.html#Dependency_Version_Requirement_Specification>.
fn fixed(version: &str) -> Option<&str> {
    let exact = version.strip_prefix('[').and_then(|version| version.strip_suffix(']'));
    let version = exact.unwrap_or(version).trim();
    let is_open = version.contains(['[', ']', '(', ')', ',']) || matches!(version, "" | "LATEST" | "RELEASE");
    (!is_open).then_some(version)
}
