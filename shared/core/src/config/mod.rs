//! The configuration of an organisation: the types of `tidewatch.yaml`, and what must hold between its parts.
//!
//! The types refuse unknown keys and bad values one by one; [`Config::problems`] finds what only the whole shows, such
//! as a rule that names a registry that is not there. Each problem says where it stands as a path of keys, from which
//! the command finds line and column.

mod environment;
mod events;
mod exception;
mod google_federation;
mod metrics;
mod period;
mod platforms;
mod policy;
mod rate;
mod registry;
mod rule;
mod schema;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image::Platform;
use crate::judgement::JUDGING;
use crate::names::{OrgName, RegistryId, RepositoryName, StreamName};
use crate::policy::{PolicySet, TYPES};
use crate::rule::RepositoryNames;

pub use environment::EnvironmentConfig;
pub use events::EventsConfig;
pub use exception::{ExceptionConfig, ExpiryCondition, Vulnerabilities};
pub use google_federation::GoogleFederation;
pub use metrics::MetricsConfig;
pub use period::{Period, PeriodError};
pub use platforms::CountPlatforms;
pub use policy::{Policies, PolicyConfig};
pub use rate::RateConfig;
pub use registry::{Credentials, RegistryConfig, RegistryKind};
pub use rule::{Leaving, Rescan, RuleConfig, UnknownAge, Unused};
pub use schema::file_schema;

/// The keys at the top of the file.
///
/// Ids are unique in their list. Unknown keys are errors, and a key without a value is as good as none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "The file")]
pub struct Config {
    /// The organisation: the tenant that owns all of this, and the `ORG` in the path of its metrics.
    pub org: OrgName,
    /// Which platforms of an image are scanned; at least one. Which of them count says `count_platforms`. An image with none
    /// of them is skipped.
    #[serde(default = "default_platforms")]
    pub platforms: Vec<Platform>,
    /// Of how many platforms of an image the gauges count the numbers. Whatever it says, all of `platforms` are scanned and
    /// shown. A change takes effect as one of the policies does, without a scan, and at once for all numbers: those of before
    /// are served until every image is counted anew.
    #[serde(default, skip_serializing_if = "CountPlatforms::is_default")]
    #[schemars(extend("default" = "one"))]
    pub count_platforms: CountPlatforms,
    /// Where images are.
    #[serde(default)]
    pub registries: Vec<RegistryConfig>,
    /// Which images to scan, and when.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
    /// Streams of images that run somewhere, beside `latest-indexed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentConfig>,
    /// Changes to the policies, and policies of your own. Without any, every policy is judged with its defaults. A change
    /// takes effect on all images by itself, within minutes, without a scan. Docker Scout's file of policies can be given
    /// as it is.
    #[serde(default)]
    pub policies: Policies,
    /// Which findings do not count, by whose word and for how long. A change takes effect as one of the policies does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<ExceptionConfig>,
    /// How numbers are served.
    #[serde(default)]
    pub metrics: MetricsConfig,
    /// Which events are told.
    #[serde(default)]
    pub events: EventsConfig,
}

fn default_platforms() -> Vec<Platform> {
    vec![Platform::linux_amd64(), Platform::linux_arm64()]
}

/// One step on the way to a part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// An element of a list, from 0.
    Element(usize),
}

/// Something that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigProblem {
    /// Where: the way from the top of the file.
    pub path: Vec<Step>,
    /// What is wrong, a lower-case fragment.
    pub message: String,
}

