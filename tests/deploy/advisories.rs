//! New advisories on images that were scanned before.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tidewatch_testkit::advisory::AdvisoryBuilder;
use tidewatch_testkit::fixtures;
use tidewatch_tests::{DockerRegistry, Numbers};

use crate::Outcome;
use crate::deployment::Deployment;

pub(crate) async fn new_advisories(deployment: &Deployment) -> Outcome {
    let registry = DockerRegistry::start().await?;
    let images = fixtures::images();
    let web = images.iter().find(|image| image.repository == "demo/web").context("there is no demo/web")?;
    registry.push_fixture(web).await?;
    deployment.apply("rematched", registry.url(), "manual")?;
    deployment.must(&["rules", "run", "everything", "--org", "rematched", "--wait"])?;
    let token = deployment.token("rematched")?;
    // As worked out by hand in tests/fixtures/README.md for demo/web.
    let before = Numbers { compliant: 0, evaluated: 1, severities: [3, 3, 1, 0, 0] };
    deployment.settle("rematched", &token, &before).await?;

    let asked = registry.answered()?;
    // base-files is in the image, and nothing was known of it.
    let new = AdvisoryBuilder::new("DEBIAN-CVE-2099-1099")
        .upstream(["CVE-2099-1099"])
        .fixed("Debian:13", "base-files", "14")
        .field(
            "severity",
            json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]),
        );
    let mut records = debian_records()?;
    records.push(new.build());
    deployment.archives.put("Debian", &records);
    deployment.sync_advisories().await?;
    let after = Numbers { severities: [4, 3, 1, 0, 0], ..before };
    deployment.settle("rematched", &token, &after).await?;
    let (then, now) = (asked, registry.answered()?);
    ensure!(then == now, "the registry was asked {} times", now - then);
    Ok(())
}

/// What came of the bucket of somebody else, which the role lets the function read.
pub(crate) async fn from_a_bucket(deployment: &Deployment) -> Outcome {
    let info = deployment.json(&["advisories", "info"])?;
    let sources = info["sources"].as_array().context("no sources")?;
    let source = sources.iter().find(|source| source["ecosystem"] == "Amazon Linux").context("no source")?;
    ensure!(source["error"].is_null() && source["records"] == 1, "{source}");
    let found = deployment.json(&["advisories", "query", "Amazon Linux:2023", "curl"])?;
    ensure!(found["advisories"][0]["advisory"] == "ALAS2023-2024-1", "{found}");
    Ok(())
}

/// The records of the fixtures about Debian.
fn debian_records() -> anyhow::Result<Vec<Value>> {
    let folder = fixtures::advisories().join("Debian");
    let files = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    files.iter().map(|file| Ok(serde_json::from_slice(&std::fs::read(file.path())?)?)).collect()
}
