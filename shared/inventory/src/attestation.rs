//! Attestations about an image, as BuildKit attaches them: in-toto statements that hold an SBOM, the provenance of a build,
//! or what somebody says of vulnerabilities; signed ones in their DSSE envelope, whose signatures are not looked at.
//!
//! Specification: <https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md>,
//! <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>,
//! <https://github.com/secure-systems-lab/dsse/blob/master/envelope.md>.

mod base;
mod provenance;
#[cfg(test)]
mod tests;

use data_encoding::{BASE64, BASE64URL};
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::vex::VexDocument;

use crate::paths;
use crate::reading::lenient_json::{self, List, Object, Text};
use crate::reading::openvex::OpenVex;
use crate::reading::sbom::{Components, Packages, SpdxPackages};
use crate::reading::{Problems, excerpt};
use provenance::{BuildConfig, BuildDefinition, BuildKitMetadata, Builder, Materials, Presence, RunDetails};

pub use provenance::{Material, Provenance, ProvenanceMode, Stage};

/// Media type of the layers that hold a statement.
pub const IN_TOTO_MEDIA_TYPE: &str = "application/vnd.in-toto+json";

/// Bytes that an attestation may have. BuildKit writes SBOMs of at most 40 MiB; in an envelope they are a third larger.
pub const ATTESTATION_LIMIT: usize = 56 << 20;

/// What somebody says about an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// What it is about: digests of image manifests.
    pub subjects: Vec<Digest>,
    /// What it says.
    pub kind: AttestationKind,
}

/// What an attestation says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum AttestationKind {
    /// What the image is made of.
    Sbom(Sbom),
    /// How the image was built.
    Provenance(Provenance),
    /// What its vulnerabilities are to it.
    Vex {
        /// The document.
        document: VexDocument,
        /// What of it could not be used, lower-case fragments.
        problems: Vec<String>,
    },
    /// Something else.
    Other {
        /// The URI that says what it is.
        predicate_type: String,
    },
}

/// A software bill of materials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sbom {
    /// Its format.
    pub format: SbomFormat,
    /// The packages that it lists, in its order, at most 50,000.
    pub packages: Vec<SbomPackage>,
    /// How many packages more it lists, or ones with values that are no such things.
    pub left_out: usize,
}

/// The format of an SBOM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SbomFormat {
    /// SPDX 2.2 or 2.3.
    Spdx,
    /// CycloneDX.
    CycloneDx,
}

/// A package that an SBOM lists. It may also be the image itself, or something that has neither purl nor version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SbomPackage {
    /// The package URL, as it stands.
    pub purl: Option<String>,
    /// The name; of CycloneDX with its group, `GROUP/NAME`.
    pub name: String,
    /// The version; empty where there is none.
    pub version: String,
}

/// A blob that is no attestation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// It is larger than any attestation.
    #[error("the attestation is larger than {ATTESTATION_LIMIT} bytes")]
    TooLarge,
    /// It is no JSON, or not that of a statement.
    #[error("the attestation {0}")]
    Json(String),
    /// It is no in-toto statement of version 0.1 or 1.
    #[error("the attestation is no in-toto statement that can be read: its type is {0:?}")]
    NotAStatement(String),
    /// It is an envelope whose payload is no base64.
    #[error("the envelope of the attestation holds no base64")]
    Payload,
    /// The predicate is not what its type says.
    #[error("the attestation holds no {0}, as its type says")]
    Predicate(&'static str),
}

/// A statement, or the envelope of one.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Document {
    #[serde(rename = "_type")]
    statement_type: Text,
    subject: List<Object<Subject>>,
    predicate_type: Text,
    predicate: Object<Predicate>,
    /// Of an envelope.
    payload: Text,
    /// Of a bundle: an envelope with what it was signed with.
    dsse_envelope: Object<Envelope>,
}

/// Specification: <https://github.com/secure-systems-lab/dsse/blob/master/envelope.md>
#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope {
    payload: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Subject {
    digest: Object<Digests>,
}

/// The digests of something, by the names of their algorithms.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Digests {
    sha256: Text,
}

impl Digests {
    fn sha256(&self) -> Option<Digest> {
        format!("sha256:{}", self.sha256.0).parse().ok()
    }
}

/// What the predicates of all types that are read have: their keys are different ones.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Predicate {
    // SPDX.
    spdx_version: Text,
    packages: SpdxPackages,
    // CycloneDX.
    bom_format: Text,
    components: Components,
    // Provenance of version 1.
    build_definition: Object<BuildDefinition>,
    run_details: Object<RunDetails>,
    // Provenance of version 0.2.
    build_config: Presence<BuildConfig>,
    metadata: Object<Metadata>,
    builder: Object<Builder>,
    materials: Materials,
}

