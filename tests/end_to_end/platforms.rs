//! How many platforms of an image count: whatever does, all of them are scanned and shown, and no change counts an image twice.

use serde_json::Value;
use tidewatch_core::image::Platform;
use tidewatch_testkit::image::{BuiltImage, ImageBuilder, IndexBuilder};
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::LocalMode;

use crate::images::{OLD_LIBC, OLD_OPENSSL, Package, ZLIB, base_layer, package_layer, push};
use crate::installation::{Configuration, Installation, ORG, eventually};

fn image(platform: &Platform, packages: &[Package]) -> BuiltImage {
    let builder = ImageBuilder::new().platform(platform);
    builder.layer(base_layer("base")).layer(package_layer(packages)).build()
}

/// Lines of the metrics that are about the images of a stream.
async fn lines(local: &LocalMode, token: &str, stream: &str) -> Vec<String> {
    let scrape = local.scrape(ORG, Some(token)).await.unwrap();
    assert_eq!(scrape.status, 200);
    let of_stream = format!("scout_stream_vulnerabilities{{streamName=\"{stream}\",");
    scrape.body.lines().filter_map(|line| line.strip_prefix(&of_stream)).map(str::to_owned).collect()
}

/// Vulnerabilities of CRITICAL, HIGH and MEDIUM severity.
type Counts = [u64; 3];

async fn counts(local: &LocalMode, token: &str, stream: &str) -> Counts {
    let lines = lines(local, token, stream).await;
    let value = |severity: &str| {
        let series = format!("severity=\"{severity}\"}} ");
        lines.iter().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(u64::MAX)
    };
    ["CRITICAL", "HIGH", "MEDIUM"].map(value)
}

/// Waits until these counts are served, and sees to it that until then only those of `before` are.
async fn becomes(local: &LocalMode, token: &str, before: Counts, after: Counts) {
    eventually("the numbers do not become as expected", async || {
        let found = counts(local, token, "latest-indexed").await;
        assert!([before, after].contains(&found), "{found:?} is neither {before:?} nor {after:?}");
        if found == after { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

/// Every image that is known: tag, platform, and whether it counts.
fn shown(installation: &Installation) -> Vec<String> {
    let row = |row: Value| {
        assert_eq!(row["state"], "scanned");
        format!(
            "{} {} {}",
            row["repository"].as_str().unwrap(),
            row["platform"].as_str().unwrap(),
            row["counted"]
        )
    };
    let mut rows: Vec<String> = installation.images().into_iter().map(row).collect();
    rows.sort();
    rows
}

fn count(installation: &Installation, configuration: &Configuration, count: &str) -> String {
    let text = format!("{configuration}\ncount_platforms: {count}\n");
    installation.must(&["apply", &installation.file(&format!("{count}.yaml"), text)])
}

#[tokio::test(flavor = "multi_thread")]
async fn one_platform_of_an_image_counts_then_each_and_then_one_again() {
    let registry = TestRegistry::start().await.unwrap();
    let (amd64, arm64) = (Platform::linux_amd64(), Platform::linux_arm64());
    let both = [image(&amd64, &[OLD_OPENSSL]), image(&arm64, &[OLD_OPENSSL, OLD_LIBC, ZLIB])];
    let index = both.iter().fold(IndexBuilder::new(), IndexBuilder::image).build();
    push(&registry, "team/web", "1.0", &index);
    push(&registry, "team/api", "1.0", &image(&amd64, &[OLD_LIBC]));
    let configuration = Configuration::of(&registry);
    let installation = Installation::configured(&configuration);
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();
    installation.must(&["env", "add", "production", "local/team/web:1.0"]);
    let (one, all) = ([1, 1, 1], [3, 2, 2]);
    eventually("one platform of each image does not count", async || {
        let found =
            [counts(&local, &token, "latest-indexed").await, counts(&local, &token, "production").await];
        if found == [one, [1, 1, 0]] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(shown(&installation), rows_of_one());

    let pulled = registry.requests().len();
    for _ in 0..2 {
        assert!(count(&installation, &configuration, "all").contains("count_platforms"));
        becomes(&local, &token, one, all).await;
        assert!(shown(&installation).contains(&"team/web linux/arm64 true".to_owned()));
        let rows = installation.json(&["images", "--stream", "latest-indexed"]);
        assert_eq!(rows["images"].as_array().unwrap().len(), 3);

        count(&installation, &configuration, "one");
        becomes(&local, &token, all, one).await;
        assert_eq!(shown(&installation), rows_of_one());
        assert_eq!(counts(&local, &token, "production").await, [1, 1, 0], "it counts what was put there");
    }
    assert_eq!(registry.requests().len(), pulled, "nothing is asked of a registry");
    assert_eq!(installation.json(&["reconcile"])["drift"], serde_json::json!([]));
}

fn rows_of_one() -> [&'static str; 3] {
    ["team/api linux/amd64 true", "team/web linux/amd64 true", "team/web linux/arm64 false"]
}
