//! Real images from Debian's own registry server, with real advisories: the larger test that `make test-corpus` runs.
//! It is skipped, and says so, where the images, the data or the servers are not there.

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tidewatch_runtime::environment::variable;

use crate::installation::{Configuration, Installation, Numbers, ORG, settle};

/// The images, as `build-corpus` and the shared data name them.
const IMAGES: [&str; 4] = ["bookworm-slim", "bullseye-slim", "alpine310.tar", "multi.tar"];

/// What the test stands on.
struct Corpus {
    /// Where the images of `build-corpus` are.
    built: PathBuf,
    /// The shared folder, with data and tools.
    shared: PathBuf,
}

/// A registry server, stopped when it is dropped.
struct RegistryServer {
    folder: tempfile::TempDir,
    address: String,
}

impl Corpus {
    /// The corpus, or why there is none.
    fn find() -> Result<Self, String> {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
        let built = variable("TIDEWATCH_CORPUS")
            .ok_or("TIDEWATCH_CORPUS names no folder of images: make test-corpus")?;
        let corpus = Self { built: built.into(), shared };
        if !corpus.shared.join("data/osv").exists() {
            return Err(format!("{} is not there", corpus.shared.display()));
        }
        for command in ["docker-registry", "skopeo", "jq", "curl", "dpkg"] {
            if Command::new(command).arg("--version").output().is_err() {
                return Err(format!("{command} is not installed"));
            }
        }
        Ok(corpus)
    }

    fn image(&self, name: &str) -> PathBuf {
        if Path::new(name).extension().is_some() {
            self.shared.join("data/images").join(name)
        } else {
            self.built.join(name)
        }
    }

    fn serve(&self) -> RegistryServer {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images");
        std::fs::create_dir(&images).unwrap();
        for name in IMAGES {
            std::os::unix::fs::symlink(self.image(name), images.join(name)).unwrap();
        }
        let port = free_port();
        let served = Command::new(self.shared.join("tools/serve-registry"))
            .arg("--background")
            .arg(folder.path().join("pid"))
            .args([folder.path().join("storage"), images])
            .arg(port.to_string())
            .output()
            .unwrap();
        assert!(served.status.success(), "{}", String::from_utf8_lossy(&served.stderr));
        RegistryServer { folder, address: format!("127.0.0.1:{port}") }
    }

    /// The (package, advisory) pairs of an image by `dpkg --compare-versions`.
    fn pairs_by_dpkg(&self, image: &str, release: &str) -> BTreeSet<(String, String)> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/end_to_end/dpkg_pairs.py");
        let archive = self.shared.join("data/osv/Debian/all.zip");
        let output = Command::new("python3")
            .arg(script)
            .arg(self.image(image))
            .arg(archive)
            .arg(release)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl RegistryServer {
    /// Takes the contents of all layers away, or puts them back: manifests stay.
    fn hide_layers(&self, hide: bool) {
        let blobs = self.folder.path().join("storage/data/docker/registry/v2/blobs/sha256");
        let data = std::fs::read_dir(blobs)
            .unwrap()
            .flat_map(|prefix| std::fs::read_dir(prefix.unwrap().path()).unwrap())
            .map(|blob| blob.unwrap().path());
        for blob in data {
            let (shown, hidden) = (blob.join("data"), blob.join("hidden"));
            // Manifests and configurations are small; layers are not.
            if hide && std::fs::metadata(&shown).unwrap().len() > 100_000 {
                std::fs::rename(shown, hidden).unwrap();
            } else if hidden.exists() {
                std::fs::rename(hidden, shown).unwrap();
            }
        }
    }

    /// Makes `to` point to what `from` points to.
    fn move_tag(&self, from: &str, to: &str) {
        let copied = Command::new("skopeo")
            .args([
                "copy",
                "--quiet",
                "--insecure-policy",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
            ])
            .args([from, to].map(|name| format!("docker://{}/{name}", self.address)))
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        if let Ok(id) = std::fs::read_to_string(self.folder.path().join("pid")) {
            // It may have ended by itself.
            let _ = Command::new("kill").arg(id.trim()).status();
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The (package, advisory) pairs of the findings that `tidewatch scan` prints.
fn pairs_of(scan: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pairs = |finding: &Value| {
        let package = text(&finding["package"]);
        let advisories: Vec<String> = finding["advisories"].as_array().unwrap().iter().map(text).collect();
        advisories.into_iter().map(move |advisory| (package.clone(), advisory))
    };
    scan["findings"].as_array().unwrap().iter().flat_map(pairs).collect()
}

/// The numbers of the stream when only the scanned image has vulnerabilities, and all four pass.
fn numbers(scan: &Value) -> Numbers {
    let severities = ["critical", "high", "medium", "low", "unspecified"];
    let severities = severities.map(|severity| scan["vulnerabilities"][severity].as_u64().unwrap());
    Numbers { compliant: 4, evaluated: 4, severities }
}

#[tokio::test]
async fn real_images_from_a_real_registry_with_real_advisories() {
    let corpus = match Corpus::find() {
        Ok(corpus) => corpus,
        Err(reason) => return tidewatch_testkit::skip::skipped(reason),
    };
    let server = corpus.serve();
    let installation = Installation::new();
    installation.build_advisories(&corpus.shared.join("data/osv"));
    let local = installation.up();
    installation.apply(&Configuration::new(ORG).registry("corpus", &format!("http://{}", server.address)));
    let token = installation.token(ORG);

    let run = installation.run_rule();
    assert_eq!((&run["listed"], &run["queued"]), (&4.into(), &5.into()), "{run}");
    let images = installation.images();
    assert!(images.iter().all(|image| image["state"] == "scanned"), "{images:#?}");

    let reference = format!("{}/corpus/bullseye-slim:v1", server.address);
    let scan = installation.json(&["scan", &reference, "--plain-http"]);
    let expected = corpus.pairs_by_dpkg("bullseye-slim", "11");
    assert!(!expected.is_empty());
    assert_eq!(pairs_of(&scan), expected);
    eprintln!("bullseye-slim: {} (package, advisory) pairs, as dpkg has them", expected.len());
    settle(&local, ORG, &token, &numbers(&scan)).await;

    server.hide_layers(true);
    assert_eq!(installation.run_rule()["queued"], 0, "a second run has found something to do");
    server.hide_layers(false);

    server.move_tag("corpus/alpine310:real", "corpus/bullseye-slim:v1");
    assert_eq!(installation.run_rule()["queued"], 1);
    settle(&local, ORG, &token, &Numbers { compliant: 4, evaluated: 4, severities: [0; 5] }).await;
}
