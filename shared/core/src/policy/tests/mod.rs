//! Tests of what holds for every policy, and of the policies in force.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::facts::Facts;
use super::*;
use crate::config::PolicyConfig;
use crate::names::PolicyId;

fn entries(entries: Value) -> Vec<PolicyConfig> {
    serde_json::from_value(entries).unwrap()
}

fn names(policies: Value) -> Vec<(String, String)> {
    let set = PolicySet::new(&entries(policies));
    set.names().map(|(id, name)| (id.to_string(), name.to_owned())).collect()
}

#[test]
fn every_type_takes_its_defaults_and_has_a_valid_id_of_its_own() {
    let names = TYPES
        .iter()
        .flat_map(|policy_type| [policy_type.id].into_iter().chain(policy_type.other_names.iter().copied()));
    let names: Vec<&str> = names.collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    let display_names: BTreeSet<_> = TYPES.iter().map(|policy_type| policy_type.display_name).collect();
    assert_eq!(display_names.len(), TYPES.len());
    for policy_type in TYPES {
        assert!(policy_type.id.parse::<PolicyId>().is_ok());
        assert!((policy_type.build)(&Value::Null).is_ok(), "{}", policy_type.id);
        assert!((policy_type.build)(&json!({})).is_ok(), "{}", policy_type.id);
        assert!((policy_type.build)(&json!({"no-such-parameter": 1})).is_err(), "{}", policy_type.id);
    }
}

#[test]
fn every_file_here_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/policy");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name != "mod")
        .map(|name| name.replace('_', "-"))
        .collect();
    let table = TYPES.iter().map(|policy_type| policy_type.id.to_owned()).collect();
    assert_eq!(files, table);
}

/// The parameters of each type with their defaults, as Docker publishes them. `allowed_distros` is our own: the list is not
/// public.
#[test]
fn the_parameters_and_their_defaults_are_those_that_scout_publishes() {
    let published = json!({
        "fixable-vulnerabilities": {
            "severities": ["CRITICAL", "HIGH"], "fixable_only": true, "package_types": [], "grace_period_days": 0,
        },
        "high-profile-vulnerabilities": {
            "cves": [
                "CVE-2014-0160", "CVE-2014-6271", "CVE-2021-44228", "CVE-2021-45046",
                "CVE-2022-22965", "CVE-2023-38545", "CVE-2023-44487", "CVE-2024-3094",
            ],
            "ignored_cves": [], "include_cisa_kev": true,
        },
        "copyleft-license": {"licenses": ["AGPL", "GPL", "LGPL", "MPL"], "ignored_packages": []},
        "no-stale-base-images": {},
        "approved-base-images": {"allowed_base_images": ["*"], "allowed_distros_only": true, "allowed_distros": null},
        "supply-chain-attestations": {"required_attestations": ["sbom", "provenance-max"]},
        "default-non-root-user": {},
    });
    let published = published.as_object().unwrap();
    assert_eq!(published.len(), TYPES.len());
    for policy_type in TYPES {
        let mut generator = SchemaGenerator::default();
        (policy_type.parameters)(&mut generator);
        let definitions = generator.take_definitions(true);
        let schema = definitions
            .values()
            .find(|schema| schema["title"].as_str().unwrap_or_default().ends_with(policy_type.id));
        let properties =
            schema.and_then(|schema| schema["properties"].as_object()).cloned().unwrap_or_default();
        let expected = published[policy_type.id].as_object().unwrap();
        assert_eq!(
            properties.keys().collect::<BTreeSet<_>>(),
            expected.keys().collect::<BTreeSet<_>>(),
            "{}",
            policy_type.id
        );
        for (name, default) in expected.iter().filter(|(_, default)| !default.is_null()) {
            let ours = &properties[name]["default"];
            let sorted = |value: &Value| match value.as_array() {
                Some(list) => list.iter().map(Value::to_string).collect::<BTreeSet<_>>(),
                None => [value.to_string()].into(),
            };
            assert_eq!(sorted(ours), sorted(default), "{} of {}", name, policy_type.id);
        }
    }
}

#[test]
fn a_disabled_policy_is_not_judged() {
    let all = names(json!([]));
    assert_eq!(all.len(), TYPES.len());
    let others = names(json!([{"id": "fixable-vulnerabilities", "enabled": false}]));
    assert_eq!(others.len(), TYPES.len() - 1);
    assert!(others.iter().all(|(id, _)| id != "fixable-vulnerabilities"));
    assert_eq!(names(json!([{"id": "no-copyleft-licenses", "enabled": false}])).len(), TYPES.len() - 1);
}

#[test]
fn a_custom_policy_is_judged_beside_the_one_that_it_is_a_copy_of() {
    let custom = json!([{
        "id": "no-old-criticals", "type": "fixable-vulnerabilities", "display_name": "No old criticals",
        "config": {"severities": ["CRITICAL"], "grace_period_days": 30},
    }]);
    let all = names(custom.clone());
    assert_eq!(all.len(), TYPES.len() + 1);
    assert!(all.contains(&("no-old-criticals".to_owned(), "No old criticals".to_owned())));
    assert!(all.iter().any(|(id, _)| id == "fixable-vulnerabilities"));
    let mut disabled = custom;
    disabled[0]["enabled"] = json!(false);
    assert_eq!(names(disabled).len(), TYPES.len());
}

#[test]
fn compliant_means_that_no_row_fails_and_no_data_has_a_reason() {
    for facts in
        [Facts::default(), Facts::default().state(ResultState::Partial), Facts::default().no_distribution()]
    {
        for policy_type in TYPES {
            let evaluation = facts.clone().evaluate(policy_type.id, Value::Null);
            assert_eq!(evaluation.failing.is_empty(), evaluation.outcome != Outcome::Fail);
            assert_eq!(evaluation.reason.is_some(), evaluation.outcome == Outcome::NoData);
        }
    }
}
