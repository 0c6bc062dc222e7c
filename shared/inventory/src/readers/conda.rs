//! Installed Conda packages: `conda-meta/NAME-VERSION-BUILD.json` of an environment. The build is left out, as two builds are
//! made from the same sources; the architecture is the channel's folder, `linux-64` or `noarch`.
//!
//! Specification: <https://github.com/conda/schemas/blob/main/repodata-record-1.schema.json>.

use serde::Deserialize;
use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::license::license_of;
use crate::pattern::PathPattern;
use crate::reading::lenient_json::{self, Text};
use crate::reading::{InputFile, Problems, Reading, excerpt, short_text};

pub(super) const READER: Reader = Reader {
    id: "conda",
    paths: &[PathPattern::new("**/conda-meta/*.json")],
    evidence: Evidence::Installed,
    // The files of a package are listed twice, with their digests: some MiB for large ones.
    file_bytes: 16 << 20,
    access: Access::Whole(read),
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    name: Text,
    version: Text,
    subdir: Text,
    license: Text,
}

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let record = reading.problems.ok_or_add(lenient_json::parse::<Record>(file.bytes));
    if let Some(package) = record.and_then(|record| record.package(&mut reading.problems)) {
        reading.add(package, file.packages);
    }
    reading
}

impl Record {
    fn package(self, problems: &mut Problems) -> Option<Package> {
        if self.name.0.is_empty() && self.version.0.is_empty() {
            // Something else that a tool keeps there.
            return None;
        }
        let name = problems.ok_or_add(short_text("package name", self.name.0.as_bytes()))?;
        let version = problems.ok_or_add(short_text("version", self.version.0.as_bytes()))?;
        let subdir = problems.ok_or_add(short_text("folder", self.subdir.0.as_bytes()))?;
        if name.is_empty() || version.is_empty() {
            problems.add(|| {
                format!("names no package or no version: {:?}", excerpt(&format!("{name}-{version}")))
            });
            return None;
        }
        Some(Package {
            architecture: Some(subdir).filter(|subdir| !subdir.is_empty()),
            license: license_of(self.license.0.as_bytes()),
            ..Package::new(PackageType::Conda, name, version, READER.id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const PATH: &str = "opt/conda/conda-meta/zlib-1.2.11-h90dfc92_1014.json";

    #[test]
    fn a_package_has_version_folder_and_licence() {
        let text = r#"{
  "arch": "x86_64", "build": "h90dfc92_1014", "build_number": 1014,
  "channel": "https://conda.anaconda.org/conda-forge/", "constrains": [],
  "depends": ["libzlib 1.2.11 h90dfc92_1014"],
  "files": ["include/zconf.h", "lib/libz.a"],
  "fn": "zlib-1.2.11-h90dfc92_1014.tar.bz2", "license": "Zlib", "license_family": "Other",
  "link": {"source": "/opt/conda/pkgs/zlib-1.2.11-h90dfc92_1014", "type": 1},
  "md5": "348a30b1350c9d91a4dbf05f5e46e0bb", "name": "zlib",
  "paths_data": {"paths": [{"_path": "include/zconf.h", "path_type": "hardlink", "size_in_bytes": 16262}], "paths_version": 1},
  "platform": "linux", "requested_spec": "None", "size": 86757, "subdir": "linux-64", "timestamp": 1648307332172,
  "url": "https://conda.anaconda.org/conda-forge/linux-64/zlib-1.2.11-h90dfc92_1014.tar.bz2", "version": "1.2.11"
}"#;
        let reading = read(&file(PATH, text.as_bytes()));
        insta::assert_json_snapshot!(reading.packages);
        assert_eq!(reading.packages[0].purl(None), "pkg:conda/zlib@1.2.11?subdir=linux-64");
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn what_is_no_record_of_a_package_is_none() {
        for text in ["{}", r#"{"name": null, "version": {}}"#, r#"{"env_vars": {"A": "1"}}"#] {
            assert_eq!(read(&file(PATH, text.as_bytes())), Reading::default());
        }
    }

    #[test]
    fn what_cannot_be_used_is_a_problem() {
        let long = format!(r#"{{"name": "a", "version": "{}"}}"#, "1".repeat(1025));
        for (text, problem) in [
            (r#"{"name": "a"}"#, "names no package or no version: \"a-\""),
            (r#"{"version": "1"}"#, "names no package or no version: \"-1\""),
            (&long, "holds a version of more than 1024 bytes"),
            ("{", "is no JSON that can be read: EOF while parsing an object at line 1 column 1"),
        ] {
            let reading = read(&file(PATH, text.as_bytes()));
            assert!(reading.packages.is_empty());
            assert_eq!(reading.problems.into_reasons(), [problem]);
        }
    }
}
