//! A listing of the repositories of a registry: sends for the tags of each that the rule could match, and for those of the
//! repositories that the registry does not name any more.

use std::collections::BTreeSet;

use tidewatch_core::Digest;
use tidewatch_core::config::Leaving;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::work::ListingPosition;
use tidewatch_store::records::{ListingProgress, ListingState};

use crate::ResolveError;
use crate::listing::{Listing, Reached, stopped};
use crate::pages::{Pages, Turned, limit};

/// How many repositories are sent for before the time is looked at.
const REPOSITORIES_AT_ONCE: usize = 100;

/// A listing of repositories, as far as it came.
struct Sending {
    progress: ListingProgress,
    pages: Pages,
    /// Those that were recorded before.
    known: BTreeSet<RepositoryName>,
    /// All that are done with.
    done: BTreeSet<RepositoryName>,
    /// Those of them that this call has done.
    by_this_call: Vec<RepositoryName>,
    /// Those that calls before have done, as they are staged.
    parts: Vec<Digest>,
}

impl Listing<'_> {
    /// Lists the repositories of the registry, and sends for the tags of each that the rule could match. A listing
    /// without an end fails; what was sent for before stays.
    pub(crate) async fn list_repositories(&self) -> Result<Reached, ResolveError> {
        let mut sending = self.begin_sending().await?;
        loop {
            if !self.has_time() {
                return self.put_off_sending(sending).await;
            }
            let page =
                match self.registry.repositories(sending.pages.cursor()).await.map_err(ResolveError::from) {
                    // It says nothing about what was sent for before: the next try goes on there.
                    Err(error) if error.keeps_position() && !sending.by_this_call.is_empty() => {
                        return Ok(match self.put_off_sending(sending).await? {
                            Reached::Position(position) => Reached::Interrupted(position, error),
                            reached => reached,
                        });
                    }
                    page => page?,
                };
            let left = sending.pages.left(page.entries, RepositoryName::as_str);
            for repositories in left.chunks(REPOSITORIES_AT_ONCE) {
                if !self.has_time() {
                    return self.put_off_sending(sending).await;
                }
                self.send_for_listed(&mut sending, repositories).await?;
            }
            match sending.pages.turn(page.next, sending.progress.listed) {
                Ok(Turned::Next) => {}
                Ok(Turned::End) => break,
                Err(endless) => return Ok(stopped(sending.progress, &endless)),
            }
        }
        if !self.send_for_others(&mut sending).await? {
            return self.put_off_sending(sending).await;
        }
        let (records, message) = (&self.resolver.records, self.message);
        records
            .remove_staged_repositories(&message.org, &message.run, &message.registry, &sending.parts)
            .await?;
        Ok(Reached::End(ListingProgress { state: ListingState::Done, ..sending.progress }))
    }

    async fn begin_sending(&self) -> Result<Sending, ResolveError> {
        let (records, message) = (&self.resolver.records, self.message);
        let (org, registry) = (&message.org, &message.registry);
        let (progress, pages) = self.begin();
        let parts = message.position.as_ref().map(|position| position.parts.clone()).unwrap_or_default();
        let known = records.repositories_of(org, registry).await?;
        let done = records.staged_repositories(org, &message.run, registry, &parts).await?;
        Ok(Sending { progress, pages, known, done, by_this_call: Vec::new(), parts })
    }

    /// Sends for those of a page that the rule could match. One that comes twice, because another was pushed between two pages,
    /// is sent for once.
    async fn send_for_listed(
        &self,
        sending: &mut Sending,
        repositories: &[RepositoryName],
    ) -> Result<(), ResolveError> {
        let mut wanted = Vec::new();
        for repository in repositories {
            if sending.done.insert(repository.clone()) {
                sending.by_this_call.push(repository.clone());
                wanted.extend(self.may_match(repository).then(|| repository.clone()));
            }
        }
        self.resolver.send_for(self.message, &wanted, false).await?;
        sending.progress.listed += repositories.len() as u64;
        sending.progress.selected += wanted.len() as u64;
        repositories.iter().last().inspect(|last| sending.pages.done_with(last.as_str()));
        Ok(())
    }

    /// Sends for those that are recorded and that the registry does not name any more, and for those that the rule has chosen
    /// tags of before its patterns were changed, where it forgets such. `false` when there was no time for all. A registry
    /// that names no repository at all takes nothing out: that is what one gives to somebody who may see none.
    async fn send_for_others(&self, sending: &mut Sending) -> Result<bool, ResolveError> {
        if sending.progress.listed == 0 {
            return Ok(true);
        }
        let unlisted: Vec<RepositoryName> = sending.known.difference(&sending.done).cloned().collect();
        for repositories in unlisted.chunks(REPOSITORIES_AT_ONCE) {
            if !self.has_time() {
                return Ok(false);
            }
            self.resolver.send_for(self.message, repositories, true).await?;
            sending.note_sent(repositories);
        }
        if self.rule.unselected != Leaving::Forget {
            return Ok(true);
        }
        let unmatched = sending.known.iter().filter(|repository| !self.may_match(repository));
        for repository in unmatched.cloned().collect::<Vec<_>>() {
            if !self.has_time() {
                return Ok(false);
            }
            if self.has_chosen_of(&repository).await? {
                self.resolver.send_for(self.message, std::slice::from_ref(&repository), false).await?;
                sending.note_sent(&[repository]);
            }
        }
        Ok(true)
    }

    /// Whether the rule counts as one that chooses a tag of the repository.
    async fn has_chosen_of(&self, repository: &RepositoryName) -> Result<bool, ResolveError> {
        let message = self.message;
        let tags = self.resolver.records.tags(&message.org, &message.registry, repository).await?;
        Ok(tags.iter().filter_map(|tag| tag.chosen_by.as_ref()).any(|rules| rules.contains(&self.rule.id)))
    }

    /// The place to go on at, unless the listing has been going on for too long.
    async fn put_off_sending(&self, sending: Sending) -> Result<Reached, ResolveError> {
        let Sending { progress, pages, by_this_call, mut parts, .. } = sending;
        if let Err(endless) = limit(progress.listed) {
            return Ok(stopped(progress, &endless));
        }
        if !by_this_call.is_empty() {
            let (records, message) = (&self.resolver.records, self.message);
            let part = records
                .put_staged_repositories(&message.org, &message.run, &message.registry, &by_this_call)
                .await?;
            parts.push(part);
        }
        let position = self.position(progress, &pages, None);
        Ok(Reached::Position(ListingPosition { parts, ..position }))
    }
}

impl Sending {
    fn note_sent(&mut self, repositories: &[RepositoryName]) {
        self.progress.selected += repositories.len() as u64;
        self.done.extend(repositories.iter().cloned());
        self.by_this_call.extend(repositories.iter().cloned());
    }
}
