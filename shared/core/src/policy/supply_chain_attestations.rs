//! The policy `supply-chain-attestations`: an image fails it when it lacks an attestation, such as its SBOM or the
//! provenance of its build. Parameters as Docker Scout publishes them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Evaluation, ImageFacts, Policy, PolicyConfigError, PolicyType};
use crate::metadata::{AttestationKind, AttestationSummary};

pub(super) const TYPE: PolicyType = PolicyType {
    id: "supply-chain-attestations",
    other_names: &[],
    display_name: "Supply chain attestations",
    parameters: |generator| generator.subschema_for::<Parameters>(),
    build,
};

/// An image fails this policy when it lacks an attestation that is required. Signatures are not looked at.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Parameters of supply-chain-attestations", rename = "SupplyChainAttestations")]
struct Parameters {
    /// The attestations that are required.
    required_attestations: BTreeSet<Required>,
}

/// `sbom`; `provenance`, of any mode; `provenance-max`, of the [mode
/// `max`](https://docs.docker.com/build/metadata/attestations/slsa-provenance/#max); or the URI of a predicate type, such as
/// `https://openvex.dev/ns/v0.2.0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    with = "String",
    title = "Required attestation",
    extend("examples" = ["sbom", "provenance", "provenance-max", "https://openvex.dev/ns/v0.2.0"])
)]
enum Required {
    Sbom,
    Provenance { max: bool },
    Predicate(String),
}

impl Default for Parameters {
    fn default() -> Self {
        Self { required_attestations: [Required::Sbom, Required::Provenance { max: true }].into() }
    }
}

impl FromStr for Required {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "sbom" => Ok(Self::Sbom),
            "provenance" => Ok(Self::Provenance { max: false }),
            "provenance-max" => Ok(Self::Provenance { max: true }),
            uri if uri
                .split_once(':')
                .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()) =>
            {
                Ok(Self::Predicate(text.to_owned()))
            }
            _ => Err(format!(
                "{text:?} is no attestation: expected sbom, provenance, provenance-max or the URI of a predicate type"
            )),
        }
    }
}

impl TryFrom<String> for Required {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Required> for String {
    fn from(required: Required) -> Self {
        required.to_string()
    }
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sbom => "sbom",
            Self::Provenance { max: false } => "provenance",
            Self::Provenance { max: true } => "provenance-max",
            Self::Predicate(uri) => uri,
        })
    }
}

impl Required {
    fn is_met_by(&self, attestation: &AttestationSummary) -> bool {
        match (self, attestation.kind) {
            (Self::Sbom, AttestationKind::Sbom) => true,
            (Self::Provenance { max: required }, AttestationKind::Provenance { max }) => max || !required,
            (Self::Predicate(uri), _) => *uri == attestation.predicate_type,
            _ => false,
        }
    }

    /// That none of `attestations` meets it, in words.
    fn lacking(&self, attestations: &[AttestationSummary]) -> String {
        let is_provenance =
            |attestation: &AttestationSummary| matches!(attestation.kind, AttestationKind::Provenance { .. });
        match self {
            Self::Sbom => "no SBOM".to_owned(),
            Self::Provenance { max: true } if attestations.iter().any(is_provenance) => {
                "no provenance of mode max, but of a lesser one".to_owned()
            }
            Self::Provenance { max: true } => "no provenance of mode max".to_owned(),
            Self::Provenance { max: false } => "no provenance".to_owned(),
            Self::Predicate(uri) => format!("no attestation of {uri}"),
        }
    }
}

fn build(parameters: &Value) -> Result<Box<dyn Policy>, PolicyConfigError> {
    let parameters: Parameters = super::parameters_of(TYPE.id, parameters)?;
    Ok(Box::new(parameters))
}

impl Policy for Parameters {
    fn evaluate(&self, facts: ImageFacts<'_>) -> Evaluation {
        let Some(attestations) = &facts.metadata.attestations else {
            return Evaluation::no_data("nobody has looked for the attestations of the image");
        };
        let lacking = self
            .required_attestations
            .iter()
            .filter(|required| !attestations.iter().any(|attestation| required.is_met_by(attestation)));
        let lacking: BTreeSet<String> = lacking.map(|required| required.lacking(attestations)).collect();
        if lacking.is_empty() { Evaluation::pass() } else { Evaluation::fail(lacking) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Digest;
    use crate::policy::Outcome;
    use crate::policy::facts::Facts;
    use crate::result::ResultState;

    const VEX: &str = "https://openvex.dev/ns/v0.2.0";

    fn evaluate(attestations: &[(AttestationKind, &str)], parameters: Value) -> Evaluation {
        let attestations = attestations.iter().map(|(kind, predicate_type)| AttestationSummary {
            digest: Digest::of(predicate_type.as_bytes()),
            predicate_type: (*predicate_type).to_owned(),
            kind: *kind,
        });
        let facts = Facts::default().attestations(attestations.collect()).state(ResultState::Partial);
        facts.evaluate(TYPE.id, parameters)
    }

    const SBOM: (AttestationKind, &str) = (AttestationKind::Sbom, "https://spdx.dev/Document");
    const MAX: (AttestationKind, &str) =
        (AttestationKind::Provenance { max: true }, "https://slsa.dev/provenance/v0.2");
    const MIN: (AttestationKind, &str) =
        (AttestationKind::Provenance { max: false }, "https://slsa.dev/provenance/v1");

    #[test]
    fn sbom_and_provenance_of_mode_max_are_required() {
        assert_eq!(evaluate(&[SBOM, MAX], Value::Null).outcome, Outcome::Pass);
        for (attestations, lacking) in [
            (vec![], vec!["no SBOM", "no provenance of mode max"]),
            (vec![MAX], vec!["no SBOM"]),
            (vec![SBOM], vec!["no provenance of mode max"]),
            (vec![SBOM, MIN], vec!["no provenance of mode max, but of a lesser one"]),
        ] {
            let evaluation = evaluate(&attestations, Value::Null);
            assert_eq!(
                (evaluation.outcome, evaluation.failing),
                (Outcome::Fail, lacking.iter().map(ToString::to_string).collect())
            );
        }
    }

    #[test]
    fn what_is_required_can_be_less_or_something_else() {
        let provenance = json!({"required_attestations": ["provenance"]});
        assert_eq!(evaluate(&[MIN], provenance).outcome, Outcome::Pass);
        let vex = json!({"required_attestations": ["SBOM", VEX]});
        assert_eq!(evaluate(&[SBOM, (AttestationKind::Vex, VEX)], vex.clone()).outcome, Outcome::Pass);
        assert_eq!(evaluate(&[SBOM], vex).failing, [format!("no attestation of {VEX}")]);
        assert_eq!(evaluate(&[], json!({"required_attestations": []})).outcome, Outcome::Pass);
    }

    #[test]
    fn attestations_that_nobody_looked_for_are_no_data() {
        let evaluation = Facts::default().evaluate(TYPE.id, Value::Null);
        assert_eq!(evaluation.outcome, Outcome::NoData);
        assert_eq!(evaluation.reason.as_deref(), Some("nobody has looked for the attestations of the image"));
    }

    #[test]
    fn a_word_that_is_no_attestation_is_refused() {
        assert!(build(&json!({"required_attestations": ["provenence"]})).is_err());
    }
}
