//! Slots: in each at most one image stands, which the newer one replaces.

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::image::Platform;
use crate::names::{RegistryId, RepositoryName};

/// A slot of a stream, by what the images have in common of which one replaces the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The registry.
    pub registry: RegistryId,
    /// The repository within it.
    pub repository: RepositoryName,
    /// What they have in common beside that.
    pub kind: SlotKind,
}

/// Which slot of its repository it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotKind {
    /// The one of the repository, where one image stands for it.
    Repository {
        /// The version of the configuration since which images are counted so; 0 for one that was never changed. In
        /// environments always 0.
        since: i64,
    },
    /// The one of a platform of the repository.
    Platform {
        /// The version of the configuration since which images are counted so.
        since: i64,
        /// The platform.
        platform: Platform,
    },
    /// The one of an image that stands beside others of its repository; only in environments.
    Kept(Digest),
}

impl Slot {
    /// The slot of a repository in an environment, and in `latest-indexed` as long as nobody has changed how images are
    /// counted.
    pub const fn of_repository(registry: RegistryId, repository: RepositoryName) -> Self {
        Self { registry, repository, kind: SlotKind::Repository { since: 0 } }
    }
}

/// In which of the slots that the configurations of an organisation have given `latest-indexed` a member stands: what is
/// stored of that in the member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotForm {
    /// The version of the configuration since which images are counted so; 0 for one that was never changed.
    pub since: i64,
    /// Whether its platform has a slot of its own.
    pub per_platform: bool,
}

impl SlotForm {
    /// Whether it is the one of environments, and of an organisation that has never changed how images are counted.
    pub fn is_first(&self) -> bool {
        *self == Self::default()
    }

    /// The form of a slot of this kind.
    pub const fn of(kind: &SlotKind) -> Self {
        match kind {
            SlotKind::Repository { since } => Self { since: *since, per_platform: false },
            SlotKind::Platform { since, .. } => Self { since: *since, per_platform: true },
            SlotKind::Kept(_) => Self { since: 0, per_platform: false },
        }
    }
}
