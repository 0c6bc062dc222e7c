//! From images in a registry to the numbers on a dashboard: what was worked out by hand has to come out.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidewatch_core::Severity;
use tidewatch_core::policy::TYPES;
use tidewatch_testkit::fixtures::{self, ExpectedImage};

use crate::installation::{Configuration, Installation, Numbers, ORG, fixture_registry, settle};

/// The severities as `images` has them.
pub(crate) fn vulnerabilities(severities: &BTreeMap<Severity, u64>) -> Value {
    let counts = severities.iter().map(|(severity, count)| (severity.as_str().to_lowercase(), json!(count)));
    Value::Object(counts.collect())
}

fn row(expected: &ExpectedImage) -> Value {
    json!({
        "registry": "local",
        "repository": expected.repository,
        "tag": expected.tag,
        "platform": expected.platform,
        "counted": expected.counted,
        "state": "scanned",
        "reason": null,
        "packages": expected.packages.len(),
        "vulnerabilities": vulnerabilities(&expected.severities),
        "policies": expected.policies,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_metrics() {
    let registry = fixture_registry().await;
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    let run = installation.run_rule();
    let scrape = settle(&local, ORG, &token, &Numbers::of_the_fixtures()).await;
    insta::assert_snapshot!(scrape, @r#"
    # HELP scout_policy_compliant_images Images of a stream that comply with a policy
    # TYPE scout_policy_compliant_images gauge
    scout_policy_compliant_images{id="approved-base-images",displayName="No unapproved base images",streamName="latest-indexed"} 0
    scout_policy_compliant_images{id="copyleft-license",displayName="No copyleft licenses",streamName="latest-indexed"} 5
    scout_policy_compliant_images{id="default-non-root-user",displayName="Default non-root user",streamName="latest-indexed"} 0
    scout_policy_compliant_images{id="fixable-vulnerabilities",displayName="No fixable critical or high vulnerabilities",streamName="latest-indexed"} 4
    scout_policy_compliant_images{id="high-profile-vulnerabilities",displayName="No high-profile vulnerabilities",streamName="latest-indexed"} 0
    scout_policy_compliant_images{id="no-stale-base-images",displayName="No outdated base images",streamName="latest-indexed"} 0
    scout_policy_compliant_images{id="supply-chain-attestations",displayName="Supply chain attestations",streamName="latest-indexed"} 0
    # HELP scout_policy_evaluated_images Images of a stream that a policy could judge
    # TYPE scout_policy_evaluated_images gauge
    scout_policy_evaluated_images{id="approved-base-images",displayName="No unapproved base images",streamName="latest-indexed"} 0
    scout_policy_evaluated_images{id="copyleft-license",displayName="No copyleft licenses",streamName="latest-indexed"} 6
    scout_policy_evaluated_images{id="default-non-root-user",displayName="Default non-root user",streamName="latest-indexed"} 6
    scout_policy_evaluated_images{id="fixable-vulnerabilities",displayName="No fixable critical or high vulnerabilities",streamName="latest-indexed"} 6
    scout_policy_evaluated_images{id="high-profile-vulnerabilities",displayName="No high-profile vulnerabilities",streamName="latest-indexed"} 0
    scout_policy_evaluated_images{id="no-stale-base-images",displayName="No outdated base images",streamName="latest-indexed"} 0
    scout_policy_evaluated_images{id="supply-chain-attestations",displayName="Supply chain attestations",streamName="latest-indexed"} 6
    # HELP scout_stream_vulnerabilities Vulnerabilities of the images of a stream
    # TYPE scout_stream_vulnerabilities gauge
    scout_stream_vulnerabilities{streamName="latest-indexed",severity="CRITICAL"} 6
    scout_stream_vulnerabilities{streamName="latest-indexed",severity="HIGH"} 5
    scout_stream_vulnerabilities{streamName="latest-indexed",severity="LOW"} 2
    scout_stream_vulnerabilities{streamName="latest-indexed",severity="MEDIUM"} 4
    scout_stream_vulnerabilities{streamName="latest-indexed",severity="UNSPECIFIED"} 3
    "#);
    assert!(scrape.ends_with(" 3\n"));

    let expected = fixtures::expected().images;
    let counts =
        ["listed", "selected", "skipped", "queued", "remaining"].map(|key| run[key].as_u64().unwrap());
    assert_eq!(counts, [6, 6, 0, expected.len() as u64, 0]);
    assert_eq!(run["errors"], json!([]));

    // What is not known in advance is left out, after a look at its form.
    let mut found = installation.images();
    for image in &mut found {
        let image = image.as_object_mut().unwrap();
        assert!(image.remove("digest").unwrap().as_str().unwrap().starts_with("sha256:"));
        assert!(image.remove("scanned_at").unwrap().is_string());
        assert_eq!(image.remove("read_by_older_readers"), Some(json!(false)));
        assert!(image.remove("reader_version").unwrap().is_u64());
        assert_eq!(
            (image.remove("schedule"), image.remove("missing_at")),
            (Some(json!("active")), Some(Value::Null))
        );
        assert!(image.remove("suppressed").unwrap().as_object().unwrap().values().all(|count| count == 0));
        let distribution = image.remove("distribution").unwrap();
        let alpine = image["repository"] == "demo/edge";
        assert!(distribution.as_str().unwrap().starts_with(if alpine { "Alpine" } else { "Debian" }));
    }
    let key = |row: &Value| (row["repository"].to_string(), row["platform"].to_string());
    found.sort_by_key(key);
    let mut rows: Vec<Value> = expected.iter().map(row).collect();
    rows.sort_by_key(key);
    assert_eq!(found, rows);
    assert_eq!(installation.work_rows(ORG, "local").await, 0);
    registry.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_has_every_number_before_its_first_run_and_they_are_zero() {
    let registry = fixture_registry().await;
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    let scrape = settle(&local, ORG, &token, &Numbers::default()).await;
    let series = scrape.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(series, 5 + 2 * TYPES.len(), "five severities, and two of each policy");
    assert!(registry.requests().is_empty(), "nothing is asked of a registry before a rule runs");
}
