//! Gradle's lock files: `gradle.lockfile` and `buildscript-gradle.lockfile`, with lines `GROUP:ARTIFACT:VERSION=USES`, and
//! before Gradle 7 one file for each use in `gradle/dependency-locks`, with lines without one.
//!
//! Specification: <https://docs.gradle.org/current/userguide/dependency_locking.html#lock_state_location_and_format>.

use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::pom::is_name;
use crate::reading::{InputFile, Reading, excerpt, is_of_a_dependency, short_text};

pub(super) const READER: Reader = Reader {
    id: "gradle-lockfile",
    paths: &[
        PathPattern::new("**/gradle.lockfile"),
        PathPattern::new("**/buildscript-gradle.lockfile"),
        PathPattern::new("**/gradle/dependency-locks/*.lockfile"),
    ],
    evidence: Evidence::LockFile(PackageType::Maven),
    file_bytes: 8 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    if is_of_a_dependency(file.path) {
        return reading;
    }
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
        let named = match parts[..] {
            [group, artifact, version] if is_name(group) && is_name(artifact) && !version.is_empty() => {
                Some((format!("{group}:{artifact}"), version))
            }
            _ => None,
        };
        let Some((name, version)) = named else {
            reading.problems.add(|| format!("holds a line that is no dependency: {:?}", excerpt(&text)));
            continue;
        };
        let package = Package::new(PackageType::Maven, name, version, READER.id);
        if !reading.add(package, file.packages) {
            break;
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    #[test]
    fn every_line_is_a_package_with_or_without_its_uses() {
        let text = "# This is a Gradle generated file for dependency locking.\r\n\
                    com.google.guava:guava:31.1-jre=compileClasspath,runtimeClasspath\r\n\
                    org.slf4j:slf4j-api:1.7.36\nempty=annotationProcessor\n\n";
        let reading = read(&file("gradle.lockfile", text.as_bytes()));
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn a_line_that_is_no_dependency_is_a_problem_and_the_others_count() {
        let reading = read(&file("gradle.lockfile", b"nonsense\na::1=x\na:b:c:d=x\norg.a:b:1=x\n"));
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(
            reading.problems.into_reasons(),
            ["nonsense", "a::1", "a:b:c:d"]
                .map(|line| format!("holds a line that is no dependency: {line:?}"))
        );
    }

    #[test]
    fn of_a_cut_file_the_whole_lines_count() {
        let file = InputFile { complete: false, ..file("gradle.lockfile", b"a:b:1=x\nc:d:1.") };
        let reading = read(&file);
        assert_eq!(reading.packages.len(), 1);
        assert!(reading.problems.is_empty());
    }
}
