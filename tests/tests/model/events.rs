//! What can happen, and how often it does.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewatch_core::config::Config;
use tidewatch_core::policy::TYPES;

use crate::advisories::PUBLISHED;
use crate::images::{BUILT, IMAGES, PUSHED, QUAY, REPOSITORIES};

/// Whether webhooks may be lost of a repository of which others came. A message about a push that comes twice, before and
/// after a push that nobody tells of, gives both images the time of the first: then their digests decide which of them stands
/// for the repository, until the next push. Switch it on with the change that tells them apart.
pub(crate) const LOST_WEBHOOKS: bool = false;

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// An image, or an index of several, is pushed to the tag of a repository; a webhook says so, or does not.
    Push { repository: usize, push: usize, is_told: bool },
    /// The tag of a repository is deleted.
    Delete { repository: usize },
    /// Somebody starts the rules.
    List,
    /// Other advisories come into force.
    Publish(usize),
    /// The source of the advisories says that they are unchanged.
    Confirm,
    /// A catalogue of exploited vulnerabilities of so many days ago comes into force.
    PublishExploited { days_ago: i64 },
    /// A table comes into force that is of so many days ago, by which Debian 13 is supported for so many days.
    PublishSupport { days_ago: i64, days: i64 },
    /// Another configuration is applied.
    Configure(Configuration),
    /// Somebody changes the environment `production` by the command.
    Environment(EnvironmentEvent),
    /// A tick of evaluate-rules begins.
    Tick,
    /// A roll-up begins.
    RollUp,
    /// Somebody begins to tell events.
    Announce,
    /// A message is delivered: the one at this place of those that were not acknowledged, perhaps while another delivery of
    /// it is at work.
    Deliver(usize),
    /// One of those at work does so many table operations.
    Step(usize, usize),
    /// One of those at work is killed.
    Kill(usize),
    /// So many hours pass, in which nobody can still be at work.
    Pass { hours: u64 },
}

/// What the command does to an environment. Images are named by the tag, or by the digest of the image with that number.
#[derive(Clone, Debug)]
pub(crate) enum EnvironmentEvent {
    Add {
        repository: usize,
        image: Option<usize>,
        keep: bool,
        follow: bool,
    },
    Set {
        images: Vec<(usize, Option<usize>)>,
        follow: bool,
    },
    /// The entry at this place, counted around.
    Remove(usize),
    Delete,
}

/// What the file says, by numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) has_quay: bool,
    policies: usize,
    exceptions: usize,
    /// Whether, and with which images, the file has the environment `staging`.
    pub(crate) staging: usize,
    /// Whether each platform of an image counts.
    pub(crate) counts_all: bool,
}

impl Configuration {
    pub(crate) const FIRST: Self =
        Self { has_quay: true, policies: 0, exceptions: 0, staging: 0, counts_all: false };

    pub(crate) fn config(&self) -> Config {
        let registry =
            |id: &str| json!({"id": id, "kind": "oci", "url": format!("https://{id}.example.com")});
        let rule = |id: &str| json!({"id": format!("all-of-{id}"), "registries": [id], "schedule": "manual"});
        let registries = if self.has_quay { vec!["hub", QUAY] } else { vec!["hub"] };
        let mut exceptions = exceptions(self.exceptions);
        exceptions.extend(scoped_exceptions(self.exceptions));
        let environments: Vec<Value> = self
            .staging_images()
            .map(|images| {
                let images: Vec<String> =
                    images.iter().map(|(place, image)| reference(*place, *image)).collect();
                json!({"id": "staging", "images": images})
            })
            .into_iter()
            .collect();
        serde_json::from_value(json!({
            "org": "acme",
            "count_platforms": if self.counts_all { "all" } else { "one" },
            "registries": registries.iter().map(|id| registry(id)).collect::<Vec<_>>(),
            "rules": registries.iter().map(|id| rule(id)).collect::<Vec<_>>(),
            "environments": environments,
            "policies": policies(self.policies),
            "exceptions": exceptions,
        }))
        .unwrap()
    }

    /// The images of `staging`; none where the file does not have it.
    pub(crate) fn staging_images(&self) -> Option<Vec<(usize, Option<usize>)>> {
        match self.staging {
            0 => None,
            1 => Some(vec![(0, None)]),
            _ => Some(vec![(0, Some(0)), (0, Some(3)), (1, None)]),
        }
    }
}

/// An image as it is named in an environment.
pub(crate) fn reference(repository: usize, image: Option<usize>) -> String {
    let (registry, name) = REPOSITORIES[repository];
    match image {
        Some(image) => format!("{registry}/{name}@{}", BUILT[image].digest),
        None => format!("{registry}/{name}:latest"),
    }
}

