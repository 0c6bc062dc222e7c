//! Real images, os-release files of many distributions: what is found must be exactly the truth that lies beside them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail by panic.
#![allow(clippy::print_stderr)] // Says which tests had no data.

mod common;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use common::read;
use serde_json::Value;
use tidewatch_core::Digest;
use tidewatch_core::image::Platform;
use tidewatch_inventory::{ImageInventory, LayerInventory, LayerReader, Limits, merge};
use tidewatch_testkit::layer::LayerBuilder;

/// A folder of the shared data; `None`, and a word about it, when it is not there.
fn data(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !path.exists() {
        tidewatch_testkit::skip::skipped(format_args!("{} is not there", path.display()));
        return None;
    }
    Some(path)
}

/// The blobs of an OCI layout in a tar file, and the digest of its only image or index.
struct Layout {
    blobs: BTreeMap<Digest, Vec<u8>>,
    root: Digest,
}

impl Layout {
    fn open(path: &PathBuf) -> Self {
        let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
        let (mut blobs, mut index) = (BTreeMap::new(), Value::Null);
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            if path.ends_with("index.json") {
                index = serde_json::from_slice(&bytes).unwrap();
            } else if path.starts_with("blobs/sha256") {
                blobs.insert(Digest::of(&bytes), bytes);
            }
        }
        Self { blobs, root: digest(&index["manifests"][0]) }
    }

    fn json(&self, digest: Digest) -> Value {
        serde_json::from_slice(&self.blobs[&digest]).unwrap()
    }

    /// The manifest of the image for `platform`.
    fn manifest(&self, platform: &Platform) -> Value {
        let root = self.json(self.root);
        let Some(manifests) = root["manifests"].as_array() else { return root };
        let of_platform =
            |manifest: &&Value| manifest["platform"]["architecture"] == platform.architecture.as_str();
        self.json(digest(manifests.iter().find(of_platform).unwrap()))
    }

    fn image(&self, platform: &Platform) -> ImageInventory {
        let manifest = self.manifest(platform);
        let layers: Vec<LayerInventory> = manifest["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| {
                let digest = digest(layer);
                let mut reader = LayerReader::new(digest, Limits::default());
                self.blobs[&digest].chunks(64 * 1024).for_each(|part| reader.push(part));
                reader.finish().unwrap()
            })
            .collect();
        merge(&layers)
    }
}

fn digest(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

/// The packages in the form of the lists beside the images.
fn list(image: &ImageInventory) -> String {
    let mut lines: Vec<String> = image
        .packages
        .iter()
        .map(|package| format!("{}\t{}\t{}\n", package.package_type.as_str(), package.name, package.version))
        .collect();
    lines.sort();
    lines.concat()
}

fn check(image: &str, list_name: &str, platform: &Platform, distribution: &str) {
    let Some(folder) = data("images") else { return };
    let found = Layout::open(&folder.join(format!("{image}.tar"))).image(platform);
    let truth = std::fs::read_to_string(folder.join(format!("{list_name}.packages.tsv"))).unwrap();
    assert_eq!(list(&found), truth);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    let release =
        found.distribution.map(|found| format!("{} {}", found.id, found.advisory_release().unwrap()));
    assert_eq!(release.as_deref(), Some(distribution));
}

#[test]
fn alpine_3_10_has_exactly_its_packages() {
    check("alpine310", "alpine310", &Platform::linux_amd64(), "alpine 3.10");
}

#[test]
fn alpine_3_11_has_exactly_its_packages() {
    check("alpine311", "alpine311", &Platform::linux_amd64(), "alpine 3.11");
}

#[test]
fn a_distroless_debian_has_exactly_its_packages_on_both_platforms() {
    check("multi", "multi.amd64", &Platform::linux_amd64(), "debian 12");
    check("multi", "multi.arm64", &Platform::linux_arm64(), "debian 12");
}

#[test]
fn a_rust_program_on_a_distroless_debian_has_exactly_its_crates() {
    check("rust-auditable", "rust-auditable", &Platform::linux_amd64(), "debian 12");
}

#[test]
fn an_almalinux_with_a_database_of_sqlite_has_exactly_its_packages() {
    check("alma9-synthetic", "alma9-synthetic", &Platform::linux_amd64(), "almalinux 9");
}

#[test]
fn a_suse_with_a_database_of_ndb_has_exactly_its_packages() {
    check("rpm-sle15", "rpm-sle15", &Platform::linux_amd64(), "sles 15 SP3");
}

#[test]
fn a_centos_with_a_database_of_berkeley_db_has_exactly_its_packages() {
    check("rpm-bdb", "rpm-bdb", &Platform::linux_amd64(), "centos 7");
}

#[test]
fn every_os_release_gives_its_distribution_and_the_release_that_chooses_advisories() {
    let Some(folder) = data("claircore-distro") else { return };
    let expected = std::fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = expected.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 26);
    for row in rows {
        let [path, id, release, pretty_name] = row[..] else { panic!("{row:?} has other columns") };
        let content = std::fs::read(folder.join(path).join("etc/os-release")).unwrap();
        let layer = read(&LayerBuilder::new().file("etc/os-release", content).build());
        let distribution = merge([&layer]).distribution.unwrap();
        assert_eq!(
            (
                distribution.id.as_str(),
                distribution.advisory_release().as_deref(),
                distribution.pretty_name.as_str()
            ),
            (id, Some(release), pretty_name),
            "{path}"
        );
    }
}
