//! The media types of manifests, configs and layers.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/main/media-types.md>,
//! <https://github.com/distribution/distribution/blob/main/docs/content/spec/manifest-v2-2.md>

/// An image in the form of the OCI.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index in the form of the OCI.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An image in the form of Docker, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// An index in the form of Docker.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// An image in the form of Docker, schema 1, unsigned.
pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// An image in the form of Docker, schema 1, signed.
pub const DOCKER_SCHEMA_1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// An artifact in a form that the OCI withdrew, and that some registries still hold.
pub const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// The config of an image in the form of the OCI.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The config of an image in the form of Docker.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What a client that reads images accepts, in the order of its preference. The forms that are not read stand here as
/// well, because a registry that may not send them answers that there is no such manifest.
pub const ACCEPTED_MANIFESTS: [&str; 7] =
    [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, OCI_ARTIFACT, DOCKER_SCHEMA_1_SIGNED, "*/*"];

/// Whether `name` is an index.
pub fn is_index(name: &str) -> bool {
    matches!(name, OCI_INDEX | DOCKER_LIST)
}

/// Whether `name` is the manifest of one image, of schema 2 or the OCI.
pub fn is_image_manifest(name: &str) -> bool {
    matches!(name, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether `name` is a manifest of schema 1, signed or not.
pub fn is_schema_1(name: &str) -> bool {
    matches!(name, DOCKER_SCHEMA_1 | DOCKER_SCHEMA_1_SIGNED)
}

/// Whether `name` is the config of an image.
pub fn is_image_config(name: &str) -> bool {
    matches!(name, OCI_CONFIG | DOCKER_CONFIG)
}

/// Whether `name` is a layer that the registry does not hold.
pub(super) fn is_foreign_layer(name: &str) -> bool {
    name.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
        || name.starts_with("application/vnd.docker.image.rootfs.foreign.diff.tar")
}

/// Whether `name` is a layer that holds files.
pub(super) fn is_tar_layer(name: &str) -> bool {
    matches!(
        name,
        "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd"
    )
}

/// Whether what refers to an image, and is of this type, may hold statements about it. One that does not say what it is may.
pub fn may_be_attestation(artifact_type: &str) -> bool {
    matches!(
        artifact_type,
        "" | "application/vnd.in-toto+json"
            | "application/vnd.dsse.envelope.v1+json"
            | "application/vnd.oci.empty.v1+json"
            | "application/vnd.openvex+json"
    ) || artifact_type.starts_with("application/vnd.dev.sigstore.bundle")
        || artifact_type.starts_with("application/vnd.docker.attestation")
}

/// Whether `name` is a signature or a statement about an image instead of files.
pub(super) fn is_statement(name: &str) -> bool {
    matches!(
        name,
        "application/vnd.dev.cosign.simplesigning.v1+json"
            | "application/vnd.in-toto+json"
            | "application/vnd.dsse.envelope.v1+json"
    ) || name.starts_with("application/vnd.dev.sigstore.bundle")
}
