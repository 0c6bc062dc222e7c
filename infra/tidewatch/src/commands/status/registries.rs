//! Which registries have asked for a pause.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tidewatch_core::budget::Account;
use tidewatch_core::config::Config;
use tidewatch_core::names::RegistryId;
use tidewatch_core::ports::RateBudgets as _;

use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{ago, print_line};

/// How a registry may be asked.
#[derive(Serialize)]
pub(super) struct RegistryRow {
    /// Until when nothing is asked of it, as it has told somebody; `null` when it may be asked.
    not_before: Option<Timestamp>,
}

/// The registries of the configuration, by their ids.
pub(super) async fn registries(
    instance: &Instance,
    config: &Config,
    now: Timestamp,
) -> Result<BTreeMap<RegistryId, RegistryRow>, Failure> {
    let mut rows = BTreeMap::new();
    for registry in &config.registries {
        let not_before = instance.records.not_before(&Account::of(registry)).await?;
        let not_before = not_before.filter(|until| *until > now);
        rows.insert(registry.id.clone(), RegistryRow { not_before });
    }
    Ok(rows)
}

/// Names those that are not asked now.
pub(super) fn print(registries: &BTreeMap<RegistryId, RegistryRow>, now: Timestamp) {
    for (id, row) in registries {
        if let Some(until) = row.not_before {
            print_line(&format!("registry {id}: has asked for a pause, which ends {}", ago(until, now)));
        }
    }
}
