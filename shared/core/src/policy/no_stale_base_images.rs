//! The policy `no-stale-base-images`: an image fails it when the tag that it is built on points to another image now. As
//! Docker Scout has it, without parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Evaluation, ImageFacts, Policy, PolicyConfigError, PolicyType};

pub(super) const TYPE: PolicyType = PolicyType {
    id: "no-stale-base-images",
    other_names: &[],
    display_name: "No outdated base images",
    parameters: |generator| generator.subschema_for::<Parameters>(),
    build,
};

/// An image fails this policy when the tag of the image that it is built on points to another digest now. There are no
/// parameters.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Parameters of no-stale-base-images", rename = "NoStaleBaseImages")]
struct Parameters {}

fn build(parameters: &Value) -> Result<Box<dyn Policy>, PolicyConfigError> {
    let parameters: Parameters = super::parameters_of(TYPE.id, parameters)?;
    Ok(Box::new(parameters))
}

impl Policy for Parameters {
    fn evaluate(&self, facts: ImageFacts<'_>) -> Evaluation {
        let base = match facts.base() {
            Ok(base) => base,
            Err(reason) => return Evaluation::no_data(reason),
        };
        let name = &base.reference;
        match (base.digest, base.current) {
            (None, _) => Evaluation::no_data(format!("which image {name} was is not known")),
            (_, None) => Evaluation::no_data(format!("what {name} points to now is not known")),
            (Some(digest), Some(current)) if digest == current => Evaluation::pass(),
            (Some(digest), Some(current)) => {
                Evaluation::fail([format!("{name}@{digest}, which is {current} now")])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Digest;
    use crate::metadata::{BaseEvidence, BaseImage};
    use crate::policy::Outcome;
    use crate::policy::facts::Facts;
    use crate::result::ResultState;

    /// Of an image that was built on one image, while the tag points to another now.
    fn built_on(built: Option<&str>, current: Option<&str>) -> Facts {
        let digest = |content: &str| Digest::of(content.as_bytes());
        Facts::default().base(BaseImage {
            reference: "docker.io/library/node:18-slim".to_owned(),
            digest: built.map(digest),
            evidence: BaseEvidence::Provenance,
            current: current.map(digest),
        })
    }

    fn evaluate(facts: Facts) -> Evaluation {
        facts.evaluate(TYPE.id, Value::Null)
    }

    #[test]
    fn an_image_on_what_the_tag_points_to_passes_also_where_its_packages_are_not_known() {
        let facts = built_on(Some("a"), Some("a"));
        assert_eq!(evaluate(facts.clone()).outcome, Outcome::Pass);
        assert_eq!(evaluate(facts.state(ResultState::Unsupported)).outcome, Outcome::Pass);
    }

    #[test]
    fn an_image_on_what_the_tag_pointed_to_before_fails_with_both() {
        let evaluation = evaluate(built_on(Some("a"), Some("b")));
        assert_eq!(evaluation.outcome, Outcome::Fail);
        let (before, now) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(
            evaluation.failing,
            [format!("docker.io/library/node:18-slim@{before}, which is {now} now")]
        );
    }

    #[test]
    fn what_is_not_known_is_no_data() {
        for (facts, reason) in [
            (Facts::default(), "the base image is not known"),
            (
                Facts::default().base_unknown("there is no provenance"),
                "the base image is not known: there is no provenance",
            ),
            (built_on(None, Some("a")), "which image docker.io/library/node:18-slim was is not known"),
            (built_on(Some("a"), None), "what docker.io/library/node:18-slim points to now is not known"),
        ] {
            let evaluation = evaluate(facts);
            assert_eq!((evaluation.outcome, evaluation.reason.as_deref()), (Outcome::NoData, Some(reason)));
        }
    }

    #[test]
    fn it_takes_no_parameters() {
        assert!(build(&json!({})).is_ok());
        assert!(build(&json!({"severities": []})).is_err());
    }
}
