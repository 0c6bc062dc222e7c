//! The package database of Alpine and its kin: `lib/apk/db/installed`, and where `/usr` is merged
//! `usr/lib/apk/db/installed`.
//!
//! Specification: <https://wiki.alpinelinux.org/wiki/Apk_spec#Installed_Database_V2>.

use tidewatch_core::package::{Package, PackageType, SourcePackage};

use super::{Access, Evidence, Reader};
use crate::license;
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::stanza::{field, stanzas};
use crate::reading::{InputFile, OwnedFiles, Problems, Reading, TooLong, excerpt, short_text};

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
        own_files(&lines, &mut reading.owned);
        let Some(fields) = reading.problems.ok_or_add(Fields::of(&lines)) else { continue };
        let package = fields.package(&mut reading.problems);
        if package.is_some_and(|package| !reading.add(package, file.packages)) {
            break;
        }
    }
    reading
}

/// Adds the files of a package: `F:` begins a directory, and each `R:` is a file in it.
fn own_files(lines: &[&[u8]], owned: &mut OwnedFiles) {
    let mut path = String::new();
    let mut directory = 0;
    for line in lines {
        match line.split_at_checked(2) {
            Some((b"F:", value)) => {
                path.clear();
                path.push_str(&paths::borrowed_text(value));
                directory = path.len();
            }
            Some((b"R:", value)) => {
                path.truncate(directory);
                path.push('/');
                path.push_str(&paths::borrowed_text(value));
                owned.add(&path);
            }
            _ => {}
        }
    }
}

/// The licence of `L:`. Before Alpine wrote expressions, blanks stood between licences that all apply: `MIT BSD GPL2+`.
fn license(value: &[u8]) -> Option<String> {
    let license = license::license_of(value)?;
    if license::expression(&license).is_some() {
        return Some(license);
    }
    let has_known = license.split_whitespace().any(|word| license::expression(word).is_some());
    let all = has_known.then(|| license::expression_of_all(license.split_whitespace())).flatten();
    Some(all.unwrap_or(license))
}

/// The fields of one stanza that matter.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    version: Option<String>,
    architecture: Option<String>,
    origin: Option<String>,
    license: Option<String>,
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
                b"L" => {
                    fields.license = license(value);
                    continue;
                }
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
            license: self.license,
            ..Package::new(PackageType::Apk, name, version, READER.id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path_set::PathSet;
    use crate::reading::file;

    const MUSL: &str = "C:Q1abc=\nP:musl\nV:1.1.24-r2\nA:x86_64\nS:377564\nT:the musl c library (libc) implementation\n\
                        L:MIT\no:musl\nF:lib\nR:libc.musl-x86_64.so.1\na:0:0:777\n\n";

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
    fn a_package_owns_its_files() {
        let text = format!("{MUSL}P:x\nV:1\nF:\nR:.x\nF:usr/share/x\nR:a b\nM:0:0:755\nR:é\n");
        let reading = read(&file("lib/apk/db/installed", text.as_bytes()));
        let owned: PathSet = reading.owned.into_hashes().into_iter().collect();
        let paths = [
            "lib/libc.musl-x86_64.so.1",
            "usr/lib/libc.musl-x86_64.so.1",
            ".x",
            "usr/share/x/a b",
            "usr/share/x/é",
        ];
        for path in paths {
            assert!(owned.contains(path), "{path}");
        }
        assert_eq!(owned.len(), paths.len());
    }

    #[test]
    fn a_package_has_the_licence_that_it_says() {
        for (words, license) in [
            ("GPL-2.0-or-later AND MIT", "GPL-2.0-or-later AND MIT"),
            ("MIT BSD GPL2+", "GPL-2.0-or-later AND LicenseRef-BSD AND MIT"),
            ("MPL-2.0 GPL-2.0-or-later", "GPL-2.0-or-later AND MPL-2.0"),
            ("custom", "custom"),
            ("the same as ours", "the same as ours"),
        ] {
            let reading = read(&file("lib/apk/db/installed", format!("P:x\nV:1\nL:{words}\n").as_bytes()));
            assert_eq!(reading.packages[0].license.as_deref(), Some(license));
        }
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
