//! Clients that others have written read the metrics: the check of Datadog's agent by the configuration that Docker
//! published for Scout's exporter, and the parsers of Prometheus' Python client. `make test-clients` installs them;
//! without, these tests are skipped and say so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::stream::{DEFAULT_SERIES, StreamTotals, Totals, render};
use tidewatch_core::{Digest, Timestamp};
use tidewatch_runtime::system::SystemClock;
use tidewatch_store::records::{Snapshot, SnapshotHead, TextHead};
use tidewatch_testkit::clients::ScrapeClients;
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::LocalMode;

use crate::installation::{Configuration, Installation, Numbers, ORG, fixture_registry, settle};

/// The configuration of Datadog's agent that comes with Tidewatch.
const DATADOG: &str = include_str!("../../infra/datadog/conf.yaml");

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

/// A running local mode with the images of the fixtures scanned, and a token for it.
struct Scanned {
    _registry: TestRegistry,
    installation: Installation,
    local: LocalMode,
    token: String,
}

impl Scanned {
    async fn new() -> Self {
        let registry = fixture_registry().await;
        let installation = Installation::configured(&Configuration::of(&registry));
        let local = installation.up();
        installation.run_rule();
        let token = installation.token(ORG);
        settle(&local, ORG, &token, &Numbers::of_the_fixtures()).await;
        Self { _registry: registry, installation, local, token }
    }

    /// The text at the end of `/v1/exporter/org/acme/`.
    async fn text(&self, families: &str, accept: &str) -> String {
        let authorization = format!("Bearer {}", self.token);
        let headers = [("authorization", &*authorization), ("accept", accept)];
        let path = format!("/v1/exporter/org/{ORG}/{families}");
        let scrape = self.local.request("GET", &path, &headers).await.unwrap();
        assert_eq!(scrape.status, 200);
        scrape.body
    }

    /// The configuration for Datadog's agent, with the address and the token file of this installation and `more` lines.
    fn datadog(&self, more: &str) -> String {
        // As an editor leaves it: with a newline.
        let token = self.installation.file("token", format_args!("{}\n", self.token));
        let changes = [
            ("http://127.0.0.1:8480", self.local.url()),
            ("/var/run/secrets/scout-metrics-exporter/token", &token),
        ];
        let config = changes.into_iter().fold(DATADOG.to_owned(), |config, (from, to)| {
            assert!(config.contains(from), "{from}");
            config.replace(from, to)
        });
        self.installation.file("datadog.yaml", config + more)
    }
}

/// The series of a text by family and labels, the latter sorted, with their values.
fn series(text: &str) -> BTreeMap<(String, BTreeSet<String>), f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
            let labels = labels.map(|label| label.trim_end_matches('"').replacen("=\"", ":", 1)).collect();
            ((name.to_owned(), labels), value.parse().unwrap())
        })
        .collect()
}

