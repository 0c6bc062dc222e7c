//! What is known of an image beside its packages: its configuration, its attestations, and the image that it is built on.
//!
//! Every part can be unknown, and unknown is never taken for absent: a policy that needs a part which nobody has looked at
//! has no data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::vex::VexDocument;

/// What is known of an image beside its packages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageMetadata {
    /// What its configuration says; `None` means that nobody has read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigMetadata>,
    /// Its attestations; `None` means that nobody has looked, and an empty list that there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestations: Option<Vec<AttestationSummary>>,
    /// The VEX documents among its attestations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vex: Vec<VexDocument>,
    /// The VEX documents that lie in its files, `NAME.vex.json`. They count only where it is known that there are no
    /// attestations: <https://docs.docker.com/scout/how-tos/create-exceptions-vex/>
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vex_files: Vec<VexDocument>,
    /// The image that it is built on, as far as that could be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseImage>,
    /// Why `base` is not known, a lower-case fragment: `no known image has its first layers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_unknown_because: Option<String>,
}

impl ImageMetadata {
    /// What `said` and the VEX documents in the files of an image tell; `None` when nobody has read its manifest for that.
    pub fn of(said: Option<ManifestMetadata>, vex_files: Vec<VexDocument>) -> Self {
        let Some(ManifestMetadata { config, base, attested }) = said else {
            return Self { vex_files, ..Self::default() };
        };
        let nothing = |base: &Option<BaseImage>| base.is_none().then(|| "the image names none".to_owned());
        let Some(Attested { summaries, vex, base: by_provenance, base_unknown_because, .. }) = attested
        else {
            let base_unknown_because = nothing(&base);
            return Self { config, vex_files, base, base_unknown_because, ..Self::default() };
        };
        let base = by_provenance.or(base);
        let unknown = if base.is_none() { base_unknown_because } else { None };
        let base_unknown_because = unknown.or_else(|| nothing(&base));
        Self { config, attestations: Some(summaries), vex, vex_files, base, base_unknown_because }
    }

    /// The same, built on the only image that went into the build where nothing else tells its base.
    #[must_use]
    pub fn or_only_image(self, said: Option<&ManifestMetadata>) -> Self {
        let only = || said.and_then(|said| said.attested.as_ref()?.only_image.clone());
        match self.base.is_none().then(only).flatten() {
            Some(base) => Self { base: Some(base), base_unknown_because: None, ..self },
            None => self,
        }
    }

    /// Whether it holds all that `said` and nothing else of its kind, wherever its base stands now.
    pub fn holds(&self, said: Option<ManifestMetadata>) -> bool {
        let wanted = Self::of(said, self.vex_files.clone());
        let named = |base: &BaseImage| (base.reference.clone(), base.digest);
        let has_base =
            wanted.base.as_ref().is_none_or(|base| self.base.as_ref().map(named) == Some(named(base)));
        has_base
            && (&self.config, &self.attestations, &self.vex)
                == (&wanted.config, &wanted.attestations, &wanted.vex)
    }
}

/// What a manifest and its configuration say of an image, beside its layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestMetadata {
    /// What the configuration says; `None` when it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigMetadata>,
    /// The image that it names as its base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseImage>,
    /// What its attestations say; `None` where nobody has looked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested: Option<Attested>,
}

/// What the attestations of an image say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// Digests of the manifests that hold them, sorted.
    pub manifests: Vec<Digest>,
    /// The attestations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summaries: Vec<AttestationSummary>,
    /// The VEX documents among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vex: Vec<VexDocument>,
    /// The image that it is built on, by its provenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseImage>,
    /// Why the provenance does not tell that, a lower-case fragment; `None` where there is no provenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_unknown_because: Option<String>,
    /// The only image that went into the build, where the provenance tells no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_image: Option<BaseImage>,
}

impl Attested {
    /// What these attestations say together with those that were read before.
    #[must_use]
    pub fn after(mut self, before: Self) -> Self {
        self.manifests.extend(before.manifests);
        self.manifests.sort();
        self.manifests.dedup();
        self.summaries.splice(0..0, before.summaries);
        self.vex.splice(0..0, before.vex);
        self.base = self.base.or(before.base);
        self.base_unknown_because = self.base_unknown_because.or(before.base_unknown_because);
        self.only_image = self.only_image.or(before.only_image);
        self
    }
}

/// What the configuration of an image says.
/// Specification: <https://github.com/opencontainers/image-spec/blob/main/config.md#properties>
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigMetadata {
    /// `config.User` as it stands: `app`, `1000:1000`; `None` where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// One attestation of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationSummary {
    /// Digest of the manifest that holds it.
    pub digest: Digest,
    /// The URI that says what it is: `https://slsa.dev/provenance/v0.2`.
    pub predicate_type: String,
    /// The same, as far as policies ask.
    pub kind: AttestationKind,
}

/// What an attestation says, as far as policies ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttestationKind {
    /// What the image is made of.
    Sbom,
    /// How it was built.
    Provenance {
        /// Whether it has all that BuildKit's mode `max` has:
        /// <https://docs.docker.com/build/metadata/attestations/slsa-provenance/#max>
        max: bool,
    },
    /// What its vulnerabilities are to it.
    Vex,
    /// Something else.
    Other,
}

/// The image that an image is built on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseImage {
    /// Its name with the host of its registry, and with its tag where that is known: `docker.io/library/node:18-slim`.
    pub reference: String,
    /// The digest that was built on: of the index or of the platform's manifest, whichever `current` is of as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// By what it was found.
    pub evidence: BaseEvidence,
    /// What its tag points to now; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Digest>,
}

/// By what the image that an image is built on was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BaseEvidence {
    /// The provenance of the build names it.
    Provenance,
    /// Annotations of the image name it:
    /// <https://github.com/opencontainers/image-spec/blob/main/annotations.md#pre-defined-annotation-keys>
    Annotation,
    /// All of its layers are the first layers of the image.
    Layers,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_known_until_somebody_says_it() {
        let nothing: ImageMetadata = serde_json::from_value(json!({})).unwrap();
        assert_eq!(nothing, ImageMetadata::default());
        assert_eq!(serde_json::to_value(&nothing).unwrap(), json!({}));
    }

    #[test]
    fn no_attestations_and_attestations_that_nobody_looked_for_are_stored_differently() {
        let none = ImageMetadata { attestations: Some(Vec::new()), ..ImageMetadata::default() };
        let stored = serde_json::to_value(&none).unwrap();
        assert_eq!(stored, json!({"attestations": []}));
        assert_eq!(serde_json::from_value::<ImageMetadata>(stored).unwrap(), none);
    }

    #[test]
    fn what_is_known_reads_back_as_it_was_stored() {
        let summary = |kind| AttestationSummary {
            digest: Digest::of(b"attestation"),
            predicate_type: "https://slsa.dev/provenance/v0.2".to_owned(),
            kind,
        };
        let known = ImageMetadata {
            config: Some(ConfigMetadata { user: Some("1000:1000".to_owned()) }),
            attestations: Some(vec![
                summary(AttestationKind::Sbom),
                summary(AttestationKind::Provenance { max: true }),
                summary(AttestationKind::Vex),
                summary(AttestationKind::Other),
            ]),
            base: Some(BaseImage {
                reference: "docker.io/library/node:18-slim".to_owned(),
                digest: Some(Digest::of(b"base")),
                evidence: BaseEvidence::Layers,
                current: None,
            }),
            ..ImageMetadata::default()
        };
        let stored = serde_json::to_vec(&known).unwrap();
        assert_eq!(serde_json::from_slice::<ImageMetadata>(&stored).unwrap(), known);
    }
}
