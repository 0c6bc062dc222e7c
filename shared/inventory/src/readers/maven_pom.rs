//! The dependencies of a project of Maven, `pom.xml`, whose versions the file itself fixes: by properties, its parent's
//! coordinates and its own dependency management.
//!
//! Specification: <https://maven.apache.org/pom.html#Dependencies>.

use std::collections::BTreeSet;

use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::pom::Pom;
use crate::reading::{InputFile, Reading, excerpt, is_of_a_dependency};

pub(super) const READER: Reader = Reader {
    id: "maven-pom",
    paths: &[PathPattern::new("**/pom.xml")],
    evidence: Evidence::LockFile(PackageType::Maven),
    file_bytes: 1 << 20,
    access: Access::Whole(read),
};

/// Directories whose project files are of what is there, not of what is asked for: unpacked archives, and Maven's local
/// repository.
const INSTALLED: [&str; 2] = ["META-INF", ".m2"];

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    if is_of_a_dependency(file.path) || file.path.split('/').any(|part| INSTALLED.contains(&part)) {
        return reading;
    }
    let (pom, result) = Pom::read(file.bytes);
    if let (Err(error), true) = (result, file.complete) {
        // The error names elements, in the words of the file.
        let error = paths::text(error.to_string().as_bytes());
        reading.problems.add(|| format!("is no XML that can be read to its end: {}", excerpt(&error)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    fn dependency(text: &str) -> String {
        let parts: Vec<&str> = text.split(' ').collect();
        let element = |name: &str, index: usize| {
            parts.get(index).filter(|part| !part.is_empty()).map(|part| format!("<{name}>{part}</{name}>"))
        };
        let elements = ["groupId", "artifactId", "version", "scope"];
        let inner: String =
            elements.iter().enumerate().filter_map(|(index, name)| element(name, index)).collect();
        format!("<dependency>{inner}</dependency>")
    }

    fn read_at(path: &str, dependencies: &[&str], rest: &str) -> Vec<String> {
        let dependencies: String = dependencies.iter().map(|text| dependency(text)).collect();
        let text = format!("<project>{rest}<dependencies>{dependencies}</dependencies></project>");
        let reading = read(&file(path, text.as_bytes()));
        assert!(reading.problems.is_empty());
        reading.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect()
    }

    #[test]
    fn a_dependency_whose_version_the_file_fixes_is_asked_for() {
        let managed = dependency("org.m managed 5.0");
        let rest = format!(
            "<parent><groupId>org.p</groupId><artifactId>p</artifactId><version>3.1</version></parent>\
             <properties><spring.version>5.3.9</spring.version></properties>\
             <dependencyManagement><dependencies>{managed}</dependencies></dependencyManagement>"
        );
        let found = read_at(
            "app/pom.xml",
            &[
                "org.springframework spring-core ${spring.version}",
                "${project.groupId} sibling ${project.version}",
                "org.m managed",
                "org.e exact [1.5]",
                "org.r range [1.0,2.0)",
                "org.l latest LATEST",
                "org.n none",
                "org.u unknown ${elsewhere}",
                "junit junit 4.13 test",
                "org.e exact 1.5",
            ],
            &rest,
        );
        assert_eq!(
            found,
            [
                "org.springframework:spring-core@5.3.9",
                "org.p:sibling@3.1",
                "org.m:managed@5.0",
                "org.e:exact@1.5"
            ]
        );
    }

    #[test]
    fn project_files_of_what_is_installed_ask_for_nothing() {
        for path in ["app/META-INF/maven/g/a/pom.xml", "root/.m2/repository/x/pom.xml"] {
            assert_eq!(read_at(path, &["g a 1"], ""), Vec::<String>::new());
        }
    }

    #[test]
    fn a_file_that_is_no_xml_is_a_problem_and_one_that_is_no_project_is_none() {
        assert!(!read(&file("pom.xml", b"<project><a></b>")).problems.is_empty());
        let long = format!("<project></\u{1b}{}>", "x".repeat(5000));
        let reasons = read(&file("pom.xml", long.as_bytes())).problems.into_reasons();
        assert!(reasons[0].len() < 200 && !reasons[0].contains('\u{1b}'), "{reasons:?}");
        assert!(read(&file("pom.xml", b"<beans><a/></beans>")).problems.is_empty());
    }
}