impl Config {
    /// Everything that is wrong between the parts; empty when the configuration can be used.
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let ids = |ids: Vec<&str>, list: &str, problems: &mut Vec<ConfigProblem>| {
            let mut seen = BTreeSet::new();
            for (position, id) in ids.into_iter().enumerate() {
                if !seen.insert(id) {
                    problems.push(problem(
                        &[key(list), Step::Element(position), key("id")],
                        format!("{id:?} is there twice"),
                    ));
                }
            }
        };
        ids(
            self.registries.iter().map(|registry| registry.id.as_str()).collect(),
            "registries",
            &mut problems,
        );
        ids(self.rules.iter().map(|rule| rule.id.as_str()).collect(), "rules", &mut problems);
        let environments = self.environments.iter().map(|environment| environment.id.as_str());
        ids(environments.collect(), "environments", &mut problems);
        for (position, registry) in self.registries.iter().enumerate() {
            for (of, message) in registry.problems() {
                problems.push(problem(&[key("registries"), Step::Element(position), key(of)], message));
            }
            if let Some((of, message)) = registry.rate.as_ref().and_then(RateConfig::problem) {
                let place = [key("registries"), Step::Element(position), key("rate"), key(of)];
                problems.push(problem(&place, message));
            }
        }
        self.rule_problems(&mut problems);
        self.environment_problems(&mut problems);
        problems.extend(self.policies.problems());
        problems.extend(exception::problems(&self.exceptions));
        if let Some(message) = self.metrics.problem(self.policy_set().names().count()) {
            problems.push(problem(&[key("metrics"), key("series")], message));
        }
        if self.platforms.is_empty() {
            problems.push(problem(&[key("platforms")], "at least one platform is needed".to_owned()));
        }
        problems
    }

    fn rule_problems(&self, problems: &mut Vec<ConfigProblem>) {
        let known: BTreeSet<&RegistryId> = self.registries.iter().map(|registry| &registry.id).collect();
        for (position, rule) in self.rules.iter().enumerate() {
            let at = |step: Vec<Step>| [vec![key("rules"), Step::Element(position)], step].concat();
            if rule.registries.is_empty() {
                problems.push(problem(
                    &at(vec![key("registries")]),
                    "at least one registry is needed".to_owned(),
                ));
            }
            for (element, registry) in rule.registries.iter().enumerate() {
                if !known.contains(registry) {
                    let known: Vec<&str> = known.iter().map(|id| id.as_str()).collect();
                    let message =
                        format!("no registry has the id {registry:?}; there are: {}", known.join(", "));
                    problems.push(problem(&at(vec![key("registries"), Step::Element(element)]), message));
                }
            }
        }
    }

    fn environment_problems(&self, problems: &mut Vec<ConfigProblem>) {
        for (position, environment) in self.environments.iter().enumerate() {
            let at = |step: Vec<Step>| [vec![key("environments"), Step::Element(position)], step].concat();
            if environment.id == StreamName::latest_indexed() {
                let message = "this stream is always there, and no environment".to_owned();
                problems.push(problem(&at(vec![key("id")]), message));
            }
            let mut images = BTreeSet::new();
            for (element, image) in environment.images.iter().flatten().enumerate() {
                let place = at(vec![key("images"), Step::Element(element)]);
                if self.registry(&image.registry).is_none() {
                    problems.push(problem(&place, format!("no registry has the id {:?}", image.registry)));
                }
                if !images.insert(image) {
                    problems.push(problem(&place, format!("{image} is there twice")));
                }
            }
        }
    }

    /// The registry with this id.
    pub fn registry(&self, id: &RegistryId) -> Option<&RegistryConfig> {
        self.registries.iter().find(|registry| registry.id == *id)
    }

    /// The names by which patterns know `repository` of `registry`.
    pub fn repository_names(&self, registry: &RegistryId, repository: &RepositoryName) -> RepositoryNames {
        let kind = self.registry(registry).map(|registry| registry.kind);
        kind.map_or_else(|| repository.clone().into(), |kind| RepositoryNames::of(kind, repository))
    }

    /// The rule with this id.
    pub fn rule(&self, id: &crate::names::RuleId) -> Option<&RuleConfig> {
        self.rules.iter().find(|rule| rule.id == *id)
    }

    /// The policies in force: the built-in ones with the changes of this configuration, without the disabled ones.
    /// Configurations of policies that cannot be used are left out; [`Config::problems`] names them.
    pub fn policy_set(&self) -> PolicySet {
        PolicySet::new(&self.policies)
    }

    /// Names what images are judged by: how this version of the program judges, the policies that it knows, what is said of
    /// them here, and the exceptions. Results with the same fingerprint were judged alike.
    pub fn judging_fingerprint(&self) -> Digest {
        let known: Vec<&str> = TYPES.iter().map(|policy_type| policy_type.id).collect();
        Digest::of(
            &serde_json::to_vec(&(JUDGING, known, &self.policies, &self.exceptions)).unwrap_or_default(),
        )
    }
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

fn problem(path: &[Step], message: String) -> ConfigProblem {
    ConfigProblem { path: path.to_vec(), message }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn messages(config: serde_json::Value) -> Vec<String> {
        let config: Config = serde_json::from_value(config).unwrap();
        config.problems().into_iter().map(|problem| problem.message).collect()
    }

    /// Reads every example that stands in the schema of `T`, also within its forms, and says how many there were.
    fn read_examples<T: JsonSchema + DeserializeOwned>() -> usize {
        let schema = schemars::schema_for!(T).to_value();
        let forms = ["oneOf", "anyOf"].iter().filter_map(|key| schema[key].as_array()).flatten();
        let examples: Vec<&Value> =
            forms.chain([&schema]).filter_map(|schema| schema["examples"].as_array()).flatten().collect();
        for example in &examples {
            assert!(serde_json::from_value::<T>((*example).clone()).is_ok(), "{example} is none");
        }
        examples.len()
    }

    #[test]
    fn the_examples_of_the_schema_are_right() {
        let counts = [
            read_examples::<Platform>(),
            read_examples::<Period>(),
            read_examples::<crate::rule::Pattern>(),
            read_examples::<crate::rule::Schedule>(),
            read_examples::<Credentials>(),
        ];
        assert_eq!(counts, [3, 3, 5, 2, 3]);
        let schema = schemars::schema_for!(crate::rule::Schedule).to_value();
        let cron = &schema["anyOf"][2]["properties"];
        for (expression, zone) in [(0, 0), (1, 1)] {
            let [expression, zone] =
                [("cron", expression), ("timezone", zone)].map(|(key, at)| &cron[key]["examples"][at]);
            let schedule: Value = json!({"cron": expression, "timezone": zone});
            assert!(serde_json::from_value::<crate::rule::Schedule>(schedule).is_ok(), "{expression} {zone}");
        }
    }

    #[test]
    fn every_problem_between_the_parts_is_found_at_once() {
        let found = messages(json!({
            "org": "acme",
            "registries": [{"id": "a", "kind": "oci", "url": "registry.example.com"}, {"id": "a", "kind": "oci", "url": "https://b"}],
            "rules": [
                {"id": "r", "registries": ["nowhere"]},
                {"id": "r", "registries": []},
            ],
            "policies": [{"id": "no-such-policy"}],
            "metrics": {"series": 6},
        }));
        assert_eq!(found.len(), 7, "{found:#?}");
    }

    #[test]
    fn platforms_default_to_the_two_that_clouds_run() {
        let config: Config = serde_json::from_value(json!({"org": "acme"})).unwrap();
        assert_eq!(config.platforms, [Platform::linux_amd64(), Platform::linux_arm64()]);
        assert!(config.problems().is_empty());
    }
}
