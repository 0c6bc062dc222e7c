//! SLSA provenance of the versions 0.2 and 1, as BuildKit writes it.
//!
//! Specification: <https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md>,
//! <https://slsa.dev/spec/v1.1/provenance>, <https://slsa.dev/spec/v0.2/provenance>.

use serde::{Deserialize, Deserializer, Serialize};
use tidewatch_core::Digest;

use super::Digests;
use crate::reading::lenient_json::{Object, Text, fold_list};
use crate::reading::short_text;

/// The most materials of one build. Images are made of some tens, packages that a build fetches may be more.
const MATERIALS: usize = 10_000;

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
    build_config: Presence,
}

/// By whom it was built, of version 1.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RunDetails {
    builder: Object<Builder>,
}

/// Who builds.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Builder {
    id: Text,
}

/// Whether something is there, and an object.
#[derive(Clone, Copy, Default)]
pub(super) struct Presence(bool);

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

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// `None` for whatever is no object.
        #[derive(Default)]
        struct Found(bool);
        impl<'de> Deserialize<'de> for Found {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self(true))
            }
        }
        Ok(Self(Object::<Found>::deserialize(deserializer)?.0.0))
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
pub(super) fn version_1(definition: BuildDefinition, details: &RunDetails) -> Provenance {
    let has_steps = definition.internal_parameters.0.build_config;
    version_0_2(has_steps, &details.builder.0, definition.resolved_dependencies)
}

/// What a predicate of version 0.2 says. Only the mode `max` gives the steps of the build.
pub(super) fn version_0_2(has_steps: Presence, builder: &Builder, materials: Materials) -> Provenance {
    let Materials { materials, left_out } = materials;
    let builder = short_text("builder", builder.id.0.as_bytes()).ok().filter(|id| !id.is_empty());
    let mode = if has_steps.0 { ProvenanceMode::Max } else { ProvenanceMode::Min };
    Provenance { mode, builder, materials, left_out }
}
