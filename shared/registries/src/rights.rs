//! What the credentials of a registry need to be allowed, and how that is granted in each product: the least that reading
//! needs.

use tidewatch_core::config::RegistryKind;

use crate::products::product;

/// What to do when a step of reading a registry is refused, by the step. Each is a sentence for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Saying who the client is.
    pub authenticate: &'static str,
    /// Listing repositories.
    pub list_repositories: &'static str,
    /// Listing the tags of a repository.
    pub list_tags: &'static str,
    /// Reading manifests and blobs.
    pub pull: &'static str,
}

impl Rights {
    /// Those that a registry of this kind needs.
    pub fn of(kind: RegistryKind) -> &'static Self {
        &product(kind).rights
    }
}
