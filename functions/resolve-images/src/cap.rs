//! Listings of a rule that takes only so many images in one run: what the tags of a repository want is noted, and the listing
//! goes on once it is known what all the others want.

use futures::StreamExt as _;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::rule::{Wanting, order, wants};
use tidewatch_core::work::{ListingMessage, ListingPosition, Priority};
use tidewatch_store::records::{CappedListing, ListingProgress, StagedPart, StagedTag};

use crate::ResolveError;
use crate::listing::{Listing, Reached};
use crate::staging::Staging;
use crate::tag::{Resolved, Tags};

/// What was seen of a tag.
struct Look {
    position: usize,
    /// What it points to; none where that is wrong or not there any more, which is said when its turn comes.
    resolved: Option<Resolved>,
    wanting: Option<Wanting>,
}

impl Listing<'_> {
    /// Notes what those of the tags want that were `chosen`, by their positions, and that the listing waits. When the time ends
    /// before all were looked at, or the registry fails, what was seen is kept; `counted` is what was counted before.
    pub(crate) async fn want(
        &self,
        repository: &RepositoryName,
        (staging, counted): (Staging, ListingProgress),
        mut staged: StagedPart,
        chosen: &[usize],
    ) -> Result<Reached, ResolveError> {
        let basis = self.resolver.records.basis(self.applied, staging.begun_at).await?;
        let tags = self.of_repository(repository, &basis, staging.begun_at);
        let (looks, failure) = self.look_at(&tags, &staged.tags, chosen).await?;
        let is_whole = looks.len() == chosen.len();
        let (mut positions, mut wanting) = (Vec::new(), Vec::new());
        for look in looks {
            let tag = &mut staged.tags[look.position];
            if let Some(resolved) = look.resolved.filter(|resolved| resolved.record.digest == tag.digest) {
                (tag.is_changed, tag.record) = (resolved.changed, Some(resolved.record));
            }
            if let Some(wants) = look.wanting {
                positions.push(look.position);
                wanting.push(wants);
            }
        }
        if !is_whole {
            let position = self.stage_all(repository, staging, counted, &staged).await?;
            return Ok(match failure {
                Some(error) => Reached::Interrupted(position, error),
                None => Reached::Position(position),
            });
        }
        let order = order(&wanting);
        staged.order = order.iter().map(|position| positions[*position]).collect();
        let wants = wants(order.iter().map(|position| &wanting[*position]));
        let progress = staging.progress.clone();
        let position = self.stage_all(repository, staging, progress, &staged).await?;
        let position = ListingPosition { applied: Some(0), ..position };
        let message = ListingMessage { position: Some(position), ..self.message.clone() };
        let listing = CappedListing { message, wants, admitted: None };
        self.resolver.records.put_capped(&listing, self.resolver.clock.now()).await?;
        Ok(Reached::Waiting)
    }

    /// Stages everything as one part, and gives the place to go on at.
    async fn stage_all(
        &self,
        repository: &RepositoryName,
        staging: Staging,
        progress: ListingProgress,
        staged: &StagedPart,
    ) -> Result<ListingPosition, ResolveError> {
        let position = self.position(progress, &staging.pages, staging.fault);
        let part = self.resolver.records.put_staged_tags(self.staged(repository), staged).await?;
        let (begun_at, parts, stopped) = (Some(staging.begun_at), vec![part], staging.stopped);
        Ok(ListingPosition { begun_at, parts, stopped, ..position })
    }

    /// Looks at tags in their order, as far as there is time and the registry answers.
    async fn look_at(
        &self,
        tags: &Tags<'_>,
        staged: &[StagedTag],
        chosen: &[usize],
    ) -> Result<(Vec<Look>, Option<ResolveError>), ResolveError> {
        let mut looking = futures::stream::iter(chosen.to_vec())
            .take_while(|_| std::future::ready(self.has_time()))
            .map(|position| self.look(tags, position, &staged[position]))
            .buffered(self.tags_at_once());
        let mut looks = Vec::with_capacity(chosen.len());
        while let Some(look) = looking.next().await {
            match look {
                Ok(look) => looks.push(look),
                Err(error) if error.keeps_position() => return Ok((looks, Some(error))),
                Err(error) => return Err(error),
            }
        }
        Ok((looks, None))
    }

    async fn look(&self, tags: &Tags<'_>, position: usize, staged: &StagedTag) -> Result<Look, ResolveError> {
        let resolved = match self.resolved(tags, staged).await {
            Err(ResolveError::Registry(RegistryError::NotFound { .. } | RegistryError::Invalid { .. })) => {
                return Ok(Look { position, resolved: None, wanting: None });
            }
            resolved => resolved?,
        };
        let wants = self.wants_of(tags, &resolved).await?;
        let (tag, born_at) = (staged.tag.clone(), staged.times.unwrap_or_default().born_at());
        let wanting = wants.map(|(priority, images)| Wanting { tag, priority, born_at, images });
        Ok(Look { position, resolved: Some(resolved), wanting })
    }

    /// How many images behind a tag need work that they do not have yet, and the higher of their priorities.
    pub(crate) async fn wants_of(
        &self,
        tags: &Tags<'_>,
        resolved: &Resolved,
    ) -> Result<Option<(Priority, u32)>, ResolveError> {
        let mut wants: Option<(Priority, u32)> = None;
        for image in &resolved.record.images {
            let Some(work) = tags.work(resolved, image, None).await? else { continue };
            if tags.records.pending_work(tags.org, &work.image).await?.is_none() {
                let (priority, images) = wants.unwrap_or((work.priority, 0));
                wants = Some((priority.min(work.priority), images + 1));
            }
        }
        Ok(wants)
    }
}
