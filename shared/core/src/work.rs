//! What is to be done: the messages between the functions, and the work rows behind them.
//!
//! Messages and rows are stored formats: a new version of the code meets those of the old one. Fields are only added,
//! with a default.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::image::Image;
use crate::names::{OrgName, RegistryId, RepositoryName, RuleId, Tag};

/// Which run of which rule wants something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// The rule.
    pub rule: RuleId,
    /// The run; runs of a rule sort by it in the order of their starts.
    pub run: String,
}

/// A message of the queue `listings`: list something of a registry for a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingMessage {
    /// The organisation.
    pub org: OrgName,
    /// The run that wants it.
    #[serde(flatten)]
    pub run: RunId,
    /// The registry to list.
    pub registry: RegistryId,
    /// The repository whose tags are to be listed; without one, the repositories of the registry are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// How often it has failed before.
    #[serde(default)]
    pub failures: u32,
}

/// A message of the queue `scans`: scan one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanMessage {
    /// The organisation.
    pub org: OrgName,
    /// What to scan.
    pub work: Work,
}

/// How soon work is dispatched, before other work that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Never scanned before.
    New,
    /// Scanned before, and something that the result depends on has changed.
    Stale,
}

impl Priority {
    /// Every priority, in the order of dispatch.
    pub const ALL: [Self; 2] = [Self::New, Self::Stale];

    /// The digit by which rows sort. 0 is kept for pushed images.
    pub const fn digit(self) -> u8 {
        match self {
            Self::New => 1,
            Self::Stale => 2,
        }
    }
}

/// One image to scan, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The image.
    pub image: Image,
    /// The tag by which it was found.
    pub tag: Tag,
    /// When that tag was first seen to point to it.
    pub seen_at: Timestamp,
    /// Whether the gauges count this platform of the image.
    pub counted: bool,
    /// How soon.
    pub priority: Priority,
    /// The run that found it.
    pub run: RunId,
}
