//! The index of an ecosystem: compiled when its archive, or a score that it uses, has changed, and put in force.

use tempfile::{NamedTempFile, TempDir};
use tidewatch_advisories::{FORMAT, Family, Reading};
use tidewatch_assessment::store_index;
use tidewatch_core::Digest;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_runtime::messages::send;
use tidewatch_store::RecordError;
use tidewatch_store::records::{AdvisoryFamily, AdvisorySource, CompiledSource, SourceArchive, StoredSource};

use crate::archive::hash_of;
use crate::scores::{Known, Scores};
use crate::sources;
use crate::{SyncAdvisories, SyncError};

impl SyncAdvisories {
    /// Sees to it that the index of `ecosystem` is made of the present archive and scores. Where other scores say the
    /// same of what the archive is about, that is only noted. `false` when something it needs is lost: then a message
    /// for that has been sent.
    pub(crate) async fn compile(
        &self,
        ecosystem: &str,
        mut stored: StoredSource,
        reading: Option<Reading>,
    ) -> Result<bool, SyncError> {
        let scores = self.present_scores(&self.records.advisory_sources().await?);
        let Some(archive) = stale(ecosystem, &stored.source, &scores).cloned() else { return Ok(true) };
        let known = match self.known(&scores).await? {
            Ok(known) => known,
            Err(lost) => return self.fetch_anew(&lost.ecosystem, &lost.hash).await.map(|()| false),
        };
        let Some(used) = self.used(ecosystem, &archive, &known).await? else {
            let ids = archive.ids.unwrap_or(archive.hash);
            return self.fetch_anew(ecosystem, &ids).await.map(|()| false);
        };
        let is_same =
            |compiled: &&mut CompiledSource| compiled.archive == archive.hash && compiled.used == Some(used);
        if let Some(compiled) = stored.source.compiled.as_mut().filter(is_same) {
            compiled.scores = scores;
            self.records.put_advisory_source(ecosystem, stored).await?;
            return Ok(true);
        }
        let reading = match reading {
            Some(reading) => reading,
            None => match self.stored_reading(ecosystem, &archive).await? {
                Some(reading) => reading,
                None => return self.fetch_anew(ecosystem, &archive.hash).await.map(|()| false),
            },
        };
        let folder = TempDir::new_in(&self.settings.folder)?;
        let output = folder.path().to_owned();
        let built = tokio::task::spawn_blocking(move || reading.compile(&known.table, &output)).await??;
        let Some(built) = built else { return Ok(true) };
        let file = tokio::fs::read(&built.path).await?;
        let index = store_index(&self.records, &built, file.into(), self.clock.now()).await?;
        let family = built.family.to_owned();
        stored.source.compiled =
            Some(CompiledSource { family, archive: archive.hash, scores, used: Some(used), index });
        self.records.put_advisory_source(ecosystem, stored).await?;
        Ok(true)
    }

    /// What the scores say of what the archive is about; `None` when it is lost what that is.
    async fn used(
        &self,
        ecosystem: &str,
        archive: &SourceArchive,
        known: &Known,
    ) -> Result<Option<Digest>, SyncError> {
        let Some(hash) = archive.ids else { return Ok(None) };
        let Some(bytes) = self.records.source_ids(ecosystem, &hash).await? else { return Ok(None) };
        let table = std::sync::Arc::clone(&known.table);
        let used = tokio::task::spawn_blocking(move || crate::scores::used(&table, &bytes)).await?;
        Ok(Some(used?))
    }

    /// What the stored archive says; `None` when it is lost or spoilt.
    async fn stored_reading(
        &self,
        ecosystem: &str,
        archive: &SourceArchive,
    ) -> Result<Option<Reading>, SyncError> {
        let file = NamedTempFile::new_in(&self.settings.folder)?;
        if !self.records.source_archive(ecosystem, &archive.hash, file.path()).await? {
            return Ok(None);
        }
        let opened = file.reopen()?;
        let (hash, _) = tokio::task::spawn_blocking(move || hash_of(opened)).await??;
        if hash != archive.hash {
            return Ok(None);
        }
        self.read(sources::of(ecosystem), ecosystem, file.reopen()?).await.map(Some)
    }

