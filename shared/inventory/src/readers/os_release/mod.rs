//! The distribution: `etc/os-release`, else `usr/lib/os-release`, else the older `etc/alpine-release` and
//! `etc/debian_version`.
//!
//! Specification: <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>.

use tidewatch_core::package::Distribution;

use super::{Access, Evidence, Reader};
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::{InputFile, Reading, TEXT_BYTES, TooLong, excerpt, short_text};

const ALPINE_RELEASE: &str = "etc/alpine-release";
const DEBIAN_VERSION: &str = "etc/debian_version";

/// The most characters of a `PRETTY_NAME` that are kept.
const PRETTY_NAME_CHARACTERS: usize = 200;

pub(super) const READER: Reader = Reader {
    id: "os-release",
    paths: &[
        PathPattern::new("etc/os-release"),
        PathPattern::new("usr/lib/os-release"),
        PathPattern::new(ALPINE_RELEASE),
        PathPattern::new(DEBIAN_VERSION),
    ],
    evidence: Evidence::Distribution,
    file_bytes: 64 << 10,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let distribution = match file.path {
        ALPINE_RELEASE => release("alpine", file.bytes),
        DEBIAN_VERSION => release("debian", file.bytes),
        _ => os_release(file.bytes),
    };
    reading.distribution = reading.problems.ok_or_add(distribution).flatten();
    let text = file.bytes.trim_ascii();
    let is_silent = reading.distribution.is_none() && reading.problems.is_empty();
    if is_silent && file.path.ends_with("os-release") && !text.is_empty() {
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = excerpt(&paths::text(first));
        reading.problems.add(|| format!("names no distribution: it begins {first:?}"));
    }
    reading
}

/// A file that holds nothing but a version. `bookworm/sid` is none: it stands in testing, and in Ubuntu.
fn release(id: &str, bytes: &[u8]) -> Result<Option<Distribution>, TooLong> {
    let version = bytes.trim_ascii();
    let is_version = version.first().is_some_and(u8::is_ascii_digit)
        && version.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
    if !is_version {
        return Ok(None);
    }
    Ok(Some(Distribution {
        id: id.to_owned(),
        version_id: Some(short_text("version", version)?),
        pretty_name: String::new(),
    }))
}

/// The distribution of an os-release file; `None` when it has no `ID`.
fn os_release(bytes: &[u8]) -> Result<Option<Distribution>, TooLong> {
    let mut distribution = Distribution::default();
    for (key, value) in bytes.split(|byte| *byte == b'\n').filter_map(assignment) {
        match key {
            b"ID" => distribution.id = short_text("ID", &unquote(value))?.to_ascii_lowercase(),
            b"VERSION_ID" => {
                let version = short_text("VERSION_ID", &unquote(value))?;
                distribution.version_id = Some(version).filter(|version| !version.is_empty());
            }
            b"PRETTY_NAME" => distribution.pretty_name = pretty_name(&unquote(value)),
            _ => {}
        }
    }
    Ok(Some(distribution).filter(|distribution| !distribution.id.is_empty()))
}

/// Key and value of a line `KEY=VALUE`.
fn assignment(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let (key, value) = line.split_at_checked(equals)?;
    Some((key.trim_ascii(), value.get(1..)?.trim_ascii()))
}

/// A name for people, who need no more than its beginning.
fn pretty_name(value: &[u8]) -> String {
    let value = value.get(..TEXT_BYTES).unwrap_or(value);
    paths::text(value).chars().take(PRETTY_NAME_CHARACTERS).collect()
}

/// A value without the quotes of the shell, and without the backslashes that they need.
fn unquote(value: &[u8]) -> Vec<u8> {
    let quote = value.first().copied().filter(|first| matches!(first, b'"' | b'\''));
    let inner = quote.and_then(|quote| value.strip_prefix(&[quote])?.strip_suffix(&[quote])).unwrap_or(value);
    if quote == Some(b'\'') {
        return inner.to_vec();
    }
    let mut unquoted = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => unquoted.extend(bytes.next()),
            byte => unquoted.push(byte),
        }
    }
    unquoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    fn read_text(path: &str, text: &str) -> Option<Distribution> {
        read(&file(path, text.as_bytes())).distribution
    }

    #[test]
    fn values_are_unquoted_as_a_shell_does() {
        let distribution = read_text(
            "etc/os-release",
            "# comment\n NAME=\"x\"\nID='Acme'\nVERSION_ID=\"1.2\"\nPRETTY_NAME=\"Acme \\\"One\\\" \\$5\"\nVERSION=\"no\n",
        )
        .unwrap();
        assert_eq!(distribution.id, "acme");
        assert_eq!(distribution.version_id.as_deref(), Some("1.2"));
        assert_eq!(distribution.pretty_name, "Acme \"One\" $5");
    }

    #[test]
    fn a_release_file_counts_when_it_holds_a_version() {
        assert_eq!(read_text(ALPINE_RELEASE, "3.19.1\n").unwrap().version_id.as_deref(), Some("3.19.1"));
        assert_eq!(read_text(DEBIAN_VERSION, "12.5\n").unwrap().id, "debian");
        assert_eq!(read_text(DEBIAN_VERSION, "trixie/sid\n"), None);
        assert_eq!(read_text(DEBIAN_VERSION, ""), None);
    }

    #[test]
    fn an_os_release_without_an_id_is_a_problem() {
        let reading = read(&file("etc/os-release", b"NAME=x\n"));
        assert_eq!(reading.distribution, None);
        assert_eq!(reading.problems.into_reasons(), ["names no distribution: it begins \"NAME=x\""]);
    }

    #[test]
    fn a_value_that_is_too_long_is_a_problem_and_a_name_for_people_is_cut() {
        for key in ["ID", "VERSION_ID"] {
            let text = format!("ID=debian\n{key}={}\n", "1".repeat(1025));
            let reading = read(&file("etc/os-release", text.as_bytes()));
            assert_eq!(reading.distribution, None);
            assert_eq!(reading.problems.into_reasons(), [format!("holds a {key} of more than 1024 bytes")]);
        }
        let text = format!("ID=debian\nPRETTY_NAME=\"{}\"\n", "é".repeat(5000));
        assert_eq!(read_text("etc/os-release", &text).unwrap().pretty_name, "é".repeat(200));
    }

    #[test]
    fn what_steers_a_terminal_does_not_come_out_of_a_name() {
        let name = read_text("etc/os-release", "ID=debian\nPRETTY_NAME=\"a\x1b[2Jb\"\n").unwrap().pretty_name;
        assert_eq!(name, "a\\x1b[2Jb");
    }
}
