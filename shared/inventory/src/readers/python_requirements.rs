//! Requirements files of pip: what they pin to exactly one version. Everything else in them, ranges, addresses, options and
//! other files, names no version that is there.
//!
//! Specification: <https://pip.pypa.io/en/stable/reference/requirements-file-format/>,
//! <https://packaging.python.org/en/latest/specifications/dependency-specifiers/>.

use std::borrow::Cow;

use tidewatch_core::package::PackageType;

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::{InputFile, Reading, is_of_a_dependency, pypi};

pub(super) const READER: Reader = Reader {
    id: "python-requirements",
    paths: &[PathPattern::new("**/requirements*.txt")],
    evidence: Evidence::LockFile(PackageType::Pypi),
    file_bytes: 1 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    if is_of_a_dependency(file.path) {
        return reading;
    }
    let text = text(file.bytes);
    let mut lines = text.lines().peekable();
    while let Some(first) = lines.next() {
        let mut line = first.trim_end().to_owned();
        let mut is_cut = !file.complete && lines.peek().is_none();
        while line.ends_with('\\') {
            line.pop();
            let Some(next) = lines.next() else { break };
            line.push_str(next.trim_end());
            is_cut = !file.complete && lines.peek().is_none();
        }
        let pin = pin(&line).filter(|_| !is_cut);
        let package = pin.and_then(|(name, version)| pypi::package(name, version, READER.id, &mut reading));
        if package.is_some_and(|package| !reading.add(package, file.packages)) {
            break;
        }
    }
    reading
}

/// The text of a file; in UTF-16 as well, in which a shell of Windows writes what `pip freeze` says.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let unit: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)),
    };
    let units = bytes.get(2..).unwrap_or_default().chunks_exact(2);
    let units: Vec<u16> = units.filter_map(|pair| Some(unit(pair.try_into().ok()?))).collect();
    Cow::Owned(String::from_utf16_lossy(&units))
}

/// Name and version of a line that pins one version: `NAME[EXTRA]==VERSION ; MARKERS --hash=… # comment`.
fn pin(line: &str) -> Option<(&str, &str)> {
    let line = without_comment(line);
    let line = line.split(';').next().unwrap_or_default();
    let line = line.split(" --").next().unwrap_or_default().trim();
    let (left, right) = line.split_once("==")?;
    let (left, right) = match (left.trim_end().strip_suffix('('), right.trim_end().strip_suffix(')')) {
        (Some(left), Some(right)) => (left, right),
        _ => (left, right),
    };
    let name = left.split('[').next().unwrap_or_default();
    let extras = left.strip_prefix(name).unwrap_or_default().trim();
    let version = right.strip_prefix('=').unwrap_or(right).trim();
    let is_pin = is_name(name.trim()) && (extras.is_empty() || extras.ends_with(']')) && is_version(version);
    is_pin.then_some((name.trim(), version))
}

/// A comment begins at the start of a line, or after a blank: `#` may stand in an address.
fn without_comment(line: &str) -> &str {
    let start = line.match_indices('#').map(|(position, _)| position).find(|position| {
        line.get(..*position).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t']))
    });
    start.and_then(|start| line.get(..start)).unwrap_or(line)
}

/// Letters, digits, and between them `-`, `_` and `.`.
fn is_name(text: &str) -> bool {
    let is_alphanumeric = |character: Option<char>| character.is_some_and(|one| one.is_ascii_alphanumeric());
    is_alphanumeric(text.chars().next())
        && is_alphanumeric(text.chars().next_back())
        && text.chars().all(|one| one.is_ascii_alphanumeric() || "-_.".contains(one))
}

/// One version, with its epoch, local part and whatever else belongs to it, and not several or a pattern.
///
/// Specification: <https://packaging.python.org/en/latest/specifications/version-specifiers/>
fn is_version(text: &str) -> bool {
    text.chars().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.chars().all(|one| one.is_ascii_alphanumeric() || ".-_+!".contains(one))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::file;

    fn pins(bytes: &[u8]) -> Vec<(String, String)> {
        let reading = read(&file("app/requirements-dev.txt", bytes));
        assert!(reading.problems.is_empty());
        reading.packages.into_iter().map(|package| (package.name, package.version)).collect()
    }

    #[test]
    fn exact_pins_count_and_everything_else_does_not() {
        let text = "--index-url https://index.example/simple\n-r other.txt\n-e git+https://example.org/a.git#egg=a==1\n\
                    Flask == 3.0.3\nurllib3===1.26.20\nzope.interface==7.0 ; python_version < '3.13'\n\
                    celery[redis, pytest]==4.4.7 # should be newer\nargh==0.26.2 \\\n    --hash=sha256:a9b3 \\\n\
                    \x20   --hash=sha256:e953\nlocal==1!1.2.3+gcr.2\nold (==1.0)\n\
                    # commented==1\nrange>=1.0\nlist==1.0,!=1.1\nmore>=1,==1.5\npattern==2.8.*\nother~=1.1\nnot!=1.0\nany\n\
                    url @ https://example.org/url-1.0.tar.gz#sha256==1\n==2.3.4\n${NAME}==1\nvariable==${VERSION}\n\
                    git+https://example.org/x.git@v1==2\n./local==1\n";
        assert_eq!(
            pins(text.as_bytes()),
            [
                ("flask", "3.0.3"),
                ("urllib3", "1.26.20"),
                ("zope-interface", "7.0"),
                ("celery", "4.4.7"),
                ("argh", "0.26.2"),
                ("local", "1!1.2.3+gcr.2"),
                ("old", "1.0")
            ]
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
        );
    }

    #[test]
    fn files_of_windows_are_read_as_well() {
        let text = "a==1\r\nb==2\r\n";
        let wide = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(order).collect()
        };
        let expected = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
        assert_eq!(pins(&wide(u16::to_le_bytes)), expected);
        assert_eq!(pins(&wide(u16::to_be_bytes)), expected);
        assert_eq!(pins(format!("\u{feff}{text}").as_bytes()), expected);
    }

    #[test]
    fn the_file_of_a_dependency_says_nothing() {
        assert_eq!(read(&file("usr/share/doc/python3-pip/requirements.txt", b"a==1")), Reading::default());
    }

    #[test]
    fn of_a_cut_file_the_last_line_does_not_count() {
        for text in ["a==1\nb==1.2", "a==1\nb==1.2\\\n3"] {
            let reading = read(&InputFile { complete: false, ..file("requirements.txt", text.as_bytes()) });
            assert_eq!(reading.packages.len(), 1);
        }
    }

    #[test]
    fn a_name_that_is_too_long_and_too_many_packages_are_problems() {
        let text = format!("{}==1\nb==2\nc==3\n", "a".repeat(1025));
        let reading = read(&InputFile { packages: 1, ..file("requirements.txt", text.as_bytes()) });
        assert_eq!((reading.packages.len(), reading.problems.into_reasons().len()), (1, 2));
    }

    proptest! {
        #[test]
        fn whatever_is_pinned_is_found(name in "[A-Za-z0-9]{1,9}", version in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}(rc[0-9])?",
                                       blank in " {0,2}", end in "( ;x)?( # y)?( --hash=z)?") {
            let line = format!("{name}{blank}=={blank}{version}{end}");
            prop_assert_eq!(pins(line.as_bytes()), [(name.to_ascii_lowercase(), version)]);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "([a-z=\\[\\]#;()\\\\ -]{0,20}\r?\n){0,20}") {
            let _ = read(&file("requirements.txt", text.as_bytes()));
        }
    }
}
