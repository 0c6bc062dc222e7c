//! Commands on a deployed stack: which instance is meant, that they do there what they do on a data folder, and what is
//! said when the stack cannot be worked on. The stacks here have what commands use and no functions; those of the whole
//! template are tested where it is deployed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Stack, StackStatus};
use serde_json::{Value, json};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::{QueueReceiver as _, Sleeper as _};
use tidewatch_runtime::aws::{SdkConfig, lambda_config};
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_store::SqsQueue;
use tidewatch_testkit::fixtures;
use tidewatch_testkit::ministack::MiniStack;
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::Finished;

use crate::installation::{BINARY, Configuration, Installation, ORG, read_json};

/// Nothing listens there.
const NOBODY: &str = "http://127.0.0.1:9";

/// Credentials that AWS would refuse.
const CREDENTIALS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];

/// Environment variables.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// Runs the command in an empty folder with these variables and no others, so that nothing of how this machine is
/// configured for AWS counts.
fn run(variables: Variables<'_>, arguments: &[&str]) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), variables, arguments)
}

fn run_in(folder: &Path, variables: Variables<'_>, arguments: &[&str]) -> Finished {
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
const COMMANDS: [&[&str]; 14] = [
    &["hook", "create", "--registry", "main"],
    &["hook", "list"],
    &["hook", "rotate", "234567abcdefghij"],
    &["hook", "revoke", "234567abcdefghij"],
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
    let stack: Variables<'_> = &[("TIDEWATCH_STACK", "acme")];
    let both: Variables<'_> = &[("TIDEWATCH_STACK", "acme"), ("TIDEWATCH_DATA", "here")];
    let cases: [(Variables<'_>, &[&str], &str); 9] = [
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
    let apply = ["apply", &file, "--dry-run"];
    let commands = COMMANDS.iter().copied().chain([&apply[..2], &apply]);
    let variables = [&CREDENTIALS[..], &[("AWS_ENDPOINT_URL", NOBODY)]].concat();
    let check = &|command: &[&str]| {
        let arguments = [command, &["--stack", "acme"]].concat();
        let Finished { code, stdout, stderr } = run(&variables, &arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains("failed to ask CloudFormation in us-east-1 for the stack acme"), "{stderr}");
        assert!(stderr.contains(&format!("AWS_ENDPOINT_URL leads to {NOBODY}")), "{stderr}");
        assert!(!stderr.contains("tidewatch up") && !stderr.contains("data folder"), "{stderr}");
    };
    // At the same time: each tries for some seconds.
    std::thread::scope(|scope| commands.for_each(|command| drop(scope.spawn(move || check(command)))));
}

#[test]
fn who_has_no_credentials_or_no_region_is_told_how_to_get_them() {
    let Finished { code, stderr, .. } = run(&[("AWS_REGION", "us-east-1")], &["images", "--stack", "acme"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("failed to find credentials of AWS"), "{stderr}");
    assert!(stderr.contains("next: ") && stderr.contains("AWS_PROFILE"), "{stderr}");
    for region in [&[][..], &[("AWS_REGION", "")]] {
        let variables = [&CREDENTIALS[..2], region].concat();
        let Finished { code, stderr, .. } = run(&variables, &["images", "--stack", "acme"]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("no region") && stderr.contains("AWS_REGION"), "{stderr}");
    }
}

#[test]
fn a_wrong_configuration_is_told_before_the_stack_is_asked_for() {
    let installation = Installation::new();
    let file = installation.file("wrong.yaml", "org: 1");
    let Finished { code, stderr, .. } = run(&[], &["apply", &file, "--stack", "acme"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("mend the file"), "{stderr}");
}

/// A folder in which commands work on the stack `name` of a MiniStack.
struct OnStack<'a> {
    installation: Installation,
    name: &'a str,
    variables: Vec<(String, String)>,
    config: SdkConfig,
}

impl<'a> OnStack<'a> {
    /// On a stack that is not there yet.
    fn new(ministack: &MiniStack, name: &'a str) -> Self {
        let environment = ministack.environment();
        let config = lambda_config(|name| environment.get(name).cloned()).unwrap();
        let variables = environment.into_iter().chain([("TIDEWATCH_STACK".to_owned(), name.to_owned())]);
        Self { installation: Installation::new(), name, variables: variables.collect(), config }
    }

    /// Makes the stack, with the outputs of the template but for those that are `missing`.
    async fn deploy(&self, missing: &[&str]) -> Stack {
        let client = Client::new(&self.config);
        client.create_stack().stack_name(self.name).template_body(template(missing)).send().await.unwrap();
        for _ in 0..300 {
            let answer = client.describe_stacks().stack_name(self.name).send().await.unwrap();
            let stack = answer.stacks().first().unwrap().clone();
            match stack.stack_status() {
                Some(StackStatus::CreateInProgress) => SystemSleeper.sleep(Duration::from_millis(100)).await,
                status => {
                    assert_eq!(status, Some(&StackStatus::CreateComplete));
                    return stack;
                }
            }
        }
        panic!("the stack {} is not created", self.name);
    }

    fn folder(&self) -> std::path::PathBuf {
        self.installation.data().parent().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        run_in(&self.folder(), &variables, arguments)
    }

    fn must(&self, arguments: &[&str]) -> Finished {
        let finished = self.run(arguments);
        assert_eq!(finished.code, Some(0), "{arguments:?}: {}", finished.stderr);
        finished
    }

    fn json(&self, arguments: &[&str]) -> Value {
        read_json(&self.must(&[arguments, &["--format", "json"]].concat()).stdout)
    }
}

/// The template of a stack with what commands use.
fn template(missing: &[&str]) -> String {
    let keys = [("pk", "HASH"), ("sk", "RANGE")];
    let table = json!({
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions":
            keys.map(|(name, _)| json!({"AttributeName": name, "AttributeType": "S"})),
        "KeySchema": keys.map(|(name, kind)| json!({"AttributeName": name, "KeyType": kind})),
    });
    let mut resources = json!({
        "Records": {"Type": "AWS::DynamoDB::Table", "Properties": table},
        "Objects": {"Type": "AWS::S3::Bucket"},
    });
    let mut outputs = json!({
        "Table": {"Value": {"Ref": "Records"}},
        "Bucket": {"Value": {"Ref": "Objects"}},
        "ApiUrl": {"Value": "https://api.example.com"},
    });
    for queue in ["Advisories", "Hints", "Listings", "Pushed", "Rematches", "Rollups", "Scans"] {
        let dead = format!("{queue}Dead");
        resources[queue] = json!({"Type": "AWS::SQS::Queue"});
        resources[&dead] = json!({"Type": "AWS::SQS::Queue"});
        outputs[format!("Queue{queue}")] = json!({"Value": {"Ref": queue}});
        outputs[format!("DeadLetterQueue{queue}")] = json!({"Value": {"Ref": dead}});
    }
    outputs.as_object_mut().unwrap().retain(|name, _| !missing.contains(&name.as_str()));
    json!({"Resources": resources, "Outputs": outputs}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_do_on_a_stack_what_they_do_on_a_data_folder() {
    let Some(ministack) = MiniStack::shared() else { return };
    let on = OnStack::new(ministack, "whole");
    let stack = on.deploy(&[]).await;
    let file = on.installation.file("tidewatch.yaml", Configuration::new(ORG).registry("main", NOBODY));

    let planned = on.json(&["apply", &file, "--dry-run"]);
    assert_eq!((&planned["applied"], &planned["version"]), (&json!(false), &Value::Null));
    assert_eq!(on.json(&["apply", &file])["version"], json!(1));
    assert_eq!(on.json(&["apply", &file])["applied"], json!(false));
    assert_eq!(on.json(&["rules", "list"])["rules"][0]["id"], json!("everything"));

    let run = on.must(&["rules", "run", "everything"]);
    assert!(run.stderr.contains("started") && !run.stderr.contains("tidewatch up"), "{}", run.stderr);
    let status = on.json(&["rules", "status"]);
    assert_eq!(status["runs"][0]["listings"], json!(1));
    let url = stack.outputs().iter().find(|output| output.output_key() == Some("QueueListings")).unwrap();
    let urls = [(QueueName::Listings, url.output_value().unwrap().to_owned())].into();
    let queue = SqsQueue::new(&on.config, urls, Arc::new(SystemSleeper));
    let sent = queue.receive(QueueName::Listings, 10, Duration::from_secs(60)).await.unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(read_json(&sent[0].body)["run"], status["runs"][0]["run"]);

    let created = on.must(&["token", "create"]);
    assert!(
        created.stderr.contains("https://api.example.com/v1/exporter/org/acme/metrics"),
        "{}",
        created.stderr
    );
    let id = created.stdout.split('_').nth(1).unwrap();
    assert_eq!(on.json(&["token", "list"])["tokens"][0]["id"], json!(id));
    assert_eq!(on.json(&["token", "revoke", id])["tokens"][0]["valid"], json!(false));

    let hook = on.json(&["hook", "create", "--registry", "main"]);
    assert!(hook["url"].as_str().unwrap().starts_with("https://api.example.com/v1/hooks/"), "{hook}");
    assert_eq!(on.json(&["hook", "list"])["hooks"][0]["id"], hook["id"]);

    let document = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1", "author": "Acme",
        "statements": [{
            "vulnerability": {"name": "CVE-2099-0001"}, "products": [{"@id": "team/web"}], "status": "not_affected",
        }],
    });
    let vex = on.installation.file("web.vex.json", document);
    assert_eq!(on.json(&["vex", "add", &vex])["version"], json!(2));
    assert_eq!(on.json(&["vex", "list"])["documents"][0]["author"], json!("Acme"));
    let status = on.json(&["status"]);
    assert_eq!((&status["version"], &status["vex_documents"]), (&json!(2), &json!(1)));
    assert_eq!(status["judging"]["progress"], json!("waiting"));
    let listings = &status["queues"]["listings"];
    assert_eq!((&listings["messages"], &listings["dead_letters"]), (&json!(1), &json!(0)));
    assert_eq!((&listings["longest_wait_seconds"], &listings["error"]), (&Value::Null, &Value::Null));
    assert_eq!(status["queues"].as_object().unwrap().len(), QueueName::ALL.len());
    assert_eq!(on.json(&["reconcile"])["drift"], json!([]));

    let images = on.must(&["images"]);
    assert!(
        images.stderr.contains("no images yet") && !images.stderr.contains("tidewatch up"),
        "{}",
        images.stderr
    );
    let made = on.folder().join("tidewatch-data");
    assert!(!made.exists(), "a stack needs no data folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn advisories_that_are_built_for_a_stack_are_found_there() {
    let Some(ministack) = MiniStack::shared() else { return };
    let on = OnStack::new(ministack, "advised");
    on.deploy(&[]).await;
    let from = fixtures::advisories();
    let local = Installation::new();
    local.build_advisories(&from);
    let built = on.json(&["advisories", "build", "--from", from.to_str().unwrap()]);
    assert_eq!(on.json(&["advisories", "info"])["families"], built["families"]);
    let query = ["advisories", "query", "Debian:13", "openssl"];
    assert_eq!(on.json(&query), local.json(&query));
    // What was compiled is gone, what was downloaded is kept, and is used again.
    let cache = on.folder().join(".cache/tidewatch");
    let kept: Vec<String> = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "builds.lock")
        .collect();
    assert_eq!(kept, ["us-east-1-000000000000-advised"]);
    let indexes = || std::fs::read_dir(cache.join(&kept[0])).unwrap().count();
    assert_eq!(indexes(), 1);
    on.must(&query);
    assert_eq!(indexes(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stack_cannot_read_or_does_not_have_is_refused() {
    let Some(ministack) = MiniStack::shared() else { return };
    let on = OnStack::new(ministack, "refusing");
    let missing = on.run(&["images"]);
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
    assert!(missing.stderr.contains("there is no stack refusing in us-east-1"), "{}", missing.stderr);

    on.deploy(&[]).await;
    let configuration = Configuration::new(ORG).registry_with_credentials("main", NOBODY, "{env: LOGIN}");
    let file = on.installation.file("tidewatch.yaml", configuration);
    for arguments in [&["apply", &file][..], &["apply", &file, "--dry-run"]] {
        let Finished { code, stdout, stderr } = on.run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains("the credentials of main") && stderr.contains("{secret: NAME}"), "{stderr}");
    }
    assert!(on.run(&["images"]).stderr.contains("there is no organisation yet"), "nothing was written");

    let silent = OnStack::new(ministack, "silent");
    silent.deploy(&["DeadLetterQueueScans"]).await;
    let file = silent.installation.file("tidewatch.yaml", Configuration::new(ORG).registry("main", NOBODY));
    silent.must(&["apply", &file]);
    let queues = &silent.json(&["status"])["queues"];
    assert_eq!((&queues["scans"]["messages"], &queues["hints"]["messages"]), (&Value::Null, &json!(0)));
    let table = silent.must(&["status"]).stdout;
    assert!(table.contains("scans: failed to reach queue scans: the process was given no URL"), "{table}");

    let older = OnStack::new(ministack, "older");
    older.deploy(&["QueueHints", "QueueRollups"]).await;
    let Finished { code, stderr, .. } = older.run(&["images"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("lacks outputs that this version needs: QueueHints, QueueRollups"), "{stderr}");
    assert!(stderr.contains("make deploy STACK=older"), "{stderr}");
}
