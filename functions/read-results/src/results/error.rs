//! Why something cannot be read.

use tidewatch_core::names::{OrgName, PolicyId, StreamName};
use tidewatch_core::{Retry, Retryable};
use tidewatch_store::RecordError;

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A record could not be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is no such organisation.
    #[error("failed to find the organisation {0}")]
    Organisation(OrgName),
    /// There is no such stream.
    #[error("failed to find the stream {stream}: there are {known}", known = list(known))]
    Stream {
        /// What was asked for.
        stream: StreamName,
        /// The streams that there are.
        known: Vec<StreamName>,
    },
    /// There is no such policy in force.
    #[error("failed to find the policy {policy}: in force are {known}", known = list(known))]
    Policy {
        /// What was asked for.
        policy: PolicyId,
        /// The policies in force.
        known: Vec<PolicyId>,
    },
    /// No such image is known.
    #[error("failed to find the image {0}: no rule and no environment has come to it")]
    Image(String),
}

impl Retryable for ReadError {
    fn retry(&self) -> Retry {
        match self {
            Self::Record(error) => error.retry(),
            Self::Organisation(_) | Self::Stream { .. } | Self::Policy { .. } | Self::Image(_) => {
                Retry::Never
            }
        }
    }
}

/// The first of many names.
fn list(names: &[impl std::fmt::Display]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = names.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = names.len().saturating_sub(SHOWN);
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
