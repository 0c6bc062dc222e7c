//! The JSON Schema of the file, held against what is taken and what is refused.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidewatch_core::config::{Config, Step, file_schema};
use tidewatch_tests::configuration_docs::EXAMPLE;

use super::super::{parse, yaml};

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&file_schema()).unwrap()
}

fn document(text: &str) -> Value {
    yaml::load(text).document.unwrap().to_json()
}

/// What the schema says against a document.
fn faults(validator: &jsonschema::Validator, document: &Value) -> Vec<String> {
    let errors = validator.iter_errors(document);
    errors.map(|error| format!("{error} at {}", error.instance_path())).collect()
}

#[test]
fn the_schema_is_one_of_draft_2020_12() {
    assert!(jsonschema::draft202012::meta::is_valid(&file_schema()));
}

#[test]
fn the_schema_takes_what_is_a_configuration() {
    let validator = validator();
    let scouts = "org: acme\npolicies: {policies: [{name: no-copyleft-licenses, enabled: true, weight: 5, config: {licenses: [GPL]}}], debug: true}";
    let without_values = "org: acme\nregistries:\nrules: ~\nplatforms:\nmetrics:\nevents:\npolicies:\n  - {id: copyleft-license, config: }";
    for text in [EXAMPLE, super::RIGHT, "org: acme", scouts, without_values] {
        parse(text).unwrap();
        assert_eq!(faults(&validator, &document(text)), [""; 0], "{text}");
    }
}

/// Each is wrong by a key, a type, a word or a form alone.
const WRONG: &[&str] = &[
    "{}",
    "org: Acme Inc",
    "org: 7",
    "org: acme\nplatfroms: [linux/amd64]",
    "org: acme\nplatforms: linux/amd64",
    "org: acme\nplatforms: [linux]",
    "org: acme\nregistries: {id: hub}",
    "org: acme\nregistries: [{id: hub, kind: ocii, url: \"https://a\"}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: registry.example.com}]",
    "org: acme\nregistries: [{id: hub, kind: oci}]",
    "org: acme\nregistries: [{kind: oci, url: \"https://a\"}]",
    "org: acme\nregistries: [{id: 0123, kind: oci, url: \"https://a\"}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", credential: {env: A}}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", credentials: {vault: A}}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", credentials: {env: A, file: B}}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", repositories: team/web}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", rate: 50}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", rate: {requests: 50}}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", rate: {requests: 0, per: 1s}}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", rate: {requests: 50, per: 1}}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", rate: {requests: 50, per: second}}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", rate: {requests: 50, per: 1s, bursts: 9}}]",
    "org: acme\nregistries: [{id: hub, kind: oci, url: \"https://a\", rate: {requests: fifty, per: 1s}}]",
    "org: acme\nrules: [{registries: [hub]}]",
    "org: acme\nrules: [{id: r}]",
    "org: acme\nrules: [{id: r, registries: hub}]",
    "org: acme\nrules: [{id: r, registries: [hub], includes: [a]}]",
    "org: acme\nrules: [{id: r, registries: [hub], include: a}]",
    "org: acme\nrules: [{id: r, registries: [hub], newest: 0}]",
    "org: acme\nrules: [{id: r, registries: [hub], newest: ten}]",
    "org: acme\nrules: [{id: r, registries: [hub], created_within: 60}]",
    "org: acme\nrules: [{id: r, registries: [hub], created_within: 0d}]",
    "org: acme\nrules: [{id: r, registries: [hub], unknown_age: ignore}]",
    "org: acme\nrules: [{id: r, registries: [hub], schedule: nightly}]",
    "org: acme\nrules: [{id: r, registries: [hub], schedule: {every: 6}}]",
    "org: acme\nrules: [{id: r, registries: [hub], schedule: {cron: \"0 2 * * *\", zone: UTC}}]",
    "org: acme\nrules: [{id: r, registries: [hub], schedule: {cron: \"0 2 * * *\", until: \"6\"}}]",
    "org: acme\nenvironments: [{id: production, image: [a]}]",
    "org: acme\nenvironments: [{id: production, pinned: \"yes\"}]",
    "org: acme\npolicies: [fixable-vulnerabilities]",
    "org: acme\npolicies: [{enabled: true}]",
    "org: acme\npolicies: [{id: copyleft-license, name: copyleft-license}]",
    "org: acme\npolicies: [{id: copyleft-license, enabled: \"yes\"}]",
    "org: acme\npolicies: [{id: copyleft-license, weight: heavy}]",
    "org: acme\npolicies: [{id: copyleft-license, config: {licence: [GPL]}}]",
    "org: acme\npolicies: [{id: copyleft-license, config: {severities: [HIGH]}}]",
    "org: acme\npolicies: [{id: own, type: copyleft-license, display_name: Own, config: {severities: [HIGH]}}]",
    "org: acme\npolicies: [{id: fixable-vulnerabilities, config: {severities: [high]}}]",
    "org: acme\npolicies: [{id: fixable-vulnerabilities, config: {grace_period_days: \"7\"}}]",
    "org: acme\npolicies: {policies: [{id: copyleft-license}], verbose: true}",
    "org: acme\nexceptions: [{vulnerability: CVE-1, kind: accepted_risk}]",
    "org: acme\nexceptions: [{vulnerability: CVE-1, type: accepted}]",
    "org: acme\nexceptions: [{vulnerability: CVE-1, type: accepted_risk, expires: soon}]",
    "org: acme\nmetrics: {series: many}",
    "org: acme\nmetrics: {serie: 100}",
    "org: acme\nevents: {severities: HIGH}",
    "org: acme\nevents: {severity: high}",
];

