//! One ecosystem, brought up to date: fetched, read, compiled, in force; and then the ecosystems that depend on it.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek};
use std::time::Duration;

use tidewatch_advisories::{FORMAT, Family, ReadOptions, Reading, ScoreTable};
use tidewatch_assessment::store_index;
use tidewatch_core::Digest;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_runtime::Deadline;
use tidewatch_runtime::messages::send;
use tidewatch_store::RecordError;
use tidewatch_store::records::{AdvisorySource, CompiledSource, SourceArchive, StoredSource};

use crate::fetch::{Archives, Download, Fetched, Validators};
use crate::{SyncAdvisories, SyncError};

/// How much of the time of a function is kept to read and compile what was fetched.
const COMPILING: Duration = Duration::from_secs(180);

/// Ecosystem to the hash of its scores: with the archive, all that an index depends on.
type Scores = BTreeMap<String, Digest>;

impl SyncAdvisories {
    /// Brings `ecosystem` up to date, and sends for those whose index is not made of the present scores.
    pub(crate) async fn bring_up_to_date(
        &self,
        ecosystem: &str,
        deadline: Deadline,
    ) -> Result<(), SyncError> {
        let archives = self.archives.as_ref().ok_or(SyncError::NoUrl)?;
        if !self.settings.ecosystems.contains(ecosystem) {
            let set = self.settings.ecosystems.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(SyncError::NotSet { ecosystem: ecosystem.to_owned(), set });
        }
        let stored = self.records.advisory_sources().await?.remove(ecosystem).unwrap_or_default();
        // New scores of others take effect even while this archive cannot be fetched.
        let (stored, reading, failure) =
            match self.refresh(archives, ecosystem, stored.clone(), deadline).await {
                Ok((stored, reading)) => (stored, reading, None),
                Err(error) if error.is_of_source() => (stored, None, Some(error)),
                Err(error) => return Err(error),
            };
        if self.compile(ecosystem, stored, reading).await? {
            self.put_in_force(ecosystem).await?;
            self.send_for_stale().await?;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Fetches the archive when it has changed, and records what was read of it. Gives what was read, too.
    async fn refresh(
        &self,
        archives: &Archives,
        ecosystem: &str,
        mut stored: StoredSource,
        deadline: Deadline,
    ) -> Result<(StoredSource, Option<Reading>), SyncError> {
        let url = archives.url(ecosystem);
        let known = stored.source.archive.clone();
        let is_current = stored.source.url.as_deref() == Some(url.as_str())
            && known.as_ref().is_some_and(|archive| archive.format == FORMAT);
        let validators = if is_current { validators(&stored.source) } else { Validators::default() };
        let remaining = deadline.remaining(self.clock.now(), COMPILING);
        let within = self.settings.download_timeout.min(remaining);
        let fetched = archives.get(&url, &validators, &self.settings.folder, within).await?;
        let now = self.clock.now();
        stored.source.url = Some(url.into());
        stored.source.checked_at = Some(now);
        stored.source.error = None;
        let Fetched::Archive(download) = fetched else {
            return Ok((self.records.put_advisory_source(ecosystem, stored).await?, None));
        };
        let Validators { etag, last_modified } = download.validators.clone();
        (stored.source.etag, stored.source.last_modified) = (etag, last_modified);
        let (reading, archive) = self.keep(ecosystem, download).await?;
        if known.as_ref().is_none_or(|known| known.hash != archive.hash) {
            stored.source.changed_at = Some(now);
        }
        if known.as_ref().is_some_and(|known| known.format != FORMAT) {
            stored.source.compiled = None;
        }
        tracing::info!(
            advisories.ecosystem = ecosystem, advisories.archive.hash = %archive.hash,
            advisories.archive.bytes = archive.size, advisories.records = archive.records,
            advisories.problems = archive.problems, "advisory archive fetched"
        );
        stored.source.archive = Some(archive.clone());
        let stored = self.records.put_advisory_source(ecosystem, stored).await?;
        if let Some(known) = known {
            self.records.remove_source_objects(ecosystem, &known, &archive).await?;
        }
        Ok((stored, Some(reading)))
    }

    /// Reads a downloaded archive and stores what is needed of it: its scores, and itself where it can be compiled.
    async fn keep(&self, ecosystem: &str, download: Download) -> Result<(Reading, SourceArchive), SyncError> {
        let Download { file, size, hash, .. } = download;
        let reading = self.read(ecosystem, std::io::BufReader::new(file.reopen()?)).await?;
        if reading.records() == 0 {
            return Err(SyncError::Empty { ecosystem: ecosystem.to_owned() });
        }
        let scores = reading.scores().to_bytes()?;
        let archive = SourceArchive {
            hash,
            size,
            records: reading.records() as u64,
            problems: reading.problems().len() as u64,
            scores: Digest::of(&scores),
            format: FORMAT,
        };
        if Family::of_ecosystem(ecosystem).is_some() {
            let bytes = tokio::fs::read(file.path()).await?;
            self.records.put_source_archive(ecosystem, &archive.hash, bytes.into()).await?;
        }
        self.records.put_source_scores(ecosystem, &archive.scores, scores.into()).await?;
        Ok((reading, archive))
    }

    async fn read(
        &self,
        ecosystem: &str,
        archive: impl Read + Seek + Send + 'static,
    ) -> Result<Reading, SyncError> {
        let options = ReadOptions { now: self.clock.now(), inflated_limit: self.settings.inflated_limit };
        let name = ecosystem.to_owned();
        let read = tokio::task::spawn_blocking(move || Reading::of_archive(&name, archive, &options)).await?;
        read.map_err(|source| SyncError::Archive { ecosystem: ecosystem.to_owned(), source })
    }

    /// Compiles the index of the family of `ecosystem`, unless it is made of the present archive and scores. `false`
    /// when something it needs is lost: then a message for that has been sent.
    async fn compile(
        &self,
        ecosystem: &str,
        mut stored: StoredSource,
        reading: Option<Reading>,
    ) -> Result<bool, SyncError> {
        let scores = self.scores(&self.records.advisory_sources().await?);
        let Some(archive) = stale(ecosystem, &stored.source, &scores).cloned() else { return Ok(true) };
        let Some(table) = self.load_scores(&scores).await? else { return Ok(false) };
        let reading = match reading {
            Some(reading) => reading,
            None => match self.records.source_archive(ecosystem, &archive.hash).await? {
                Some(bytes) => self.read(ecosystem, Cursor::new(bytes)).await?,
                None => return self.fetch_anew(ecosystem, &archive.hash).await.map(|()| false),
            },
        };
        let folder = tempfile::TempDir::new_in(&self.settings.folder)?;
        let output = folder.path().to_owned();
        let built = tokio::task::spawn_blocking(move || reading.compile(&table, &output)).await??;
        let Some(built) = built else { return Ok(true) };
        let file = tokio::fs::read(&built.path).await?;
        let index = store_index(&self.records, &built, file.into(), self.clock.now()).await?;
        stored.source.compiled =
            Some(CompiledSource { family: built.family.to_owned(), archive: archive.hash, scores, index });
        self.records.put_advisory_source(ecosystem, stored).await?;
        Ok(true)
    }

    /// All scores of these hashes; `None` when some are lost: then a message for their ecosystem has been sent.
    async fn load_scores(&self, scores: &Scores) -> Result<Option<ScoreTable>, SyncError> {
        let mut table = ScoreTable::default();
        for (ecosystem, hash) in scores {
            let bytes = self.records.source_scores(ecosystem, hash).await?;
            match bytes.and_then(|bytes| ScoreTable::from_bytes(&bytes).ok()) {
                Some(scores) => table.merge(scores),
                None => return self.fetch_anew(ecosystem, hash).await.map(|()| None),
            }
        }
        Ok(Some(table))
    }

    /// Sees to it that the archive of `ecosystem` is fetched whether it has changed or not: the object with the hash
    /// `lost` is not there. When the source does not name it any more, it was only replaced in the meantime.
    async fn fetch_anew(&self, ecosystem: &str, lost: &Digest) -> Result<(), SyncError> {
        let stored = self.records.advisory_sources().await?.remove(ecosystem).unwrap_or_default();
        let is_named = |archive: &SourceArchive| [archive.hash, archive.scores].contains(lost);
        if !stored.source.archive.as_ref().is_some_and(is_named) {
            return Err(RecordError::Changed { what: format!("the index of {ecosystem}") }.into());
        }
        tracing::warn!(advisories.ecosystem = ecosystem, "stored advisories are lost; they are fetched anew");
        let source = AdvisorySource { etag: None, last_modified: None, ..stored.source };
        self.records.put_advisory_source(ecosystem, StoredSource { source, ..stored }).await?;
        self.send_for(ecosystem).await
    }

    /// Puts the index in force that the source names. Repeated until it is: another message may have put an older one
    /// in force, and the last to do so looks again.
    async fn put_in_force(&self, ecosystem: &str) -> Result<(), SyncError> {
        loop {
            let source = self.records.advisory_sources().await?.remove(ecosystem).unwrap_or_default().source;
            let Some(CompiledSource { family, index, .. }) = source.compiled else { return Ok(()) };
            if self.records.current_advisories().await?.hash(&family) == Some(index.hash) {
                return Ok(());
            }
            tracing::info!(
                advisories.family = family, advisories.index.hash = %index.hash,
                advisories.index.bytes = index.size, advisories.advisories = index.advisories,
                "advisories put in force"
            );
            self.records.publish_advisories([(family, index)]).await?;
        }
    }

    /// Sends for every ecosystem whose index is not made of its archive and the present scores. Who changes scores looks
    /// after that; so of two that change theirs at the same time, at least one sees the other.
    async fn send_for_stale(&self) -> Result<(), SyncError> {
        let sources = self.records.advisory_sources().await?;
        let scores = self.scores(&sources);
        for (ecosystem, stored) in &sources {
            if self.settings.ecosystems.contains(ecosystem)
                && stale(ecosystem, &stored.source, &scores).is_some()
            {
                self.send_for(ecosystem).await?;
            }
        }
        Ok(())
    }

    async fn send_for(&self, ecosystem: &str) -> Result<(), SyncError> {
        let message = AdvisoriesMessage { ecosystem: ecosystem.to_owned(), failures: 0 };
        Ok(send(&*self.queue, QueueName::Advisories, &[message], Duration::ZERO).await?)
    }

    /// The present scores of the ecosystems that are set.
    fn scores(&self, sources: &BTreeMap<String, StoredSource>) -> Scores {
        let set = sources.iter().filter(|(ecosystem, _)| self.settings.ecosystems.contains(*ecosystem));
        set.filter_map(|(ecosystem, stored)| {
            Some((ecosystem.clone(), stored.source.archive.as_ref()?.scores))
        })
        .collect()
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

fn validators(source: &AdvisorySource) -> Validators {
    Validators { etag: source.etag.clone(), last_modified: source.last_modified.clone() }
}
