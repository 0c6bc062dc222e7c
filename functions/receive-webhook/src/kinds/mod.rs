//! The kinds of notifications, one file each: what a body of that kind tells of. A parser is a total function over
//! bounded bytes; it checks nothing about who sent them.

mod acr;
mod distribution;
mod docker_hub;
mod generic;
mod harbor;
mod jfrog;
mod quay;

use std::collections::BTreeSet;
use std::fmt;

use tidewatch_core::hook::HookKind;
use tidewatch_core::names::{RepositoryName, Tag};

/// The most events of one body.
pub const MOST_EVENTS: usize = 1_000;

/// What a notification tells of: a tag of a repository was pushed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Push {
    /// The repository, within the registry of the hook.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
}

impl Push {
    /// The push of `tag` of `repository`; `None` without a tag, such as one by its digest, and for what is no name.
    fn named(repository: &str, tag: Option<&str>) -> Option<Self> {
        Some(Self { repository: repository.parse().ok()?, tag: tag?.parse().ok()? })
    }
}

/// A body that is no notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// It is not in the encoding that the request says.
    #[error("the body is not valid Base64")]
    Base64,
    /// It is no JSON, or JSON of another shape.
    #[error("the body is not a notification of this kind of hook")]
    NoNotification,
    /// It has more than [`MOST_EVENTS`] events; none of them is taken.
    #[error("the body has more than {MOST_EVENTS} events")]
    TooManyEvents,
}

/// The media types that a kind of notification comes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaTypes(&'static [&'static str]);

impl fmt::Display for MediaTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// How the notifications of a kind are read.
#[derive(Debug)]
pub struct Kind {
    media_types: &'static [&'static str],
    parse: fn(&[u8]) -> Result<BTreeSet<Push>, NotificationError>,
}

/// The table of kinds.
pub const fn kind(kind: HookKind) -> &'static Kind {
    match kind {
        HookKind::Acr => &acr::KIND,
        HookKind::Distribution => &distribution::KIND,
        HookKind::DockerHub => &docker_hub::KIND,
        HookKind::Generic => &generic::KIND,
        HookKind::Harbor => &harbor::KIND,
        HookKind::Jfrog => &jfrog::KIND,
        HookKind::Quay => &quay::KIND,
    }
}

impl Kind {
    /// What a body tells of: pushes of tags. Everything else in it is left out.
    pub fn parse(&self, body: &[u8]) -> Result<BTreeSet<Push>, NotificationError> {
        (self.parse)(body)
    }

    /// Whether bodies of this media type are read; its parameters, such as a character set, do not matter.
    pub fn accepts(&self, media_type: Option<&str>) -> bool {
        let essence = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        self.media_types.iter().any(|accepted| accepted.eq_ignore_ascii_case(essence))
    }

    /// The media types of the bodies that are read.
    pub const fn media_types(&self) -> MediaTypes {
        MediaTypes(self.media_types)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_file_of_its_own_and_every_file_is_a_kind() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kinds");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let files: BTreeSet<String> = files.map(|name| name.into_string().unwrap()).collect();
        let kinds = HookKind::ALL.map(|kind| format!("{}.rs", kind.as_str().replace('-', "_")));
        assert_eq!(files, kinds.into_iter().chain(["mod.rs".to_owned()]).collect());
    }

    #[test]
    fn parameters_of_a_media_type_do_not_matter() {
        let kind = kind(HookKind::Distribution);
        for accepted in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(kind.accepts(Some(accepted)), "{accepted}");
        }
        for refused in [None, Some(""), Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            assert!(!kind.accepts(refused), "{refused:?}");
        }
    }
}
