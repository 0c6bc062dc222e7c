//! Notifications of Quay about pushes to a repository: <https://docs.projectquay.io/use_quay.html#repository-notifications>.
//!
//! A body tells of the tags that were updated, as a list, or as a map in what older versions send. After three answers that are no
//! success Quay sends nothing any more.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::{Kind, MOST_EVENTS, NotificationError, Push};

pub(super) const KIND: Kind = Kind { media_types: &["application/json"], parse };

#[derive(Deserialize)]
struct Notification {
    repository: String,
    /// Other events have none.
    #[serde(default)]
    updated_tags: Value,
}

fn parse(body: &[u8]) -> Result<BTreeSet<Push>, NotificationError> {
    let told: Notification = serde_json::from_slice(body).map_err(|_| NotificationError::NoNotification)?;
    let tags: Vec<&str> = match &told.updated_tags {
        Value::Array(tags) => tags.iter().filter_map(Value::as_str).collect(),
        Value::Object(tags) => tags.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    if tags.len() > MOST_EVENTS {
        return Err(NotificationError::TooManyEvents);
    }
    Ok(tags.into_iter().filter_map(|tag| Push::named(&told.repository, Some(tag))).collect())
}
