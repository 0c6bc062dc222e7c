//! The package database of Debian and its descendants: `var/lib/dpkg/status`, and in distroless images one file for each
//! package in `var/lib/dpkg/status.d`.
//!
//! Specification: <https://man7.org/linux/man-pages/man5/deb-control.5.html>; states:
//! <https://man7.org/linux/man-pages/man1/dpkg.1.html#INFORMATION_ABOUT_PACKAGES>.

use tidewatch_core::package::{Package, PackageType, SourcePackage};

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::stanza::{field, stanzas};
use crate::reading::{InputFile, Problems, Reading, TooLong, excerpt, short_text};

const STATUS: &str = "var/lib/dpkg/status";

pub(super) const READER: Reader = Reader {
    id: "dpkg",
    paths: &[PathPattern::new(STATUS), PathPattern::new("var/lib/dpkg/status.d/*")],
    evidence: Evidence::Distribution,
    file_bytes: 32 << 20,
    access: Access::Whole(read),
};

/// The fields of one stanza that matter.
#[derive(Default)]
struct Fields {
    package: String,
    status: Option<String>,
    version: String,
    architecture: String,
    source: String,
}

/// What the state of a package means.
enum State {
    /// Its files are there.
    Present,
    /// Its files are not there.
    Absent,
    /// It cannot be said.
    Unclear,
}

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    for lines in stanzas(file.bytes, file.complete) {
        let Some(fields) = reading.problems.ok_or_add(Fields::of(&lines)) else { continue };
        let package = fields.package(file.path == STATUS, &mut reading.problems);
        if package.is_some_and(|package| !reading.add(package, file.packages)) {
            break;
        }
    }
    reading
}

impl Fields {
    fn of(lines: &[&[u8]]) -> Result<Self, TooLong> {
        let mut fields = Self::default();
        // Lines that begin with a blank go on with the field before them; none of those that matter has any.
        for line in lines.iter().filter(|line| !line.starts_with(b" ") && !line.starts_with(b"\t")) {
            let Some((name, value)) = field(line) else { continue };
            match name.to_ascii_lowercase().as_slice() {
                b"package" => fields.package = short_text("package name", value)?,
                b"status" => fields.status = Some(short_text("status", value)?),
                b"version" => fields.version = short_text("version", value)?,
                b"architecture" => fields.architecture = short_text("architecture", value)?,
                b"source" => fields.source = short_text("source package", value)?,
                _ => {}
            }
        }
        Ok(fields)
    }

    /// The package, when it is installed. Files of `status.d` need no state: what is listed there is installed.
    fn package(self, needs_status: bool, problems: &mut Problems) -> Option<Package> {
        if self.package.is_empty() {
            problems.add(|| "holds a stanza without a package name".to_owned());
            return None;
        }
        let state = match &self.status {
            Some(status) => State::of(status),
            None if needs_status => State::Unclear,
            None => State::Present,
        };
        match state {
            State::Absent => return None,
            State::Unclear => {
                let status = self.status.as_deref().unwrap_or("none");
                let (name, status) = (excerpt(&self.package), excerpt(status));
                problems
                    .add(|| format!("does not say whether {name} is installed: its status is {status:?}"));
                return None;
            }
            State::Present => {}
        }
        if self.version.is_empty() {
            problems.add(|| format!("names no version of {}", excerpt(&self.package)));
            return None;
        }
        Some(Package {
            source: source(&self.source, &self.version),
            architecture: Some(self.architecture).filter(|architecture| !architecture.is_empty()),
            ..Package::new(PackageType::Deb, self.package, self.version, READER.id)
        })
    }
}

impl State {
    /// The meaning of `Status: WANT FLAG STATE`. Only the state counts: what somebody wants (`hold`, `deinstall`) and
    /// the flag (`reinstreq`) do not change what is there. From `unpacked` on dpkg has put all files of the version in
    /// place; `config-files` leaves nothing that runs; `half-installed` stopped between the two.
    fn of(status: &str) -> Self {
        match status.split_ascii_whitespace().nth(2) {
            Some("installed" | "triggers-pending" | "triggers-awaited" | "half-configured" | "unpacked") => {
                Self::Present
            }
            Some("not-installed" | "config-files") => Self::Absent,
            _ => Self::Unclear,
        }
    }
}

