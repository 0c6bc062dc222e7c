//! Who scraped Docker Scout with Prometheus scrapes Tidewatch with the same configuration, in which only host and token
//! are others. A real Prometheus says so. It is skipped, and says so, where Prometheus is not installed; in continuous
//! integration it has to be.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tidewatch_core::policy::type_of;
use tidewatch_runtime::environment::variable;
use tidewatch_testkit::{fixtures, skip};
use tidewatch_tests::{Labels, LocalMode, Prometheus};

use crate::dashboards::{Panel, number, panels};
use crate::installation::{Configuration, Installation, Numbers, ORG, eventually, fixture_registry, settle};

/// The sample that Docker published for Scout's exporter:
/// <https://github.com/dockersamples/scout-metrics-exporter/blob/main/prometheus/prometheus/prometheus.yaml>.
const SCOUT: &str = "\
global:
  scrape_interval: 60s
  scrape_timeout: 40s

scrape_configs:
  - job_name: <ORG>
    metrics_path: /v1/exporter/org/<ORG>/metrics
    scheme: https
    static_configs:
      - targets:
          - api.scout.docker.com
    authorization:
      type: Bearer
      credentials_file: /etc/prometheus/token
";

/// The configuration that comes with Tidewatch.
const OURS: &str = include_str!("../../infra/prometheus/prometheus.yml");

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_has_every_number_by_the_configuration_for_scout_until_the_token_is_revoked() {
    if !is_installed() {
        return;
    }
    let (_registry, installation, local) = scanned().await;
    let token = installation.token(ORG);
    settle(&local, ORG, &token, &Numbers::of_the_fixtures()).await;
    let address = local.url().strip_prefix("http://").unwrap();
    // As an editor leaves it: with a newline.
    let token_file = installation.file("token", format_args!("{token}\n"));
    let config = installation.file("prometheus.yaml", for_tidewatch(SCOUT, address, &token_file));
    let prometheus = Prometheus::start(Path::new(&config), &installation.data().with_file_name("prometheus"))
        .await
        .unwrap();

    let expected = expected_series(address);
    let seen = eventually("Prometheus does not have the numbers", async || {
        let seen = prometheus.query("{__name__=~\"scout_.+\"}").await.map_err(|error| error.to_string())?;
        let targets = prometheus.targets().await.map_err(|error| error.to_string())?;
        let up = targets.len() == 1 && targets[0]["health"] == "up";
        if up && seen == expected { Ok(seen) } else { Err(format!("{targets:?} {seen:?}")) }
    })
    .await;
    assert_eq!(seen.len(), 7);
    assert_eq!(one(&prometheus, "up{job=\"acme\"}").await, Some(1.0));
    the_queries_of_scouts_dashboards_work(&prometheus).await;

    installation.must(&["token", "revoke", token.split('_').nth(1).unwrap(), "--org", ORG]);
    let error = eventually("Prometheus does not notice that the token is revoked", async || {
        let targets = prometheus.targets().await.map_err(|error| error.to_string())?;
        let target = &targets[0];
        if target["health"] == "down" { Ok(target["lastError"].clone()) } else { Err(target.to_string()) }
    })
    .await;
    assert_eq!(error, "server returned HTTP status 401 Unauthorized");
}

