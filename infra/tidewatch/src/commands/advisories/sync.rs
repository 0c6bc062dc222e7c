//! `tidewatch advisories sync`: has advisories fetched now, and waits for them if that is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::anyhow;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::{Clock as _, Sleeper as _};
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_runtime::messages::send;
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::Records;
use tidewatch_store::records::{AdvisorySource, SourceProgress, StoredSource};
use tidewatch_sync_advisories::parse_ecosystems;

use super::super::Context;
use super::super::advisory_sources::{self, SourceRow, is_going_on};
use crate::cli::SyncAdvisories;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{Progress, ProgressBars, advise, print_document, print_line};

/// How long nothing may move before it is not waited any more.
const PATIENCE: SignedDuration = SignedDuration::from_mins(20);

#[derive(Serialize)]
struct Sent {
    /// The sources that were sent for.
    ecosystems: Vec<String>,
    /// What came of it; only when that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<SourceRow>>,
}

/// Sends for sources, and says how to look what comes of it, or waits for that.
pub(super) async fn run(context: &Context, arguments: SyncAdvisories) -> Result<(), Failure> {
    let names = arguments.names.iter().map(String::as_str).filter(|name| !name.trim().is_empty());
    let is_for_some = names.clone().next().is_some();
    let asked = parse_ecosystems(names).map_err(Failure::wrong_use)?;
    let instance = context.existing_instance().await?;
    if arguments.wait && !instance.is_running {
        return Err(Failure::wrong_use(anyhow!(
            "nobody runs this data folder, so there is nothing to wait for"
        ))
        .hint("start local mode: tidewatch up"));
    }
    let before = instance.records.advisory_sources().await?;
    let set = if is_for_some { None } else { instance.records.advisories_set().await? };
    let sources = set.unwrap_or(asked);
    let message = |name: &String| AdvisoriesMessage {
        accept_fewer: arguments.accept_fewer,
        ..AdvisoriesMessage::of(name)
    };
    let messages: Vec<_> = sources.iter().map(message).collect();
    send(&*instance.queue, QueueName::Advisories, &messages, Duration::ZERO).await?;
    if arguments.wait {
        return waited(context, &instance, sources, &before).await;
    }
    let ecosystems: Vec<String> = sources.into_iter().collect();
    if context.is_json() {
        return print_document("advisories-sync", 1, &Sent { ecosystems, sources: None });
    }
    print_line(&format!("sent for: {}", ecosystems.join(", ")));
    if instance.is_running {
        advise(context.quiet, "see what comes of it: tidewatch advisories info");
    } else {
        advise(context.quiet, "nothing runs on this data folder; it waits for: tidewatch up");
    }
    Ok(())
}

/// Waits for these sources, and prints what came of it.
async fn waited(
    context: &Context,
    instance: &Instance,
    sources: BTreeSet<String>,
    before: &BTreeMap<String, StoredSource>,
) -> Result<(), Failure> {
    wait(context, instance, &sources, before).await?;
    let mut stored = instance.records.advisory_sources().await?;
    stored.retain(|name, _| sources.contains(name));
    let failed = stored.values().filter(|stored| stored.source.error.is_some()).count();
    let now = SystemClock.now();
    let rows = advisory_sources::rows(stored, BTreeMap::new(), now);
    if context.is_json() {
        let ecosystems = sources.into_iter().collect();
        print_document("advisories-sync", 1, &Sent { ecosystems, sources: Some(rows) })?;
    } else {
        advisory_sources::print(&rows, now);
    }
    if failed == 0 {
        return Ok(());
    }
    let noun = if failed == 1 { "source" } else { "sources" };
    Err(Failure::new(anyhow!("{failed} {noun} could not be brought up to date"))
        .hint("what is in force stays; they are tried again by themselves"))
}

