//! The reference implementation of a registry, as Debian's package `docker-registry` installs it, in a process of its
//! own.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use tempfile::TempDir;
use tidewatch_testkit::fixtures::Fixture;

use crate::eventually;

/// How long it may take to start.
const START: Duration = Duration::from_secs(20);

/// A registry with a folder of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    process: Child,
    url: String,
    folder: TempDir,
}

impl DockerRegistry {
    /// Whether the command is installed.
    pub fn is_installed() -> bool {
        Command::new("docker-registry").arg("--version").output().is_ok()
    }

    /// Starts one on a free port. `notifications` is the value of the key of that name in its configuration, as YAML in
    /// one line: <https://distribution.github.io/distribution/about/notifications/>.
    pub async fn start(notifications: Option<&str>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // The port is free until another process takes it between here and the start: then the start fails.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let notifications = notifications.map(|text| format!("notifications: {text}\n")).unwrap_or_default();
        let text = format!(
            "version: 0.1\nlog: {{level: info, formatter: json}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n{notifications}",
            folder.path().join("storage").display()
        );
        let config = folder.path().join("config.yml");
        std::fs::write(&config, text)?;
        let log = File::create(folder.path().join("log"))?;
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("failed to start docker-registry")?;
        let registry = Self { process, url: format!("http://{address}"), folder };
        let url = format!("{}/v2/", registry.url);
        eventually(START, "docker-registry does not start", async || {
            reqwest::get(&url).await.map(drop).map_err(|error| error.to_string())
        })
        .await?;
        Ok(registry)
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many requests it has answered, by its own log.
    pub fn answered(&self) -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(self.log())?;
        Ok(log.lines().filter(|line| line.contains("\"msg\":\"response completed\"")).count())
    }

    /// Its log: one line of JSON for each thing that it did.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Pushes an image of the fixtures as a client does: blobs, then manifests, then its tag.
    pub async fn push(&self, fixture: &Fixture) -> anyhow::Result<()> {
        let http = reqwest::Client::new();
        let repository = format!("{}/v2/{}", self.url, fixture.repository);
        for (digest, blob) in &fixture.image.blobs {
            let begun = http.post(format!("{repository}/blobs/uploads/")).send().await?.error_for_status()?;
            let location =
                begun.headers().get(LOCATION).context("there is no place to upload to")?.to_str()?;
            let upload = begun.url().join(location)?;
            let put = http.put(upload).query(&[("digest", digest.to_string())]).body(blob.clone());
            put.send().await?.error_for_status()?;
        }
        let (tagged, others): (Vec<_>, Vec<_>) =
            fixture.image.manifests.iter().partition(|(digest, _)| **digest == fixture.image.digest);
        ensure!(tagged.len() == 1, "{} has no manifest of its own", fixture.repository);
        for (digest, manifest) in others.into_iter().chain(tagged) {
            let reference =
                if *digest == fixture.image.digest { fixture.tag.clone() } else { digest.to_string() };
            let put = http
                .put(format!("{repository}/manifests/{reference}"))
                .header(CONTENT_TYPE, &manifest.media_type)
                .body(manifest.bytes.clone());
            put.send().await?.error_for_status()?;
        }
        Ok(())
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
