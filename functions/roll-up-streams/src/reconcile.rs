//! Looks whether what stands in slots and totals follows from what it was made of, and mends what does not. The roll-up
//! protocol promises that it always does: whatever is found is a mistake of the program, and is logged as one.
//!
//! What somebody may just be at work on is no drift: a member is compared with a result that has stood for an hour, with
//! what it is judged to where it stands only when all images are judged by what has been in force for an hour, and totals
//! with members while nobody has marked them.

use std::time::Duration;

use serde::Serialize;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::result::{ImageResult, ResultState};
use tidewatch_core::severity::{Severity, SeverityCounts};
use tidewatch_core::stream::{Layout, Member, Totals};
use tidewatch_core::{Retry, Retryable as _, Timestamp};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{Filling, NewTotals, Part, PartState, StoredResult, SwitchProgress};

use crate::groups::Pass;
use crate::{RollUpError, RollUpStreams};

/// How long a result has stood before slots that do not follow it are a mistake.
const SETTLED: Duration = Duration::from_secs(3600);

/// How many minutes a day has: at each of them a tick reconciles other groups.
const MINUTES: i64 = 24 * 60;

/// What was looked at, and what did not follow from what it was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// Members that were compared with their results.
    pub members: u64,
    /// Shards and groups whose totals were compared.
    pub totals: u64,
    /// What was wrong, and is mended.
    pub drift: Vec<Drift>,
    /// What cannot be read, and why. Nothing is known of whether it follows.
    pub unreadable: Vec<Drift>,
}

/// Something that did not follow from what it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The stream.
    pub stream: StreamName,
    /// The slot, shard or group.
    pub place: String,
    /// What was wrong with it.
    pub reason: String,
}

/// Where it is looked.
#[derive(Clone, Copy)]
struct Looking<'a> {
    pass: &'a Pass<'a>,
    stream: &'a StreamName,
    /// Whether slots hold what their images are judged to by what is in force.
    is_judged: bool,
}

impl RollUpStreams {
    /// Reconciles all streams of an organisation now. After the next roll-up its numbers are those of its rows.
    pub async fn reconcile(&self, org: &OrgName) -> Result<Reconciliation, RollUpError> {
        self.reconcile_groups(org, |_| true).await
    }

    /// Reconciles the groups whose turn it is at this minute since 1970: each has one a day.
    pub(crate) async fn reconcile_in_turn(&self, org: &OrgName, minute: i64) -> Result<(), RollUpError> {
        self.reconcile_groups(org, |number| number % MINUTES == minute.rem_euclid(MINUTES)).await.map(drop)
    }

    async fn reconcile_groups(
        &self,
        org: &OrgName,
        is_meant: impl Fn(i64) -> bool + Send,
    ) -> Result<Reconciliation, RollUpError> {
        let mut found = Reconciliation::default();
        let Some(in_force) = self.records.in_force(org, None).await? else { return Ok(found) };
        let pass = Pass::new(org, &in_force, self.clock.now());
        let is_judged = self.are_judged(&pass).await?;
        let mut number = 0;
        for stream in self.records.streams(org, &pass.applied.config).await?.names {
            for group in Layout::of(&stream).groups() {
                if is_meant(number) {
                    let looking = Looking { pass: &pass, stream: &stream, is_judged };
                    self.reconcile_group(looking, group, &mut found).await?;
                }
                number += 1;
            }
        }
        for Drift { stream, place, reason } in &found.drift {
            tracing::error!(
                org.name = %org, stream.name = %stream, drift.place = place, drift.reason = reason, "drift mended"
            );
        }
        for Drift { stream, place, reason } in &found.unreadable {
            tracing::error!(
                org.name = %org, stream.name = %stream, drift.place = place, drift.reason = reason,
                "numbers cannot be compared with their rows"
            );
        }
        Ok(found)
    }

    /// Whether all images are judged by what is in force, and have been long enough for all slots to follow.
    async fn are_judged(&self, pass: &Pass<'_>) -> Result<bool, RollUpError> {
        let is_long = |since: Timestamp| since.checked_add(SETTLED).is_ok_and(|settled| settled <= pass.now);
        if !is_long(pass.applied.applied_at) {
            return Ok(false);
        }
        let postings = self.records.postings(pass.org).await?.map(|stored| stored.postings);
        let covered = postings.as_ref().and_then(|postings| postings.covered.as_ref());
        let is_sent = covered.is_some_and(|covered| covered.judging == pass.judging);
        let Some(switch) = self.records.switch(pass.org).await?.filter(|_| is_sent) else { return Ok(false) };
        if switch.judging != pass.judging || !is_long(switch.sent_at) {
            return Ok(false);
        }
        let progress = self.records.switch_progress(pass.org, &pass.judging).await?;
        Ok(switch.is_forgotten(pass.now) || progress.is_some_and(SwitchProgress::is_done))
    }

    async fn reconcile_group(
        &self,
        looking: Looking<'_>,
        group: u16,
        found: &mut Reconciliation,
    ) -> Result<(), RollUpError> {
        let Looking { pass, stream, .. } = looking;
        let before = self.records.part(pass.org, stream, Part::Group(group)).await?;
        if !before.has_members() {
            return Ok(());
        }
        let shards = self.records.shards(pass.org, stream, group).await?;
        let mut sum = Totals::default();
        for (shard, state) in &shards {
            sum += &state.totals;
            if state.has_members() {
                self.reconcile_shard(looking, *shard, state, found).await?;
            }
        }
        let is_clean = |(_, state): &(u16, PartState)| !state.is_dirty(pass.now, pass.applied.version);
        if shards.iter().all(is_clean) {
            self.reconcile_totals(pass, stream, Part::Group(group), (&before, sum), found).await?;
        }
        Ok(())
    }