#[test]
fn the_schema_refuses_what_is_wrong_with_a_part() {
    let validator = validator();
    for text in WRONG {
        assert!(parse(text).is_err(), "it is taken: {text}");
        assert!(!validator.is_valid(&document(text)), "the schema takes it: {text}");
    }
}

/// Every place of the example with keys, from the top.
fn places(document: &Value, at: &[Step], found: &mut Vec<Vec<Step>>) {
    match document {
        Value::Object(object) => {
            found.push(at.to_vec());
            for (key, value) in object {
                places(value, &[at, &[Step::Key(key.clone())]].concat(), found);
            }
        }
        Value::Array(values) => {
            for (position, value) in values.iter().enumerate() {
                places(value, &[at, &[Step::Element(position)]].concat(), found);
            }
        }
        _ => {}
    }
}

fn at<'a>(document: &'a mut Value, place: &[Step]) -> &'a mut Value {
    place.iter().fold(document, |value, step| match step {
        Step::Key(key) => &mut value[key],
        Step::Element(position) => &mut value[position],
    })
}

/// The keys that an error of serde names.
fn known_keys(error: &str) -> Option<BTreeSet<String>> {
    let (_, known) = error.split_once("unknown field `no_such_key`, expected ")?;
    Some(known.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// The sets of keys that objects of a schema have.
fn key_sets(schema: &Value, found: &mut Vec<BTreeSet<String>>) {
    if let Some(keys) = schema.get("properties").and_then(Value::as_object) {
        found.push(keys.keys().cloned().collect());
    }
    match schema {
        Value::Object(object) => object.values().for_each(|value| key_sets(value, found)),
        Value::Array(values) => values.iter().for_each(|value| key_sets(value, found)),
        _ => {}
    }
}

#[test]
fn the_schema_has_every_key_of_the_types_and_no_other() {
    let (validator, example) = (validator(), document(EXAMPLE));
    let (mut found, mut sets, mut asked) = (Vec::new(), Vec::new(), 0);
    places(&example, &[], &mut found);
    key_sets(&file_schema(), &mut sets);
    for place in found {
        let mut changed = example.clone();
        at(&mut changed, &place)["no_such_key"] = json!(1);
        assert!(!validator.is_valid(&changed), "the schema takes any key at {place:?}");
        // What the types themselves say that they take there.
        let error = serde_json::from_value::<Config>(changed)
            .map_or_else(|error| error.to_string(), |_| String::new());
        if let Some(known) = known_keys(&error) {
            asked += 1;
            assert!(
                sets.contains(&known),
                "no object of the schema has the keys {known:?}, as {place:?} has"
            );
        }
    }
    assert!(asked >= 15, "only {asked} places told their keys");
}

#[test]
fn a_value_of_another_type_is_refused_wherever_it_stands() {
    fn leaves(document: &Value, at: &[Step], found: &mut Vec<Vec<Step>>) {
        match document {
            Value::Object(object) => object
                .iter()
                .for_each(|(key, value)| leaves(value, &[at, &[Step::Key(key.clone())]].concat(), found)),
            Value::Array(values) => values.iter().enumerate().for_each(|(position, value)| {
                leaves(value, &[at, &[Step::Element(position)]].concat(), found);
            }),
            _ => found.push(at.to_vec()),
        }
    }
    let (validator, example) = (validator(), document(EXAMPLE));
    let mut found = Vec::new();
    leaves(&example, &[], &mut found);
    for place in found {
        let mut changed = example.clone();
        *at(&mut changed, &place) = json!({"a": [1]});
        assert!(!validator.is_valid(&changed), "the schema takes anything at {place:?}");
    }
}
