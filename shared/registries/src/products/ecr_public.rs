//! Amazon ECR Public (public.ecr.aws): its images are public, and it lists no repositories, so that the configuration names
//! them. It is read anonymously: its token server gives everyone a token.
//!
//! Reference: <https://docs.aws.amazon.com/AmazonECR/latest/public/public-registries.html>

use std::sync::Arc;

use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::RegistryError;

use crate::opening::Opening;
use crate::products::oci;
use crate::rights::Rights;

/// What it needs.
pub(crate) const RIGHTS: Rights = Rights {
    authenticate: "nothing: everyone is given a token",
    list_repositories: "it lists none: name them under `repositories` in the configuration, as ALIAS/REPOSITORY",
    list_tags: "nothing: check the name, ALIAS/REPOSITORY",
    pull: "nothing: check the name, ALIAS/REPOSITORY",
};

/// Opens the registry of `opening`.
pub(crate) fn open(opening: &Opening) -> Result<Arc<dyn Registry>, RegistryError> {
    if opening.config.repositories.is_empty() {
        return Err(opening.misconfigured(RIGHTS.list_repositories));
    }
    oci::open(opening)
}
