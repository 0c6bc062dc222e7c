//! One source, brought up to date: fetched, read, and what is needed of it kept. Then its index, and those who depend on
//! its scores.

use std::fs::File;
use std::time::Duration;

use tidewatch_advisories::{FORMAT, Family, ReadOptions, Reading};
use tidewatch_core::Digest;
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_runtime::Deadline;
use tidewatch_store::records::{AdvisorySource, SourceArchive, StoredSource};

use crate::fetch::{Download, Fetched, Until, Validators};
use crate::progress::Progress;
use crate::sources::{self, Ask, Kind};
use crate::{SyncAdvisories, SyncError};

/// How much of the time of a function is kept to read and compile what was fetched.
const COMPILING: Duration = Duration::from_secs(300);

/// Of so many records at least it is noticed that too many are missing: of fewer, any number may go.
const GUARDED: u64 = 100;

impl SyncAdvisories {
    /// Brings the source of `message` up to date, and sends for the ecosystems whose index is not made of the present
    /// scores.
    pub(crate) async fn bring_up_to_date(
        &self,
        message: &AdvisoriesMessage,
        deadline: Deadline,
    ) -> Result<(), SyncError> {
        let name = message.ecosystem.as_str();
        let set = self.sources();
        let kind = sources::of(name);
        let Some(place) = kind.place_of(name, &self.settings) else {
            return Err(SyncError::NoPlace { variable: kind.variable() });
        };
        if !set.contains(name) {
            let set = set.into_iter().collect::<Vec<_>>().join(", ");
            return Err(SyncError::NotSet { ecosystem: name.to_owned(), set });
        }
        let mut known = self.records.advisory_sources().await?;
        // At first every source brings scores. Each of them sends again, the last one too: so they are taken in at once.
        let all_were_asked = set.iter().all(|name| known.contains_key(name));
        let stored = known.remove(name).unwrap_or_default();
        if message.scores_only {
            if all_were_asked {
                self.compile(name, stored, None).await?;
            }
            return self.put_in_force(name).await;
        }
        // New scores of others take effect even while this source cannot be fetched.
        let refreshed = self.refresh(kind, &place, message, stored.clone(), deadline).await;
        let (stored, reading, failure) = match refreshed {
            Ok((stored, reading)) => (stored, reading, None),
            Err(error) if error.is_of_source() => (stored, None, Some(error)),
            Err(error) => return Err(error),
        };
        self.put_table_in_force(name).await?;
        if self.compile(name, stored, reading).await? {
            self.put_in_force(name).await?;
            self.send_for_stale().await?;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Fetches the source when it has changed, and records what was read of it. Gives what was read, too.
    async fn refresh(
        &self,
        kind: &'static dyn Kind,
        place: &crate::Place,
        message: &AdvisoriesMessage,
        mut stored: StoredSource,
        deadline: Deadline,
    ) -> Result<(StoredSource, Option<Reading>), SyncError> {
        let name = message.ecosystem.as_str();
        let known = stored.source.archive.clone();
        let url = place.to_string();
        let is_current = stored.source.url.as_ref() == Some(&url)
            && known.as_ref().is_some_and(|archive| archive.format == FORMAT);
        let validators = if is_current { validators(&stored.source) } else { Validators::default() };
        let remaining = deadline.remaining(self.clock.now(), COMPILING);
        let period = self.settings.progress_period;
        let mut progress = Progress::new(&self.records, &*self.clock, name, period);
        let ask = Ask {
            place,
            known: &validators,
            fetcher: &self.fetcher,
            inflated_limit: self.settings.inflated_limit,
            until: Until::after(self.settings.download_timeout.min(remaining)),
            progress: &mut progress,
        };
        let fetched = kind.fetch(ask).await?;
        let now = self.clock.now();
        stored.source.url = Some(url);
        stored.source.checked_at = Some(now);
        stored.source.error = None;
        let Fetched::Changed(download) = fetched else {
            return Ok((self.records.put_advisory_source(name, stored).await?, None));
        };
        let Validators { etag, last_modified } = download.validators.clone();
        (stored.source.etag, stored.source.last_modified) = (etag, last_modified);
        // A mirror that is cut off must not make every image look safe.
        let before = known.as_ref().filter(|_| !message.accept_fewer).map_or(0, |known| known.records);
        let (reading, archive) = self.keep(kind, name, download, before).await?;
        if known.as_ref().is_none_or(|known| known.hash != archive.hash) {
            stored.source.changed_at = Some(now);
        }
        if known.as_ref().is_some_and(|known| known.format != FORMAT) {
            stored.source.compiled = None;
        }
        tracing::info!(
            advisories.ecosystem = name, advisories.archive.hash = %archive.hash,
            advisories.archive.bytes = archive.size, advisories.records = archive.records,
            advisories.problems = archive.problems, "advisory archive fetched"
        );
        stored.source.archive = Some(archive.clone());
        let stored = self.records.put_advisory_source(name, stored).await?;
        if let Some(known) = known {
            self.records.remove_source_objects(name, &known, &archive).await?;
        }
        Ok((stored, Some(reading)))
    }

    /// Reads what was fetched and stores what is needed of it: its scores, and where it can be compiled itself, and what
    /// it is about.
    async fn keep(
        &self,
        kind: &'static dyn Kind,
        name: &str,
        download: Download,
        before: u64,
    ) -> Result<(Reading, SourceArchive), SyncError> {
        let Download { file, size, hash, .. } = download;
        let reading = self.read(kind, name, file.reopen()?).await?;
        let records = reading.records() as u64;
        if records == 0 {
            return Err(SyncError::Empty { ecosystem: name.to_owned() });
        }
        if before >= GUARDED && records < before.div_ceil(2) {
            return Err(SyncError::TooFew { ecosystem: name.to_owned(), records, before });
        }
        let scores = reading.scores().to_bytes()?;
        let mut archive = SourceArchive {
            hash,
            size,
            records,
            problems: reading.problems().len() as u64,
            scores: Digest::of(&scores),
            released_at: reading.released_at(),
            ids: None,
            table: None,
            format: FORMAT,
        };
        if let Some(table) = reading.end_of_life() {
            archive.table = Some(self.records.put_end_of_life(table).await?.content);
        }
        if Family::of_ecosystem(name).is_some() {
            self.records.put_source_archive(name, &archive.hash, file.path()).await?;
            let ids = crate::scores::to_bytes(reading.ids())?;
            let hash = *archive.ids.insert(Digest::of(&ids));
            self.records.put_source_ids(name, &hash, ids.into()).await?;
        }
        self.records.put_source_scores(name, &archive.scores, scores.into()).await?;
        Ok((reading, archive))
    }

    pub(crate) async fn read(
        &self,
        kind: &'static dyn Kind,
        name: &str,
        file: File,
    ) -> Result<Reading, SyncError> {
        let options = ReadOptions { now: self.clock.now(), inflated_limit: self.settings.inflated_limit };
        let owned = name.to_owned();
        let read = tokio::task::spawn_blocking(move || kind.read(&owned, file, &options)).await?;
        read.map_err(|source| SyncError::Archive { ecosystem: name.to_owned(), source })
    }
}

fn validators(source: &AdvisorySource) -> Validators {
    Validators { etag: source.etag.clone(), last_modified: source.last_modified.clone() }
}
