//! Webhooks of Docker Hub: <https://docs.docker.com/docker-hub/repos/manage/webhooks/>.
//!
//! A body tells of one tag. An image of several platforms is told once for each, and the digest never. The address that the body
//! gives for an answer is not called: anybody could have written it.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Kind, NotificationError, Push};

pub(super) const KIND: Kind = Kind { media_types: &["application/json"], parse };

#[derive(Deserialize)]
struct Notification {
    push_data: PushData,
    repository: Repository,
}

#[derive(Deserialize)]
struct PushData {
    tag: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_name: String,
}

fn parse(body: &[u8]) -> Result<BTreeSet<Push>, NotificationError> {
    let told: Notification = serde_json::from_slice(body).map_err(|_| NotificationError::NoNotification)?;
    Ok(Push::named(&told.repository.repo_name, told.push_data.tag.as_deref()).into_iter().collect())
}
