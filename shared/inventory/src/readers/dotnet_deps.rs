//! `APP.deps.json`, which lies beside every .NET program and says what it is made of: packages with files of their own or
//! that only gather others which have, the runtime where the program brings it along, and the program's own project.
//! Packages without files are left out, as the runtime contains their code: they are what old packages once asked for.
//!
//! Specification: <https://github.com/dotnet/sdk/blob/main/documentation/specs/runtime-configuration-file.md#appnamedepsjson>.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::paths::split;
use crate::pattern::PathPattern;
use crate::reading::lenient_json::{self, Entries, Object, Text};
use crate::reading::{InputFile, Problems, Reading, excerpt, short_text};

pub(super) const READER: Reader = Reader {
    id: "dotnet-deps",
    paths: &[PathPattern::new("**/*.deps.json")],
    evidence: Evidence::Installed,
    // Programs with some hundred packages have some 500 KiB.
    file_bytes: 4 << 20,
    access: Access::Whole(read),
};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Document {
    runtime_target: Object<RuntimeTarget>,
    /// For each target its libraries, `NAME/VERSION`.
    targets: Entries<Entries<Object<Target>>>,
    libraries: Entries<Object<Library>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RuntimeTarget {
    name: Text,
}

/// What a library is in a target: the files that it has there, and its dependencies, `NAME: VERSION`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Target {
    dependencies: Entries<Text>,
    compile: Entries<IgnoredAny>,
    native: Entries<IgnoredAny>,
    resources: Entries<IgnoredAny>,
    runtime: Entries<IgnoredAny>,
    runtime_targets: Entries<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Library {
    r#type: Text,
}

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let Some(document) = reading.problems.ok_or_add(lenient_json::parse_kept::<Document>(file.bytes)) else {
        return reading;
    };
    let libraries: Vec<(&str, &Target)> = document.runtime_libraries().collect();
    let used = used(&libraries);
    let types =
        document.libraries.0.iter().map(|(name, library)| (name.as_str(), library.0.r#type.0.as_str()));
    let types: HashMap<&str, &str> = types.collect();
    let program = split(file.path).1.strip_suffix(".deps.json").unwrap_or_default();
    for (key, _) in libraries {
        let Some((name, version)) = key.split_once('/') else { continue };
        let name = match types.get(key).copied().unwrap_or("package") {
            "package" if used.contains(key) => name,
            // The name of the package that the runtime was taken from.
            "runtimepack" => name.strip_prefix("runtimepack.").unwrap_or(name),
            "project" if name == program => name,
            _ => continue,
        };
        let package = package(name, version, &mut reading.problems);
        if package.is_some_and(|package| !reading.add(package, file.packages)) {
            break;
        }
    }
    reading
}

impl Document {
    /// The libraries of the target that the program runs as; of all targets when it does not say which one that is.
    fn runtime_libraries(&self) -> impl Iterator<Item = (&str, &Target)> {
        let name = &self.runtime_target.0.name.0;
        let is_named = self.targets.0.iter().any(|(target, _)| target == name);
        let targets = self.targets.0.iter().filter(move |(target, _)| !is_named || target == name);
        targets.flat_map(|(_, libraries)| &libraries.0).map(|(key, target)| (key.as_str(), &target.0))
    }
}

impl Target {
    const fn has_files(&self) -> bool {
        !(self.compile.0.is_empty()
            && self.native.0.is_empty()
            && self.resources.0.is_empty()
            && self.runtime.0.is_empty()
            && self.runtime_targets.0.is_empty())
    }
}

/// The libraries that have files, and those that depend on any that has.
fn used<'a>(libraries: &[(&'a str, &Target)]) -> HashSet<&'a str> {
    let mut dependents: HashMap<String, Vec<&str>> = HashMap::new();
    for (key, target) in libraries {
        for (name, version) in &target.dependencies.0 {
            dependents.entry(format!("{name}/{}", version.0)).or_default().push(key);
        }
    }
    let mut next: Vec<&str> =
        libraries.iter().filter(|(_, target)| target.has_files()).map(|(key, _)| *key).collect();
    let mut used: HashSet<&str> = HashSet::new();
    while let Some(key) = next.pop() {
        if used.insert(key) {
            next.extend(dependents.get(key).into_iter().flatten());
        }
    }
    used
}

