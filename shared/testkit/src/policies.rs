//! Policies in configurations of tests: most tests are about one, whatever others there are.

use serde_json::{Value, json};
use tidewatch_core::policy::TYPES;

/// The policy that most tests are about.
pub const FIXABLE: &str = "fixable-vulnerabilities";

/// The entries of a configuration in which no policy is judged but [`FIXABLE`], with its defaults, and those of `entries` as
/// they are there.
pub fn fixable_only(entries: &Value) -> Value {
    let entries = entries.as_array().cloned().unwrap_or_default();
    let others = TYPES
        .iter()
        .map(|policy_type| policy_type.id)
        .filter(|id| *id != FIXABLE && !entries.iter().any(|entry| entry["id"] == *id));
    let disabled = others.map(|id| json!({"id": id, "enabled": false}));
    Value::Array(entries.iter().cloned().chain(disabled).collect())
}
