//! Brings the environments of the file into force: entries for the images that it names, and none for others.
//!
//! The table is the truth: whoever applies a configuration has nothing to send.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidewatch_core::Digest;
use tidewatch_core::environment::{EntryId, EnvironmentEntry, EnvironmentTarget};
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::HintMessage;
use tidewatch_runtime::messages::send;
use tidewatch_store::records::AppliedConfig;

use crate::{EvaluateError, EvaluateRules};

impl EvaluateRules {
    /// Writes the entries that the file wants and takes the others of its environments away. That it was done is noted last:
    /// a crash before that does it again, which changes nothing. What stands there is compared each time all the same: an
    /// evaluator that is late may have written entries of an earlier file since.
    pub(crate) async fn apply_environments(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
    ) -> Result<(), EvaluateError> {
        let now = self.clock.now();
        let wanted: BTreeMap<StreamName, Vec<EnvironmentEntry>> = applied
            .config
            .environments
            .iter()
            .filter_map(|environment| Some((environment.id.clone(), environment.entries(now)?)))
            .collect();
        let images = wanted.iter().map(|(stream, entries)| (stream, references(entries)));
        // With each version that is applied, what could not be pinned is tried again.
        let wants = (applied.version, images.collect::<Vec<_>>());
        let fingerprint = Digest::of(format!("{wants:?}").as_bytes());
        let noted = self.records.file_environments(org).await?;
        let (known, former) = noted.map_or((None, BTreeSet::new()), |(known, former)| (Some(known), former));
        if known.is_none() && wanted.is_empty() {
            return Ok(());
        }
        let is_noted = known == Some(fingerprint);
        let names: BTreeSet<StreamName> = wanted.keys().cloned().collect();
        for (stream, entries) in &wanted {
            // What cannot be pinned was sent for when the file came into force, and is not at every tick.
            let there = self.take_others_away(org, stream, entries).await?;
            self.add_missing(org, stream, &there, entries, !is_noted).await?;
        }
        if is_noted {
            return Ok(());
        }
        // One that is still named belongs to the command from now on, with what is in it.
        let still_named = |stream: &StreamName| {
            applied.config.environments.iter().any(|environment| environment.id == *stream)
        };
        for stream in former.difference(&names).filter(|stream| !still_named(stream)) {
            self.set_entries(org, stream, &[]).await?;
        }
        Ok(self.records.note_file_environments(org, &fingerprint, &names).await?)
    }

    /// Makes the entries of an environment these: the others are taken away, and those that were not there, or name another
    /// image, are sent to be pinned.
    pub async fn set_entries(
        &self,
        org: &OrgName,
        stream: &StreamName,
        wanted: &[EnvironmentEntry],
    ) -> Result<(), EvaluateError> {
        let there = self.take_others_away(org, stream, wanted).await?;
        self.add_missing(org, stream, &there, wanted, true).await
    }

    /// Takes the entries away that are not `wanted`. Gives those that were there.
    async fn take_others_away(
        &self,
        org: &OrgName,
        stream: &StreamName,
        wanted: &[EnvironmentEntry],
    ) -> Result<BTreeMap<EntryId, EnvironmentEntry>, EvaluateError> {
        let there = self.records.environment_entries(org, stream).await?.into_iter();
        let there: BTreeMap<EntryId, EnvironmentEntry> = there.map(|entry| (entry.id(), entry)).collect();
        let ids: BTreeSet<EntryId> = wanted.iter().map(EnvironmentEntry::id).collect();
        for (id, entry) in there.iter().filter(|(id, _)| !ids.contains(id)) {
            let target = EnvironmentTarget { stream: stream.clone(), entry: id.clone() };
            self.records.remove_entry(org, &target, entry, self.clock.now()).await?;
        }
        Ok(there)
    }

    /// Puts those of the `wanted` entries there that were not, or named another image; and (`unpinned`) those that are not
    /// pinned to what they name.
    async fn add_missing(
        &self,
        org: &OrgName,
        stream: &StreamName,
        there: &BTreeMap<EntryId, EnvironmentEntry>,
        wanted: &[EnvironmentEntry],
        unpinned: bool,
    ) -> Result<(), EvaluateError> {
        let is_new = |entry: &&EnvironmentEntry| {
            there.get(&entry.id()).is_none_or(|known| {
                let same = (&known.reference, known.follows) == (&entry.reference, entry.follows);
                !same || (unpinned && !known.is_pinned())
            })
        };
        let new: Vec<EnvironmentEntry> = wanted.iter().filter(is_new).cloned().collect();
        self.add_entries(org, stream, &new).await
    }

    /// Puts entries into an environment, and sends for them to be pinned.
    pub async fn add_entries(
        &self,
        org: &OrgName,
        stream: &StreamName,
        entries: &[EnvironmentEntry],
    ) -> Result<(), EvaluateError> {
        let mut messages = Vec::with_capacity(entries.len());
        for entry in entries {
            let target = EnvironmentTarget { stream: stream.clone(), entry: entry.id() };
            // What the slot holds stays there until the new image is known: the entry keeps what it is pinned to.
            let known = self.records.environment_entry(org, &target).await?;
            // And what it still has to let go.
            let (pinned, leaving) = known.map_or((None, None), |known| (known.pinned, known.leaving));
            let entry = EnvironmentEntry { pinned, leaving, ..entry.clone() };
            self.records.put_entry(org, stream, &entry).await?;
            messages.push(HintMessage {
                org: org.clone(),
                registry: entry.reference.registry.clone(),
                repository: entry.reference.repository.clone(),
                tag: entry.tag(),
                received_at: self.clock.now(),
                failures: 0,
                target: Some(target),
                base: None,
            });
        }
        Ok(send(&*self.queue, QueueName::Hints, &messages, Duration::ZERO).await?)
    }
}

fn references(entries: &[EnvironmentEntry]) -> Vec<String> {
    entries.iter().map(|entry| entry.reference.to_string()).collect()
}
