//! The template of accounts whose registries are read, against what reading them asks for.

use std::collections::BTreeMap;
use std::fs;

use super::needs::ecr_actions;
use super::permissions::{WITHOUT_RESOURCE, allowed, compare};
use super::template::{Template, reference};

fn text() -> String {
    fs::read_to_string(super::root().join("infra/aws/ecr-member.yaml")).unwrap()
}

/// Everything that is wrong with the template.
fn faults(text: &str) -> Vec<String> {
    let template = Template::read(text);
    let mut faults = Vec::new();
    let calls = ecr_actions(&super::root()).into_iter().filter(|action| action.starts_with("ecr:"));
    let wanted: BTreeMap<_, _> = calls
        .map(|action| {
            let takes_none = WITHOUT_RESOURCE.contains(&action.as_str());
            let own = "arn:${AWS::Partition}:ecr:*:${AWS::AccountId}:repository/*";
            ((action, if takes_none { "*" } else { own }.to_owned()), "reading its registries".to_owned())
        })
        .collect();
    assert!(wanted.len() > 3, "the product names its calls no more: {wanted:?}");
    let role = template.properties("ReadRole");
    compare(&mut faults, "the member", &wanted, &allowed(&role["Policies"][0]));

    let trust = role["AssumeRolePolicyDocument"]["Statement"].as_array().unwrap();
    let principal = reference(&trust[0]["Principal"]["AWS"]);
    let external_id = reference(&trust[0]["Condition"]["StringEquals"]["sts:ExternalId"]);
    if trust.len() != 1 || principal != "arn:${AWS::Partition}:iam::${TidewatchAccount}:root" {
        faults.push(format!("the role trusts {principal}"));
    }
    if external_id != "${ExternalId}" {
        faults.push("the role is assumed without its external id".to_owned());
    }
    let forwards = allowed(&template.properties("PushedImagesRole")["Policies"][0]);
    if forwards != [("events:PutEvents".to_owned(), "${EventBusArn}".to_owned())].into() {
        faults.push(format!("events are forwarded by {forwards:?}"));
    }
    faults
}

#[test]
fn the_role_of_another_account_allows_what_reading_its_registries_asks_for_and_no_more() {
    assert_eq!(faults(&text()), Vec::<String>::new());
}

#[test]
fn a_mistake_in_the_template_of_other_accounts_is_noticed() {
    for (right, wrong, fault) in [
        ("                  - ecr:BatchGetImage\n", "", "lacks (\"ecr:BatchGetImage\""),
        (
            "                  - ecr:BatchGetImage\n",
            "                  - ecr:PutImage\n",
            "has (\"ecr:PutImage\"",
        ),
        ("            Condition: {StringEquals: {\"sts:ExternalId\": !Ref ExternalId}}\n", "", "external id"),
        ("Action: events:PutEvents", "Action: events:PutRule", "events are forwarded"),
        ("${TidewatchAccount}:root", "${AWS::AccountId}:root", "the role trusts"),
    ] {
        assert!(text().contains(right), "the template does not have {right:?} any more");
        let faults = faults(&text().replacen(right, wrong, 1));
        assert!(faults.iter().any(|found| found.contains(fault)), "{fault:?} is not noticed: {faults:?}");
    }
}

/// What the configuration takes when nothing else is said is what the template makes.
#[test]
fn the_role_has_the_name_that_the_stack_may_assume() {
    let (member, stack) = (Template::read(&text()), Template::read(&super::text()));
    let names =
        [&member.document["Parameters"]["RoleName"], &stack.document["Parameters"]["EcrMemberRoleName"]];
    assert_eq!(names[0]["Default"], names[1]["Default"]);
    for entry in member.document["Parameters"].as_object().unwrap().values() {
        assert!(entry["Description"].as_str().unwrap().ends_with('.'), "{entry}");
    }
}
