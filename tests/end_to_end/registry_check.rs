//! `tidewatch registry check`: each step of reading a registry, and what to do about the one that fails.

use serde_json::Value;
use tidewatch_testkit::registry::{Access, Fault, TestRegistry};

use crate::images::{OLD_LIBC, debian_image, push};
use crate::installation::{Configuration, Installation, ORG, fixture_registry, read_json};

/// What each step came to, and what is advised.
fn steps(document: &Value) -> Vec<(String, bool, Option<String>)> {
    let steps = document["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let advice = step["advice"].as_str().map(str::to_owned);
            (step["step"].as_str().unwrap().to_owned(), step["ok"].as_bool().unwrap(), advice)
        })
        .collect()
}

/// The document of a check that must end with this exit code.
fn check(installation: &Installation, arguments: &[&str], code: i32) -> Value {
    let all = [&["registry", "check"], arguments, &["--format", "json"]].concat();
    let finished = installation.run(&all);
    assert_eq!(finished.code, Some(code), "{}{}", finished.stdout, finished.stderr);
    read_json(&finished.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_can_be_read_is_read_step_by_step_without_a_configuration_in_force() {
    let registry = fixture_registry().await;
    let installation = Installation::new();
    let file = installation.file("tidewatch.yaml", Configuration::of(&registry));
    let document = check(&installation, &["local", "--config", &file], 0);
    assert_eq!((&document["schema"], &document["ok"]), (&"tidewatch.registry-check/1".into(), &true.into()));
    let names: Vec<String> = steps(&document).into_iter().map(|(name, ..)| name).collect();
    let expected = ["open", "authenticate", "list_repositories", "list_tags", "read_manifest", "read_blob"];
    assert_eq!(names, expected);
    assert!(!installation.data().exists(), "nothing is written");
    registry.assert_no_violations();

    let table = installation.must(&["registry", "check", "local", "--config", &file]);
    assert!(table.contains("reach and authenticate") && table.contains("names only"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_says_what_is_missing_and_how_it_is_granted() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "1", &debian_image(&[OLD_LIBC]));
    let installation = Installation::new();
    let advice = |configuration: &Configuration, step: &str| {
        let file = installation.file("tidewatch.yaml", configuration);
        let document = check(&installation, &["local", "--config", &file], 3);
        let failed = steps(&document).into_iter().find(|(name, ok, _)| name == step && !ok);
        failed.unwrap_or_else(|| panic!("{step} did not fail: {document}")).2.unwrap()
    };
    let of = |credentials: &str| {
        Configuration::new(ORG).registry_with_credentials("local", &registry.url(), credentials)
    };

    registry.require(Access::basic("robot", "correct-horse"));
    let anonymous = advice(&Configuration::of(&registry), "list_repositories");
    assert!(anonymous.contains("it was asked anonymously"), "{anonymous}");
    let missing = advice(&of("{env: NO_SUCH_VARIABLE}"), "open");
    assert!(missing.contains("put the credentials there"), "{missing}");
    let login = installation.file("login", "robot:wrong");
    let wrong = advice(&of(&format!("{{file: {login:?}}}")), "authenticate");
    assert!(wrong.contains("docker login"), "{wrong}");

    registry.require(Access::Anonymous);
    registry.inject(Fault::Throttle { requests: 1, retry_after: None });
    assert!(advice(&Configuration::of(&registry), "authenticate").contains("`rate`"));

    let gone = TestRegistry::start().await.unwrap();
    let configuration = Configuration::of(&gone);
    drop(gone);
    assert!(advice(&configuration, "authenticate").contains("proxy"));
}

#[test]
fn a_registry_that_is_not_there_is_named_with_those_that_are() {
    let installation = Installation::new();
    let file =
        installation.file("tidewatch.yaml", Configuration::new(ORG).registry("hub", "http://127.0.0.1:1"));
    let finished = installation.run(&["registry", "check", "hob", "--config", &file]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("there are: hub"), "{}", finished.stderr);
}
