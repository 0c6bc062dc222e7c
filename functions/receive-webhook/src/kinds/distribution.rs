//! Notifications of the `distribution` registry, versions 2 and 3:
//! <https://distribution.github.io/distribution/about/notifications/>.
//!
//! An envelope holds events. Pushes of layers come as push events too, with the media type of the layer, and pulls come
//! unless the registry is told to leave them out, our own among them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use tidewatch_core::manifest::media_type::{is_image_manifest, is_index};

use super::{Kind, MOST_EVENTS, NotificationError, Push};

pub(super) const KIND: Kind = Kind {
    media_types: &[
        // Version 2 of the registry, then version 3; the envelope is the same.
        "application/vnd.docker.distribution.events.v1+json",
        "application/vnd.docker.distribution.events.v2+json",
        "application/json",
    ],
    parse,
};

#[derive(Deserialize)]
struct Envelope {
    events: Vec<Value>,
}

#[derive(Deserialize)]
struct Event {
    action: String,
    target: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    media_type: String,
    repository: String,
    /// A push by digest has none.
    tag: String,
}

fn parse(body: &[u8]) -> Result<BTreeSet<Push>, NotificationError> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(|_| NotificationError::NoNotification)?;
    if envelope.events.len() > MOST_EVENTS {
        return Err(NotificationError::TooManyEvents);
    }
    Ok(envelope.events.into_iter().filter_map(push).collect())
}

/// The push of a tag that an event tells of. Schema 1 has no images that could be scanned.
fn push(event: Value) -> Option<Push> {
    let Event { action, target } = serde_json::from_value(event).ok()?;
    let is_manifest = is_image_manifest(&target.media_type) || is_index(&target.media_type);
    if action != "push" || !is_manifest {
        return None;
    }
    Some(Push { repository: target.repository.parse().ok()?, tag: target.tag.parse().ok()? })
}
