//! The command line: help, exit codes, documents for programs, and that it works whether local mode runs or not.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_testkit::fixtures::{self, ExpectedFinding, ExpectedImage};
use tidewatch_testkit::image::{ImageBuilder, write_oci_layout};
use tidewatch_testkit::layer::LayerBuilder;
use tidewatch_testkit::registry::{Fault, TestRegistry};
use tidewatch_tests::Finished;
use tokio::process::Command;

use crate::images::{FIXED_LIBC, package_database};
use crate::installation::{
    BINARY, Configuration, Installation, Numbers, ORG, fixture_registry, read_json, settle,
};
use crate::metrics::vulnerabilities;

#[test]
fn every_command_has_help_with_what_it_does() {
    let installation = Installation::new();
    let commands: [&[&str]; 27] = [
        &["up"],
        &["scan"],
        &["inventory"],
        &["apply"],
        &["rules"],
        &["rules", "list"],
        &["rules", "run"],
        &["rules", "status"],
        &["token"],
        &["token", "create"],
        &["token", "list"],
        &["token", "revoke"],
        &["hook"],
        &["hook", "create"],
        &["hook", "list"],
        &["hook", "rotate"],
        &["hook", "revoke"],
        &["advisories"],
        &["advisories", "info"],
        &["advisories", "build"],
        &["advisories", "query"],
        &["images"],
        &["image"],
        &["policy"],
        &["explain"],
        &["versions"],
        &["versions", "compare"],
    ];
    for command in commands {
        let Finished { code, stdout, stderr } = installation.run(&[command, &["--help"]].concat());
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{command:?}");
        assert!(
            stdout.contains("Usage: tidewatch") && stdout.contains(&command.join(" ")),
            "{command:?}: {stdout}"
        );
    }
    let version = installation.must(&["--version"]);
    assert_eq!(version, format!("tidewatch {}\n", env!("CARGO_PKG_VERSION")));
    assert!(!installation.data().exists(), "help makes no data folder");
}

#[test]
fn the_help_shows_every_command_with_examples_and_exit_codes() {
    let help = Installation::new().must(&["--help"]);
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    Know how vulnerable your container images are, on the dashboards you already have

    Usage: tidewatch [OPTIONS] <COMMAND>

    Commands:
      up          Start local mode: everything in one process
      scan        Scan one image now, without local mode
      inventory   List the packages of one image now, as a table or a bill of materials
      apply       Put a configuration in force
      schema      Print the JSON Schema of the configuration file, for editors
      rules       Rules: list, run, see how runs are getting on
      registry    Registries: look whether they can be read
      env         Environments: streams of the images that run somewhere
      vex         OpenVEX documents: put in force, list, export
      token       Tokens for the metrics endpoint and the results
      hook        Hooks, by which registries tell of pushes
      advisories  Advisories: compile, look up
      images      List the images that are known, with their results
      image       Show all that is known of one image
      policy      Show what a policy says of the images of a stream
      explain     List the rows behind a number of the metrics
      status      Show how things stand: what is in force, how far images are judged by it, how old
                  advisories and numbers are
      reconcile   Look whether all numbers follow from what they were made of, and mend those that do
                  not
      versions    Versions: compare
      help        Print this message or the help of the given subcommand(s)

    Options:
          --data <DIR>
              Where local mode keeps everything

              [env: TIDEWATCH_DATA=]
              [default: tidewatch-data]

          --stack <NAME>
              Work on a deployed stack, by its name or ARN, instead of a data folder

              [env: TIDEWATCH_STACK=]

          --format <FORMAT>
              Tables for people, or JSON for programs (docs/COMMAND.md has the shapes). CSV is for what
              reads results, the other formats are those of `tidewatch inventory`

              Possible values:
              - table:     Tables
              - json:      JSON
              - csv:       CSV: of `images`, `image`, `policy` and `explain`
              - tsv:       Sorted lines of type, name and version
              - cyclonedx: CycloneDX 1.6, in JSON
              - spdx:      SPDX 2.3, in JSON

              [default: table]

      -q, --quiet
              Print results only: no progress, no advice

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Examples:
      tidewatch scan oci:./image                 scan an image on disk
      tidewatch inventory docker-archive:a.tar   list the packages of an image
      tidewatch advisories build --from ./osv    compile advisories
      tidewatch up                               start local mode
      tidewatch apply tidewatch.yaml             tell it what to scan
      tidewatch registry check hub               can it be read?
      tidewatch rules run nightly --wait         scan now
      tidewatch env add production hub/web:1.2   count what runs in production
      tidewatch token create --org acme          a token for Prometheus
      tidewatch images --with CVE-2021-44228     which images have a vulnerability
      tidewatch hook create --registry hub       scan what is pushed, at once
      tidewatch status                           how things stand

    Exit codes: 0 done; 1 failed; 2 wrong command line or configuration; 3 a condition such as --fail-on
    is not met.
    "#);
}

