//! What authors of VEX documents say of the vulnerabilities in their products: that they do not matter, and why.
//!
//! Specification: <https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md>

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, Timestamp};

/// A VEX document: statements of one author.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VexDocument {
    /// The IRI that names the document; empty where it has none.
    pub id: String,
    /// Who says it: an IRI, an address, or a name. Nothing proves it. Empty where the document names nobody.
    pub author: String,
    /// When it was issued; `None` where the document does not say.
    pub timestamp: Option<Timestamp>,
    /// The statements, in their order: a later one on the same vulnerability and product overrides an earlier one of the
    /// same time.
    pub statements: Vec<VexStatement>,
}

impl VexDocument {
    /// Names what it says: documents that say the same have the same.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// One statement: a vulnerability, the products, and what it is to them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VexStatement {
    /// The id of the vulnerability: `CVE-2023-12345`.
    pub vulnerability: String,
    /// Other ids of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The products that it is about; none where whatever holds the document is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<VexProduct>,
    /// What the vulnerability is to the products.
    pub status: VexStatus,
    /// Why the products are not affected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<VexJustification>,
    /// Why the products are not affected, in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact_statement: Option<String>,
    /// When it was known to be true: the statement's own time, else the document's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
}

/// A product that a statement is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VexProduct {
    /// Everything that identifies it, mostly package URLs: `pkg:oci/app@sha256:…`, `pkg:docker/org/app@1.0`.
    pub ids: Vec<String>,
    /// Everything that identifies the parts of it that have the vulnerability; none where the product as a whole is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subcomponents: Vec<String>,
}

/// What a vulnerability is to a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VexStatus {
    /// Nothing has to be done.
    NotAffected,
    /// Something has to be done.
    Affected,
    /// The product has it fixed.
    Fixed,
    /// Nobody knows yet.
    UnderInvestigation,
}

/// Why a product is not affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "Justification")]
pub enum VexJustification {
    /// The component is not in the product.
    ComponentNotPresent,
    /// The component is, and the vulnerable code of it is not.
    VulnerableCodeNotPresent,
    /// The vulnerable code is never run.
    VulnerableCodeNotInExecutePath,
    /// Nobody can make the vulnerable code do what it should not.
    VulnerableCodeCannotBeControlledByAdversary,
    /// The product prevents it.
    InlineMitigationsAlreadyExist,
}

/// A word that is none of those that OpenVEX has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no {0} of OpenVEX")]
pub struct UnknownLabel(&'static str);

impl std::str::FromStr for VexStatus {
    type Err = UnknownLabel;

    fn from_str(label: &str) -> Result<Self, UnknownLabel> {
        match label {
            "not_affected" => Ok(Self::NotAffected),
            "affected" => Ok(Self::Affected),
            "fixed" => Ok(Self::Fixed),
            "under_investigation" => Ok(Self::UnderInvestigation),
            _ => Err(UnknownLabel("status")),
        }
    }
}

impl std::str::FromStr for VexJustification {
    type Err = UnknownLabel;

    fn from_str(label: &str) -> Result<Self, UnknownLabel> {
        match label {
            "component_not_present" => Ok(Self::ComponentNotPresent),
            "vulnerable_code_not_present" => Ok(Self::VulnerableCodeNotPresent),
            "vulnerable_code_not_in_execute_path" => Ok(Self::VulnerableCodeNotInExecutePath),
            "vulnerable_code_cannot_be_controlled_by_adversary" => {
                Ok(Self::VulnerableCodeCannotBeControlledByAdversary)
            }
            "inline_mitigations_already_exist" => Ok(Self::InlineMitigationsAlreadyExist),
            _ => Err(UnknownLabel("justification")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_read_as_it_is_stored() {
        for status in
            [VexStatus::NotAffected, VexStatus::Affected, VexStatus::Fixed, VexStatus::UnderInvestigation]
        {
            let label = serde_json::to_value(status).unwrap();
            assert_eq!(label.as_str().unwrap().parse(), Ok(status));
        }
        for justification in [
            VexJustification::ComponentNotPresent,
            VexJustification::VulnerableCodeNotPresent,
            VexJustification::VulnerableCodeNotInExecutePath,
            VexJustification::VulnerableCodeCannotBeControlledByAdversary,
            VexJustification::InlineMitigationsAlreadyExist,
        ] {
            let label = serde_json::to_value(justification).unwrap();
            assert_eq!(label.as_str().unwrap().parse(), Ok(justification));
        }
        assert_eq!("Fixed".parse::<VexStatus>(), Err(UnknownLabel("status")));
        assert_eq!("".parse::<VexJustification>(), Err(UnknownLabel("justification")));
    }
}
