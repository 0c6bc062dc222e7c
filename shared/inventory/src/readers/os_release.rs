//! The distribution: `etc/os-release`, else `usr/lib/os-release`, else the older `etc/alpine-release` and
//! `etc/debian_version`.
//!
//! Specification: <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>.

use tidewatch_core::package::Distribution;

use super::{InputFile, Reader, Reading, excerpt};
use crate::paths::{self, PathPattern};

const ALPINE_RELEASE: &str = "etc/alpine-release";
const DEBIAN_VERSION: &str = "etc/debian_version";

pub(super) const READER: Reader = Reader {
    id: "os-release",
    paths: &[
        PathPattern::File("etc/os-release"),
        PathPattern::File("usr/lib/os-release"),
        PathPattern::File(ALPINE_RELEASE),
        PathPattern::File(DEBIAN_VERSION),
    ],
    file_bytes: 64 << 10,
    read,
};

fn read(file: &InputFile<'_>) -> Reading {
    let text = paths::text(file.bytes);
    let distribution = match file.path {
        ALPINE_RELEASE => release("alpine", &text),
        DEBIAN_VERSION => release("debian", &text),
        _ => os_release(&text),
    };
    let mut reading = Reading { distribution, ..Reading::default() };
    if reading.distribution.is_none() && file.path.ends_with("os-release") && !text.trim().is_empty() {
        reading.problems.add(|| format!("names no distribution: it begins {:?}", excerpt(&text)));
    }
    reading
}

/// A file that holds nothing but a version. `bookworm/sid` is none: it stands in testing, and in Ubuntu.
fn release(id: &str, text: &str) -> Option<Distribution> {
    let version = text.trim();
    let is_version = version.starts_with(|first: char| first.is_ascii_digit())
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_version.then(|| Distribution {
        id: id.to_owned(),
        version_id: Some(version.to_owned()),
        pretty_name: String::new(),
    })
}

/// The distribution of an os-release file; `None` when it has no `ID`.
fn os_release(text: &str) -> Option<Distribution> {
    let mut distribution = Distribution::default();
    for line in text.lines() {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        let value = || unquote(value.trim());
        match key.trim_end() {
            "ID" => distribution.id = value().to_ascii_lowercase(),
            "VERSION_ID" => distribution.version_id = Some(value()).filter(|version| !version.is_empty()),
            "PRETTY_NAME" => distribution.pretty_name = value(),
            _ => {}
        }
    }
    (!distribution.id.is_empty()).then_some(distribution)
}

/// A value without the quotes of the shell, and without the backslashes that they need.
fn unquote(value: &str) -> String {
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
    let inner = quote.and_then(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value);
    if quote == Some('\'') {
        return inner.to_owned();
    }
    let mut unquoted = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => unquoted.extend(characters.next()),
            character => unquoted.push(character),
        }
    }
    unquoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(path: &str, text: &str) -> Option<Distribution> {
        read(&InputFile { path, bytes: text.as_bytes(), complete: true }).distribution
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
        let reading = read(&InputFile { path: "etc/os-release", bytes: b"NAME=x\n", complete: true });
        assert_eq!(reading.distribution, None);
        assert_eq!(reading.problems.into_reasons().len(), 1);
    }
}
