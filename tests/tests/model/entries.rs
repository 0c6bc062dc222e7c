//! What stands in environments, as the model has it. Which image a tag meant is decided at some time between the command
//! and the answer of the registry: the model says which images it may be, the entry which one it is; and that stays.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidewatch_core::environment::{EnvironmentEntry, ImageReference};
use tidewatch_core::{Digest, Timestamp};

use crate::events::reference;
use crate::images::{BUILT, number_of, standing};
use crate::naive::{Member, Repository};

/// An image that is wanted in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) repository: usize,
    /// The image whose digest is named; none where the tag is.
    pub(crate) image: Option<usize>,
    pub(crate) kept: bool,
    pub(crate) follows: bool,
    /// The number of the event since when it is.
    pub(crate) since: usize,
}

impl Wanted {
    pub(crate) fn reference(&self) -> ImageReference {
        reference(self.repository, self.image).parse().unwrap()
    }

    pub(crate) fn entry(&self, now: Timestamp) -> EnvironmentEntry {
        let (kept, follows) = (self.kept, self.follows);
        EnvironmentEntry { kept, follows, ..EnvironmentEntry::new(self.reference(), now) }
    }

    /// The name of its entry: of the repository, of which it replaces what is there; or of itself.
    fn id(&self) -> String {
        self.entry(Timestamp::UNIX_EPOCH).id().as_str().to_owned()
    }
}

/// The entries of an environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    wanted: BTreeMap<String, Wanted>,
    /// Which image an entry, put there at this time, was pinned to when that was first seen. It may not be another later.
    pinned: BTreeMap<(String, Timestamp), Digest>,
}

impl Entries {
    pub(crate) fn add(&mut self, wanted: Wanted) {
        self.wanted.insert(wanted.id(), wanted);
    }

    /// Makes them these. Those that are wanted as before stay as they are.
    pub(crate) fn set(&mut self, wanted: Vec<Wanted>) {
        let mut before = std::mem::take(&mut self.wanted);
        for wanted in wanted {
            let same = before.remove(&wanted.id()).filter(|before| {
                (before.image, before.follows, before.kept) == (wanted.image, wanted.follows, wanted.kept)
            });
            self.add(same.unwrap_or(wanted));
        }
    }

    pub(crate) fn remove(&mut self, entry: &EnvironmentEntry) {
        self.wanted.remove(entry.id().as_str());
    }

    /// Notes which images entries are pinned to that were put there by tag.
    pub(crate) fn observe(&mut self, rows: &[EnvironmentEntry]) -> Result<(), TestCaseError> {
        for row in rows.iter().filter(|row| row.is_pinned() && !row.follows) {
            let Some(pinned) = row.pinned.as_ref().filter(|pinned| pinned.at >= row.added_at) else {
                continue;
            };
            let (name, digest) = ((row.id().as_str().to_owned(), row.added_at), pinned.image.digest);
            let first = *self.pinned.entry(name).or_insert(digest);
            prop_assert_eq!(first, digest, "{} was pinned, and is pinned to another image", row.reference);
        }
        Ok(())
    }

    /// The members that the entries stand for, when nothing is left to be done.
    pub(crate) fn members(
        &self,
        rows: &[EnvironmentEntry],
        repositories: &[Repository],
    ) -> Result<Vec<Member>, TestCaseError> {
        let ids: Vec<String> = rows.iter().map(|row| row.id().as_str().to_owned()).collect();
        let wanted: Vec<String> = self.wanted.keys().cloned().collect();
        prop_assert_eq!(&ids.iter().collect::<std::collections::BTreeSet<_>>(), &wanted.iter().collect());
        let mut members = BTreeMap::new();
        for row in rows {
            let wanted = &self.wanted[row.id().as_str()];
            prop_assert_eq!((&row.reference, row.follows), (&wanted.reference(), wanted.follows));
            let image = row.image().map(|image| number_of(&image.digest));
            wanted.check(image, &repositories[wanted.repository])?;
            let Some(image) = image else { continue };
            let slot = (wanted.repository, wanted.kept.then_some(image));
            members.insert(slot, Member { repository: wanted.repository, image, tag: row.tag() });
        }
        Ok(members.into_values().collect())
    }
}

impl Wanted {
    /// Whether the entry may be pinned to this image.
    fn check(&self, image: Option<usize>, repository: &Repository) -> Result<(), TestCaseError> {
        // Of what could not be asked for a while, it may be what was there before.
        if repository.absent_until > self.since {
            return Ok(());
        }
        let name = reference(self.repository, self.image);
        let Some(image) = image else {
            return Err(TestCaseError::fail(format!("{name} is not pinned")));
        };
        match self.image {
            Some(named) => prop_assert_eq!(image, named, "{}", name),
            None if self.follows => {
                prop_assert_eq!(Some(image), repository.latest.map(standing), "{} follows", name);
            }
            None => {
                let since: Vec<usize> = repository.since(self.since).into_iter().map(standing).collect();
                prop_assert!(since.contains(&image), "{} is {}, and was {:?}", name, image, since);
            }
        }
        prop_assert!(image < BUILT.len());
        Ok(())
    }
}
