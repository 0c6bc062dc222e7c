//! The package database of Alpine and its kin: `lib/apk/db/installed`, and where `/usr` is merged
//! `usr/lib/apk/db/installed`.
//!
//! Specification: <https://wiki.alpinelinux.org/wiki/Apk_spec#Installed_Database_V2>.

use tidewatch_core::package::{Package, PackageType, SourcePackage};

use super::stanza::{field, stanzas, text};
use super::{InputFile, Problems, Reader, Reading, excerpt};
use crate::paths::PathPattern;

pub(super) const READER: Reader = Reader {
    id: "apk",
    paths: &[PathPattern::File("lib/apk/db/installed"), PathPattern::File("usr/lib/apk/db/installed")],
    file_bytes: 32 << 20,
    read,
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    for lines in stanzas(file.bytes, file.complete) {
        reading.packages.extend(package(&lines, &mut reading.problems));
    }
    reading
}

/// The package of one stanza.
fn package(lines: &[&[u8]], problems: &mut Problems) -> Option<Package> {
    let (mut name, mut version, mut architecture, mut origin) = Default::default();
    for (key, value) in lines.iter().filter_map(|line| field(line)) {
        let place = match key {
            b"P" => &mut name,
            b"V" => &mut version,
            b"A" => &mut architecture,
            b"o" => &mut origin,
            _ => continue,
        };
        *place = Some(text(value)).filter(|value| !value.is_empty());
    }
    let Some(name) = name else {
        problems.add(|| "holds a stanza without a package name".to_owned());
        return None;
    };
    let Some(version) = version else {
        problems.add(|| format!("names no version of {}", excerpt(&name)));
        return None;
    };
    // All packages of one origin are built together, and carry its version.
    let source = origin.map(|origin| SourcePackage { name: origin, version: version.clone() });
    Some(Package {
        package_type: PackageType::Apk,
        name,
        version,
        architecture,
        source,
        locations: Vec::new(),
        reader: READER.id.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUSL: &str = "C:Q1abc=\nP:musl\nV:1.1.24-r2\nA:x86_64\nS:377564\nT:the musl c library (libc) implementation\n\
                        o:musl\nF:lib\nR:libc.musl-x86_64.so.1\na:0:0:777\n\n";

    #[test]
    fn a_package_has_version_architecture_and_origin() {
        let text = format!("{MUSL}P:ssl_client\nV:1.31.1-r9\no:busybox\n");
        let reading =
            read(&InputFile { path: "lib/apk/db/installed", bytes: text.as_bytes(), complete: true });
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.into_reasons().is_empty());
    }

    #[test]
    fn a_stanza_without_name_or_version_is_a_problem_and_the_others_count() {
        let text = format!("V:1\n\nP:nameless\n\n{MUSL}");
        let reading =
            read(&InputFile { path: "lib/apk/db/installed", bytes: text.as_bytes(), complete: true });
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(
            reading.problems.into_reasons(),
            ["holds a stanza without a package name", "names no version of nameless"]
        );
    }

    #[test]
    fn of_a_cut_file_the_whole_stanzas_count() {
        let text = format!("{MUSL}P:zlib\nV:1.2");
        let reading =
            read(&InputFile { path: "lib/apk/db/installed", bytes: text.as_bytes(), complete: false });
        assert_eq!(reading.packages.len(), 1);
    }
}