    async fn reconcile_shard(
        &self,
        looking: Looking<'_>,
        shard: u16,
        state: &PartState,
        found: &mut Reconciliation,
    ) -> Result<(), RollUpError> {
        let Looking { pass, stream, is_judged } = looking;
        let mut members = match self.records.members(pass.org, stream, shard).await {
            Err(error) if error.retry() == Retry::Never => {
                let (stream, place) = (stream.clone(), format!("shard {shard}"));
                found.unreadable.push(Drift { stream, place, reason: describe(&error) });
                return Ok(());
            }
            members => members?,
        };
        members.retain(|member| pass.applied.counts(stream, member));
        let ids: Vec<_> = members.iter().map(|member| member.image.id()).collect();
        let results = self.records.results(pass.org, &ids).await?;
        let mut is_sound = true;
        for (member, stored) in members.iter_mut().zip(results) {
            found.members += 1;
            let stored = match stored {
                Err(error) if error.retry() == Retry::Never => {
                    let (stream, place) = (stream.clone(), member.image.to_string());
                    found.unreadable.push(Drift { stream, place, reason: describe(&error) });
                    continue;
                }
                stored => stored?,
            };
            let Some(stored) = stored.filter(|stored| is_settled(&stored.result, pass)) else { continue };
            let reason = match differs(member, &stored.result) {
                None if is_judged => self.differs_there(looking, member, &stored).await?,
                reason => reason,
            };
            let Some(reason) = reason else { continue };
            is_sound = false;
            found.drift.push(Drift { stream: stream.clone(), place: member.image.to_string(), reason });
            self.rejudge(pass.org, pass.in_force, stream, member, pass.now).await?;
            self.records.mark_member(pass.org, stream, member).await?;
        }
        if is_sound {
            let totals = members.iter().collect();
            self.reconcile_totals(pass, stream, Part::Shard(shard), (state, totals), found).await?;
        }
        Ok(())
    }

    /// Why `member` is not what its image is judged to where it stands.
    async fn differs_there(
        &self,
        Looking { pass, stream, .. }: Looking<'_>,
        member: &Member,
        stored: &StoredResult,
    ) -> Result<Option<String>, RollUpError> {
        // Such a result does not enter the slot of a repository, and has no rows.
        let is_known = !matches!(stored.result.state, ResultState::Pending | ResultState::Failed);
        let is_due = member.next_change_at.is_some_and(|change| change <= pass.now);
        if !is_known || is_due {
            return Ok(None);
        }
        let mut judged = member.clone();
        let mut filling = Filling::new(stored, pass.in_force, pass.now);
        self.records.fill_slot(pass.org, stream, &mut judged, &mut filling).await?;
        let answers = |member: &Member| (member.severities, member.suppressed, member.policies.clone());
        let (held, there) = (answers(member), answers(&judged));
        Ok((held != there).then(|| format!("it holds {held:?}, and is judged to {there:?} there")))
    }

    /// Compares the totals of a part, which was as `state` before the rows were read that give `expected`. Nothing is said
    /// of one that is dirty, or was written since.
    async fn reconcile_totals(
        &self,
        pass: &Pass<'_>,
        stream: &StreamName,
        part: Part,
        (state, expected): (&PartState, Totals),
        found: &mut Reconciliation,
    ) -> Result<(), RollUpError> {
        let version = pass.applied.version;
        if state.is_dirty(pass.now, version) || state.config_version != version {
            return Ok(());
        }
        found.totals += 1;
        if state.totals == expected || self.records.part(pass.org, stream, part).await? != *state {
            return Ok(());
        }
        let reason = format!("its totals are {:?}, its rows give {expected:?}", state.totals);
        found.drift.push(Drift { stream: stream.clone(), place: format!("{part:?}"), reason });
        let new = NewTotals {
            computed_seq: state.computed_seq,
            config_version: version,
            computed_at: pass.now,
            totals: expected,
        };
        self.records.put_totals(pass.org, stream, part, state, &new).await?;
        if let Part::Shard(shard) = part {
            self.records.mark_group_of(pass.org, stream, shard).await?;
        }
        Ok(())
    }
}

fn is_settled(result: &ImageResult, pass: &Pass<'_>) -> bool {
    result.scanned_at.checked_add(SETTLED).is_ok_and(|settled| settled <= pass.now)
        && result.next_change_at.is_none_or(|change| change > pass.now)
}

/// Why `member` does not follow from the result of its image: what exceptions suppress depends on the slot, but what there
/// is to suppress does not.
fn differs(member: &Member, result: &ImageResult) -> Option<String> {
    let all = |counted: &SeverityCounts, suppressed: &SeverityCounts| {
        Severity::ALL.map(|severity| counted.of(severity) + suppressed.of(severity))
    };
    let held = (member.state, all(&member.severities, &member.suppressed));
    let known = (result.state, all(&result.severities, &result.suppressed));
    (held != known).then(|| format!("it holds {held:?}, its result is {known:?}"))
}