/// Of provenance of version 0.2.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "https://mobyproject.org/buildkit@v1#metadata")]
    buildkit: Object<BuildKitMetadata>,
}

/// A statement about vulnerabilities.
#[derive(Default, Deserialize)]
#[serde(default)]
struct VexStatement {
    predicate: Object<OpenVex>,
}

impl Attestation {
    /// Reads the layer of an attestation manifest: a statement, or an envelope or a bundle with one. Beside `bytes` it needs memory
    /// for what it gives, and for an envelope twice its size.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestationError> {
        if bytes.len() > ATTESTATION_LIMIT {
            return Err(AttestationError::TooLarge);
        }
        let document = parse::<Document>(bytes)?;
        let Object(bundled) = &document.dsse_envelope;
        let payload = if bundled.payload.0.is_empty() { &document.payload.0 } else { &bundled.payload.0 };
        if payload.is_empty() || !document.statement_type.0.is_empty() {
            return document.attestation(bytes);
        }
        let payload = decode(payload)?;
        drop(document);
        parse::<Document>(&payload)?.attestation(&payload)
    }
}

impl Document {
    /// The attestation; `bytes` are the statement's.
    fn attestation(self, bytes: &[u8]) -> Result<Attestation, AttestationError> {
        let version = self.statement_type.0.strip_prefix("https://in-toto.io/Statement/");
        if !matches!(version, Some("v0.1" | "v1" | "v1.0")) {
            let found = excerpt(&paths::text(self.statement_type.0.as_bytes()));
            return Err(AttestationError::NotAStatement(found));
        }
        let subjects =
            self.subject.0.iter().filter_map(|Object(subject)| subject.digest.0.sha256()).collect();
        let predicate_type = self.predicate_type.0.as_str();
        let is = |uri: &str| {
            // The version of what is there may follow: `https://spdx.dev/Document/v2.3`.
            predicate_type.strip_prefix(uri).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let predicate = self.predicate.0;
        let kind = if is("https://spdx.dev/Document") {
            predicate.spdx()?
        } else if is("https://cyclonedx.org/bom") {
            predicate.cyclonedx()?
        } else if is("https://slsa.dev/provenance/v1") {
            let Object(definition) = predicate.build_definition;
            AttestationKind::Provenance(provenance::version_1(definition, predicate.run_details.0))
        } else if is("https://slsa.dev/provenance/v0.2") {
            let Object(builder) = predicate.builder;
            let provenance = provenance::version_0_2(
                predicate.build_config,
                predicate.metadata.0.buildkit.0,
                &builder,
                predicate.materials,
            );
            AttestationKind::Provenance(provenance)
        } else if is("https://openvex.dev/ns") {
            vex(bytes)?
        } else {
            AttestationKind::Other { predicate_type: excerpt(&paths::text(predicate_type.as_bytes())) }
        };
        Ok(Attestation { subjects, kind })
    }
}

impl Predicate {
    fn spdx(self) -> Result<AttestationKind, AttestationError> {
        let is_spdx = self.spdx_version.0.starts_with("SPDX-2.");
        is_spdx
            .then(|| sbom(SbomFormat::Spdx, self.packages.0))
            .ok_or(AttestationError::Predicate("SPDX document"))
    }

    fn cyclonedx(self) -> Result<AttestationKind, AttestationError> {
        let is_cyclonedx = self.bom_format.0 == "CycloneDX";
        let components = self.components.packages;
        is_cyclonedx
            .then(|| sbom(SbomFormat::CycloneDx, components))
            .ok_or(AttestationError::Predicate("CycloneDX document"))
    }
}

fn sbom(format: SbomFormat, packages: Packages) -> AttestationKind {
    let Packages { packages, left_out } = packages;
    AttestationKind::Sbom(Sbom { format, packages, left_out })
}

fn vex(bytes: &[u8]) -> Result<AttestationKind, AttestationError> {
    let statement = lenient_json::parse_kept::<VexStatement>(bytes);
    let Object(predicate) = statement.map_err(|error| AttestationError::Json(error.to_string()))?.predicate;
    let mut problems = Problems::default();
    let document =
        predicate.document(&mut problems).ok_or(AttestationError::Predicate("OpenVEX document"))?;
    Ok(AttestationKind::Vex { document, problems: problems.into_reasons() })
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, AttestationError> {
    lenient_json::parse(bytes).map_err(|error| AttestationError::Json(error.to_string()))
}

/// Base64 in either alphabet, as the specification wants both to be read.
fn decode(payload: &str) -> Result<Vec<u8>, AttestationError> {
    let decoded = BASE64.decode(payload.as_bytes()).or_else(|_| BASE64URL.decode(payload.as_bytes()));
    decoded.map_err(|_| AttestationError::Payload)
}