/// Policies that need what nobody here has looked for are left out, as are those that a variant disables.
fn policies(variant: usize) -> Vec<Value> {
    let fixable = "fixable-vulnerabilities";
    let changes = match variant {
        0 => vec![],
        1 => vec![json!({"id": fixable, "config": {"grace_period_days": 7}})],
        2 => vec![
            json!({"id": fixable, "config": {"severities": ["MEDIUM"], "fixable_only": false}}),
            json!({"id": "copyleft-license", "enabled": false}),
        ],
        3 => vec![
            json!({"id": "ours", "type": fixable, "display_name": "Ours", "config": {"grace_period_days": 3}}),
            json!({"id": "high-profile-vulnerabilities", "config": {"include_cisa_kev": false}}),
        ],
        _ => vec![json!({"id": fixable, "enabled": false})],
    };
    let known = [fixable, "copyleft-license", "default-non-root-user", "high-profile-vulnerabilities"];
    let others = TYPES.iter().map(|policy_type| policy_type.id).filter(|id| !known.contains(id));
    let disabled = others.map(|id| json!({"id": id, "enabled": false}));
    changes.into_iter().chain(disabled).collect()
}

fn exceptions(variant: usize) -> Vec<Value> {
    match variant {
        0 => vec![],
        1 => {
            vec![json!({"vulnerability": "CVE-2099-0001", "type": "accepted_risk", "expires": "2026-06-18"})]
        }
        2 => vec![json!({
            "vulnerability": "DSA-2-1", "package": "pkg:deb/debian/zlib", "type": "false_positive", "reason": "unused",
        })],
        3 => vec![
            json!({"vulnerability": "CVE-2099-0003", "type": "accepted_risk", "expires_when": ["known_exploited"]}),
            json!({"vulnerability": "CVE-2024-3094", "type": "accepted_risk", "expires_when": ["fix_available"]}),
        ],
        _ => vec![json!({
            "vulnerability": "CVE-2099-0001", "digest": BUILT[0].digest.to_string(), "type": "accepted_risk",
        })],
    }
}

fn scoped_exceptions(variant: usize) -> Vec<Value> {
    match variant {
        1 => vec![
            json!({"vulnerability": "CVE-2024-3094", "repository": "hub/team/*", "type": "accepted_risk"}),
        ],
        2 => vec![json!({
            "vulnerability": "CVE-2099-0001", "stream": "production", "type": "accepted_risk", "expires": "2026-06-18",
        })],
        3 => {
            vec![json!({"vulnerability": "CVE-2099-0001", "repository": "quay/**", "type": "accepted_risk"})]
        }
        _ => vec![],
    }
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let (repository, push) = (0..REPOSITORIES.len(), 0..PUSHED);
    prop_oneof![
        6 => (repository.clone(), push, prop::bool::weighted(0.8)).prop_map(|(repository, push, is_told)| Event::Push {
            repository, push, is_told,
        }),
        1 => repository.prop_map(|repository| Event::Delete { repository }),
        2 => Just(Event::List),
        3 => (0..PUBLISHED.len()).prop_map(Event::Publish),
        1 => Just(Event::Confirm),
        1 => (0_i64..10).prop_map(|days_ago| Event::PublishExploited { days_ago }),
        1 => (0_i64..10, -3_i64..6).prop_map(|(days_ago, days)| Event::PublishSupport { days_ago, days }),
        3 => configuration().prop_map(Event::Configure),
        4 => environment().prop_map(Event::Environment),
        4 => Just(Event::Tick),
        3 => Just(Event::RollUp),
        2 => Just(Event::Announce),
        14 => any::<usize>().prop_map(Event::Deliver),
        24 => (any::<usize>(), 1_usize..16).prop_map(|(task, steps)| Event::Step(task, steps)),
        1 => any::<usize>().prop_map(Event::Kill),
        1 => prop::sample::select(vec![1_u64, 7, 30, 60, 150]).prop_map(|hours| Event::Pass { hours }),
    ]
}

fn configuration() -> impl Strategy<Value = Configuration> {
    (prop::bool::weighted(0.7), 0_usize..5, 0_usize..5, 0_usize..3, any::<bool>()).prop_map(
        |(has_quay, policies, exceptions, staging, counts_all)| Configuration {
            has_quay,
            policies,
            exceptions,
            staging,
            counts_all,
        },
    )
}

fn environment() -> impl Strategy<Value = EnvironmentEvent> {
    let image = || (0..REPOSITORIES.len(), prop::option::weighted(0.4, 0..IMAGES.len()));
    prop_oneof![
        4 => (image(), prop::bool::weighted(0.3), any::<bool>()).prop_map(|((repository, image), keep, follow)| {
            EnvironmentEvent::Add { repository, image, keep, follow: follow && image.is_none() }
        }),
        1 => (vec(image(), 0..3), any::<bool>()).prop_map(|(images, follow)| EnvironmentEvent::Set { images, follow }),
        2 => any::<usize>().prop_map(EnvironmentEvent::Remove),
        1 => Just(EnvironmentEvent::Delete),
    ]
}
