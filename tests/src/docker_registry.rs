//! The reference implementation of a registry, as Debian's package `docker-registry` installs it, in a process of its
//! own.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use tempfile::TempDir;
use tidewatch_testkit::fixtures::Fixture;
use tidewatch_testkit::image::BuiltImage;

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

    /// An address on loopback at which one can be started: free until another process takes it.
    pub fn free_address() -> anyhow::Result<SocketAddr> {
        Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
    }

    /// Starts one at a free address.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_at(Self::free_address()?, "").await
    }

    /// Starts one at `address`, with `more` at the end of its configuration, in YAML: its notifications, such as
    /// `tidewatch hook create` prints them.
    pub async fn start_at(address: SocketAddr, more: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let text = format!(
            "version: 0.1\nlog: {{level: info, formatter: json}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n{more}",
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

    /// Pushes an image of the fixtures.
    pub async fn push_fixture(&self, fixture: &Fixture) -> anyhow::Result<()> {
        self.push(&fixture.repository, &fixture.tag, &fixture.image).await
    }

    /// Pushes an image under a tag, as a client does: first the blobs, then the manifests, the image's own last.
    pub async fn push(&self, repository: &str, tag: &str, image: &BuiltImage) -> anyhow::Result<()> {
        let (http, base) = (reqwest::Client::new(), format!("{}/v2/{repository}", self.url));
        for (digest, blob) in &image.blobs {
            let begun = http.post(format!("{base}/blobs/uploads/")).send().await?;
            let location = begun.headers().get(LOCATION).context("there is no place to upload to")?;
            let upload = begun.url().join(location.to_str()?)?;
            let put = http.put(upload).query(&[("digest", digest.to_string())]).body(blob.clone());
            let status = put.send().await?.status();
            ensure!(status == 201, "the upload of {digest} was answered with {status}");
        }
        let others = image.manifests.iter().filter(|(digest, _)| **digest != image.digest);
        let others = others.map(|(digest, manifest)| (digest.to_string(), manifest));
        for (reference, manifest) in others.chain([(tag.to_owned(), image.manifest())]) {
            let put = http.put(format!("{base}/manifests/{reference}"));
            let put = put.header(CONTENT_TYPE, &manifest.media_type).body(manifest.bytes.clone());
            let status = put.send().await?.status();
            ensure!(status == 201, "the push of {reference} was answered with {status}");
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
