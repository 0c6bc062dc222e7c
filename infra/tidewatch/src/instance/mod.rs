//! The instance that a command works on: its records and its queues, wherever they are. `local` opens the one of a data
//! folder, `stack` the one of a deployed stack; commands see no more of it than what is here.

mod builds;
mod place;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::{QueueDepths, QueueSender};
use tidewatch_evaluate_rules::EvaluateRules;
use tidewatch_runtime::system::SystemClock;
use tidewatch_store::Records;

pub(crate) use builds::{BuildFolder, remove_leftovers};
pub(crate) use place::{Given, Place, StackName};

use crate::failure::Failure;

/// The records and the queues of an instance.
pub(crate) struct Instance {
    pub(crate) records: Records,
    pub(crate) queue: Arc<dyn QueueSender>,
    /// Says how much is in the queues.
    pub(crate) depths: Arc<dyn QueueDepths>,
    /// Where it is.
    pub(crate) place: Place,
    /// Whether work is done: by a process on the data folder, or by the functions of a stack, which always are there.
    pub(crate) is_running: bool,
    /// The URL that the paths of its HTTP routes follow, without a slash at its end, where that is known.
    pub(crate) url: Option<String>,
    /// The folder for files that can be made again.
    pub(crate) cache: PathBuf,
}

impl Instance {
    /// The organisation that is meant: the one that was named, which must have a configuration, or the only one.
    pub(crate) async fn org(&self, named: Option<OrgName>) -> Result<OrgName, Failure> {
        let mut orgs = self.records.orgs().await?;
        if let Some(named) = named {
            return if orgs.contains(&named) { Ok(named) } else { Err(no_such_org(&named, &orgs)) };
        }
        match (orgs.pop(), orgs.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(Failure::wrong_use(anyhow!("there is no organisation yet"))
                .hint("put a configuration in force: tidewatch apply tidewatch.yaml")),
            (Some(_), false) => Err(Failure::wrong_use(anyhow!("there are several organisations"))
                .hint("say which one: --org NAME")),
        }
    }

    /// The function that starts rules.
    pub(crate) fn evaluate_rules(&self) -> EvaluateRules {
        EvaluateRules::new(self.records.clone(), Arc::clone(&self.queue), Arc::new(SystemClock))
            .paced_by(Arc::clone(&self.depths))
    }

    /// The folder for files that can be made again.
    pub(crate) fn cache(&self) -> PathBuf {
        self.cache.clone()
    }
}

fn no_such_org(named: &OrgName, orgs: &[OrgName]) -> Failure {
    let known: Vec<&str> = orgs.iter().map(OrgName::as_str).collect();
    let hint = if known.is_empty() {
        "put its configuration in force first: tidewatch apply tidewatch.yaml".to_owned()
    } else {
        format!("there are: {}; another one comes with its configuration: tidewatch apply", known.join(", "))
    };
    Failure::wrong_use(anyhow!("there is no organisation {named}")).hint(hint)
}
