//! The policy `default-non-root-user`: an image fails it when containers of it run as root unless somebody says otherwise.
//! As Docker Scout has it, without parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Evaluation, ImageFacts, Policy, PolicyConfigError, PolicyType};

pub(super) const TYPE: PolicyType = PolicyType {
    id: "default-non-root-user",
    other_names: &[],
    display_name: "Default non-root user",
    parameters: |generator| generator.subschema_for::<Parameters>(),
    build,
};

/// An image fails this policy when the user in its configuration is root: by that name, by the number 0, or because none is
/// set. A user of another name who has the number 0 in the image's files is not recognised. There are no parameters.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Parameters of default-non-root-user", rename = "DefaultNonRootUser")]
struct Parameters {}

fn build(parameters: &Value) -> Result<Box<dyn Policy>, PolicyConfigError> {
    let parameters: Parameters = super::parameters_of(TYPE.id, parameters)?;
    Ok(Box::new(parameters))
}

impl Policy for Parameters {
    fn evaluate(&self, facts: ImageFacts<'_>) -> Evaluation {
        let Some(config) = &facts.metadata.config else {
            return Evaluation::no_data("nobody has read the configuration of the image");
        };
        let set = config.user.as_deref().map(str::trim).unwrap_or_default();
        // What follows the colon is the group.
        let user = set.split(':').next().unwrap_or_default().trim();
        if user.is_empty() {
            Evaluation::fail(["root, because no user is set".to_owned()])
        } else if user == "root" || user.parse() == Ok(0_u64) {
            Evaluation::fail([format!("root, set as {set:?}")])
        } else {
            Evaluation::pass()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Outcome;
    use crate::policy::facts::Facts;
    use crate::result::ResultState;

    fn evaluate(user: Option<&str>) -> Evaluation {
        Facts::default().user(user).state(ResultState::Unsupported).evaluate(TYPE.id, Value::Null)
    }

    #[test]
    fn root_fails_and_says_whether_it_was_set() {
        for (user, row) in [
            (None, "root, because no user is set"),
            (Some(""), "root, because no user is set"),
            (Some(":1000"), "root, because no user is set"),
            (Some("root"), "root, set as \"root\""),
            (Some("0"), "root, set as \"0\""),
            (Some("00"), "root, set as \"00\""),
            (Some("0:0"), "root, set as \"0:0\""),
            (Some("0:1000"), "root, set as \"0:1000\""),
            (Some("root:app"), "root, set as \"root:app\""),
        ] {
            let evaluation = evaluate(user);
            assert_eq!(
                (evaluation.outcome, evaluation.failing),
                (Outcome::Fail, vec![row.to_owned()]),
                "{user:?}"
            );
        }
    }

    #[test]
    fn any_other_user_passes() {
        for user in ["app", "1000", "1000:0", "rooter", "app:root", "10"] {
            assert_eq!(evaluate(Some(user)).outcome, Outcome::Pass, "{user}");
        }
    }

    #[test]
    fn a_configuration_that_nobody_has_read_is_no_data() {
        let evaluation = Facts::default().evaluate(TYPE.id, json!({}));
        assert_eq!(evaluation.outcome, Outcome::NoData);
        assert_eq!(evaluation.reason.as_deref(), Some("nobody has read the configuration of the image"));
    }
}