fn package(name: &str, version: &str, problems: &mut Problems) -> Option<Package> {
    let name = problems.ok_or_add(short_text("package name", name.as_bytes()))?;
    let version = problems.ok_or_add(short_text("version", version.as_bytes()))?;
    if name.is_empty() || version.is_empty() {
        problems
            .add(|| format!("names no package or no version: {:?}", excerpt(&format!("{name}/{version}"))));
        return None;
    }
    Some(Package::new(PackageType::Nuget, name, version, READER.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const DEPS: &str = r#"{
  "runtimeTarget": {"name": ".NETCoreApp,Version=v8.0/linux-x64", "signature": ""},
  "compilationOptions": {},
  "targets": {
    ".NETCoreApp,Version=v8.0": {},
    ".NETCoreApp,Version=v8.0/linux-x64": {
      "app/1.0.0": {
        "dependencies": {
          "Humanizer": "2.14.1",
          "Newtonsoft.Json": "13.0.1",
          "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64": "8.0.14",
          "library": "2.0.0"
        },
        "runtime": {"app.dll": {}}
      },
      "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.14": {
        "runtime": {"System.Private.CoreLib.dll": {"assemblyVersion": "8.0.0.0", "fileVersion": "8.0.1425.11118"}},
        "native": {"libcoreclr.so": {"fileVersion": "0.0.0.0"}}
      },
      "Humanizer/2.14.1": {"dependencies": {"Humanizer.Core.af": "2.14.1"}},
      "Humanizer.Core.af/2.14.1": {
        "dependencies": {"System.Collections": "4.3.0"},
        "resources": {"lib/net6.0/af/Humanizer.resources.dll": {"locale": "af"}}
      },
      "Newtonsoft.Json/13.0.1": {
        "runtime": {"lib/netstandard2.0/Newtonsoft.Json.dll": {"assemblyVersion": "13.0.0.0", "fileVersion": "13.0.1.25517"}}
      },
      "SQLitePCLRaw.lib.e_sqlite3/2.1.6": {
        "runtimeTargets": {"runtimes/linux-x64/native/libe_sqlite3.so": {"rid": "linux-x64", "assetType": "native"}}
      },
      "System.Collections/4.3.0": {"dependencies": {"Microsoft.NETCore.Platforms": "1.1.0"}},
      "Microsoft.NETCore.Platforms/1.1.0": {},
      "library/2.0.0": {"dependencies": {"Newtonsoft.Json": "13.0.1"}, "runtime": {"library.dll": {}}},
      "Vendor.Reference/1.2.3.4": {"runtime": {"Vendor.dll": {}}}
    }
  },
  "libraries": {
    "app/1.0.0": {"type": "project", "serviceable": false, "sha512": ""},
    "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.14": {"type": "runtimepack", "serviceable": false, "sha512": ""},
    "Humanizer/2.14.1": {"type": "package", "serviceable": true, "sha512": "sha512-/FUTD3cEceAAmJSCPN9+J+VhGwmL", "path": "humanizer/2.14.1"},
    "Humanizer.Core.af/2.14.1": {"type": "package", "serviceable": true, "sha512": "sha512-BoToHA"},
    "Newtonsoft.Json/13.0.1": {"type": "package", "serviceable": true, "sha512": "sha512-ppPFpBcvxdsfUonN"},
    "SQLitePCLRaw.lib.e_sqlite3/2.1.6": {"type": "package", "serviceable": true, "sha512": "sha512-2ObJJLkIUIxR"},
    "System.Collections/4.3.0": {"type": "package", "serviceable": true, "sha512": "sha512-3Dcj85"},
    "Microsoft.NETCore.Platforms/1.1.0": {"type": "package", "serviceable": true, "sha512": "sha512-kz0PEW2l"},
    "library/2.0.0": {"type": "project", "serviceable": false, "sha512": ""},
    "Vendor.Reference/1.2.3.4": {"type": "reference", "serviceable": false, "sha512": ""}
  }
}"#;

    #[test]
    fn what_the_program_is_made_of_counts() {
        let reading = read(&file("app/app.deps.json", format!("\u{feff}{DEPS}").as_bytes()));
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn without_a_runtime_target_all_targets_count() {
        let text = r#"{"targets": {"a": {"X/1": {"runtime": {"x.dll": {}}}}, "b": {"Y/2": {"native": {"y.so": {}}}, "Z": {}}}}"#;
        let reading = read(&file("app.deps.json", text.as_bytes()));
        let names: Vec<&str> = reading.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["X", "Y"]);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn packages_that_depend_on_one_another_in_a_circle_end() {
        let text = r#"{"targets": {"a": {
            "X/1": {"dependencies": {"Y": "1"}}, "Y/1": {"dependencies": {"X": "1"}},
            "V/1": {"dependencies": {"W": "1"}}, "W/1": {"dependencies": {"V": "1"}, "runtime": {"w.dll": {}}}}}}"#;
        let reading = read(&file("app.deps.json", text.as_bytes()));
        let names: Vec<&str> = reading.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["V", "W"]);
    }

    #[test]
    fn what_cannot_be_used_is_a_problem() {
        let long = "x".repeat(1025);
        let text = format!(
            r#"{{"targets": {{"a": {{"X/": {{"native": {{"x": 1}}}}, "Y/{long}": {{"native": {{"x": 1}}}}, "Z/1": {{"native": {{"x": 1}}}}}}}}}}"#
        );
        let reading = read(&file("app.deps.json", text.as_bytes()));
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(
            reading.problems.into_reasons(),
            ["names no package or no version: \"X/\"", "holds a version of more than 1024 bytes"]
        );
        assert_eq!(read(&file("app.deps.json", b"{")).problems.into_reasons().len(), 1);
        let few = read(&InputFile { packages: 1, ..file("app.deps.json", DEPS.as_bytes()) });
        assert_eq!((few.packages.len(), few.problems.into_reasons().len()), (1, 1));
    }
}
