//! Rules at work: when each started last, its runs, and how far their listings are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, RuleId};
use tidewatch_core::ports::table::{Condition, Key, Query, TIME_TO_LIVE};
use tidewatch_core::rule::LeftOut;
use tidewatch_core::work::RunId;

use super::{DAY, RecordError, Records, decode, encode, keys, millis, time_to_live, unless_condition_failed};

/// How long runs are kept.
const RUNS_KEPT: Duration = Duration::from_secs(90 * DAY.as_secs());

/// When a rule started last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleState {
    /// The time of its schedule for which it started.
    pub last_slot: Timestamp,
}

/// Why a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunTrigger {
    /// By its schedule.
    Schedule,
    /// By somebody.
    Manual,
}

/// One run of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The rule and the run.
    #[serde(flatten)]
    pub id: RunId,
    /// Why it was started.
    pub trigger: RunTrigger,
    /// When it was started.
    pub started_at: Timestamp,
    /// Whether its rule had a cap when it was started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_cap: bool,
    /// Whether it is known how many images each of its listings takes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_capped: bool,
    /// How it ended; none as long as it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RunEnd>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// When that was seen.
    pub ended_at: Timestamp,
    /// Images that it had queued and that have a result.
    pub scanned: u64,
    /// Those that have failed, and are tried again after their cool-down.
    pub failed: u64,
}

/// How far one listing of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListingState {
    /// It stands in the queue, or is at work.
    Queued,
    /// It is complete.
    Done,
    /// It could not be made; the reason is kept. Nothing was removed because of it.
    Failed,
}

/// One listing of a run: of the repositories of a registry, or of the tags of one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingProgress {
    /// The registry.
    pub registry: RegistryId,
    /// The repository whose tags were listed; without one, the repositories of the registry were.
    pub repository: Option<RepositoryName>,
    /// How far it is.
    pub state: ListingState,
    /// Tags (or repositories) that the registry has.
    pub listed: u64,
    /// Tags that the rule did not choose, by the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Tags that the rule chose.
    pub selected: u64,
    /// Tags that the rule chose and that are no images to scan: artifacts, other platforms, unsupported manifests.
    pub skipped: u64,
    /// Images that got a work row.
    pub queued: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// That it is put off, while it is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_off: Option<PutOff>,
}

/// Why a listing goes on later: its registry throttles, which is no failure of the listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOff {
    /// When it was put off for the first time.
    pub since: Timestamp,
    /// When it goes on.
    pub until: Timestamp,
    /// What throttles.
    pub because: String,
}

/// How long after its time a listing that was put off is still waited for.
const LATE: SignedDuration = SignedDuration::from_mins(30);

impl ListingProgress {
    /// A listing that was just sent for.
    pub const fn queued(registry: RegistryId, repository: Option<RepositoryName>) -> Self {
        let state = ListingState::Queued;
        let (listed, selected, skipped, queued) = (0, 0, 0, 0);
        let left_out = BTreeMap::new();
        let (error, put_off) = (None, None);
        Self { registry, repository, state, listed, left_out, selected, skipped, queued, error, put_off }
    }
}

/// Listings of the tags of repositories that were sent for together. One of them is queued, or at work, until it has an item
/// of its own.
#[derive(Serialize, Deserialize)]
struct SentListings {
    registry: RegistryId,
    repositories: BTreeSet<RepositoryName>,
}

impl Records {
    /// When `rule` started last by its schedule; `None` when it never did.
    pub async fn rule_state(&self, org: &OrgName, rule: &RuleId) -> Result<Option<RuleState>, RecordError> {
        self.record(&keys::rule(org, rule)).await
    }

    /// Notes that `rule` has started for `slot`. `false` when another evaluator has noted that time or a later one.
    pub async fn note_rule_started(
        &self,
        org: &OrgName,
        rule: &RuleId,
        slot: Timestamp,
    ) -> Result<bool, RecordError> {
        let item = encode(keys::rule(org, rule), &RuleState { last_slot: slot })?.with("slot", millis(slot));
        let earlier = Condition::Any(vec![
            Condition::Absent("slot".to_owned()),
            Condition::Less("slot".to_owned(), millis(slot).into()),
        ]);
        Ok(unless_condition_failed(self.table.put(item, earlier).await)?.is_some())
    }

