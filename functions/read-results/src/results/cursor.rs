//! Where a page ends and the next one goes on. Its text is nothing to be read: it may be another in a later version.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::names::{RegistryId, RepositoryName};
use tidewatch_core::stream::Member;

/// A place in the members of a stream, which are sorted by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// `REGISTRY/REPOSITORY`.
    repository: String,
    digest: Digest,
    platform: Platform,
}

impl Place {
    pub(crate) fn of(member: &Member) -> Self {
        let Image { registry, repository, digest, platform } = &member.image;
        Self { repository: format!("{registry}/{repository}"), digest: *digest, platform: platform.clone() }
    }
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cursor {
    /// After the member at this place.
    After(Place),
    /// Within the member at this place, of which so many rows are done.
    Within(Place, usize),
    /// After all members of this repository, `REGISTRY/REPOSITORY`, and of those before it.
    AfterRepository(String),
}

impl Cursor {
    /// After this member.
    pub(crate) fn after(member: &Member) -> Self {
        Self::After(Place::of(member))
    }

    /// Within this member, of which so many rows are done.
    pub(crate) fn within(member: &Member, rows: usize) -> Self {
        Self::Within(Place::of(member), rows)
    }

    /// The repository that it is after or within.
    pub(crate) fn repository(&self) -> &str {
        match self {
            Self::After(place) | Self::Within(place, _) => &place.repository,
            Self::AfterRepository(repository) => repository,
        }
    }

    /// The same in its parts; `None` for a text that is no repository of a registry.
    pub(crate) fn registry_and_repository(&self) -> Option<(RegistryId, RepositoryName)> {
        let (registry, repository) = self.repository().split_once('/')?;
        Some((registry.parse().ok()?, repository.parse().ok()?))
    }

    /// Whether a member at `place` is still to come.
    pub(crate) fn is_before(&self, place: &Place) -> bool {
        match self {
            Self::After(done) => done < place,
            Self::Within(begun, _) => begun <= place,
            Self::AfterRepository(repository) => *repository < place.repository,
        }
    }

    /// How many rows are done of `member`.
    pub(crate) fn rows_of(&self, member: &Member) -> usize {
        match self {
            Self::Within(place, rows) if *place == Place::of(member) => *rows,
            _ => 0,
        }
    }
}

/// A text that no page has ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read where the page begins: expected what `next` of the page before says")]
pub struct CursorError;

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let json = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| CursorError)?;
        let cursor: Self = serde_json::from_slice(&json).map_err(|_| CursorError)?;
        // It becomes a key of the table.
        if cursor.registry_and_repository().is_none() {
            return Err(CursorError);
        }
        Ok(cursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&serde_json::to_vec(self).map_err(|_| fmt::Error)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_what_is_none_is_refused() {
        let place = Place {
            repository: "hub/team/web".to_owned(),
            digest: Digest::of(b"1"),
            platform: Platform::linux_amd64(),
        };
        let repository = place.repository.clone();
        for cursor in
            [Cursor::After(place.clone()), Cursor::Within(place, 7), Cursor::AfterRepository(repository)]
        {
            let text = cursor.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
            assert_eq!(text.parse(), Ok(cursor));
        }
        let nowhere = Cursor::AfterRepository(String::new()).to_string();
        for wrong in ["", "x", "e30", "%%", "bnVsbA", &nowhere] {
            assert_eq!(wrong.parse::<Cursor>(), Err(CursorError), "{wrong}");
        }
    }
}