    /// Sees to it that the archive of `ecosystem` is fetched whether it has changed or not: the object with the hash
    /// `lost` is not there. When the source does not name it any more, it was only replaced in the meantime.
    async fn fetch_anew(&self, ecosystem: &str, lost: &Digest) -> Result<(), SyncError> {
        let stored = self.records.advisory_sources().await?.remove(ecosystem).unwrap_or_default();
        let is_named = |archive: &SourceArchive| {
            [Some(archive.hash), Some(archive.scores), archive.ids].contains(&Some(*lost))
        };
        if !stored.source.archive.as_ref().is_some_and(is_named) {
            return Err(RecordError::Changed { what: format!("the index of {ecosystem}") }.into());
        }
        tracing::warn!(advisories.ecosystem = ecosystem, "stored advisories are lost; they are fetched anew");
        let source = AdvisorySource { etag: None, last_modified: None, ..stored.source };
        self.records.put_advisory_source(ecosystem, StoredSource { source, ..stored }).await?;
        let message = AdvisoriesMessage::of(ecosystem);
        Ok(send(&*self.queue, QueueName::Advisories, &[message], std::time::Duration::ZERO).await?)
    }

    /// Puts the index in force that the source names, as confirmed when the source last gave its archive or said that it is
    /// unchanged. Repeated until it is: another message may have put an older one
    /// in force, and the last to do so looks again.
    pub(crate) async fn put_in_force(&self, ecosystem: &str) -> Result<(), SyncError> {
        loop {
            let source = self.records.advisory_sources().await?.remove(ecosystem).unwrap_or_default().source;
            let Some(CompiledSource { family, index, .. }) = source.compiled else { return Ok(()) };
            let index = AdvisoryFamily { confirmed_at: source.checked_at, ..index };
            let current = self.records.current_advisories().await?.families.remove(&family);
            let is_same = current.as_ref().is_some_and(|current| current.hash == index.hash);
            if is_same && current.is_some_and(|current| current.confirmed_at == index.confirmed_at) {
                return Ok(());
            }
            if !is_same {
                tracing::info!(
                    advisories.family = family, advisories.index.hash = %index.hash,
                    advisories.index.bytes = index.size, advisories.advisories = index.advisories,
                    "advisories put in force"
                );
            }
            self.records.publish_advisories([(family, index)]).await?;
        }
    }

    /// Sends for every ecosystem whose index is not made of its archive and the present scores. Who changes scores looks
    /// after that; so of two that change theirs at the same time, at least one sees the other. They look after a pause,
    /// at all that has changed by then.
    pub(crate) async fn send_for_stale(&self) -> Result<(), SyncError> {
        let sources = self.records.advisory_sources().await?;
        let (scores, set) = (self.present_scores(&sources), self.sources());
        let is_stale = |ecosystem: &str, stored: &StoredSource| {
            set.contains(ecosystem) && stale(ecosystem, &stored.source, &scores).is_some()
        };
        let names = sources.iter().filter(|(name, stored)| is_stale(name, stored)).map(|(name, _)| name);
        let messages: Vec<_> = names
            .map(|name| AdvisoriesMessage { scores_only: true, ..AdvisoriesMessage::of(name) })
            .collect();
        Ok(send(&*self.queue, QueueName::Advisories, &messages, self.settings.scores_pause).await?)
    }
}

/// The archive of which an index is to be compiled with these scores; `None` when that is done, or cannot be.
fn stale<'a>(ecosystem: &str, source: &'a AdvisorySource, scores: &Scores) -> Option<&'a SourceArchive> {
    Family::of_ecosystem(ecosystem)?;
    let archive = source.archive.as_ref().filter(|archive| archive.format == FORMAT)?;
    let is_done = source
        .compiled
        .as_ref()
        .is_some_and(|compiled| compiled.archive == archive.hash && compiled.scores == *scores);
    (!is_done).then_some(archive)
}