#[test]
fn what_is_asked_for_wrongly_ends_with_2_and_says_what_is_right() {
    let installation = Installation::new();
    let long = format!("/tmp/{}", "long/".repeat(30));
    let cases: [(&[&str], &str); 15] = [
        (&[], "Usage: tidewatch"),
        (&["reconcle"], "similar subcommand exists: 'reconcile'"),
        (&["images", "--format", "xml"], "possible values: table, json"),
        (&["scan", "web:1"], "docker.io/library/web:1"),
        (&["scan", "https://registry.example.com/web:1"], "leave out the scheme"),
        (&["scan", "127.0.0.1:9/web:1", "--credentials-env", "NOT_SET"], "NOT_SET"),
        (&["scan", "oci:.", "--advisories", "/nonexist"], "there is no folder /nonexist"),
        (&["apply", "missing.yaml"], "tidewatch apply FILE"),
        (
            &["scan", "oci:/nowhere", "--fail-on", "BAD"],
            "expected CRITICAL, HIGH, MEDIUM, LOW or UNSPECIFIED",
        ),
        (&["rules", "list"], "tidewatch apply tidewatch.yaml"),
        (&["token", "create", "--org", "nobody"], "there is no data folder at"),
        (&["advisories", "query", "Fortran:77", "punch"], "no advisories for the ecosystem"),
        (&["advisories", "build", "--from", "/nonexist"], "there is no folder /nonexist"),
        (&["advisories", "build", "--from", ".", "--data", &long], "too long"),
        (&["advisories", "build", "--from", "."], "no ecosystem"),
    ];
    for (arguments, said) in cases {
        let Finished { code, stdout, stderr } = installation.run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_ends_with_1_and_says_why() {
    let registry = TestRegistry::start().await.unwrap();
    let installation = Installation::new();
    installation.apply(&Configuration::of(&registry));
    let missing = format!("{}/team/web:1", registry.host());
    let cases: [(&[&str], &str); 5] = [
        (&["scan", &missing, "--plain-http"], &format!("{} has no", registry.host())),
        (&["scan", &missing], "--plain-http"),
        (&["scan", "127.0.0.1:9/team/web:1"], "failed to reach 127.0.0.1:9"),
        (&["scan", "oci:/nowhere"], "there is no OCI image layout in /nowhere"),
        (&["advisories", "query", "Debian:13", "openssl"], "tidewatch advisories build"),
    ];
    for (arguments, said) in cases {
        let Finished { code, stdout, stderr } = installation.run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_refuses_is_answered_with_how_to_give_credentials() {
    let registry = TestRegistry::start().await.unwrap();
    registry.inject(Fault::Status { requests: 100, status: 403 });
    let image = format!("{}/team/web:1", registry.host());
    let finished = Installation::new().run(&["scan", &image, "--plain-http"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("--credentials-env"), "{}", finished.stderr);
    assert!(finished.stderr.contains(&format!("{} refused", registry.host())), "{}", finished.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_refuses_an_organisation_that_is_not_there() {
    let registry = TestRegistry::start().await.unwrap();
    let installation = Installation::new();
    installation.apply(&Configuration::of(&registry));
    let commands: [&[&str]; 11] = [
        &["images"],
        &["images", "--stream", "latest-indexed"],
        &["image", "local/demo/web:1.0"],
        &["policy", "fixable-vulnerabilities"],
        &["explain", "tidewatch_images{streamName=\"latest-indexed\",state=\"scanned\"}"],
        &["rules", "list"],
        &["rules", "status"],
        &["rules", "run", "everything"],
        &["token", "create"],
        &["token", "list"],
        &["token", "revoke", "0123456789abcdef"],
    ];
    for command in commands {
        let Finished { code, stdout, stderr } = installation.run(&[command, &["--org", "nope"]].concat());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{command:?}: {stderr}");
        assert!(stderr.contains("there is no organisation nope"), "{command:?}: {stderr}");
        assert!(stderr.contains(ORG), "{command:?} says which there are: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_only_read_make_no_data_folder() {
    let registry = TestRegistry::start().await.unwrap();
    let installation = Installation::new();
    for (arguments, _) in READING {
        let Finished { code, stderr, .. } = installation.run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains("there is no data folder at"), "{arguments:?}: {stderr}");
        assert!(stderr.contains("next: "), "{arguments:?}: {stderr}");
    }
    let file = installation.file("tidewatch.yaml", Configuration::of(&registry));
    let Finished { code, stdout, stderr } = installation.run(&["apply", &file, "--dry-run"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("added") && stderr.contains("there is no data folder at"), "{stdout}{stderr}");
    assert!(!installation.data().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_folder_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let installation = Installation::new();
    let _local = installation.up();
    let mode = std::fs::metadata(installation.data()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_the_same_time_wait_for_one_another() {
    let registry = TestRegistry::start().await.unwrap();
    let installation = Installation::configured(&Configuration::of(&registry));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| installation.must(&["token", "create"]));
        }
    });
    assert_eq!(installation.json(&["token", "list"])["tokens"].as_array().unwrap().len(), 8);
}

#[test]
fn what_an_image_holds_cannot_steer_the_terminal() {
    let layer = LayerBuilder::new()
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME=\"Debian\u{1b}[2J\u{202e}\"\n")
        .file("var/lib/dpkg/status", package_database(&[FIXED_LIBC]))
        .build();
    let layout = tempfile::tempdir().unwrap();
    write_oci_layout(layout.path(), &[("1", &ImageBuilder::new().layer(layer).build())]).unwrap();
    let reference = format!("oci:{}", layout.path().display());
    let printed = Installation::new().must(&["scan", &reference]);
    assert!(!printed.contains(['\u{1b}', '\u{202e}']), "{printed:?}");
}

/// The findings of a scan as the fixtures expect them.
fn findings(scan: &Value) -> Vec<ExpectedFinding> {
    let rows = scan["findings"].as_array().unwrap().iter();
    let mut findings: Vec<ExpectedFinding> = rows
        .map(|row| {
            let keys = ["package", "vulnerability", "advisories", "severity", "fixed_version"];
            let row = keys.map(|key| (key.to_owned(), row[key].clone())).into_iter().collect();
            serde_json::from_value(Value::Object(row)).unwrap()
        })
        .collect();
    findings.sort_by_key(|finding| (finding.package.clone(), finding.vulnerability.clone()));
    findings
}

fn assert_scan(scan: &Value, expected: &ExpectedImage) {
    let image = format!("{} {}", expected.repository, expected.platform);
    assert_eq!(scan["schema"], "tidewatch.scan/1");
    assert_eq!(findings(scan), expected.findings, "{image}");
    assert_eq!(scan["vulnerabilities"], vulnerabilities(&expected.severities), "{image}");
    assert_eq!(scan["packages"], expected.packages.len(), "{image}");
    assert_eq!((&scan["state"], &scan["problems"]), (&json!("scanned"), &json!([])), "{image}");
    let policies = scan["policies"].as_object().unwrap().iter();
    let outcomes: BTreeMap<String, String> =
        policies.map(|(id, policy)| (id.clone(), policy["outcome"].as_str().unwrap().to_owned())).collect();
    assert_eq!(outcomes, expected.policies, "{image}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_on_disk_and_the_same_in_a_registry_have_the_expected_findings() {
    let registry = fixture_registry().await;
    let installation = Installation::new();
    installation.build_advisories(&fixtures::advisories());
    let layouts = tempfile::tempdir().unwrap();
    let images = fixtures::images();
    let layout = layouts.path().to_str().unwrap();
    let tags: Vec<String> = images.iter().map(|image| image.repository.replace('/', "-")).collect();
    let named: Vec<_> =
        tags.iter().map(String::as_str).zip(images.iter().map(|image| &image.image)).collect();
    write_oci_layout(layouts.path(), &named).unwrap();
    for expected in fixtures::expected().images {
        let platform = expected.platform.to_string();
        let ExpectedImage { repository, tag, .. } = &expected;
        let remote = format!("{}/{repository}:{tag}", registry.host());
        let scan = installation.json(&["scan", &remote, "--plain-http", "--platform", &platform]);
        assert_scan(&scan, &expected);
        let on_disk = format!("oci:{layout}:{}", repository.replace('/', "-"));
        let scan = installation.json(&["scan", &on_disk, "--platform", &platform]);
        assert_scan(&scan, &expected);
    }
    registry.assert_no_violations();
}

#[test]
fn fail_on_ends_with_3_when_something_is_as_bad_and_the_results_are_printed_all_the_same() {
    let layouts = tempfile::tempdir().unwrap();
    let images = fixtures::images();
    let advisories = fixtures::advisories();
    let advisories = advisories.to_str().unwrap();
    let installation = Installation::new();
    let cases = [
        ("demo/web", "linux/amd64", "CRITICAL", 3),
        ("demo/multi", "linux/amd64", "HIGH", 0),
        ("demo/multi", "linux/amd64", "medium", 3),
        ("demo/multi", "linux/arm64", "HIGH", 3),
        ("demo/trimmed", "linux/amd64", "UNSPECIFIED", 0),
    ];
    for (repository, platform, severity, expected) in cases {
        let folder = layouts.path().join(repository.replace('/', "-"));
        let image = images.iter().find(|image| image.repository == repository).unwrap();
        write_oci_layout(&folder, &[("1", &image.image)]).unwrap();
        // A layout with one image needs no tag, and a scan no data folder.
        let reference = format!("oci:{}", folder.display());
        let finished = installation.run(&[
            "scan",
            &reference,
            "--advisories",
            advisories,
            "--platform",
            platform,
            "--fail-on",
            severity,
            "--quiet",
        ]);
        let Finished { code, stdout, stderr } = finished;
        assert_eq!((code, stderr.as_str()), (Some(expected), ""), "{repository} {platform} {severity}");
        assert!(
            stdout.contains("state: scanned") && stdout.contains("policy fixable-vulnerabilities"),
            "{stdout}"
        );
    }
    assert!(!installation.data().exists());
}

#[test]
fn a_scan_without_advisories_does_not_call_an_image_clean() {
    let layout = tempfile::tempdir().unwrap();
    write_oci_layout(layout.path(), &[("1", &fixtures::images()[0].image)]).unwrap();
    let installation = Installation::new();
    let reference = format!("oci:{}", layout.path().display());
    let Finished { stdout, stderr, .. } = installation.run(&["scan", &reference, "--format", "json"]);
    let scan = read_json(&stdout);
    assert_eq!(scan["state"], "pending");
    assert_eq!(scan["policies"]["fixable-vulnerabilities"]["outcome"], "no-data");
    assert!(stderr.contains("advisories"), "{stderr}");
}

const CRITICAL: &str = "scout_stream_vulnerabilities{streamName=\"latest-indexed\",severity=\"CRITICAL\"}";
const COMPLIANT: &str =
    "scout_policy_compliant_images{streamName=\"latest-indexed\",id=\"fixable-vulnerabilities\"}";

/// Every command that reads, with the shape of its document.
const READING: [(&[&str], &str); 11] = [
    (&["images"], "tidewatch.images/1"),
    (&["images", "--stream", "latest-indexed"], "tidewatch.images/1"),
    (&["image", "local/demo/web:1.0"], "tidewatch.image/1"),
    (&["policy", "fixable-vulnerabilities", "--failing"], "tidewatch.policy/1"),
    (&["explain", CRITICAL], "tidewatch.explanation/1"),
    (&["explain", COMPLIANT], "tidewatch.explanation/1"),
    (&["rules", "list"], "tidewatch.rules/1"),
    (&["rules", "status"], "tidewatch.runs/1"),
    (&["token", "list"], "tidewatch.tokens/1"),
    (&["advisories", "info"], "tidewatch.advisories/1"),
    (&["advisories", "query", "Debian:13", "openssl"], "tidewatch.advisory-query/1"),
];

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_the_same_on_a_running_instance_and_on_its_data_folder_alone() {
    let registry = fixture_registry().await;
    let installation = Installation::new();
    let file = installation.file("tidewatch.yaml", Configuration::of(&registry));
    let built =
        installation.json(&["advisories", "build", "--from", fixtures::advisories().to_str().unwrap()]);
    assert_eq!(built["schema"], "tidewatch.advisories/1");
    assert_eq!(installation.json(&["apply", &file])["schema"], "tidewatch.apply/1");

    let local = installation.up();
    let created = installation.json(&["token", "create"]);
    assert_eq!(created["schema"], "tidewatch.token/1");
    let token = created["token"].as_str().unwrap();
    let ran = installation.json(&["rules", "run", "everything", "--wait"]);
    assert_eq!(ran["schema"], "tidewatch.runs/1");
    settle(&local, ORG, token, &Numbers::of_the_fixtures()).await;
    let read = || -> Vec<Value> {
        let documents = READING.iter().map(|(arguments, schema)| {
            let mut document = installation.json(arguments);
            assert_eq!(document["schema"], *schema, "{arguments:?}");
            // It moves every second while roll-ups find that nothing has changed.
            if let Some(published) = document.get_mut("published").and_then(Value::as_object_mut) {
                assert!(published.remove("checked_at").unwrap().is_string());
            }
            // That a run has ended is noted once a minute.
            for run in document.get_mut("runs").and_then(Value::as_array_mut).into_iter().flatten() {
                assert!(run.as_object_mut().unwrap().remove("ended_at").is_some());
            }
            document
        });
        documents.collect()
    };
    let running = read();
    let scan = ["scan", &format!("{}/demo/web:1.0", registry.host()), "--plain-http"];
    let scanned = installation.json(&scan);
    assert_eq!(scanned["state"], "scanned");

    local.kill().unwrap();
    assert_eq!(read(), running);
    assert_eq!(installation.json(&scan), scanned);
    // What is changed without it stands when it starts again.
    installation.must(&["token", "revoke", created["id"].as_str().unwrap()]);
    let local = installation.up();
    assert_eq!(local.scrape(ORG, Some(token)).await.unwrap().status, 401);
    settle(&local, ORG, &installation.token(ORG), &Numbers::of_the_fixtures()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_commands_print_results_only() {
    let registry = fixture_registry().await;
    let installation = Installation::new();
    let file = installation.file("tidewatch.yaml", Configuration::of(&registry));
    let advisories = fixtures::advisories();
    let advisories = advisories.to_str().unwrap();
    let quietly = |arguments: &[&str]| {
        let Finished { code, stdout, stderr } = installation.run(&[arguments, &["--quiet"]].concat());
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
        stdout
    };
    quietly(&["advisories", "build", "--from", advisories]);
    quietly(&["apply", &file]);
    assert_eq!(quietly(&["apply", &file]), "");
    let _local = installation.up();
    let token = quietly(&["token", "create"]);
    assert!(token.starts_with("twd_") && token.lines().count() == 1, "it can be written to a file as it is");
    assert_eq!(quietly(&["rules", "run", "everything", "--wait"]), "");
    assert_eq!(quietly(&["advisories", "query", "Debian:13", "no-such-package"]), "");
    assert_eq!(quietly(&["images"]).lines().filter(|line| line.contains("local/demo/")).count(), 7);
    for (arguments, _) in READING {
        quietly(arguments);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn local_mode_ends_well_when_it_is_asked_to_stop_and_goes_on_when_it_is_started_again() {
    let registry = fixture_registry().await;
    let installation = Installation::configured(&Configuration::of(&registry));
    let token = installation.token(ORG);
    let local = installation.up();
    installation.must(&["rules", "run", "everything"]);
    let Finished { code, stderr, .. } = local.terminate().unwrap();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("stopping"), "{stderr}");
    let local = installation.up();
    settle(&local, ORG, &token, &Numbers::of_the_fixtures()).await;
    assert_eq!(installation.work_rows(ORG, "local").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_local_mode_on_the_same_data_folder_is_refused() {
    let installation = Installation::new();
    let first = installation.up();
    let second = Command::new(BINARY)
        .args(["up", "--listen", "127.0.0.1:0", "--data"])
        .arg(installation.data())
        .envs(tidewatch_tests::NOTHING_FETCHED)
        .kill_on_drop(true)
        .output();
    let output =
        tokio::time::timeout(Duration::from_secs(60), second).await.expect("it does not end").unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("another `tidewatch up` runs on this data folder"), "{stderr}");
    // The first one is none the worse for it.
    assert_eq!(first.request("GET", "/", &[]).await.unwrap().status, 404);
    installation.must(&["advisories", "info"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_and_never_again() {
    let registry = TestRegistry::start().await.unwrap();
    let installation = Installation::configured(&Configuration::of(&registry));
    let token = installation.token(ORG);
    let (id, secret) = token.strip_prefix("twd_").unwrap().split_once('_').unwrap();
    let table = installation.must(&["token", "list"]);
    let document = installation.json(&["token", "list"]).to_string();
    let revoked = installation.run(&["token", "revoke", id]);
    let after = installation.must(&["token", "list"]);
    for text in [&table, &document, &revoked.stderr, &after] {
        assert!(text.contains(id) && !text.contains(secret), "{text}");
    }
    assert!(table.contains("valid") && after.contains("revoked"), "{table}{after}");
    // Nor is it anywhere in the data folder.
    let found =
        std::process::Command::new("grep").args(["-rlF", secret]).arg(installation.data()).output().unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
}
