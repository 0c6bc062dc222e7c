//! The images, advisories and expected numbers of `tests/fixtures`, for the demonstration and the end-to-end tests.
//! An image is assembled from its folders of plain files; its README says what it holds and what has to come out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidewatch_core::image::Platform;
use tidewatch_core::{Severity, Timestamp};

use crate::image::{BuiltImage, ImageBuilder, IndexBuilder};
use crate::layer::{Layer, LayerBuilder};
use crate::registry::TestRegistry;

/// An image of the fixtures, as a registry would hold it.
pub struct Fixture {
    /// The repository: `demo/web`.
    pub repository: String,
    /// The tag: `1.0`.
    pub tag: String,
    /// The image; an index where there is more than one platform.
    pub image: BuiltImage,
}

impl Fixture {
    /// Puts the image into `registry`, under its repository and tag.
    pub fn push_to(&self, registry: &TestRegistry) {
        for blob in self.image.blobs.values() {
            registry.push_blob(&self.repository, blob.clone());
        }
        for (digest, manifest) in &self.image.manifests {
            let tag = (*digest == self.image.digest).then_some(self.tag.as_str());
            registry.push_manifest(&self.repository, tag, &manifest.media_type, manifest.bytes.clone());
        }
    }
}

/// What has to come out of the fixtures: worked out by hand.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Every platform of every image.
    pub images: Vec<ExpectedImage>,
    /// The streams, by name.
    pub streams: BTreeMap<String, ExpectedStream>,
}

/// What has to come out for one platform of one image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedImage {
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The platform.
    pub platform: Platform,
    /// Whether it is the platform of the image that the gauges count.
    pub counted: bool,
    /// Every package as `NAME VERSION`, sorted by name.
    pub packages: Vec<String>,
    /// Every finding, sorted by package and vulnerability.
    pub findings: Vec<ExpectedFinding>,
    /// The number of findings of each severity; all five are there.
    pub severities: BTreeMap<Severity, u64>,
    /// Each policy's evaluation, `pass` or `fail`, by the policy's id.
    pub policies: BTreeMap<String, String>,
}

/// One vulnerability in one package.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFinding {
    /// Name of the package as installed.
    pub package: String,
    /// The CVE id.
    pub vulnerability: String,
    /// Ids of the advisories that say so, sorted.
    pub advisories: Vec<String>,
    /// The severity.
    pub severity: Severity,
    /// The lowest version that has it fixed; `None` without a fix.
    pub fixed_version: Option<String>,
}

/// What has to come out for a stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedStream {
    /// The number of findings of each severity, over all images of the stream; all five are there.
    pub severities: BTreeMap<Severity, u64>,
    /// Each policy's counts, by the policy's id.
    pub policies: BTreeMap<String, ExpectedPolicy>,
}

/// A policy's counts for a stream.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedPolicy {
    /// Images that pass.
    pub compliant: u64,
    /// Images that pass or fail.
    pub evaluated: u64,
}

/// One image of `images/images.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageEntry {
    repository: String,
    tag: String,
    created: Timestamp,
    /// In the order of the index.
    platforms: Vec<PlatformEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlatformEntry {
    platform: Platform,
    /// Folders under `images/`, base first.
    layers: Vec<PathBuf>,
}

/// The folder of the fixtures.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// The folder of the advisories: `<Ecosystem>/<id>.json`, in OSV form.
pub fn advisories() -> PathBuf {
    folder().join("advisories")
}

/// Every image, in the order of `images.json`. The same at every call, digests included.
pub fn images() -> Vec<Fixture> {
    let folder = folder().join("images");
    let entries: Vec<ImageEntry> = read_json(&folder.join("images.json"));
    entries.into_iter().map(|entry| build(&folder, entry)).collect()
}

/// What has to come out.
pub fn expected() -> Expected {
    read_json(&folder().join("expected.json"))
}

