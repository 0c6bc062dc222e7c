//! Every tag that a rule chose, on each platform, with its result.

use tidewatch_core::image::Image;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName};
use tidewatch_core::result::ResultState;
use tidewatch_core::stream::Counting;
use tidewatch_read_results::ImageQuery;
use tidewatch_read_results::documents::{ImageName, ImageRow};
use tidewatch_store::Records;
use tidewatch_store::records::{AppliedConfig, TagRecord, TaggedImage};

use super::{Document, Row, Schedule, Skipped};
use crate::failure::Failure;

/// The images behind the tags that are asked for, whatever the stream.
pub(super) async fn collect_all(
    records: &Records,
    org: &OrgName,
    applied: Option<&AppliedConfig>,
    query: &ImageQuery,
) -> Result<Document, Failure> {
    let mut document = Document::default();
    let counting = applied.map(|applied| applied.counting.clone()).unwrap_or_default();
    for (registry, repository) in records.repositories(org).await? {
        for tag in records.tags(org, &registry, &repository).await? {
            let is_idle = applied.is_some_and(|applied| tag.is_idle(&applied.config, &registry, &repository));
            let place = (&registry, &repository, &tag, is_idle);
            collect(records, org, (query, &counting), place, &mut document).await?;
        }
    }
    Ok(document)
}

async fn collect(
    records: &Records,
    org: &OrgName,
    (query, counting): (&ImageQuery, &Counting),
    (registry, repository, tag, is_idle): (&RegistryId, &RepositoryName, &TagRecord, bool),
    document: &mut Document,
) -> Result<(), Failure> {
    if !query.takes_place(repository, &tag.tag) {
        return Ok(());
    }
    if let Some(reason) = tag.skipped.as_ref().filter(|_| query.state.is_none()) {
        document.skipped.push(Skipped {
            registry: registry.to_string(),
            repository: repository.to_string(),
            tag: tag.tag.to_string(),
            reason: reason.clone(),
        });
    }
    for image in &tag.images {
        let stored = records.result(org, &image.digest, &image.platform).await?;
        let known = stored.as_ref().map(|stored| &stored.result);
        let state = known.map_or(ResultState::Pending, |result| result.state);
        if query.state.is_some_and(|wanted| wanted != state) {
            continue;
        }
        let name = ImageName {
            registry: registry.clone(),
            repository: repository.clone(),
            tag: tag.tag.clone(),
            digest: image.digest.to_string(),
            platform: image.platform.to_string(),
        };
        let mut row = ImageRow::of_result(name, counting.counts_image(&image.platform, image.counted), known);
        if known.is_none() {
            row.reason = waits_for(records, org, &image_in(registry, repository, image)).await?;
        }
        let is_idle =
            is_idle && !records.is_in_environment(org, &image_in(registry, repository, image)).await?;
        let schedule = Some(if is_idle { Schedule::Idle } else { Schedule::Active });
        document.images.push(Row { schedule, missing_at: tag.missing_at, ..row.into() });
    }
    Ok(())
}

/// Why an image that has no result yet was put off.
async fn waits_for(records: &Records, org: &OrgName, image: &Image) -> Result<Option<String>, Failure> {
    Ok(records.pending_work(org, image).await?.and_then(|pending| pending.deferred_because))
}

fn image_in(registry: &RegistryId, repository: &RepositoryName, image: &TaggedImage) -> Image {
    Image {
        registry: registry.clone(),
        repository: repository.clone(),
        digest: image.digest,
        platform: image.platform.clone(),
    }
}
