//! `tidewatch reconcile`: looks whether numbers follow from what they were made of, and mends those that do not.

use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;
use tidewatch_core::names::OrgName;
use tidewatch_roll_up_streams::{Reconciliation, RollUpStreams};
use tidewatch_runtime::system::SystemClock;

use super::Context;
use crate::cli::Org;
use crate::failure::{Failure, exit};
use crate::output::{Table, advise, cell, print_document, while_waiting};

#[derive(Serialize)]
struct Document<'a> {
    org: OrgName,
    #[serde(flatten)]
    found: &'a Reconciliation,
}

pub(super) async fn run(context: &Context, org: Org) -> Result<ExitCode, Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(org.org).await?;
    let roll_up = RollUpStreams::new(instance.records.clone(), Arc::new(SystemClock));
    let comparing = async { roll_up.reconcile(&org).await.map_err(Failure::new) };
    let found = while_waiting(context.quiet, "comparing numbers with rows", Box::pin(comparing)).await?;
    let is_sound = found.drift.is_empty() && found.unreadable.is_empty();
    let code = if is_sound { ExitCode::SUCCESS } else { ExitCode::from(exit::CONDITION_NOT_MET) };
    if context.is_json() {
        print_document("reconcile", 1, &Document { org, found: &found })?;
        return Ok(code);
    }
    for (what, rows) in [("DRIFT", &found.drift), ("CANNOT BE READ", &found.unreadable)] {
        if rows.is_empty() {
            continue;
        }
        let mut table = Table::new(["STREAM", "PLACE", what]);
        for row in rows {
            table.row([cell(row.stream.as_str()), cell(&row.place), cell(&row.reason)]);
        }
        table.print();
    }
    let Reconciliation { members, totals, drift, unreadable } = &found;
    let rest = match (drift.len(), instance.is_running) {
        (0, _) if !unreadable.is_empty() => format!("{} cannot be read, the others follow", unreadable.len()),
        (0, _) => "all follow from their rows".to_owned(),
        (count, true) => {
            format!("{count} did not follow from their rows, and are mended with the next roll-up")
        }
        (count, false) => {
            format!(
                "{count} did not follow from their rows, and are mended once local mode runs: tidewatch up"
            )
        }
    };
    advise(context.quiet, &format!("{members} members and {totals} totals compared: {rest}"));
    Ok(code)
}
