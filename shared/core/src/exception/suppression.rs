//! Why a finding does not count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::vex::VexJustification;

/// That a finding does not count, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Which finding: its position among those of the report, from 0.
    pub finding: usize,
    /// Whose word it is.
    pub by: SuppressedBy,
    /// What is said of it.
    #[serde(rename = "type")]
    pub exception_type: ExceptionType,
    /// Why it is a false positive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<VexJustification>,
    /// The same in words, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When that ends; `None` where no time is set for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// By whose word a finding does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SuppressedBy {
    /// An exception of the configuration.
    Exception {
        /// Its id.
        id: String,
    },
    /// A statement in a VEX document.
    Vex {
        /// The IRI of the document; empty where it has none.
        document: String,
        /// Its author, as it says; nothing proves it.
        author: String,
        /// Where the document comes from.
        source: VexSource,
    },
}

/// Where a VEX document comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VexSource {
    /// The organisation has uploaded it.
    Uploaded,
    /// It is an attestation of the image.
    Attestation,
    /// It lies in the files of the image.
    File,
}

/// What is said of a finding that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "Type of exception")]
pub enum ExceptionType {
    /// It is true, and somebody answers for it.
    AcceptedRisk,
    /// It is not true of the image.
    FalsePositive,
}