/// Waits until each source was fetched and compiled, or has failed. Fails when nothing has moved for twenty minutes.
async fn wait(
    context: &Context,
    instance: &Instance,
    sources: &BTreeSet<String>,
    before: &BTreeMap<String, StoredSource>,
) -> Result<(), Failure> {
    let bars = ProgressBars::new(context.quiet);
    let whole = bars.bar("advisories");
    let mut downloads: BTreeMap<String, Progress> = BTreeMap::new();
    let (mut seen, mut moved_at) = (None, SystemClock.now());
    loop {
        let State { left, fetching, now } = look(&instance.records, sources, before).await?;
        whole.set((sources.len() - left.len()) as u64, sources.len() as u64);
        whole.say(left.first().map_or_else(String::new, |name| format!("waiting for {name}")));
        downloads.retain(|name, bar| {
            let goes_on = fetching.contains_key(name);
            if !goes_on {
                bar.finish();
            }
            goes_on
        });
        for (name, told) in &fetching {
            let bar =
                downloads.entry(name.clone()).or_insert_with(|| bars.bytes(name, told.total.unwrap_or(0)));
            bar.set(told.done, told.total.unwrap_or(0));
        }
        if left.is_empty() {
            whole.finish();
            return Ok(());
        }
        let state = (left, fetching);
        if seen.as_ref() != Some(&state) {
            (seen, moved_at) = (Some(state), now);
        } else if now.duration_since(moved_at) > PATIENCE {
            let (left, _) = state;
            whole.finish();
            let names = left.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Failure::new(anyhow!("nothing has moved for twenty minutes; left are {names}"))
                .hint(format!("it goes on without being waited for; look at {}", instance.place.logs())));
        }
        SystemSleeper.sleep(instance.place.look()).await;
    }
}

/// How far it is.
struct State {
    /// The sources of which nothing has come yet.
    left: BTreeSet<String>,
    fetching: BTreeMap<String, SourceProgress>,
    now: Timestamp,
}

async fn look(
    records: &Records,
    sources: &BTreeSet<String>,
    before: &BTreeMap<String, StoredSource>,
) -> Result<State, Failure> {
    let (stored, mut fetching) = (records.advisory_sources().await?, records.advisory_progress().await?);
    let now = SystemClock.now();
    let of = |known: &BTreeMap<String, StoredSource>, name: &String| {
        known.get(name).map(|stored| stored.source.clone()).unwrap_or_default()
    };
    let left = sources.iter().filter(|name| !is_done(&of(before, name), &of(&stored, name)));
    let left = left.cloned().collect();
    fetching.retain(|name, told| sources.contains(name) && is_going_on(told, &of(&stored, name), now));
    Ok(State { left, fetching, now })
}

/// Whether a source was asked for since, and what came of it is compiled.
fn is_done(before: &AdvisorySource, after: &AdvisorySource) -> bool {
    let failed_at = |source: &AdvisorySource| source.error.as_ref().map(|error| error.at);
    let failed = after.error.is_some() && failed_at(before) != failed_at(after);
    let checked = before.checked_at != after.checked_at;
    let compiled = after.archive.as_ref().is_some_and(|archive| {
        // Who gives scores only has no list of what it is about.
        archive.ids.is_none()
            || after.compiled.as_ref().is_some_and(|compiled| compiled.archive == archive.hash)
    });
    failed || checked && compiled
}

#[cfg(test)]
mod tests {
    use tidewatch_core::Digest;
    use tidewatch_store::records::{SourceArchive, SourceError};

    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    fn source(checked: i64, ids: bool) -> AdvisorySource {
        let hash = Digest::of(b"archive");
        let archive = SourceArchive {
            hash,
            size: 1,
            records: 1,
            problems: 0,
            scores: hash,
            released_at: None,
            ids: ids.then_some(hash),
            table: None,
            format: 1,
        };
        AdvisorySource { checked_at: at(checked), archive: Some(archive), ..AdvisorySource::default() }
    }

    #[test]
    fn a_source_is_done_when_it_was_checked_and_compiled_or_has_failed_anew() {
        let nothing = AdvisorySource::default();
        assert!(!is_done(&nothing, &nothing));
        assert!(is_done(&nothing, &source(1, false)), "what gives scores only is not compiled");
        assert!(!is_done(&nothing, &source(1, true)), "an ecosystem is compiled after it was checked");
        assert!(!is_done(&source(1, false), &source(1, false)));
        let error = SourceError { reason: "gone".to_owned(), at: at(5).unwrap(), failures: 1 };
        let failed = AdvisorySource { error: Some(error), ..source(1, true) };
        assert!(is_done(&source(1, true), &failed));
        assert!(!is_done(&failed, &failed), "an old failure says nothing");
    }
}
