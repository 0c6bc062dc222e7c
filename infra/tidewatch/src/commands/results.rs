//! What the commands that read results have in common.

use anyhow::Context as _;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Clock as _;
use tidewatch_read_results::documents::ImageName;
use tidewatch_read_results::{MOST_ROWS, PageRequest, ReadError, Results};
use tidewatch_runtime::system::SystemClock;

use super::Context;
use crate::failure::Failure;
use crate::instance::Instance;

/// The instance, and the results of the organisation that is meant.
pub(super) async fn open(
    context: &Context,
    named: Option<OrgName>,
) -> Result<(Instance, Results, OrgName), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(named).await?;
    let results =
        Results::of(instance.records.clone(), org.clone(), SystemClock.now()).await.map_err(failed)?;
    Ok((instance, results, org))
}

/// What is not there was named wrongly.
pub(super) fn failed(error: ReadError) -> Failure {
    match error {
        ReadError::Record(error) => Failure::new(error),
        ReadError::Image(_) => Failure::wrong_use(error)
            .hint("list those that are known: tidewatch images; or scan it: tidewatch scan"),
        error => Failure::wrong_use(error),
    }
}

/// The page after one that ended with `next`.
pub(super) fn next_page(next: Option<&str>) -> Result<Option<PageRequest>, Failure> {
    let from = next.map(str::parse).transpose().context("failed to go on to the next page")?;
    Ok(from.map(|from| PageRequest { limit: MOST_ROWS, from: Some(from) }))
}

/// `REGISTRY/REPOSITORY:TAG`.
pub(super) fn place(name: &ImageName) -> String {
    format!("{}/{}:{}", name.registry, name.repository, name.tag)
}

/// The cells of an image in CSV: registry, repository, tag, digest, platform.
pub(super) fn name_cells(name: &ImageName) -> [String; 5] {
    [
        name.registry.to_string(),
        name.repository.to_string(),
        name.tag.to_string(),
        name.digest.clone(),
        name.platform.clone(),
    ]
}
