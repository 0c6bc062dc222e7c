//! The windows of the rules of an organisation: what is dispatched now, and what waits for the next one.
//!
//! Work that is due while no rule that has found it has an open window is made due when the first of them opens, once for
//! each window. When the windows in force are others, what waits for the earlier ones is looked at again.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::{OrgName, RegistryId, RuleId};
use tidewatch_core::rule::Schedule;
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{AppliedConfig, DueWork, HeldPlace, RecordError, Records};

use crate::EvaluateRules;

/// How many rows are moved at the same time.
const MOVED_AT_ONCE: usize = 25;

/// What becomes of work that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is dispatched.
    Now,
    /// It waits until a window opens.
    At(Timestamp),
    /// That cannot be told now: it stays where it is.
    Unknown,
}

/// The windows of all rules of an organisation.
pub(crate) struct Windows {
    rules: BTreeMap<RuleId, RuleWindows>,
    /// Whether any of them has windows.
    are_there: bool,
    /// Names all of them.
    fingerprint: Digest,
}

struct RuleWindows {
    schedule: Schedule,
    /// Whether it is held up when its window is closed.
    closed: Closed,
}

/// What holds of a rule as long as its next window is the one that was next when that was looked up.
#[derive(Clone, Copy)]
enum Closed {
    /// It is held up.
    Holds,
    /// It was run by hand, and is not held up before this window opens.
    ByHandUntil(Timestamp),
    /// It could not be looked up.
    Unknown,
}

impl Windows {
    /// Looks up how the windows of the rules in force stand at `now`.
    pub(crate) async fn read(
        records: &Records,
        org: &OrgName,
        applied: &AppliedConfig,
        now: Timestamp,
    ) -> Self {
        let mut rules = BTreeMap::new();
        for rule in &applied.config.rules {
            let closed = match rule.schedule.closed_until(now) {
                None => Closed::Holds,
                Some(opens_at) => match records.held_until(org, rule, now).await {
                    Ok(Some(_)) => Closed::Holds,
                    Ok(None) => Closed::ByHandUntil(opens_at),
                    Err(error) => {
                        let error = describe(&error);
                        tracing::error!(
                            org.name = %org, rule.id = %rule.id, error, "runs of a rule cannot be looked up"
                        );
                        Closed::Unknown
                    }
                },
            };
            rules.insert(rule.id.clone(), RuleWindows { schedule: rule.schedule.clone(), closed });
        }
        let with_windows = applied.config.rules.iter().filter(|rule| rule.schedule.has_windows());
        // Work that was found by a run by hand, and made to wait by one who did not know of that, is looked at again.
        let by_hand = |rule: &RuleConfig| match rules.get(&rule.id).map(|rule: &RuleWindows| rule.closed) {
            Some(Closed::ByHandUntil(opens_at)) => opens_at.to_string(),
            _ => String::new(),
        };
        let windows: Vec<String> =
            with_windows.map(|rule| format!("{} {} {}", rule.id, rule.schedule, by_hand(rule))).collect();
        let fingerprint = Digest::of(windows.join("\n").as_bytes());
        Self { rules, are_there: !windows.is_empty(), fingerprint }
    }

    /// What becomes, at `now`, of work that these rules have found: the first window of any of them is its own. Rules that
    /// are not there any more do not count, unless none is left; then, and without any rule, it does not wait.
    fn turn(&self, rules: &[RuleId], now: Timestamp) -> Turn {
        let turns = rules.iter().filter_map(|rule| self.rules.get(rule)).map(|rule| rule.turn(now));
        turns.min_by_key(|turn| turn.rank()).unwrap_or(Turn::Now)
    }

    /// What becomes, at `now`, of each of these rows, by the same rules.
    pub(crate) fn turns<'a>(
        &self,
        due: &'a [DueWork],
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a DueWork, Turn)> {
        let mut known: BTreeMap<&'a [RuleId], Turn> = BTreeMap::new();
        due.iter().map(move |due| {
            let rules = due.rules.as_slice();
            (due, *known.entry(rules).or_insert_with(|| self.turn(rules, now)))
        })
    }
}

impl RuleWindows {
    fn turn(&self, now: Timestamp) -> Turn {
        match (self.schedule.closed_until(now), self.closed) {
            (None, _) => Turn::Now,
            (Some(opens_at), Closed::ByHandUntil(next)) if opens_at == next => Turn::Now,
            (Some(_), Closed::Unknown) => Turn::Unknown,
            (Some(opens_at), _) => Turn::At(opens_at),
        }
    }
}

impl Turn {
    /// The earlier, the less. What is not known could be now.
    const fn rank(self) -> Timestamp {
        match self {
            Self::Now => Timestamp::MIN,
            Self::Unknown => Timestamp::UNIX_EPOCH,
            Self::At(opens_at) => opens_at,
        }
    }
}

impl EvaluateRules {
    /// Makes rows wait for their windows. Gives their number.
    pub(crate) async fn hold(
        &self,
        org: &OrgName,
        waiting: &[(&DueWork, Timestamp)],
    ) -> Result<usize, RecordError> {
        let moves: Vec<_> =
            waiting.iter().map(|(due, opens_at)| self.records.hold(org, due, *opens_at)).collect();
        futures::stream::iter(moves).buffer_unordered(MOVED_AT_ONCE).try_collect::<()>().await?;
        Ok(waiting.len())
    }

    /// Looks at all work that waits for a window, when the windows in force are not those that were noted last: what need not
    /// wait any more is due now, what could go earlier goes earlier. That it was done is noted last.
    pub(crate) async fn apply_windows(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
        windows: &Windows,
    ) -> Result<(), RecordError> {
        let noted = self.records.noted_windows(org).await?;
        if noted == Some(windows.fingerprint) || (noted.is_none() && !windows.are_there) {
            return Ok(());
        }
        let mut all_known = true;
        for registry in &applied.config.registries {
            all_known &= self.move_held(org, &registry.id, windows).await?;
        }
        if all_known { self.records.note_windows(org, &windows.fingerprint).await } else { Ok(()) }
    }

    /// Gives whether it could be told of all held work when its turn is.
    async fn move_held(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        windows: &Windows,
    ) -> Result<bool, RecordError> {
        let (now, mut all_known, mut place) = (self.clock.now(), true, Some(HeldPlace::default()));
        // What is moved within its partition is met once more, and stays then.
        while let Some(from) = place {
            let (held, next) = self.records.held_page(org, registry, from).await?;
            let (mut released, mut earlier) = (Vec::new(), Vec::new());
            for (due, turn) in windows.turns(&held, now) {
                match turn {
                    Turn::Now => released.push(due),
                    Turn::At(opens_at) if opens_at < due.due_at => earlier.push((due, opens_at)),
                    Turn::At(_) => {}
                    Turn::Unknown => all_known = false,
                }
            }
            self.hold(org, &earlier).await?;
            let moves: Vec<_> = released.into_iter().map(|due| self.records.release(org, due, now)).collect();
            futures::stream::iter(moves).buffer_unordered(MOVED_AT_ONCE).try_collect::<()>().await?;
            place = next;
        }
        Ok(all_known)
    }

    /// Has all held work looked at again at the next tick, when other windows have come into force while this evaluator made
    /// work wait for `windows`: that may have missed it.
    pub(crate) async fn look_again_if_late(
        &self,
        org: &OrgName,
        windows: &Windows,
    ) -> Result<(), RecordError> {
        if self.records.noted_windows(org).await? == Some(windows.fingerprint) {
            return Ok(());
        }
        self.records.note_windows(org, &windows.fingerprint).await
    }
}