/// The samples that Datadog's check took, in the same form.
fn datadog_samples(taken: &Value) -> BTreeMap<(String, BTreeSet<String>), f64> {
    let samples = taken["samples"].as_array().unwrap();
    let is_ours = |sample: &&Value| !sample["name"].as_str().unwrap().ends_with(".telemetry");
    samples
        .iter()
        .filter(is_ours)
        .map(|sample| {
            assert_eq!(sample["kind"], "gauge", "{sample}");
            let name = sample["name"].as_str().unwrap().strip_prefix("scout-metrics-exporter.").unwrap();
            let tags = sample["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
            let tags = tags.filter(|tag| !tag.starts_with("endpoint:")).collect();
            ((name.to_owned(), tags), sample["value"].as_f64().unwrap())
        })
        .collect()
}

/// The samples that Prometheus' client read, in the same form.
fn parsed_samples(families: &Value) -> BTreeMap<(String, BTreeSet<String>), f64> {
    let families = families.as_array().unwrap();
    families
        .iter()
        .flat_map(|family| {
            assert_eq!(family["kind"], "gauge", "{family}");
            assert!(!family["help"].as_str().unwrap().is_empty());
            family["samples"].as_array().unwrap()
        })
        .map(|sample| {
            let labels = sample["labels"].as_object().unwrap().iter();
            let labels = labels.map(|(name, value)| format!("{name}:{}", value.as_str().unwrap())).collect();
            ((sample["name"].as_str().unwrap().to_owned(), labels), sample["value"].as_f64().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn datadogs_check_takes_every_series_as_a_gauge_until_the_token_is_revoked() {
    let Some(clients) = ScrapeClients::find_or_skip("metrics for Datadog's check") else { return };
    let scanned = Scanned::new().await;
    let config = scanned.datadog("");
    let taken = clients.datadog(Path::new(&config));
    let text = scanned.text("metrics", "text/plain").await;
    assert_eq!((&taken["error"], &taken["health"]), (&Value::Null, &serde_json::json!([0])), "{taken}");
    assert_eq!(datadog_samples(&taken), series(&text));
    assert_eq!(taken["samples"].as_array().unwrap().len(), 19, "as many samples as series: {taken}");

    // It insists on OpenMetrics then.
    let strict = scanned.datadog("    use_latest_spec: true\n");
    let taken = clients.datadog(Path::new(&strict));
    assert_eq!((&taken["error"], &taken["health"]), (&Value::Null, &serde_json::json!([0])), "{taken}");
    assert_eq!(datadog_samples(&taken), series(&text));

    let id = scanned.token.split('_').nth(1).unwrap();
    scanned.installation.must(&["token", "revoke", id, "--org", ORG]);
    let refused = clients.datadog(Path::new(&config));
    assert_eq!(refused["health"], serde_json::json!([2]), "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("401"), "{refused}");
    assert!(datadog_samples(&refused).is_empty(), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_python_client_reads_the_same_numbers_from_both_formats_of_both_texts() {
    let Some(clients) = ScrapeClients::find_or_skip("metrics for Prometheus' Python client") else { return };
    let scanned = Scanned::new().await;
    for (families, least) in [("metrics", 7), ("tidewatch", 12)] {
        let text = scanned.text(families, "text/plain").await;
        assert!(series(&text).len() >= least, "{text}");
        assert_eq!(parsed_samples(&clients.text(&text).unwrap()), series(&text));
        let open = scanned.text(families, OPEN_METRICS).await;
        let parsed = parsed_samples(&clients.open_metrics(&open).unwrap());
        let moves = |((name, _), _): &(&(String, BTreeSet<String>), &f64)| {
            name == "tidewatch_snapshot_checked_timestamp_seconds"
        };
        let stays = |series: &BTreeMap<(String, BTreeSet<String>), f64>| -> Vec<String> {
            series.iter().filter(|entry| !moves(entry)).map(|entry| format!("{entry:?}")).collect()
        };
        assert_eq!(stays(&parsed), stays(&series(&text)));
        let error = clients.open_metrics(&text).unwrap_err();
        assert!(error.contains("Missing # EOF"), "the parser of OpenMetrics is strict: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn datadogs_check_takes_all_that_is_within_the_budget_and_cuts_silently_what_is_over_its_own() {
    let Some(clients) = ScrapeClients::find_or_skip("the budget of series for Datadog's check") else {
        return;
    };
    let scanned = Scanned::new().await;
    // 7 policies: 19 series a stream.
    let text = |streams: usize| {
        let policies: Vec<_> = (0..7)
            .map(|number| (format!("policy-{number}").parse().unwrap(), format!("Policy {number}")))
            .collect();
        let stream = |number| StreamTotals {
            name: format!("env-{number:03}").parse().unwrap(),
            totals: Totals::default(),
        };
        render(&(0..streams).map(stream).collect::<Vec<_>>(), &policies)
    };
    let within = text(100);
    publish(&scanned.installation, 1, &within).await;
    let config = scanned.datadog("");
    let taken = clients.datadog(Path::new(&config));
    assert_eq!(datadog_samples(&taken).len(), usize::try_from(DEFAULT_SERIES).unwrap());
    assert_eq!(datadog_samples(&taken), series(&within));

    // Why there is a budget: with more, whole families are missing, and the check is well.
    publish(&scanned.installation, 2, &text(130)).await;
    let taken = clients.datadog(Path::new(&config));
    assert_eq!((&taken["error"], &taken["health"]), (&Value::Null, &serde_json::json!([0])));
    assert!(datadog_samples(&taken).len() <= 2_000, "{}", datadog_samples(&taken).len());
}

/// Publishes a snapshot with this text over all that roll-ups publish.
async fn publish(installation: &Installation, number: i64, text: &str) {
    let compress = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let told = |text: &str| TextHead { length: text.len() as u64, digest: Digest::of(text.as_bytes()) };
    let now: Timestamp = SystemClock.now();
    let head = SnapshotHead {
        config_version: i64::from(i32::MAX),
        number,
        metrics: told(text),
        own: told(""),
        made_at: now,
        checked_at: now,
        judging: None,
    };
    let snapshot = Snapshot { head, metrics: compress(text), own: compress("") };
    let org = ORG.parse().unwrap();
    assert!(installation.records().await.publish_snapshot(&org, &snapshot).await.unwrap());
}

/// What the agent is told in other words: keys that Docker's sample has are all there, with its values.
#[test]
fn the_configuration_that_comes_along_is_scouts_with_another_address() {
    let without_comments = DATADOG.lines().filter(|line| !line.trim_start().starts_with('#'));
    let ours: String = without_comments.fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").unwrap();
        text
    });
    let keys: Vec<&str> = ours
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("- ").split_once(':'))
        .map(|(key, _)| key)
        .collect();
    let of_scout = [
        "instances",
        "openmetrics_endpoint",
        "namespace",
        "metrics",
        "auth_token",
        "reader",
        "type",
        "path",
        "writer",
        "type",
        "name",
        "value",
    ];
    assert_eq!(keys, of_scout);
    for part in ["/v1/exporter/org/acme/metrics", "\"scout-metrics-exporter\"", "- scout_*", "Bearer <TOKEN>"]
    {
        assert!(ours.contains(part), "{part}");
    }
}
