//! `packages.lock.json` of NuGet: the packages of a .NET project, for each of the frameworks that it is built for. Other
//! projects, which stand there as well, are no packages.
//!
//! Specification: <https://learn.microsoft.com/en-us/nuget/consume-packages/package-references-in-project-files#locking-dependencies>.

use std::collections::HashSet;

use serde::Deserialize;
use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::lenient_json::{self, Entries, Object, Text};
use crate::reading::{InputFile, Problems, Reading, excerpt, is_of_a_dependency, short_text};

pub(super) const READER: Reader = Reader {
    id: "nuget-lock",
    paths: &[PathPattern::new("**/packages.lock.json")],
    evidence: Evidence::LockFile(PackageType::Nuget),
    file_bytes: 4 << 20,
    access: Access::Whole(read),
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    /// For each framework its packages by name.
    dependencies: Entries<Entries<Object<Locked>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Locked {
    r#type: Text,
    resolved: Text,
}

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    if is_of_a_dependency(file.path) {
        return reading;
    }
    let Some(document) = reading.problems.ok_or_add(lenient_json::parse_kept::<Document>(file.bytes)) else {
        return reading;
    };
    let packages = document.dependencies.0.iter().flat_map(|(_, packages)| &packages.0);
    let mut seen = HashSet::new();
    for (name, Object(locked)) in packages {
        let is_project = locked.r#type.0.eq_ignore_ascii_case("project");
        if is_project || !seen.insert((name.as_str(), locked.resolved.0.as_str())) {
            continue;
        }
        let package = package(name, &locked.resolved.0, &mut reading.problems);
        if package.is_some_and(|package| !reading.add(package, file.packages)) {
            break;
        }
    }
    reading
}

fn package(name: &str, version: &str, problems: &mut Problems) -> Option<Package> {
    let name = problems.ok_or_add(short_text("package name", name.as_bytes()))?;
    let version = problems.ok_or_add(short_text("version", version.as_bytes()))?;
    if name.is_empty() || version.is_empty() {
        problems.add(|| format!("names no version of {}", excerpt(&name)));
        return None;
    }
    Some(Package::new(PackageType::Nuget, name, version, READER.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const LOCK: &str = r#"{
  "version": 2,
  "dependencies": {
    "net6.0": {
      "AutoMapper": {
        "type": "Direct",
        "requested": "[13.0.1, )",
        "resolved": "13.0.1",
        "contentHash": "/Fx1SbJ16qS7dU4i604Sle+U9VLX+WSNVJggk6MupKVkYvvBm4XqYaeFuf67diHefHKHs50uQIS2YEDFhPCakQ==",
        "dependencies": {"Microsoft.Extensions.Options": "6.0.0"}
      },
      "Microsoft.Extensions.Options": {"type": "Transitive", "resolved": "6.0.0", "contentHash": "dzXN0"},
      "Serilog": {"type": "CentralTransitive", "requested": "[4.0.0, )", "resolved": "4.0.0", "contentHash": "x"},
      "library": {"type": "Project", "dependencies": {"AutoMapper": "[13.0.1, )"}}
    },
    "net8.0": {
      "AutoMapper": {"type": "Direct", "requested": "[13.0.1, )", "resolved": "13.0.1", "contentHash": "/Fx1"},
      "Microsoft.Extensions.Options": {"type": "Transitive", "resolved": "8.0.0", "contentHash": "dzXN1"}
    }
  }
}"#;

    #[test]
    fn the_packages_of_all_frameworks_count_once() {
        let reading = read(&file("src/packages.lock.json", LOCK.as_bytes()));
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_a_problem() {
        let text =
            r#"{"dependencies": {"x": {"A": {"resolved": null}, "B": 1, "C": {"resolved": "1"}}, "y": []}}"#;
        let reading = read(&file("packages.lock.json", text.as_bytes()));
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(reading.problems.into_reasons(), ["names no version of A", "names no version of B"]);
        assert_eq!(read(&file("packages.lock.json", b"[")).problems.into_reasons().len(), 1);
        let few = read(&InputFile { packages: 1, ..file("packages.lock.json", LOCK.as_bytes()) });
        assert_eq!((few.packages.len(), few.problems.into_reasons().len()), (1, 1));
    }
}
