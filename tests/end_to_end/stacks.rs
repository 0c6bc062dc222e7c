//! Commands on a deployed stack: which instance is meant, and what is said when the stack cannot be reached. That they
//! work there is shown by the test of the deployment.

use std::path::Path;
use std::process::{Command, Stdio};

use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::Finished;

use crate::installation::{BINARY, Configuration, Installation};

/// Nothing listens there.
const NOBODY: &str = "http://127.0.0.1:9";

/// Credentials that AWS would refuse.
const CREDENTIALS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];

/// Runs the command in an empty folder with these variables and no others, so that nothing of how this machine is
/// configured for AWS counts.
fn run(variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), variables, arguments)
}

fn run_in(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
    let nothing = [
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let output = Command::new(BINARY)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .envs(nothing)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Finished { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Every command that works on an instance.
const COMMANDS: [&[&str]; 10] = [
    &["images"],
    &["rules", "list"],
    &["rules", "status"],
    &["rules", "run", "everything"],
    &["token", "create"],
    &["token", "list"],
    &["token", "revoke", "0123456789abcdef"],
    &["advisories", "info"],
    &["advisories", "query", "Debian:12", "openssl"],
    &["advisories", "build", "--from", "."],
];

#[test]
fn one_command_works_on_one_instance() {
    let stack: &[(&str, &str)] = &[("TIDEWATCH_STACK", "acme")];
    let both: &[(&str, &str)] = &[("TIDEWATCH_STACK", "acme"), ("TIDEWATCH_DATA", "here")];
    let cases: [(&[(&str, &str)], &[&str], &str); 9] = [
        (&[], &["images", "--data", "here", "--stack", "acme"], "--data and --stack are both given"),
        (&[], &["--stack", "acme", "images", "--data", "here"], "--data and --stack are both given"),
        (both, &["images"], "TIDEWATCH_DATA and TIDEWATCH_STACK are both set"),
        (both, &["images", "--data", "there"], "there is no data folder at there"),
        (both, &["images", "--stack", "other"], "no region"),
        (stack, &["images", "--data", "there"], "there is no data folder at there"),
        (stack, &["images"], "no region"),
        (&[("TIDEWATCH_DATA", "here")], &["images"], "there is no data folder at here"),
        (&[], &["images", "--stack", "acme scans"], "up to 128 letters, digits and dashes"),
    ];
    for (variables, arguments, said) in cases {
        let Finished { code, stdout, stderr } = run(variables, arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{variables:?} {arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{variables:?} {arguments:?}: {stderr}");
    }
}

#[test]
fn what_works_on_this_machine_refuses_a_stack_and_does_not_mind_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["up"][..], &["scan", "oci:/nowhere"]] {
        let arguments = [command, &["--stack", "acme"]].concat();
        let Finished { code, stdout, stderr } = run_in(folder.path(), &[], &arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains("takes no --stack"), "{arguments:?}: {stderr}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    for variables in
        [&[("TIDEWATCH_STACK", "acme")][..], &[("TIDEWATCH_STACK", "acme"), ("TIDEWATCH_DATA", "x")]]
    {
        let Finished { code, stderr, .. } = run(variables, &["scan", "oci:/nowhere"]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("there is no OCI image layout in /nowhere"), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_says_what_to_do_when_a_stack_cannot_be_asked_for() {
    let registry = TestRegistry::start().await.unwrap();
    let installation = Installation::new();
    let file = installation.file("tidewatch.yaml", Configuration::of(&registry));
    let apply: [&[&str]; 2] = [&["apply", &file], &["apply", &file, "--dry-run"]];
    let commands = COMMANDS.iter().copied().chain(apply);
    let variables = [&CREDENTIALS[..], &[("AWS_ENDPOINT_URL", NOBODY), ("AWS_MAX_ATTEMPTS", "1")]].concat();
    for command in commands {
        let arguments = [command, &["--stack", "acme"]].concat();
        let Finished { code, stdout, stderr } = run(&variables, &arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains("failed to ask CloudFormation in us-east-1 for the stack acme"), "{stderr}");
        assert!(stderr.contains(&format!("AWS_ENDPOINT_URL leads to {NOBODY}")), "{stderr}");
        assert!(!stderr.contains("tidewatch up") && !stderr.contains("data folder"), "{stderr}");
    }
}

#[test]
fn who_has_no_credentials_or_no_region_is_told_how_to_get_them() {
    let Finished { code, stderr, .. } = run(&[("AWS_REGION", "us-east-1")], &["images", "--stack", "acme"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("failed to find credentials of AWS"), "{stderr}");
    assert!(stderr.contains("next: ") && stderr.contains("AWS_PROFILE"), "{stderr}");
    let Finished { code, stderr, .. } = run(&CREDENTIALS[..2], &["images", "--stack", "acme"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("no region") && stderr.contains("AWS_REGION"), "{stderr}");
}

#[test]
fn a_wrong_configuration_is_told_before_the_stack_is_asked_for() {
    let installation = Installation::new();
    let file = installation.file("wrong.yaml", "org: 1");
    let Finished { code, stderr, .. } = run(&[], &["apply", &file, "--stack", "acme"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("mend the file"), "{stderr}");
}
