//! A plain form of our own, for scripts and for senders that let people write the body:
//! `{"pushes": [{"repository": "team/web", "tag": "1.4.2"}]}`, or one push without the list around it.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Kind, MOST_EVENTS, NotificationError, Push};

pub(super) const KIND: Kind = Kind { media_types: &["application/json"], parse };

#[derive(Deserialize)]
#[serde(untagged)]
enum Notification {
    Several { pushes: Vec<Told> },
    One(Told),
}

#[derive(Deserialize)]
struct Told {
    repository: String,
    tag: String,
}

fn parse(body: &[u8]) -> Result<BTreeSet<Push>, NotificationError> {
    let told = serde_json::from_slice(body).map_err(|_| NotificationError::NoNotification)?;
    let pushes = match told {
        Notification::Several { pushes } => pushes,
        Notification::One(push) => vec![push],
    };
    if pushes.len() > MOST_EVENTS {
        return Err(NotificationError::TooManyEvents);
    }
    Ok(pushes.iter().filter_map(|Told { repository, tag }| Push::named(repository, Some(tag))).collect())
}
