//! SLSA provenance of the versions 0.2 and 1, as BuildKit writes it.
//!
//! Specification: <https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md>,
//! <https://slsa.dev/spec/v1.1/provenance>, <https://slsa.dev/spec/v0.2/provenance>.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use tidewatch_core::Digest;

use super::Digests;
use crate::reading::lenient_json::{Entries, List, Object, Text, fold_list};
use crate::reading::short_text;

/// The most materials of one build. Images are made of some tens, packages that a build fetches may be more.
const MATERIALS: usize = 10_000;

/// The most stages of one build, and the most layers of one image.
const STAGES: usize = 1000;
const LAYERS: usize = 1000;

/// How an image was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// How much the builder tells.
    pub mode: ProvenanceMode,
    /// The URI of the builder; `None` where it names itself by none, as BuildKit does unless it is told to.
    pub builder: Option<String>,
    /// What went into the build, at most 10,000: base images, sources, and whatever else was fetched.
    pub materials: Vec<Material>,
    /// How many more materials there were, or ones with values that are no such things.
    pub left_out: usize,
    /// The images that stages of the build began with, at most 1,000; `None` where the builder does not tell the layers of
    /// its steps, as in the mode `min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<Stage>>,
}

/// An image that a stage of a build began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name, as the builder has resolved it: `docker.io/library/alpine:3.17@sha256:…`.
    pub image: String,
    /// Its layers, base first.
    pub layers: Vec<Digest>,
}

/// How much provenance tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProvenanceMode {
    /// What went in, without the steps of the build.
    Min,
    /// The steps of the build as well.
    Max,
}

/// Something that went into a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// What it is: `pkg:docker/alpine@3.17?platform=linux%2Famd64`, `https://github.com/org/app.git#refs/heads/main`.
    pub uri: String,
    /// Its SHA-256 digest; `None` where another algorithm, or none, is given.
    pub digest: Option<Digest>,
}

impl Material {
    /// Whether it is an image: the base of the image, one that a stage of the build began with, or the frontend.
    pub fn is_image(&self) -> bool {
        ["pkg:docker/", "pkg:oci/"].iter().any(|start| self.uri.starts_with(start))
    }
}

/// How something was built, of version 1.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct BuildDefinition {
    internal_parameters: Object<InternalParameters>,
    resolved_dependencies: Materials,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InternalParameters {
    build_config: Presence<BuildConfig>,
}

/// The steps of a build.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct BuildConfig {
    llb_definition: List<Object<Step>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Step {
    id: Text,
    op: Object<Operation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Operation {
    #[serde(rename = "Op")]
    kind: Object<OperationKind>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OperationKind {
    source: Object<Source>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    identifier: Text,
}

/// What BuildKit adds about a build.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct BuildKitMetadata {
    /// The layers of what a step gives, by `STEP:OUTPUT`.
    layers: Entries<List<List<Object<LayerDescriptor>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LayerDescriptor {
    digest: Text,
}

/// By whom it was built, of version 1.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RunDetails {
    builder: Object<Builder>,
    metadata: Object<RunMetadata>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RunMetadata {
    buildkit_metadata: Object<BuildKitMetadata>,
}

/// Who builds.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Builder {
    id: Text,
}

/// Something, if it is there, and an object.
pub(super) struct Presence<T>(Option<T>);

impl<T> Default for Presence<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// A list of materials.
#[derive(Default)]
pub(super) struct Materials {
    materials: Vec<Material>,
    left_out: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Descriptor {
    uri: Text,
    digest: Object<Digests>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Presence<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// `None` for whatever is no object.
        struct Found<T>(Option<T>);
        impl<T> Default for Found<T> {
            fn default() -> Self {
                Self(None)
            }
        }
        impl<'de, T: Deserialize<'de>> Deserialize<'de> for Found<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                T::deserialize(deserializer).map(|found| Self(Some(found)))
            }
        }
        Ok(Self(Object::<Found<T>>::deserialize(deserializer)?.0.0))
    }
}

impl<'de> Deserialize<'de> for Materials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fold_list(deserializer, Self::default(), |materials, Object(material): Object<Descriptor>| {
            let uri = short_text("address", material.uri.0.as_bytes()).ok().filter(|uri| !uri.is_empty());
            match uri.filter(|_| materials.materials.len() < MATERIALS) {
                Some(uri) => materials.materials.push(Material { uri, digest: material.digest.0.sha256() }),
                None => materials.left_out += 1,
            }
        })
    }
}

/// What a predicate of version 1 says.
pub(super) fn version_1(definition: BuildDefinition, details: RunDetails) -> Provenance {
    let steps = definition.internal_parameters.0.build_config;
    let metadata = details.metadata.0.buildkit_metadata.0;
    version_0_2(steps, metadata, &details.builder.0, definition.resolved_dependencies)
}

/// What a predicate of version 0.2 says. Only the mode `max` gives the steps of the build.
pub(super) fn version_0_2(
    steps: Presence<BuildConfig>,
    metadata: BuildKitMetadata,
    builder: &Builder,
    materials: Materials,
) -> Provenance {
    let Materials { materials, left_out } = materials;
    let builder = short_text("builder", builder.id.0.as_bytes()).ok().filter(|id| !id.is_empty());
    let mode = if steps.0.is_some() { ProvenanceMode::Max } else { ProvenanceMode::Min };
    let stages = steps.0.and_then(|steps| stages(steps, metadata));
    Provenance { mode, builder, materials, left_out, stages }
}

/// The stages that begin with an image, where the layers of steps are told.
fn stages(steps: BuildConfig, metadata: BuildKitMetadata) -> Option<Vec<Stage>> {
    // The same layers may be told several times, compressed in several ways.
    let outputs: BTreeMap<String, Vec<Vec<Digest>>> = metadata
        .layers
        .0
        .into_iter()
        .map(|(output, List(ways))| {
            (output, ways.iter().filter_map(|List(layers)| digests(layers)).collect())
        })
        .collect();
    if outputs.is_empty() {
        return None;
    }
    let stages = steps.llb_definition.0.into_iter().flat_map(|Object(step)| {
        let identifier = step.op.0.kind.0.source.0.identifier.0;
        let image = identifier.strip_prefix("docker-image://").unwrap_or_default();
        let image = short_text("image", image.as_bytes()).ok().filter(|image| !image.is_empty());
        let ways = outputs.get(&format!("{}:0", step.id.0)).filter(|_| image.is_some());
        let image = image.unwrap_or_default();
        ways.into_iter().flatten().map(move |layers| Stage { image: image.clone(), layers: layers.clone() })
    });
    Some(stages.take(STAGES).collect())
}

fn digests(layers: &[Object<LayerDescriptor>]) -> Option<Vec<Digest>> {
    layers.iter().take(LAYERS).map(|Object(layer)| layer.digest.0.parse().ok()).collect()
}