fn build(folder: &Path, entry: ImageEntry) -> Fixture {
    let ImageEntry { repository, tag, created, platforms } = entry;
    let mut images: Vec<BuiltImage> = platforms
        .iter()
        .map(|PlatformEntry { platform, layers }| {
            layers
                .iter()
                .fold(ImageBuilder::new(), |image, path| image.layer(layer(&folder.join(path))))
                .platform(platform)
                .created(created)
                .build()
        })
        .collect();
    let image = match images.len() {
        1 => images.remove(0),
        _ => images.iter().fold(IndexBuilder::new(), IndexBuilder::image).build(),
    };
    Fixture { repository, tag, image }
}

/// The layer that holds what is in a folder, in the order of names.
fn layer(folder: &Path) -> Layer {
    add_folder(LayerBuilder::new(), folder, "").build()
}

/// Adds the entries of a folder; `prefix` is empty, or the folder's path in the image with a slash at its end. A whiteout
/// lies in the folder as it lies in a layer, as a file with `.wh.` before its name.
fn add_folder(layer: LayerBuilder, folder: &Path, prefix: &str) -> LayerBuilder {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("failed to list {}: {error}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("an entry of a folder")).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    entries.into_iter().fold(layer, |layer, entry| {
        let name = entry.file_name().into_string().expect("a file name in UTF-8");
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("the type of a file");
        if kind.is_dir() {
            add_folder(layer.dir(&path), &entry.path(), &format!("{path}/"))
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("the target of a link");
            layer.symlink(&path, target.to_str().expect("a target in UTF-8"))
        } else {
            layer.file(&path, read(&entry.path()))
        }
    })
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&read(path))
        .unwrap_or_else(|error| panic!("failed to read {} as JSON: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_of_every_image_has_expected_numbers_and_nothing_else_has() {
        let built: Vec<(String, String, usize)> = images()
            .into_iter()
            .map(|fixture| {
                let indexes = usize::from(fixture.image.platform.is_none());
                (fixture.repository, fixture.tag, fixture.image.manifests.len() - indexes)
            })
            .collect();
        let mut expected_platforms: BTreeMap<(String, String), usize> = BTreeMap::new();
        for image in expected().images {
            *expected_platforms.entry((image.repository, image.tag)).or_default() += 1;
        }
        assert_eq!(built.len(), expected_platforms.len());
        for (repository, tag, platforms) in built {
            assert_eq!(expected_platforms.get(&(repository.clone(), tag)), Some(&platforms), "{repository}");
        }
    }

    #[test]
    fn the_expected_severities_are_those_of_the_expected_findings() {
        for image in expected().images {
            let mut counted: BTreeMap<Severity, u64> = Severity::ALL.map(|severity| (severity, 0)).into();
            for finding in &image.findings {
                *counted.entry(finding.severity).or_default() += 1;
            }
            assert_eq!(counted, image.severities, "{} {}", image.repository, image.platform);
        }
    }

    #[test]
    fn the_expected_stream_is_the_sum_of_the_counted_images() {
        let Expected { images, streams } = expected();
        let mut severities: BTreeMap<Severity, u64> = BTreeMap::new();
        let mut policies: BTreeMap<String, ExpectedPolicy> = BTreeMap::new();
        for image in images.iter().filter(|image| image.counted) {
            for (severity, count) in &image.severities {
                *severities.entry(*severity).or_default() += count;
            }
            for (policy, evaluation) in &image.policies {
                let counts =
                    policies.entry(policy.clone()).or_insert(ExpectedPolicy { compliant: 0, evaluated: 0 });
                counts.evaluated += u64::from(evaluation != "no-data");
                counts.compliant += u64::from(evaluation == "pass");
            }
        }
        assert_eq!(severities, streams["latest-indexed"].severities);
        assert_eq!(policies, streams["latest-indexed"].policies);
    }

    #[test]
    fn images_are_the_same_every_time() {
        let digests = || images().into_iter().map(|fixture| fixture.image.digest).collect::<Vec<_>>();
        assert_eq!(digests(), digests());
    }
}
