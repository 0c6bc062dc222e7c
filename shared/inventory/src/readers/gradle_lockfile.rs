//! Gradle's lock files: `gradle.lockfile` and `buildscript-gradle.lockfile`, with lines `GROUP:ARTIFACT:VERSION=USES`, and
//! before Gradle 7 one file for each use in `gradle/dependency-locks`, with lines without one.
//!
//! Specification: <https://docs.gradle.org/current/userguide/dependency_locking.html#lock_state_location_and_format>.

use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::{InputFile, Reading, excerpt, short_text};

pub(super) const READER: Reader = Reader {
    id: "gradle-lockfile",
    paths: &[
        PathPattern::new("**/gradle.lockfile"),
        PathPattern::new("**/buildscript-gradle.lockfile"),
        PathPattern::new("**/gradle/dependency-locks/*.lockfile"),
    ],
    evidence: Evidence::LockFile,
    file_bytes: 8 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let mut lines: Vec<&[u8]> = file.bytes.split(|byte| *byte == b'\n').collect();
    if !file.complete {
        lines.pop();
    }
    for line in lines {
        let line = line.trim_ascii();
        // A line of uses without a dependency: `empty=annotationProcessor`.
        if line.is_empty() || line.starts_with(b"#") || line.starts_with(b"empty=") {
            continue;
        }
        let dependency = line.split(|byte| *byte == b'=').next().unwrap_or_default();
        let Some(text) = reading.problems.ok_or_add(short_text("dependency", dependency)) else { continue };
        let parts: Vec<&str> = text.split(':').map(str::trim).collect();
        let [group, artifact, version] = parts[..] else {
            reading.problems.add(|| format!("holds a line that is no dependency: {:?}", excerpt(&text)));
            continue;
        };
        if group.is_empty() || artifact.is_empty() || version.is_empty() {
            reading.problems.add(|| format!("holds a line that is no dependency: {:?}", excerpt(&text)));
            continue;
        }
        let package = Package::new(PackageType::Maven, format!("{group}:{artifact}"), version, READER.id);
        if !reading.add(package, file.packages) {
            break;
        }
    }
    reading
}
