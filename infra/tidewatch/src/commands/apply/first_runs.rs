//! What the first runs of rules cost that `apply` adds or changes: said before they are in force, or how to get it.

use std::time::Duration;

use serde::Serialize;
use tidewatch_core::config::Config;
use tidewatch_core::ports::{Clock as _, Sleeper as _};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::records::AppliedConfig;

use super::super::Context;
use super::super::preview::{RunCost, cost_of};
use super::Change;
use crate::instance::Instance;
use crate::output::while_waiting;

/// A rule of more repositories is not asked for: that is a matter of thousands of requests.
const MOST_REPOSITORIES: usize = 100;

/// How long the registries of one rule are asked.
const LONGEST: Duration = Duration::from_secs(60);

/// What the first run of a rule costs.
#[derive(Debug, Serialize)]
pub(super) struct FirstRun {
    rule: String,
    /// `null` when it is not known.
    cost: Option<RunCost>,
    /// Why it is not known, or not all of it.
    reason: Option<String>,
}

impl FirstRun {
    const fn unknown(rule: String, reason: String) -> Self {
        Self { rule, cost: None, reason: Some(reason) }
    }

    /// The same in a line.
    pub(super) fn line(&self) -> String {
        let Self { rule, cost, reason } = self;
        match (cost, reason) {
            (Some(cost), None) => format!("first run of {rule}: {}", cost.summary()),
            (Some(cost), Some(reason)) => {
                format!("first run of {rule}: {}; without {reason}", cost.summary())
            }
            (None, reason) => format!(
                "first run of {rule}: its cost is not known, {}",
                reason.as_deref().unwrap_or("for nobody has asked")
            ),
        }
    }
}

/// The rules that are new or changed.
fn rules(changes: &[Change]) -> impl Iterator<Item = &str> {
    let is_new = |change: &&Change| change.kind == "rule" && change.action != "removed";
    changes.iter().filter(is_new).map(|change| change.id.as_str())
}

/// Where nobody wants registries to be asked: it takes a request for each of their tags.
pub(super) fn not_asked(changes: &[Change]) -> Vec<FirstRun> {
    let reason =
        |rule: &str| format!("no registry was asked (--estimate, or tidewatch rules preview {rule})");
    rules(changes).map(|rule| FirstRun::unknown(rule.to_owned(), reason(rule))).collect()
}

/// Asks the registries of each rule that is new or changed, as far as that is soon done.
pub(super) async fn estimated(
    instance: &Instance,
    config: &Config,
    current: Option<&AppliedConfig>,
    changes: &[Change],
    context: &Context,
) -> Vec<FirstRun> {
    let mut runs = Vec::new();
    for id in rules(changes) {
        let Some(rule) = config.rules.iter().find(|rule| rule.id.as_str() == id) else { continue };
        // As it will be when it is in force.
        let applied = AppliedConfig {
            config: config.clone(),
            version: current.map_or(0, |current| current.version),
            applied_at: SystemClock.now(),
            vex: current.map(|current| current.vex.clone()).unwrap_or_default(),
            counting: current.map(|current| current.counting.clone()).unwrap_or_default(),
        };
        let asking = async {
            tokio::select! {
                cost = cost_of(instance, &config.org, &applied, rule, MOST_REPOSITORIES) => Some(cost),
                () = SystemSleeper.sleep(LONGEST) => None,
            }
        };
        let told = while_waiting(context.quiet, &format!("asking what {id} will cost"), asking).await;
        let later = format!("tidewatch rules preview {id}, once it is in force, tells it");
        runs.push(match told {
            Some(Ok(Some((cost, errors)))) => {
                let reason = (!errors.is_empty()).then(|| format!("what cannot be read: {}", errors.join("; ")));
                FirstRun { rule: id.to_owned(), cost: Some(cost), reason }
            }
            Some(Ok(None)) => FirstRun::unknown(
                id.to_owned(),
                format!("it has more than {MOST_REPOSITORIES} repositories, which takes too many requests; {later}"),
            ),
            None => FirstRun::unknown(
                id.to_owned(),
                format!("it takes more requests than there are in {} s; {later}", LONGEST.as_secs()),
            ),
            Some(Err(failure)) => FirstRun::unknown(id.to_owned(), failure.text()),
        });
    }
    runs
}
