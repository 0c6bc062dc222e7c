//! The main job: from a rule, and from a push, to a scraped metric.

use std::path::Path;

use anyhow::ensure;
use tidewatch_testkit::fixtures;
use tidewatch_testkit::updateinfo::{feed, update};
use tidewatch_tests::{DockerRegistry, LocalMode, Numbers, eventually};

use crate::deployment::{Deployment, configuration};
use crate::{BINARY, Outcome, PATIENCE};

/// The schedules of the stack do it alone: nobody calls a function.
pub(crate) async fn rule_to_metric(deployment: &Deployment) -> Outcome {
    let registry = DockerRegistry::start().await?;
    for fixture in fixtures::images() {
        registry.push_fixture(&fixture).await?;
    }
    deployment.archives.put_folder(&fixtures::advisories());
    let updates = [update("ALAS2023-2024-1", "CVE-2024-1", "Important", "curl", "8.3")];
    deployment.put_into_mirror("amazon/2023/updateinfo.xml", feed(&updates).as_bytes());
    deployment.sync_advisories().await?;
    deployment.apply("acme", registry.url(), "{every: 1d}")?;
    let token = deployment.token("acme")?;
    let expected = Numbers::of_the_fixtures();
    let deployed = deployment.settle("acme", &token, &expected).await?;
    let local = local_mode(registry.url(), &expected).await?;
    ensure!(deployed == local, "deployed:\n{deployed}\nlocal mode:\n{local}");

    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    let own = deployment.request("GET", "/v1/exporter/org/acme/tidewatch", &headers, "").await?;
    let source = "tidewatch_advisory_source_failed{source=\"Debian\"} 0";
    ensure!(own.status == 200 && own.body.contains(source), "{own:?}");
    Ok(())
}

/// The metrics of local mode on the same registry and the same advisories.
async fn local_mode(registry: &str, expected: &Numbers) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let file = folder.path().join("tidewatch.yaml");
    std::fs::write(&file, configuration("acme", registry, "{every: 1d}"))?;
    let local = LocalMode::start(Path::new(BINARY), &data)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    local.must(&["advisories", "build", "--from", &text(&fixtures::advisories())])?;
    local.must(&["apply", &text(&file)])?;
    let token = local.must(&["token", "create", "--org", "acme", "--quiet"])?;
    eventually(PATIENCE, "local mode does not come to the numbers", async || {
        let scrape = local.scrape("acme", Some(token.trim())).await.map_err(|error| error.to_string())?;
        match Numbers::of(&scrape.body) {
            Ok(numbers) if numbers == *expected => Ok(scrape.body),
            _ => Err(scrape.body),
        }
    })
    .await
}

/// No rule runs: the registry says that an image was pushed.
pub(crate) async fn push_to_metric(deployment: &Deployment) -> Outcome {
    // The configuration of the registry needs the hook, and the hook a configuration with the registry: the address of
    // one that is started and stopped again is taken.
    let address = DockerRegistry::free_address()?;
    deployment.apply("pushed", &format!("http://{address}"), "manual")?;
    let created = ["hook", "create", "--org", "pushed", "--registry", "debian", "--url", deployment.api()];
    let notifications = deployment.must(&created)?;
    let registry = DockerRegistry::start_at(address, &notifications).await?;
    let token = deployment.token("pushed")?;
    let nothing = deployment.settle("pushed", &token, &Numbers::default()).await?;
    ensure!(nothing.contains("scout_"), "no numbers: {nothing}");
    for fixture in fixtures::images() {
        registry.push_fixture(&fixture).await?;
    }
    deployment.settle("pushed", &token, &Numbers::of_the_fixtures()).await?;
    Ok(())
}
