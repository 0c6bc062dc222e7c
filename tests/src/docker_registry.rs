//! The reference implementation of a registry, as Debian's package `docker-registry` installs it, as a child process.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use tidewatch_core::ports::Sleeper as _;
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_testkit::image::BuiltImage;

/// How often it is asked whether it has started, and the pause between.
const LOOKS: usize = 600;
const LOOK: Duration = Duration::from_millis(50);

/// A running registry, killed when it is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    process: Child,
    url: String,
}

impl DockerRegistry {
    /// An address on which nothing listens just now.
    pub fn free_address() -> anyhow::Result<SocketAddr> {
        Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
    }

    /// Starts one on `address`, with its files in `folder` and this YAML added to its configuration, and waits until it
    /// answers. `None`, and a word about it, when none is installed.
    pub async fn start(folder: &Path, address: SocketAddr, more: &str) -> anyhow::Result<Option<Self>> {
        let (config, storage) = (folder.join("registry.yml"), folder.join("registry"));
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n{more}",
            storage.display()
        );
        fs::write(&config, text)?;
        let mut command = Command::new("docker-registry");
        let started = command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) => {
                tidewatch_testkit::skip::skipped(format_args!("docker-registry is not installed ({error})"));
                return Ok(None);
            }
        };
        let registry = Self { process, url: format!("http://{address}") };
        for _ in 0..LOOKS {
            if reqwest::get(format!("{}/v2/", registry.url)).await.is_ok() {
                return Ok(Some(registry));
            }
            SystemSleeper.sleep(LOOK).await;
        }
        anyhow::bail!("docker-registry did not start at {address} with {}", config.display())
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