    /// Records a run; one that is there already stays as it is.
    pub async fn put_run(&self, org: &OrgName, run: &Run) -> Result<(), RecordError> {
        let key = Key::new(keys::runs(org, &run.id.rule), run.id.run.clone());
        let item = encode(key, run)?.with(TIME_TO_LIVE, time_to_live(run.started_at, RUNS_KEPT));
        unless_condition_failed(self.table.put(item, Condition::ItemAbsent).await)?;
        Ok(())
    }

    /// Notes how a run ended.
    pub async fn end_run(&self, org: &OrgName, run: &Run, end: RunEnd) -> Result<(), RecordError> {
        self.replace_run(org, &Run { end: Some(end), ..run.clone() }).await
    }

    /// Notes that the listings of a run were told how many images it takes.
    pub async fn note_capped(&self, org: &OrgName, run: &Run) -> Result<(), RecordError> {
        self.replace_run(org, &Run { is_capped: true, ..run.clone() }).await
    }

    async fn replace_run(&self, org: &OrgName, run: &Run) -> Result<(), RecordError> {
        let key = Key::new(keys::runs(org, &run.id.rule), run.id.run.clone());
        let item = encode(key, run)?.with(TIME_TO_LIVE, time_to_live(run.started_at, RUNS_KEPT));
        Ok(self.table.put(item, Condition::Always).await?)
    }

    /// The latest runs of `rule`, newest first, at most `most`.
    pub async fn runs(&self, org: &OrgName, rule: &RuleId, most: usize) -> Result<Vec<Run>, RecordError> {
        let query = Query::prefix(keys::runs(org, rule), "").limit(most).descending();
        self.table.query(query).await?.items.iter().map(decode).collect()
    }

    /// Records that a listing was sent for, unless it is there already.
    pub async fn put_listing_queued(
        &self,
        org: &OrgName,
        run: &RunId,
        registry: &RegistryId,
        repository: Option<&RepositoryName>,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let progress = ListingProgress::queued(registry.clone(), repository.cloned());
        let item = encode(keys::listing(org, run, registry, repository), &progress)?
            .with(TIME_TO_LIVE, time_to_live(now, RUNS_KEPT));
        unless_condition_failed(self.table.put(item, Condition::ItemAbsent).await)?;
        Ok(())
    }

    /// Records how far a listing is.
    pub async fn put_listing(
        &self,
        org: &OrgName,
        run: &RunId,
        progress: &ListingProgress,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let key = keys::listing(org, run, &progress.registry, progress.repository.as_ref());
        let item = encode(key, progress)?.with(TIME_TO_LIVE, time_to_live(now, RUNS_KEPT));
        Ok(self.table.put(item, Condition::Always).await?)
    }

    /// Records that a listing goes on at `until`, because of what throttles, and gives since when it is put off; `None` when
    /// it has ended, as a message that comes twice finds it.
    pub async fn put_off_listing(
        &self,
        org: &OrgName,
        run: &RunId,
        (registry, repository): (&RegistryId, Option<&RepositoryName>),
        (until, because): (Timestamp, &str),
        now: Timestamp,
    ) -> Result<Option<Timestamp>, RecordError> {
        let key = keys::listing(org, run, registry, repository);
        loop {
            let known = self.table.get(&key).await?;
            let progress = known.as_ref().map(decode::<ListingProgress>).transpose()?;
            let progress =
                progress.unwrap_or_else(|| ListingProgress::queued(registry.clone(), repository.cloned()));
            if progress.state != ListingState::Queued {
                return Ok(None);
            }
            let since = progress.put_off.as_ref().map_or(now, |put_off| put_off.since);
            let put_off = Some(PutOff { since, until, because: because.to_owned() });
            let item = encode(key.clone(), &ListingProgress { put_off, ..progress })?
                .with(TIME_TO_LIVE, time_to_live(now, RUNS_KEPT));
            let unchanged = known.as_ref().and_then(|known| known.text("data"));
            let unchanged = unchanged
                .map_or(Condition::ItemAbsent, |data| Condition::Equal("data".to_owned(), data.into()));
            if unless_condition_failed(self.table.put(item, unchanged).await)?.is_some() {
                return Ok(Some(since));
            }
        }
    }

