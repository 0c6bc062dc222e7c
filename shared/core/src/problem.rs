//! What could not be read, ordered or matched. A problem is data that stands beside the results: it makes an image
//! `partial`, and is never silence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that could not be read, ordered or matched, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What the problem is about: a path in the image, a layer digest, a package with its version, an advisory id.
    pub subject: String,
    /// Why it could not be used, a lower-case fragment.
    pub reason: String,
}

impl Problem {
    /// A problem with `subject`, because of `reason`.
    pub fn new(subject: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self { subject: subject.into(), reason: reason.to_string() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.subject, self.reason)
    }
}
