//! Webhooks of `JFrog` Artifactory about Docker repositories: <https://jfrog.com/help/r/jfrog-platform-administration-documentation/webhooks>.
//!
//! A body tells of one tag, within a repository of Artifactory: its key is the first part of the name by which Tidewatch knows it.
//! What is pushed through a virtual repository is told with the key of the local one.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Kind, NotificationError, Push};

pub(super) const KIND: Kind = Kind { media_types: &["application/json"], parse };

#[derive(Deserialize)]
struct Notification {
    domain: String,
    event_type: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    repo_key: Option<String>,
    image_name: Option<String>,
    tag: Option<String>,
}

fn parse(body: &[u8]) -> Result<BTreeSet<Push>, NotificationError> {
    let told: Notification = serde_json::from_slice(body).map_err(|_| NotificationError::NoNotification)?;
    let is_push = told.domain == "docker" && told.event_type == "pushed";
    let push = told.data.filter(|_| is_push).and_then(|data| {
        let repository = format!("{}/{}", data.repo_key?, data.image_name?);
        Push::named(&repository, data.tag.as_deref())
    });
    Ok(push.into_iter().collect())
}
