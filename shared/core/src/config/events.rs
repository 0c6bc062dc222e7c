//! Which events are told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Severity;

/// Events on the event bus of the deployment (in local mode: lines of the log), for images that are newly affected by a
/// vulnerability: one was published about packages that they have had all along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Events")]
pub struct EventsConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// The least severity of a vulnerability that is told.
    pub severity: Severity,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self { enabled: true, severity: Severity::High }
    }
}

impl EventsConfig {
    /// The least severity that is told; `None` when nothing is.
    pub fn threshold(self) -> Option<Severity> {
        self.enabled.then_some(self.severity)
    }
}
