//! The distribution: `etc/os-release`, else `usr/lib/os-release`, else what distributions had before there was that file.
//!
//! Specification: <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>.

mod release_files;

use tidewatch_core::package::Distribution;

use super::{Access, Evidence, Reader};
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::{InputFile, Reading, TEXT_BYTES, TooLong, excerpt, short_text};
use release_files::Form;

/// The most characters of a `PRETTY_NAME` that are kept.
const PRETTY_NAME_CHARACTERS: usize = 200;

pub(super) const READER: Reader = Reader {
    id: "os-release",
    // The first that names a distribution decides. What others derive from has its own file in derivatives as well, so
    // theirs come before.
    paths: &[
        PathPattern::new("etc/os-release"),
        PathPattern::new("usr/lib/os-release"),
        // Of Fedora, one for each variant; the two above are links to one of them.
        PathPattern::new("usr/lib/os.release.d/os-release*"),
        PathPattern::new("etc/alpine-release"),
        PathPattern::new("etc/oracle-release"),
        PathPattern::new("etc/enterprise-release"),
        PathPattern::new("etc/rocky-release"),
        PathPattern::new("etc/almalinux-release"),
        PathPattern::new("etc/centos-release"),
        PathPattern::new("etc/fedora-release"),
        PathPattern::new("etc/photon-release"),
        PathPattern::new("etc/mariner-release"),
        PathPattern::new("etc/azurelinux-release"),
        PathPattern::new("etc/system-release"),
        PathPattern::new("etc/redhat-release"),
        PathPattern::new("etc/SuSE-release"),
        PathPattern::new("etc/arch-release"),
        PathPattern::new("etc/lsb-release"),
        PathPattern::new("etc/debian_version"),
    ],
    evidence: Evidence::Distribution,
    file_bytes: 64 << 10,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let form = Form::of(file.path);
    let distribution = form.map_or_else(|| os_release(file.bytes), |form| form.distribution(file.bytes));
    reading.distribution = reading.problems.ok_or_add(distribution).flatten();
    let text = file.bytes.trim_ascii();
    let is_silent = reading.distribution.is_none() && reading.problems.is_empty();
    if is_silent && form.is_none() && !text.is_empty() {
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = excerpt(&paths::text(first));
        reading.problems.add(|| format!("names no distribution: it begins {first:?}"));
    }
    reading
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
mod tests;
