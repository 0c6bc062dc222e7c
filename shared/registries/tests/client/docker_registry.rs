//! The client against the reference implementation, as Debian's package `docker-registry` installs it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use tempfile::TempDir;
use tidewatch_core::Digest;
use tidewatch_core::config::{RegistryConfig, RegistryKind};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{Classified, classify, media_type};
use tidewatch_core::ports::Registry as _;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_registries::Timeouts;

use crate::support::{blob, bytes, client_of, repository, repository_pages, tag, tag_pages};

/// A registry in a process of its own, with a folder of its own. It ends with the test.
struct DockerRegistry {
    process: Child,
    url: String,
    _directory: TempDir,
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl DockerRegistry {
    /// Starts one; `None`, and a word about it, when there is none installed.
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    async fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = directory.path().join("config.yml");
        let storage = directory.path().join("storage");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n",
            storage.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        let started = command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) => {
                tidewatch_testkit::skip::skipped(format_args!("docker-registry is not installed ({error})"));
                return None;
            }
        };
        let registry = Self { process, url: format!("http://{address}"), _directory: directory };
        registry.wait().await;
        Some(registry)
    }

    /// Waits until it answers. That is the business of another process, so real time passes.
    #[allow(clippy::disallowed_methods, reason = "a process of its own takes its own time to start")]
    async fn wait(&self) {
        for _ in 0..200 {
            if reqwest::get(format!("{}/v2/", self.url)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("docker-registry did not start at {}", self.url);
    }

    async fn push_blob(&self, name: &str, bytes: Bytes) -> Digest {
        let (http, digest) = (reqwest::Client::new(), Digest::of(&bytes));
        let begun = http.post(format!("{}/v2/{name}/blobs/uploads/", self.url)).send().await.unwrap();
        let location = begun.headers()[LOCATION].to_str().unwrap();
        let upload = begun.url().join(location).unwrap();
        let put = http.put(upload).query(&[("digest", digest.to_string())]).body(bytes).send().await.unwrap();
        assert_eq!(put.status(), 201);
        digest
    }

    async fn push_manifest(&self, name: &str, tag: &str, manifest: String) -> Digest {
        let digest = Digest::of(manifest.as_bytes());
        let url = format!("{}/v2/{name}/manifests/{tag}", self.url);
        let put =
            reqwest::Client::new().put(url).header(CONTENT_TYPE, media_type::OCI_MANIFEST).body(manifest);
        assert_eq!(put.send().await.unwrap().status(), 201);
        digest
    }

    fn config(&self) -> RegistryConfig {
        RegistryConfig::new("debian".parse().unwrap(), RegistryKind::Oci, Some(self.url.clone()))
    }
}

#[tokio::test]
async fn an_image_in_the_reference_implementation_is_listed_resolved_and_read() {
    let Some(registry) = DockerRegistry::start().await else { return };
    let layer = bytes(2 << 20);
    let layer_digest = registry.push_blob("team/web", layer.clone()).await;
    let config =
        registry.push_blob("team/web", Bytes::from_static(br#"{"os":"linux","architecture":"amd64"}"#)).await;
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": {"mediaType": media_type::OCI_CONFIG, "digest": config.to_string(), "size": 37},
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer_digest.to_string(), "size": layer.len(),
        }],
    });
    let mut digest = Digest::of(b"");
    for number in 0..3 {
        digest = registry.push_manifest("team/web", &format!("1.{number}"), manifest.to_string()).await;
    }

    let client = client_of(&registry.config(), None, Timeouts::default()).registry;
    assert_eq!(repository_pages(&*client).await, [vec!["team/web"]]);
    let mut tags = tag_pages(&*client, "team/web").await.concat();
    tags.sort();
    assert_eq!(tags, ["1.0", "1.1", "1.2"]);
    assert_eq!(client.resolve(&repository("team/web"), &tag("1.0")).await.unwrap(), digest);
    let reference = ManifestReference::Digest(digest);
    let found = client.manifest(&repository("team/web"), &reference).await.unwrap();
    let Classified::Image { layers, .. } = classify(&found).unwrap() else { panic!("{found:?}") };
    assert_eq!(Digest::of(&blob(&*client, "team/web", &layers[0].digest).await.unwrap()), layer_digest);
    let missing = client.resolve(&repository("team/web"), &tag("2.0")).await;
    assert!(matches!(missing, Err(RegistryError::NotFound { .. })), "{missing:?}");
}
