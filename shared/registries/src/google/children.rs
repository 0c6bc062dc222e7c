//! The image paths behind a host of gcr.io, where listing the tags of a path also tells the paths below it.

use serde::{Deserialize, Serialize};
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::{ListPage, RegistryError};

use super::tags::PathListing;
use crate::endpoint::Endpoint;
use crate::pages;

/// Paths that are asked for before a page is given.
const PATHS: usize = 20;

/// How far the walk through the paths came.
#[derive(Default, Serialize, Deserialize)]
struct Position {
    /// Paths that are not done with, the next one last.
    left: Vec<String>,
}

/// A page of the paths at and below `top` that hold images; `cursor` is the `next` of the page before. A page can be empty.
pub(crate) async fn page(
    registry: &Endpoint,
    top: &str,
    cursor: Option<&str>,
) -> Result<ListPage<RepositoryName>, RegistryError> {
    let subject = registry.subject(format!("the list of repositories of {top}"));
    let mut position = match cursor {
        None => Position { left: vec![top.to_owned()] },
        Some(cursor) => serde_json::from_str(cursor)
            .map_err(|_| subject.invalid(format!("{cursor:?} is no page of it")))?,
    };
    let mut entries = Vec::new();
    for _ in 0..PATHS {
        let Some(path) = position.left.pop() else { break };
        // What is no name cannot be asked for.
        let Some(repository) = pages::name::<RepositoryName>(&subject, &path) else { continue };
        let listing = match PathListing::first(registry, &repository).await {
            // It was told a moment ago, and deleted meanwhile.
            Err(RegistryError::NotFound { .. }) if path != top => continue,
            listing => listing?,
        };
        let mut children = listing.children;
        children.sort_unstable_by(|one, other| other.cmp(one));
        position.left.extend(children.iter().map(|child| format!("{path}/{child}")));
        if listing.holds_images {
            entries.push(repository);
        }
    }
    let is_done = position.left.is_empty();
    let next = (!is_done).then(|| serde_json::to_string(&position)).transpose();
    Ok(ListPage { entries, next: next.map_err(|error| subject.invalid(error.to_string()))? })
}
