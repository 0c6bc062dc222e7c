//! Tells what newly affects images: the announcements that were written with their results.
//!
//! One sender at a time has a lease on a shard of them, and what was told is noted after that. Who dies in between, or gets
//! no answer, leaves some to be told again, under the same ids. What cannot be told now stays for the next tick.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::config::Config;
use tidewatch_core::event::{AffectedEvent, EventMember};
use tidewatch_core::image::{Image, ImageId};
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::EventBus;
use tidewatch_core::stream::Member;
use tidewatch_core::{Retry, Retryable as _, Timestamp};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{ANNOUNCEMENT_SHARDS, Announcement, ImagePlace, RecordError};

use crate::RollUpStreams;

/// The variable with the name of the event bus; without it nothing is told.
pub const EVENT_BUS_VARIABLE: &str = "TIDEWATCH_EVENT_BUS";

/// How long nobody else tells announcements of a shard.
const LEASE: Duration = Duration::from_secs(120);

/// How many announcements are read at a time, and how many images are looked up, or notes made, at the same time.
const PAGE: usize = 100;
const AT_ONCE: usize = 32;

/// What became of a page of announcements.
#[derive(Default)]
struct Told {
    /// How many events were taken.
    events: usize,
    /// Whether some announcement stays.
    is_rest: bool,
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
        let Some(applied) = self.records.config(org).await? else { return Ok(0) };
        let config = &applied.config;
        let mut events = 0;
        while self.clock.now() < stop {
            let page = self.records.announcements(org, shard, PAGE).await?;
            let is_last = page.len() < PAGE;
            let told = self.tell(bus, config, page).await?;
            events += told.events;
            // What stays would be read again.
            if is_last || told.is_rest {
                break;
            }
        }
        self.records.return_announcements(org, shard, until).await?;
        Ok(events)
    }

    /// Tells a page of announcements, and notes what was told of them.
    async fn tell(
        &self,
        bus: &dyn EventBus,
        config: &Config,
        page: Vec<Result<Announcement, RecordError>>,
    ) -> Result<Told, RecordError> {
        let (org, mut told) = (&config.org, Told::default());
        let mut announcements = Vec::with_capacity(page.len());
        for announcement in page {
            match announcement {
                Ok(announcement) => announcements.push(announcement),
                Err(error) => {
                    told.is_rest = true;
                    let error = describe(&error);
                    tracing::error!(org.name = %org, error, "an announcement cannot be read");
                }
            }
        }
        let news: Vec<_> = announcements.iter().map(|announcement| self.news(config, announcement)).collect();
        let news = futures::stream::iter(news).buffered(AT_ONCE);
        let news: Vec<Vec<AffectedEvent>> = news.try_collect().await?;
        let events: Vec<AffectedEvent> = news.iter().flatten().cloned().collect();
        let mut answers = bus.put(&events).await.into_iter();

        let mut first_failure = None;
        for (announcement, events) in announcements.iter_mut().zip(news) {
            announcement.vulnerabilities.clear();
            for (event, answer) in events.into_iter().zip(answers.by_ref()) {
                match answer {
                    Ok(()) => told.events += 1,
                    Err(error) if error.retry() == Retry::Never => {
                        let (event, error) = (event.id, describe(&error));
                        tracing::error!(org.name = %org, event.id = %event, error, "an event is refused");
                    }
                    Err(error) => {
                        announcement.vulnerabilities.push(event.vulnerability);
                        first_failure.get_or_insert(error);
                    }
                }
            }
            told.is_rest |= !announcement.vulnerabilities.is_empty();
        }
        if let Some(error) = first_failure {
            let error = describe(&error);
            tracing::warn!(org.name = %org, error, "events cannot be told now");
        }
        let notes: Vec<_> = announcements
            .iter()
            .map(|announcement| self.records.keep_announcement(org, announcement))
            .collect();
        futures::stream::iter(notes).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(told)
    }

    /// What is to be told of an announcement now: nothing when the image counts nowhere, or is not affected any more.
    async fn news(
        &self,
        config: &Config,
        announcement: &Announcement,
    ) -> Result<Vec<AffectedEvent>, RecordError> {
        if announcement.is_old(self.clock.now()) || !config.events.enabled {
            return Ok(Vec::new());
        }
        match self.events(config, announcement).await {
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
        config: &Config,
        Announcement { image, vulnerabilities, .. }: &Announcement,
    ) -> Result<Vec<AffectedEvent>, RecordError> {
        let org = &config.org;
        let Some(stored) = self.records.result(org, &image.digest, &image.platform).await? else {
            return Ok(Vec::new());
        };
        let Some(key) = &stored.result.report else { return Ok(Vec::new()) };
        let Some(report) = self.records.report(key).await? else { return Ok(Vec::new()) };
        let members = self.members(config, image).await?;
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let found = (&report, stored.result.scanned_at);
        let event = |vulnerability: &String| AffectedEvent::new(org, image, vulnerability, found, &members);
        Ok(vulnerabilities.iter().filter_map(event).collect())
    }

    /// Where an image counts, sorted.
    async fn members(&self, config: &Config, image: &ImageId) -> Result<Vec<EventMember>, RecordError> {
        let (org, latest) = (&config.org, StreamName::latest_indexed());
        let places = self.records.places(org, &image.digest, &image.platform).await?;
        let places = places.into_iter().filter(|place| place.counted);
        let indexed = places.map(|ImagePlace { image, tag, seen_at, .. }| {
            (latest.clone(), Member::pending(image, tag, seen_at))
        });
        let environments = self.records.environments_of(org, image).await?;
        let running = environments.into_iter().map(|place| (place.target.stream.clone(), place.member()));
        let mut members = Vec::new();
        let is_configured =
            |(_, member): &(StreamName, Member)| config.registry(&member.image.registry).is_some();
        for (stream, member) in indexed.chain(running).filter(is_configured) {
            // Another image may have come to its slot, or it may have left.
            let in_slot = self.records.member_in_slot_of(org, &stream, &member).await?;
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
