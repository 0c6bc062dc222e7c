//! The config of an image, as far as listing, rules and policies need it: the platform, when and how the image was made,
//! whom it runs as, and its labels. The environment is left out: it may hold secrets.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/main/config.md>

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ManifestError;
use super::document::PlatformDocument;
use crate::Timestamp;
use crate::digest::Digest;
use crate::image::Platform;

/// Bytes that a config may have. Configs are some kilobytes; what is larger is no config.
pub const CONFIG_LIMIT: usize = 4 << 20;

/// 1990-01-01T00:00:00Z. Reproducible builds write a created time before it (year 1, 1970, 1980), which tells nothing.
const FIRST_CREATED: Timestamp = Timestamp::constant(631_152_000, 0);

/// The most labels, and the most steps of the history, that are kept: the first ones. Runtimes refuse an image of more than
/// 127 layers.
const LABELS: usize = 1000;
const STEPS: usize = 1000;

/// The most characters that are kept of one text: the first ones.
const TEXT_CHARS: usize = 4096;

/// What the config of an image says about it. Of the rest, whatever has another type than the specification wants is as if
/// it were not there, texts have at most 4,096 characters, and what a terminal would take for a command is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// The platform; `None` when the config names none.
    pub platform: Option<Platform>,
    /// When the image was made; `None` when the config gives no time, none that can be read, or one before 1990.
    pub created: Option<Timestamp>,
    /// The user that it runs as, `USER`, `UID`, `USER:GROUP` or the like; `None` when the config names none, which means
    /// root.
    pub user: Option<String>,
    /// The labels, at most 1,000.
    pub labels: BTreeMap<String, String>,
    /// How it was made, the base first, at most 1,000 steps.
    pub history: Vec<HistoryStep>,
}

/// One step of making an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryStep {
    /// When it was done; `None` when the config gives no time, none that can be read, or one before 1990.
    pub created: Option<Timestamp>,
    /// The command: `RUN /bin/sh -c apt-get update # buildkit`. Empty where none is named. It may hold what somebody should
    /// have kept secret.
    pub created_by: String,
    /// A comment: `buildkit.dockerfile.v0`. Empty where there is none.
    pub comment: String,
    /// Whether it made no layer.
    pub empty_layer: bool,
}

#[derive(Deserialize)]
struct Document {
    #[serde(flatten)]
    platform: PlatformDocument,
    created: Option<Value>,
    config: Option<Value>,
    history: Option<Value>,
}

impl ImageConfig {
    /// Reads a config blob, whose bytes were checked against its digest.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let document: Document = serde_json::from_slice(bytes).map_err(|source| {
            ManifestError::Malformed { what: "config", digest: Digest::of(bytes), source }
        })?;
        let config = document.config.unwrap_or_default();
        let user = config.get("User").map(text).filter(|user| !user.is_empty());
        let labels = config.get("Labels").and_then(Value::as_object);
        let labels = labels.into_iter().flatten().filter(|(_, value)| value.is_string()).take(LABELS);
        let history = document.history.as_ref().and_then(Value::as_array);
        Ok(Self {
            platform: document.platform.known(),
            created: document.created.as_ref().and_then(time),
            user,
            labels: labels.map(|(name, value)| (escaped(name), text(value))).collect(),
            history: history.into_iter().flatten().take(STEPS).map(HistoryStep::of).collect(),
        })
    }
}

impl HistoryStep {
    fn of(step: &Value) -> Self {
        Self {
            created: step.get("created").and_then(time),
            created_by: step.get("created_by").map(text).unwrap_or_default(),
            comment: step.get("comment").map(text).unwrap_or_default(),
            empty_layer: step.get("empty_layer").and_then(Value::as_bool).unwrap_or_default(),
        }
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    let time = value.as_str().and_then(|text| text.parse().ok());
    time.filter(|time| *time >= FIRST_CREATED)
}

/// The beginning of a text; empty for whatever is none.
fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

/// The beginning of a text, in which control characters, and those that turn the direction of writing, are written as in a
/// string of Rust: it comes from an image, and ends in terminals.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars().take(TEXT_CHARS) {
        let is_control = character.is_control()
            || matches!(
                character,
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            );
        if is_control { escaped.extend(character.escape_default()) } else { escaped.push(character) }
    }
    escaped
}
