//! Webhooks of Harbor, in its own form and as CloudEvents:
//! <https://goharbor.io/docs/latest/working-with-projects/project-configuration/configure-webhooks/>,
//! <https://github.com/cloudevents/spec/blob/v1.0/json-format.md>.
//!
//! A body tells of one event about some resources of one repository. What has no tag is told with its digest in the place of one.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Kind, MOST_EVENTS, NotificationError, Push};

pub(super) const KIND: Kind =
    Kind { media_types: &["application/json", "application/cloudevents+json"], parse };

/// What is pushed, by the word of each form.
const PUSHES: [&str; 2] = ["PUSH_ARTIFACT", "harbor.artifact.pushed"];

#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "type")]
    kind: String,
    #[serde(alias = "event_data")]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    resources: Vec<Resource>,
    repository: Repository,
}

#[derive(Deserialize)]
struct Resource {
    tag: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_full_name: String,
}

fn parse(body: &[u8]) -> Result<BTreeSet<Push>, NotificationError> {
    let told: Notification = serde_json::from_slice(body).map_err(|_| NotificationError::NoNotification)?;
    let Some(data) = told.data.filter(|_| PUSHES.contains(&told.kind.as_str())) else {
        return Ok(BTreeSet::new());
    };
    if data.resources.len() > MOST_EVENTS {
        return Err(NotificationError::TooManyEvents);
    }
    let of = |resource: &Resource| Push::named(&data.repository.repo_full_name, resource.tag.as_deref());
    Ok(data.resources.iter().filter_map(of).collect())
}
