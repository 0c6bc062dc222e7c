//! Tells what newly affects images: the announcements that were written with their results.
//!
//! One sender at a time has a lease on a shard of them, and what was told is noted after that. Who dies in between, or gets
//! no answer, leaves some to be told again, under the same ids. What cannot be told now stays for the next tick.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::event::{AffectedEvent, EventMember};
use tidewatch_core::image::{Image, ImageId};
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::EventBus;
use tidewatch_core::ports::events::EventBusError;
use tidewatch_core::stream::Member;
use tidewatch_core::{Retry, Retryable as _, Timestamp};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{
    ANNOUNCEMENT_SHARDS, Announcement, AppliedConfig, ImagePlace, RecordError, StoredAnnouncement,
};

use crate::RollUpStreams;

/// The variable with the name of the event bus; without it nothing is told.
pub const EVENT_BUS_VARIABLE: &str = "TIDEWATCH_EVENT_BUS";

/// How long nobody else tells announcements of a shard.
const LEASE: Duration = Duration::from_secs(120);

/// How many announcements are read at a time, and how many events are told before that is noted.
const PAGE: usize = 100;
const EVENTS: usize = 200;

/// How many images are looked up, or notes made, at the same time.
const AT_ONCE: usize = 32;

/// Some of the vulnerabilities of an announcement, which are told together.
struct Part {
    read: StoredAnnouncement,
    told: Vec<String>,
}

/// What became of some events.
#[derive(Default)]
struct Told {
    /// How many were taken.
    events: usize,
    /// Why some were not, for now.
    failure: Option<EventBusError>,
}

impl RollUpStreams {
    /// Tells the announcements of `org`, and begins with no more of them from `stop` on. Gives how many events the bus has
    /// taken.
    pub(crate) async fn announce_until(
        &self,
        bus: &dyn EventBus,
        org: &OrgName,
        stop: Timestamp,
    ) -> Result<usize, RecordError> {
        let shards = (0..ANNOUNCEMENT_SHARDS).map(|shard| self.announce_shard(bus, org, shard, stop));
        Ok(futures::future::try_join_all(shards).await?.into_iter().sum())
    }

    async fn announce_shard(
        &self,
        bus: &dyn EventBus,
        org: &OrgName,
        shard: u64,
        stop: Timestamp,
    ) -> Result<usize, RecordError> {
        if self.records.announcements(org, shard, 1).await?.is_empty() {
            return Ok(0);
        }
        let now = self.clock.now();
        let until = now.checked_add(LEASE).unwrap_or(now);
        if !self.records.lease_announcements(org, shard, (now, until)).await? {
            return Ok(0);
        }
        let told = self.tell_shard(bus, org, shard, stop).await;
        let returned = self.records.return_announcements(org, shard, until).await;
        told.and_then(|told| returned.map(|()| told))
    }

    /// Tells the announcements of a shard, some at a time, until nothing is left, or the bus does not take one, or `stop`.
    async fn tell_shard(
        &self,
        bus: &dyn EventBus,
        org: &OrgName,
        shard: u64,
        stop: Timestamp,
    ) -> Result<usize, RecordError> {
        let Some(applied) = self.records.config(org).await? else { return Ok(0) };
        // Who has not come to its new slot yet would count nowhere, and never be told of.
        if !applied.counting.is_first() && self.is_counting_anew(&applied).await? {
            return Ok(0);
        }
        let mut events = 0;
        while self.clock.now() < stop {
            let parts = first_of(org, self.records.announcements(org, shard, PAGE).await?);
            if parts.is_empty() {
                break;
            }
            let told = self.tell(bus, &applied, parts).await?;
            events += told.events;
            if let Some(error) = told.failure {
                let error = describe(&error);
                tracing::warn!(org.name = %org, error, "events cannot be told now");
                break;
            }
        }
        Ok(events)
    }

    /// Tells these parts, and notes what is still to be told of their announcements.
    async fn tell(
        &self,
        bus: &dyn EventBus,
        applied: &AppliedConfig,
        parts: Vec<Part>,
    ) -> Result<Told, RecordError> {
        let config = &applied.config;
        let news: Vec<_> = parts.iter().map(|part| self.news(applied, part)).collect();
        let news: Vec<Vec<AffectedEvent>> =
            futures::stream::iter(news).buffered(AT_ONCE).try_collect().await?;
        let counts: Vec<usize> = news.iter().map(Vec::len).collect();
        let events: Vec<AffectedEvent> = news.into_iter().flatten().collect();
        let answers = bus.put(&events).await;

        let (mut told, mut notes) = (Told::default(), Vec::with_capacity(parts.len()));
        let mut answered = events.into_iter().zip(answers);
        for (part, count) in parts.iter().zip(counts) {
            let mut left = Vec::new();
            for (event, answer) in answered.by_ref().take(count) {
                match answer {
                    Ok(()) => told.events += 1,
                    Err(error) if error.retry() == Retry::Never => {
                        let (event, error) = (event.id, describe(&error));
                        tracing::error!(org.name = %config.org, event.id = %event, error, "an event is refused");
                    }
                    Err(error) => {
                        left.push(event.vulnerability);
                        told.failure.get_or_insert(error);
                    }
                }
            }
            left.extend(part.read.announcement.vulnerabilities.iter().skip(part.told.len()).cloned());
            notes.push(self.records.keep_announcement(&config.org, &part.read, left));
        }
        futures::stream::iter(notes).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(told)
    }

