//! The package database of Alpine and its kin: `lib/apk/db/installed`, and where `/usr` is merged
//! `usr/lib/apk/db/installed`.
//!
//! Specification: <https://wiki.alpinelinux.org/wiki/Apk_spec#Installed_Database_V2>.

use tidewatch_core::package::{Package, PackageType, SourcePackage};

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::stanza::{field, stanzas};
use crate::reading::{InputFile, Problems, Reading, TooLong, excerpt, short_text};

pub(super) const READER: Reader = Reader {
    id: "apk",
    paths: &[PathPattern::new("lib/apk/db/installed"), PathPattern::new("usr/lib/apk/db/installed")],
    evidence: Evidence::Distribution,
    file_bytes: 32 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    for lines in stanzas(file.bytes, file.complete) {
        let Some(fields) = reading.problems.ok_or_add(Fields::of(&lines)) else { continue };
        let package = fields.package(&mut reading.problems);
        if package.is_some_and(|package| !reading.add(package, file.packages)) {
            break;
        }
    }
    reading
}

/// The fields of one stanza that matter.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    version: Option<String>,
    architecture: Option<String>,
    origin: Option<String>,
}

impl Fields {
    fn of(lines: &[&[u8]]) -> Result<Self, TooLong> {
        let mut fields = Self::default();
        for (key, value) in lines.iter().filter_map(|line| field(line)) {
            let (place, name) = match key {
                b"P" => (&mut fields.name, "package name"),
                b"V" => (&mut fields.version, "version"),
                b"A" => (&mut fields.architecture, "architecture"),
                b"o" => (&mut fields.origin, "origin"),
                _ => continue,
            };
            *place = Some(short_text(name, value)?).filter(|value| !value.is_empty());
        }
        Ok(fields)
    }

    fn package(self, problems: &mut Problems) -> Option<Package> {
        let Some(name) = self.name else {
            problems.add(|| "holds a stanza without a package name".to_owned());
            return None;
        };
        let Some(version) = self.version else {
            problems.add(|| format!("names no version of {}", excerpt(&name)));
            return None;
        };
        // All packages of one origin are built together, and carry its version.
        let source = self.origin.map(|origin| SourcePackage { name: origin, version: version.clone() });
        Some(Package {
            architecture: self.architecture,
            source,
            ..Package::new(PackageType::Apk, name, version, READER.id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const MUSL: &str = "C:Q1abc=\nP:musl\nV:1.1.24-r2\nA:x86_64\nS:377564\nT:the musl c library (libc) implementation\n\
                        o:musl\nF:lib\nR:libc.musl-x86_64.so.1\na:0:0:777\n\n";

    #[test]
    fn a_package_has_version_architecture_and_origin() {
        let text = format!("{MUSL}P:ssl_client\nV:1.31.1-r9\no:busybox\n");
        let reading = read(&file("lib/apk/db/installed", text.as_bytes()));
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.into_reasons().is_empty());
    }

    #[test]
    fn a_stanza_without_name_or_version_is_a_problem_and_the_others_count() {
        let text = format!("V:1\n\nP:nameless\n\n{MUSL}");
        let reading = read(&file("lib/apk/db/installed", text.as_bytes()));
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(
            reading.problems.into_reasons(),
            ["holds a stanza without a package name", "names no version of nameless"]
        );
    }

    #[test]
    fn of_a_cut_file_the_whole_stanzas_count() {
        let text = format!("{MUSL}P:zlib\nV:1.2");
        let reading = read(&InputFile { complete: false, ..file("lib/apk/db/installed", text.as_bytes()) });
        assert_eq!(reading.packages.len(), 1);
    }

    #[test]
    fn a_value_that_is_too_long_is_a_problem_and_the_other_packages_count() {
        let text = format!("P:a\nV:{}\n\n{MUSL}", "1".repeat(1025));
        let reading = read(&file("lib/apk/db/installed", text.as_bytes()));
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(reading.problems.into_reasons(), ["holds a version of more than 1024 bytes"]);
    }
}
