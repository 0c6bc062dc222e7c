//! The list of packages in a distroless image of Azure Linux or its ancestor Mariner, which has no database of rpm:
//! `var/lib/rpmmanifest/container-manifest-2`, one line for each package, of ten fields between tabs.
//!
//! Format: what `rpm -qa` prints with the format in
//! <https://github.com/microsoft/azurelinux/blob/3.0/toolkit/docs/how_it_works/5_misc.md>.

use tidewatch_core::package::{Package, PackageType};

use super::rpm::source_package;
use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::{InputFile, Problems, Reading, excerpt, short_text};

pub(super) const READER: Reader = Reader {
    id: "rpm-manifest",
    paths: &[PathPattern::new("var/lib/rpmmanifest/container-manifest-2")],
    evidence: Evidence::Distribution,
    file_bytes: 8 << 20,
    access: Access::Whole(read),
};

/// What rpm prints for a field that a package does not have.
const NONE: &str = "(none)";

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let whole = if file.complete {
        file.bytes
    } else {
        // The last line is cut off.
        file.bytes.get(..memchr::memrchr(b'\n', file.bytes).unwrap_or(0)).unwrap_or_default()
    };
    for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let package = package(line, &mut reading.problems);
        if package.is_some_and(|package| !reading.add(package, file.packages)) {
            break;
        }
    }
    reading
}

/// The package of a line: name, version and release, times, vendor, epoch, size, architecture, epoch as a number, and
/// source package.
fn package(line: &[u8], problems: &mut Problems) -> Option<Package> {
    let fields: Result<Vec<String>, _> =
        line.split(|byte| *byte == b'\t').take(10).map(|field| short_text("field", field)).collect();
    let fields = problems.ok_or_add(fields)?;
    let [name, version, _, _, _, epoch, _, architecture, _, source] = fields.as_slice() else {
        problems.add(|| "holds a line with less than ten fields".to_owned());
        return None;
    };
    if name.is_empty() {
        problems.add(|| "holds a line without a package name".to_owned());
        return None;
    }
    if version.split('-').filter(|part| !part.is_empty()).count() != 2 {
        problems.add(|| format!("names no version and release of {}", excerpt(name)));
        return None;
    }
    let version = if epoch == NONE { version.clone() } else { format!("{epoch}:{version}") };
    Some(Package {
        architecture: Some(architecture.clone()).filter(|text| !text.is_empty() && text != NONE),
        source: source_package(source),
        ..Package::new(PackageType::Rpm, name, version, READER.id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const PATH: &str = "var/lib/rpmmanifest/container-manifest-2";

    const LINES: &str = "mariner-release\t2.0-12.cm2\t1653816591\t1653753130\tMicrosoft Corporation\t(none)\t580\tnoarch\t0\tmariner-release-2.0-12.cm2.src.rpm\n\
        openssl-libs\t1.1.1k-15.cm2\t1653816593\t1653628953\tMicrosoft Corporation\t0\t4365048\tx86_64\t0\topenssl-1.1.1k-15.cm2.src.rpm\n\
        tzdata\t2022a-1.cm2\t1653816592\t1653752882\tMicrosoft Corporation\t(none)\t1535764\tnoarch\t0\t(none)\n";

    #[test]
    fn a_line_is_a_package_with_version_architecture_and_source() {
        let reading = read(&file(PATH, LINES.as_bytes()));
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn a_line_of_something_else_is_a_problem_and_the_others_count() {
        let text = format!("a\t1-1\n\t1-1\t\t\t\t\t\t\t\t\nb\t1\t\t\t\t\t\t\t\t\n{LINES}");
        let reading = read(&file(PATH, text.as_bytes()));
        assert_eq!(reading.packages.len(), 3);
        assert_eq!(
            reading.problems.into_reasons(),
            [
                "holds a line with less than ten fields",
                "holds a line without a package name",
                "names no version and release of b"
            ]
        );
    }

    #[test]
    fn of_a_cut_file_the_whole_lines_count() {
        let bytes = &LINES.as_bytes()[..LINES.len() - 2];
        let reading = read(&InputFile { complete: false, ..file(PATH, bytes) });
        assert_eq!(reading.packages.len(), 2);
        assert!(reading.problems.is_empty());
    }
}
