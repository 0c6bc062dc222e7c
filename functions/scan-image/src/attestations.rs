//! Reads what the attestations of an image say: which there are, what VEX documents say of its vulnerabilities, and the
//! image that it is built on. Who can write to a repository can write its attestations; signatures are not looked at.

use std::collections::BTreeSet;

use tidewatch_core::Digest;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{AttestationBlob, attestation_blobs, read_blob};
use tidewatch_core::metadata::{AttestationKind, AttestationSummary, Attested};
use tidewatch_core::names::{RegistryId, RepositoryName};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_inventory::attestation::{Attestation, AttestationKind as Statement, ProvenanceMode};
use tidewatch_runtime::messages::describe;

/// Bytes that provenance or a VEX document may have. Provenance of the mode `max` holds the sources of the build.
const LIMIT: usize = 16 << 20;

/// An image whose attestations are asked for.
#[derive(Clone, Copy)]
pub struct AttestedImage<'a> {
    /// The registry, for errors.
    pub registry: &'a RegistryId,
    /// The repository.
    pub repository: &'a RepositoryName,
    /// Digest of the image's manifest.
    pub digest: &'a Digest,
    /// Its layers, base first.
    pub layers: &'a [Digest],
}

/// What the statements in these `manifests` say of an image. Of several builds the one that is read last names the base. An SBOM is not read: what the image holds is read from its
/// layers. A manifest that is not there any more holds nothing; a statement that cannot be read says no more than its
/// manifest does.
pub async fn read_attestations(
    registry: &dyn Registry,
    image: AttestedImage<'_>,
    manifests: &[Digest],
) -> Result<Attested, RegistryError> {
    let manifests: BTreeSet<Digest> = manifests.iter().copied().collect();
    let mut attested = Attested { manifests: manifests.iter().copied().collect(), ..Attested::default() };
    for digest in manifests {
        let manifest = match registry.manifest(image.repository, &ManifestReference::Digest(digest)).await {
            Ok(manifest) => manifest,
            Err(RegistryError::NotFound { .. }) => continue,
            // One that is damaged holds nothing that could be read, and holds up no image.
            Err(error @ RegistryError::Invalid { .. }) => {
                tracing::warn!(
                    registry.id = %image.registry, manifest = %digest, error = describe(&error),
                    "a manifest with attestations cannot be read"
                );
                continue;
            }
            Err(error) => return Err(error),
        };
        for blob in attestation_blobs(&manifest).unwrap_or_default() {
            let kind = read_statement(registry, image, &blob, &mut attested).await?;
            let predicate_type = blob.predicate_type;
            attested.summaries.push(AttestationSummary { digest, predicate_type, kind });
        }
    }
    Ok(attested)
}

async fn read_statement(
    registry: &dyn Registry,
    image: AttestedImage<'_>,
    blob: &AttestationBlob,
    attested: &mut Attested,
) -> Result<AttestationKind, RegistryError> {
    let said = kind_of(&blob.predicate_type);
    if matches!(said, AttestationKind::Sbom | AttestationKind::Other) {
        return Ok(said);
    }
    if blob.size > LIMIT as u64 {
        return Ok(unreadable(said, attested, &format!("it has more than {LIMIT} bytes")));
    }
    let read = read_blob(registry, image.registry, image.repository, &blob.digest, LIMIT).await;
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(RegistryError::NotFound { .. }) => {
            return Ok(unreadable(said, attested, "it is not there"));
        }
        Err(RegistryError::Invalid { reason, .. }) => return Ok(unreadable(said, attested, &reason)),
        Err(error) => return Err(error),
    };
    let parsed = match Attestation::parse(&bytes) {
        Ok(parsed) => parsed,
        Err(error) => return Ok(unreadable(said, attested, &error.to_string())),
    };
    // What is said of another image is nothing about this one.
    if !parsed.subjects.is_empty() && !parsed.subjects.contains(image.digest) {
        return Ok(AttestationKind::Other);
    }
    Ok(match parsed.kind {
        Statement::Provenance(provenance) => {
            attested.only_image = provenance.only_image();
            match provenance.base(image.layers) {
                Ok(base) => attested.base = Some(base),
                Err(reason) => attested.base_unknown_because = Some(reason),
            }
            AttestationKind::Provenance { max: provenance.mode == ProvenanceMode::Max }
        }
        Statement::Vex { document, .. } => {
            attested.vex.push(document);
            AttestationKind::Vex
        }
        Statement::Sbom(_) => AttestationKind::Sbom,
        Statement::Other { .. } => AttestationKind::Other,
    })
}

/// What is known of a statement that cannot be read: that it is there. Its mode is not known, so it is not `max`.
fn unreadable(said: AttestationKind, attested: &mut Attested, reason: &str) -> AttestationKind {
    if matches!(said, AttestationKind::Provenance { .. }) {
        attested.base_unknown_because = Some(format!("its provenance cannot be read: {reason}"));
    }
    said
}

/// What a statement is by the type that its manifest gives.
fn kind_of(predicate_type: &str) -> AttestationKind {
    let is = |uri: &str| {
        predicate_type.strip_prefix(uri).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if is("https://spdx.dev/Document") || is("https://cyclonedx.org/bom") {
        AttestationKind::Sbom
    } else if is("https://slsa.dev/provenance") {
        AttestationKind::Provenance { max: false }
    } else if is("https://openvex.dev/ns") {
        AttestationKind::Vex
    } else {
        AttestationKind::Other
    }
}
