//! Webhooks of Azure Container Registry:
//! <https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference>.
//!
//! A body tells of one event. A manifest that is pushed by its digest, as each child of an index is, comes without a tag; `ping` is
//! sent to try the webhook. What is refused or not answered is not sent again.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Kind, NotificationError, Push};

pub(super) const KIND: Kind = Kind { media_types: &["application/json"], parse };

#[derive(Deserialize)]
struct Notification {
    action: String,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    repository: Option<String>,
    tag: Option<String>,
}

fn parse(body: &[u8]) -> Result<BTreeSet<Push>, NotificationError> {
    let told: Notification = serde_json::from_slice(body).map_err(|_| NotificationError::NoNotification)?;
    let target = told.target.filter(|_| told.action == "push");
    let push = target.and_then(|target| Push::named(target.repository.as_deref()?, target.tag.as_deref()));
    Ok(push.into_iter().collect())
}
