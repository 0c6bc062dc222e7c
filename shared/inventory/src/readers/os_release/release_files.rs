//! What distributions had before there was os-release, and some still have beside it: a line with name and version, or a
//! file with nothing but a version. Images of CentOS 5 and 6 have nothing else.

use tidewatch_core::package::Distribution;

use super::{assignment, pretty_name, unquote};
use crate::reading::{TooLong, short_text};

/// How a file says which distribution it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// A version and nothing else; the distribution is the one of this id.
    Version(&'static str),
    /// A line with name and version: `CentOS release 6.10 (Final)`.
    Line,
    /// Such a line, then `VERSION = 11` and `PATCHLEVEL = 4`.
    Suse,
    /// `DISTRIB_ID=Ubuntu` and the like.
    Lsb,
    /// That the file is there.
    Arch,
}

/// How names begin, and the ids that the same distributions have in os-release.
const IDS: &[(&str, &str)] = &[
    ("almalinux", "almalinux"),
    ("amazon linux", "amzn"),
    ("cbl-mariner", "mariner"),
    ("centos", "centos"),
    ("enterprise linux enterprise linux", "ol"),
    ("fedora", "fedora"),
    ("microsoft azure linux", "azurelinux"),
    ("opensuse", "opensuse"),
    ("oracle linux", "ol"),
    ("red hat enterprise linux", "rhel"),
    ("rocky linux", "rocky"),
    ("scientific linux", "scientific"),
    ("suse linux enterprise desktop", "sled"),
    ("suse linux enterprise server", "sles"),
    ("vmware photon", "photon"),
];

impl Form {
    /// The form of the file at `path`; `None` for an os-release file.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix("etc/")? {
            "os-release" => return None,
            "alpine-release" => Self::Version("alpine"),
            "debian_version" => Self::Version("debian"),
            "arch-release" => Self::Arch,
            "lsb-release" => Self::Lsb,
            "SuSE-release" => Self::Suse,
            _ => Self::Line,
        })
    }

    /// The distribution that `bytes` name; `None` when they name none.
    pub(super) fn distribution(self, bytes: &[u8]) -> Result<Option<Distribution>, TooLong> {
        match self {
            Self::Version(id) => version(id, bytes),
            Self::Line => line(bytes),
            Self::Suse => suse(bytes),
            Self::Lsb => lsb(bytes),
            Self::Arch => Ok(Some(Distribution {
                id: "arch".to_owned(),
                version_id: None,
                pretty_name: "Arch Linux".to_owned(),
            })),
        }
    }
}

/// A file that holds nothing but a version. `bookworm/sid` is none: it stands in testing, and in Ubuntu.
fn version(id: &str, bytes: &[u8]) -> Result<Option<Distribution>, TooLong> {
    let version = bytes.trim_ascii();
    let is_version = version.first().is_some_and(u8::is_ascii_digit)
        && version.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
    if !is_version {
        return Ok(None);
    }
    let version_id = Some(short_text("version", version)?);
    Ok(Some(Distribution { id: id.to_owned(), version_id, pretty_name: String::new() }))
}

/// The line of name and version. A name that is not known counts where `release` divides it from the version.
fn line(bytes: &[u8]) -> Result<Option<Distribution>, TooLong> {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    let text = short_text("name of a distribution", first)?;
    let name = text.split_once(" release ").map(|(name, _)| name);
    let Some(id) = known_id(&text).map(str::to_owned).or_else(|| name.and_then(id_of_name)) else {
        return Ok(None);
    };
    let is_number = |word: &&str| {
        word.starts_with(|first: char| first.is_ascii_digit())
            && word.chars().all(|character| character.is_ascii_digit() || character == '.')
    };
    let version_id = text.split_whitespace().find(is_number).map(|version| without_build(&id, version));
    Ok(Some(Distribution { id, version_id, pretty_name: pretty_name(first) }))
}

/// SUSE's lines; `PATCHLEVEL` is the second number of the version that its os-release names.
fn suse(bytes: &[u8]) -> Result<Option<Distribution>, TooLong> {
    let Some(mut distribution) = line(bytes)? else { return Ok(None) };
    let (mut version, mut level) = (None, None);
    for (key, value) in bytes.split(|byte| *byte == b'\n').filter_map(assignment) {
        match key {
            b"VERSION" => version = Some(short_text("VERSION", value)?),
            b"PATCHLEVEL" => level = Some(short_text("PATCHLEVEL", value)?),
            _ => {}
        }
    }
    distribution.version_id = match (version, level) {
        (Some(version), Some(level)) if level != "0" && !version.contains('.') => {
            Some(format!("{version}.{level}"))
        }
        (Some(version), _) => Some(version),
        (None, _) => distribution.version_id,
    };
    Ok(Some(distribution))
}

/// Specification: <https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/lsbrelease.html>; the
/// file is Ubuntu's form of it.
fn lsb(bytes: &[u8]) -> Result<Option<Distribution>, TooLong> {
    let (mut id, mut version_id, mut name) = (None, None, String::new());
    for (key, value) in bytes.split(|byte| *byte == b'\n').filter_map(assignment) {
        match key {
            b"DISTRIB_ID" => {
                let value = short_text("DISTRIB_ID", &unquote(value))?;
                id = known_id(&value).map(str::to_owned).or_else(|| id_of_name(&value));
            }
            b"DISTRIB_RELEASE" => version_id = Some(short_text("DISTRIB_RELEASE", &unquote(value))?),
            b"DISTRIB_DESCRIPTION" => name = pretty_name(&unquote(value)),
            _ => {}
        }
    }
    let version_id = version_id.filter(|version| version.starts_with(|first: char| first.is_ascii_digit()));
    Ok(id.map(|id| Distribution {
        version_id: version_id.map(|version| without_build(&id, &version)),
        id,
        pretty_name: name,
    }))
}

/// The id of a distribution that is known by the beginning of its name.
fn known_id(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    IDS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, id)| *id)
}

/// A name in the form of an id: `springdale-linux`.
fn id_of_name(name: &str) -> Option<String> {
    let words =
        name.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let id = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    (!id.is_empty()).then_some(id)
}

/// The version without the date that follows it in Microsoft's files, as their os-release has it.
fn without_build(id: &str, version: &str) -> String {
    match (id, version.match_indices('.').nth(1)) {
        ("azurelinux" | "mariner", Some((end, _))) => version.get(..end).unwrap_or(version).to_owned(),
        _ => version.to_owned(),
    }
}