    /// Whether a listing of a run waits for its registry: it was put off to a time that has not come, or came lately.
    pub async fn has_listings_put_off(
        &self,
        org: &OrgName,
        run: &RunId,
        now: Timestamp,
    ) -> Result<bool, RecordError> {
        let is_put_off = |listing: &ListingProgress| {
            listing.state == ListingState::Queued
                && listing.put_off.as_ref().is_some_and(|put_off| now.duration_since(put_off.until) < LATE)
        };
        Ok(self.recorded_unless(org, run, is_put_off).await?.is_none())
    }

    /// A listing of a run.
    pub async fn listing(
        &self,
        org: &OrgName,
        run: &RunId,
        registry: &RegistryId,
        repository: Option<&RepositoryName>,
    ) -> Result<Option<ListingProgress>, RecordError> {
        self.record(&keys::listing(org, run, registry, repository)).await
    }

    /// Records that the listings of these repositories were sent for, in one item for all of them.
    pub async fn put_listings_sent(
        &self,
        org: &OrgName,
        run: &RunId,
        registry: &RegistryId,
        repositories: &[RepositoryName],
        now: Timestamp,
    ) -> Result<(), RecordError> {
        if repositories.is_empty() {
            return Ok(());
        }
        let sent =
            SentListings { registry: registry.clone(), repositories: repositories.iter().cloned().collect() };
        let names: Vec<&str> = sent.repositories.iter().map(RepositoryName::as_str).collect();
        let key = keys::sent_listings(org, run, registry, &Digest::of(names.join("\n").as_bytes()));
        let item = encode(key, &sent)?.with(TIME_TO_LIVE, time_to_live(now, RUNS_KEPT));
        Ok(self.table.put(item, Condition::Always).await?)
    }

    /// The listings of a run, sorted by registry and repository.
    pub async fn listings(&self, org: &OrgName, run: &RunId) -> Result<Vec<ListingProgress>, RecordError> {
        let items = self.all(Query::prefix(keys::listings(org, run), keys::LISTING)).await?;
        let mut listings = BTreeMap::new();
        for item in &items {
            let listing: ListingProgress = decode(item)?;
            listings.insert((listing.registry.clone(), listing.repository.clone()), listing);
        }
        // Read after that: where the listing of a registry is complete, all that it has sent for is there.
        for item in self.all(Query::prefix(keys::listings(org, run), keys::SENT)).await? {
            let SentListings { registry, repositories } = decode(&item)?;
            for repository in repositories {
                let queued = || ListingProgress::queued(registry.clone(), Some(repository.clone()));
                listings.entry((registry.clone(), Some(repository.clone()))).or_insert_with(queued);
            }
        }
        Ok(listings.into_values().collect())
    }

    /// Whether a listing of a run is queued or at work. One that cannot be read does not count: nobody waits for it.
    pub async fn has_queued_listings(&self, org: &OrgName, run: &RunId) -> Result<bool, RecordError> {
        let is_queued = |listing: &ListingProgress| listing.state == ListingState::Queued;
        let Some(ended) = self.recorded_unless(org, run, is_queued).await? else { return Ok(true) };
        let sent = self.all(Query::prefix(keys::listings(org, run), keys::SENT)).await?;
        let sent = sent.iter().filter_map(|item| decode::<SentListings>(item).ok());
        let is_queued = |SentListings { registry, repositories }: SentListings| {
            let key = |name: &RepositoryName| keys::listing(org, run, &registry, Some(name)).sort;
            repositories.iter().any(|repository| !ended.contains(&key(repository)))
        };
        Ok(sent.into_iter().any(is_queued))
    }

    /// The sort keys of the listings of a run that are recorded; `None` as soon as one is found that is `wanted`.
    async fn recorded_unless(
        &self,
        org: &OrgName,
        run: &RunId,
        is_wanted: impl Fn(&ListingProgress) -> bool,
    ) -> Result<Option<BTreeSet<String>>, RecordError> {
        let mut query = Query::prefix(keys::listings(org, run), keys::LISTING);
        let mut recorded = BTreeSet::new();
        loop {
            let page = self.table.query(query.clone()).await?;
            if page.items.iter().filter_map(|item| decode(item).ok()).any(|listing| is_wanted(&listing)) {
                return Ok(None);
            }
            recorded.extend(page.items.into_iter().map(|item| item.key.sort));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(Some(recorded)),
            }
        }
    }
}