    /// What is to be told of an announcement now: nothing when the image counts nowhere, or is not affected any more.
    async fn news(&self, applied: &AppliedConfig, part: &Part) -> Result<Vec<AffectedEvent>, RecordError> {
        let config = &applied.config;
        let announcement = &part.read.announcement;
        if announcement.is_old(self.clock.now()) || !config.events.enabled {
            return Ok(Vec::new());
        }
        match self.events(applied, announcement, &part.told).await {
            Err(error) if error.retry() == Retry::Never => {
                let (image, error) = (&announcement.image, describe(&error));
                tracing::error!(org.name = %config.org, image = %image, error, "what affects an image cannot be read");
                Ok(Vec::new())
            }
            events => events,
        }
    }

    async fn events(
        &self,
        applied: &AppliedConfig,
        Announcement { image, noted_at, .. }: &Announcement,
        vulnerabilities: &[String],
    ) -> Result<Vec<AffectedEvent>, RecordError> {
        let (config, org) = (&applied.config, &applied.config.org);
        let Some(stored) = self.records.result(org, &image.digest, &image.platform).await? else {
            return Ok(Vec::new());
        };
        let Some(key) = &stored.result.report else { return Ok(Vec::new()) };
        let Some(report) = self.records.report(key).await? else { return Ok(Vec::new()) };
        let members = self.members(applied, image).await?;
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let found = (&report, *noted_at);
        let event = |vulnerability: &String| AffectedEvent::new(org, image, vulnerability, found, &members);
        let is_bad =
            |event: &AffectedEvent| config.events.threshold().is_some_and(|least| event.severity <= least);
        Ok(vulnerabilities.iter().filter_map(event).filter(is_bad).collect())
    }

    /// Where an image counts, sorted.
    async fn members(
        &self,
        applied: &AppliedConfig,
        image: &ImageId,
    ) -> Result<Vec<EventMember>, RecordError> {
        let (org, latest) = (&applied.config.org, StreamName::latest_indexed());
        let places = self.records.places(org, &image.digest, &image.platform).await?;
        let indexed = places.into_iter().filter_map(|ImagePlace { image, tag, seen_at, counted }| {
            let slot = applied.counting.slot_of(&image, counted, seen_at)?;
            Some((latest.clone(), Member::pending(image, tag, seen_at).in_slot(&slot)))
        });
        let environments = self.records.environments_of(org, image).await?;
        let running = environments.into_iter().map(|place| (place.target.stream.clone(), place.member()));
        let mut members = Vec::new();
        let is_configured =
            |(_, member): &(StreamName, Member)| applied.config.registry(&member.image.registry).is_some();
        for (stream, member) in indexed.chain(running).filter(is_configured) {
            // Another image may have come to its slot, or it may have left.
            let in_slot = self.records.member(org, &stream, &member.slot()).await?;
            if let Some(Member { image, tag, .. }) = in_slot.filter(|slot| slot.image == member.image) {
                let Image { registry, repository, .. } = image;
                members.push(EventMember { stream, registry, repository, tag });
            }
        }
        members.sort_unstable();
        members.dedup();
        Ok(members)
    }
}

/// What is told first of a page: so many vulnerabilities that the memory for their events is bounded. What cannot be read is
/// logged.
fn first_of(org: &OrgName, page: Vec<Result<StoredAnnouncement, RecordError>>) -> Vec<Part> {
    let (mut parts, mut room) = (Vec::new(), EVENTS);
    for read in page {
        match read {
            Ok(read) if room > 0 => {
                let told: Vec<String> =
                    read.announcement.vulnerabilities.iter().take(room).cloned().collect();
                room -= told.len();
                parts.push(Part { read, told });
            }
            Ok(_) => {}
            Err(error) => {
                let error = describe(&error);
                tracing::error!(org.name = %org, error, "an announcement cannot be read");
            }
        }
    }
    parts
}