/// The queries behind the panels of Scout's two dashboards, with their variables filled in.
async fn the_queries_of_scouts_dashboards_work(prometheus: &Prometheus) {
    for Panel { query, value, .. } in panels(&Numbers::of_the_fixtures()) {
        assert_eq!(one(prometheus, &query).await, Some(value), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_complains_of_nothing_but_the_label_names_that_are_scouts_own() {
    if !is_installed() {
        return;
    }
    let (_registry, installation, local) = scanned().await;
    let metrics = settle(&local, ORG, &installation.token(ORG), &Numbers::of_the_fixtures()).await;
    let families =
        ["scout_policy_compliant_images", "scout_policy_evaluated_images", "scout_stream_vulnerabilities"];
    let known: BTreeSet<String> = families
        .map(|family| format!("{family} label names should be written in 'snake_case' not 'camelCase'"))
        .into();
    assert_eq!(complaints(&metrics), known);

    let bearer = format!("Bearer {}", installation.token(ORG));
    let own = local.request("GET", "/v1/exporter/org/acme/tidewatch", &[("authorization", &bearer)]).await;
    let of_names = complaints(&own.unwrap().body);
    assert!(of_names.iter().all(|complaint| complaint.ends_with("not 'camelCase'")), "{of_names:?}");

    // It would complain: here of a help text that is missing.
    let without_help: String =
        metrics.split_inclusive('\n').filter(|line| !line.starts_with("# HELP")).collect();
    assert!(complaints(&without_help).len() > known.len());
}

#[test]
fn the_configuration_that_comes_along_is_scouts_and_promtool_takes_it() {
    let without_comments: String =
        OURS.split_inclusive('\n').filter(|line| !line.trim_start().starts_with('#')).collect();
    let scout = SCOUT
        .replace("<ORG>", ORG)
        .replace("scheme: https", "scheme: http")
        .replace("api.scout.docker.com", "127.0.0.1:8480")
        .replace("/etc/prometheus/token", "token");
    assert_eq!(without_comments, scout);

    if is_installed() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, OURS).unwrap();
        let check = || Command::new("promtool").args(["check", "config"]).arg(&config).output().unwrap();
        assert!(!check().status.success(), "promtool does not look for the token");
        std::fs::write(folder.path().join("token"), "twd_0_0").unwrap();
        let Output { status, stdout, stderr } = check();
        assert!(status.success(), "{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    }
}

/// Local mode with the images of the fixtures scanned.
async fn scanned() -> (tidewatch_testkit::registry::TestRegistry, Installation, LocalMode) {
    let registry = fixture_registry().await;
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    installation.run_rule();
    (registry, installation, local)
}

/// The configuration for Scout with the host, the port and the token file of an installation without TLS, and a shorter
/// interval, since nobody wants to wait for a minute.
fn for_tidewatch(scout: &str, address: &str, token_file: &str) -> String {
    let changes = [
        ("<ORG>", ORG),
        ("api.scout.docker.com", address),
        ("scheme: https", "scheme: http"),
        ("/etc/prometheus/token", token_file),
        ("scrape_interval: 60s", "scrape_interval: 2s"),
        ("scrape_timeout: 40s", "scrape_timeout: 2s"),
    ];
    changes.into_iter().fold(scout.to_owned(), |config, (from, to)| {
        assert!(config.contains(from), "{from}");
        config.replace(from, to)
    })
}

/// Every series of the fixtures with all of its labels, by the numbers that were worked out by hand.
fn expected_series(address: &str) -> BTreeMap<Labels, f64> {
    let mut expected = BTreeMap::new();
    let mut add = |name: &str, labels: &[(&str, &str)], value: u64| {
        let common = [("__name__", name), ("job", ORG), ("instance", address)];
        let labels = common.iter().chain(labels).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        expected.insert(labels.collect(), number(value));
    };
    for (stream, numbers) in fixtures::expected().streams {
        for (severity, count) in numbers.severities {
            let labels = [("streamName", stream.as_str()), ("severity", severity.as_str())];
            add("scout_stream_vulnerabilities", &labels, count);
        }
        for (id, policy) in numbers.policies {
            let name = type_of(&id).expect("a policy").display_name;
            let labels = [("id", id.as_str()), ("displayName", name), ("streamName", stream.as_str())];
            add("scout_policy_compliant_images", &labels, policy.compliant);
            add("scout_policy_evaluated_images", &labels, policy.evaluated);
        }
    }
    expected
}

/// The value of the only series that a query gives.
async fn one(prometheus: &Prometheus, query: &str) -> Option<f64> {
    let series = prometheus.query(query).await.unwrap();
    (series.len() == 1).then(|| series.into_values().next()).flatten()
}

/// What `promtool check metrics` finds in a text.
fn complaints(metrics: &str) -> BTreeSet<String> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = promtool.wait_with_output().unwrap();
    // 3: it could be read, and there are complaints.
    assert_eq!(status.code(), Some(3), "{}", String::from_utf8_lossy(&stderr));
    [stdout, stderr]
        .iter()
        .flat_map(|text| String::from_utf8_lossy(text).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn is_installed() -> bool {
    let missing = ["prometheus", "promtool"]
        .into_iter()
        .find(|command| Command::new(command).arg("--version").output().is_err());
    let Some(missing) = missing else { return true };
    assert!(variable("CI").is_none_or(|ci| ci != "true"), "{missing} is not installed");
    skip::skipped(format_args!("{missing} is not installed"));
    false
}
