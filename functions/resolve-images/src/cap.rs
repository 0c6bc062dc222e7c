//! Listings of a rule that takes only so many images in one run: what the tags of a repository want is noted, and the listing
//! goes on once it is known what all the others want.

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::rule::{Wanting, order, wants};
use tidewatch_core::work::{ListingMessage, ListingPosition};
use tidewatch_store::records::{CappedListing, StagedPart, StagedTag};

use crate::ResolveError;
use crate::listing::{Listing, Reached};
use crate::staging::{Staging, TAGS_AT_ONCE};
use crate::tag::Tags;

/// What the tags of a repository want.
pub(crate) struct Wanted {
    /// The positions of those that want something, in the order in which a run takes them.
    order: Vec<usize>,
    /// What each wants, in that order.
    wanting: Vec<Wanting>,
}

impl Listing<'_> {
    /// What those of `tags` want that were `chosen`, by their positions.
    pub(crate) async fn wanting(
        &self,
        tags: &Tags<'_>,
        staged: &[StagedTag],
        chosen: &[usize],
    ) -> Result<Wanted, ResolveError> {
        let looks = futures::stream::iter(chosen.to_vec()).map(|position| async move {
            let wanting = self.wanting_of(tags, &staged[position]).await?;
            Ok::<_, ResolveError>(wanting.map(|wanting| (position, wanting)))
        });
        let found: Vec<_> = looks.buffered(TAGS_AT_ONCE).try_collect().await?;
        let (positions, wanting): (Vec<usize>, Vec<Wanting>) = found.into_iter().flatten().unzip();
        let order = order(&wanting);
        Ok(Wanted {
            wanting: order.iter().map(|position| wanting[*position].clone()).collect(),
            order: order.into_iter().map(|position| positions[position]).collect(),
        })
    }

    async fn wanting_of(&self, tags: &Tags<'_>, staged: &StagedTag) -> Result<Option<Wanting>, ResolveError> {
        let resolved = match self.resolved(tags, staged).await {
            // What is wrong with it is said when its turn comes, which costs no scan.
            Err(ResolveError::Registry(RegistryError::NotFound { .. } | RegistryError::Invalid { .. })) => {
                return Ok(None);
            }
            resolved => resolved?,
        };
        let mut priorities = Vec::new();
        for image in &resolved.record.images {
            priorities.extend(tags.work(&resolved, image, None).await?.map(|work| work.priority));
        }
        let born_at = staged.times.unwrap_or_default().born_at();
        let images = u32::try_from(priorities.len()).unwrap_or(u32::MAX);
        let tag = staged.tag.clone();
        Ok(priorities.into_iter().min().map(|priority| Wanting { tag, priority, born_at, images }))
    }

    /// Stages all that there is, and notes that it waits.
    pub(crate) async fn wait_for_cap(
        &self,
        repository: &RepositoryName,
        staging: Staging,
        found: StagedPart,
        wanted: Wanted,
    ) -> Result<Reached, ResolveError> {
        let records = &self.resolver.records;
        let position = self.position(staging.progress, &staging.pages, staging.fault);
        let mut parts = staging.parts;
        let found = StagedPart { order: wanted.order, ..found };
        parts.push(records.put_staged_tags(self.staged(repository), &found).await?);
        let (begun_at, applied, stopped) = (Some(staging.begun_at), Some(0), staging.stopped);
        let position = ListingPosition { begun_at, parts, applied, stopped, ..position };
        let message = ListingMessage { position: Some(position), ..self.message.clone() };
        let listing = CappedListing { message, wants: wants(&wanted.wanting) };
        records.put_capped(&listing, self.resolver.clock.now()).await?;
        Ok(Reached::Waiting)
    }
}