/// The source package from `NAME` or `NAME (VERSION)`; without a version it is that of the package.
fn source(field: &str, version: &str) -> Option<SourcePackage> {
    let (name, rest) = field.split_once('(').unwrap_or((field, ""));
    let (name, own) = (name.trim(), rest.trim_end().trim_end_matches(')').trim());
    let version = if own.is_empty() { version } else { own };
    (!name.is_empty()).then(|| SourcePackage { name: name.to_owned(), version: version.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    fn read_text(path: &str, text: &str) -> Reading {
        read(&file(path, text.as_bytes()))
    }

    fn stanza(name: &str, status: &str) -> String {
        format!("Package: {name}\nStatus: {status}\nVersion: 1.0-1\nArchitecture: amd64\n\n")
    }

    #[test]
    fn a_package_has_version_architecture_and_source() {
        let reading = read_text(
            STATUS,
            "Package: libgcc-s1\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\n\
             Source: gcc-12 (12.2.0-14)\nVersion: 12.2.0-14+b1\nDescription: GCC support library\n Version: no field\n .\n\n\
             Package: zlib1g\nStatus: install ok installed\nversion: 1:1.2.13.dfsg-1\nsource: zlib\nArchitecture: amd64\n",
        );
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.into_reasons().is_empty());
    }

    #[test]
    fn installed_is_whatever_has_its_files_in_place() {
        let text: String = [
            ("a", "install ok installed"),
            ("b", "hold ok installed"),
            ("c", "install ok half-configured"),
            ("d", "install reinstreq unpacked"),
            ("e", "install ok triggers-awaited"),
            ("f", "install ok triggers-pending"),
            ("g", "deinstall ok config-files"),
            ("h", "purge ok not-installed"),
            ("i", "install reinstreq half-installed"),
        ]
        .iter()
        .map(|(name, status)| stanza(name, status))
        .collect();
        let reading = read_text(STATUS, &text);
        let names: Vec<&str> = reading.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e", "f"]);
        insta::assert_json_snapshot!(reading.problems.into_reasons());
    }

    #[test]
    fn distroless_files_need_no_status_and_the_database_does() {
        let text = "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n";
        assert_eq!(read_text("var/lib/dpkg/status.d/base-files", text).packages.len(), 1);
        let database = read_text(STATUS, text);
        assert!(database.packages.is_empty());
        assert_eq!(database.problems.into_reasons().len(), 1);
    }

    #[test]
    fn a_stanza_without_name_or_version_is_a_problem_and_the_others_count() {
        let text = format!(
            "Status: install ok installed\n\n{}Package: x\nStatus: install ok installed\n",
            stanza("a", "install ok installed")
        );
        let reading = read_text(STATUS, &text);
        assert_eq!(reading.packages.len(), 1);
        insta::assert_json_snapshot!(reading.problems.into_reasons());
    }

    #[test]
    fn a_value_that_is_too_long_is_a_problem_and_the_other_packages_count() {
        for long in ["x".repeat(1025), "\x1b".repeat(300)] {
            let texts = [stanza(&long, "install ok installed"), stanza("a", "install ok installed")];
            let reading = read_text(STATUS, &texts.concat());
            assert_eq!(reading.packages.len(), 1);
            assert_eq!(reading.problems.into_reasons(), ["holds a package name of more than 1024 bytes"]);
        }
    }

    #[test]
    fn what_steers_a_terminal_does_not_come_out_of_a_database() {
        let reading = read_text(STATUS, &stanza("a\x1b]0;b\x07", "install ok installed"));
        assert_eq!(reading.packages[0].name, "a\\x1b]0;b\\x07");
    }

    #[test]
    fn packages_beyond_those_that_may_be_given_are_a_problem() {
        let text = ["a", "b", "c"].map(|name| stanza(name, "install ok installed")).concat();
        let reading = read(&InputFile { packages: 2, ..file(STATUS, text.as_bytes()) });
        assert_eq!(reading.packages.len(), 2);
        assert_eq!(
            reading.problems.into_reasons(),
            ["has more packages than its layer may have: the first 2 were read"]
        );
    }

    #[test]
    fn a_file_of_garbage_reports_few_problems() {
        let reading = read_text(STATUS, &"garbage\n\n".repeat(1000));
        assert_eq!(reading.problems.into_reasons().last().unwrap(), "has 980 more problems");
    }
}
