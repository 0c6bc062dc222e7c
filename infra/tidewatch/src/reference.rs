//! What `tidewatch scan` is given: a reference to an image in a registry, or to an OCI image layout on disk.

use std::sync::Arc;

use anyhow::anyhow;
use tidewatch_core::config::{Credentials, RegistryConfig, RegistryKind};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RegistryId, RepositoryName};
use tidewatch_core::ports::{Registries as _, Registry};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, OciLayout, Ports};
use tidewatch_runtime::system::{SystemClock, SystemRandomness, SystemSleeper};

use crate::cli::Scan;
use crate::failure::Failure;

/// An image to scan, and where it is.
pub(crate) struct Target {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) id: RegistryId,
    pub(crate) repository: RepositoryName,
    pub(crate) manifest: ManifestReference,
}

/// The parts of `HOST/REPOSITORY[:TAG][@DIGEST]`.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    host: &'a str,
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl Target {
    /// Opens what the arguments name.
    pub(crate) async fn open(arguments: &Scan) -> Result<Self, Failure> {
        match arguments.reference.strip_prefix("oci:") {
            Some(layout) => Self::layout(layout).await,
            None => Self::remote(arguments).await,
        }
    }

    /// `DIR[:TAG]`. A colon that is part of the directory's name is meant as such when the directory exists.
    async fn layout(text: &str) -> Result<Self, Failure> {
        let (directory, tag) = match text.rsplit_once(':') {
            Some((directory, tag)) if !std::path::Path::new(text).is_dir() => (directory, Some(tag)),
            _ => (text, None),
        };
        let (id, repository): (RegistryId, RepositoryName) = ("local".parse()?, "layout".parse()?);
        let layout = OciLayout::open(id.clone(), repository.clone(), directory).await?;
        let manifest = match tag {
            Some(tag) => ManifestReference::Tag(tag.parse().map_err(Failure::wrong_use)?),
            None => ManifestReference::Digest(
                layout
                    .only_manifest()
                    .map_err(|error| Failure::wrong_use(error).hint("name the tag: oci:DIR:TAG"))?,
            ),
        };
        Ok(Self { registry: Arc::new(layout), id, repository, manifest })
    }

    async fn remote(arguments: &Scan) -> Result<Self, Failure> {
        let named = split(&arguments.reference).ok_or_else(|| {
            Failure::wrong_use(anyhow!("failed to read {:?} as an image", arguments.reference))
                .hint("give HOST/REPOSITORY[:TAG][@DIGEST], or oci:DIR[:TAG]")
        })?;
        let manifest = match (named.digest, named.tag) {
            (Some(digest), _) => ManifestReference::Digest(digest.parse().map_err(Failure::wrong_use)?),
            (None, tag) => {
                ManifestReference::Tag(tag.unwrap_or("latest").parse().map_err(Failure::wrong_use)?)
            }
        };
        let scheme = if arguments.plain_http { "http" } else { "https" };
        let config = RegistryConfig {
            id: "remote".parse()?,
            kind: RegistryKind::Oci,
            url: format!("{scheme}://{}", named.host),
            repositories: Vec::new(),
            credentials: arguments.credentials_env.clone().map(Credentials::Env),
        };
        let repository = named.repository.parse().map_err(Failure::wrong_use)?;
        let ports = Ports {
            clock: Arc::new(SystemClock),
            sleeper: Arc::new(SystemSleeper),
            randomness: Arc::new(SystemRandomness),
        };
        let secrets = LocalSecrets::new(tidewatch_runtime::environment::variable);
        let registry = ConfiguredRegistries::new(Arc::new(secrets), ports).open(&config).await?;
        Ok(Self { registry, id: config.id, repository, manifest })
    }
}

/// Splits a reference. The host is what stands before the first slash; without a slash there is none.
fn split(reference: &str) -> Option<Parts<'_>> {
    let (host, rest) = reference.split_once('/')?;
    let (rest, digest) = rest.split_once('@').map_or((rest, None), |(rest, digest)| (rest, Some(digest)));
    let (repository, tag) = rest.rsplit_once(':').map_or((rest, None), |(name, tag)| (name, Some(tag)));
    // `web/api:1` without a host would ask a host named `web`.
    let is_host = host == "localhost" || host.contains(['.', ':']);
    (is_host && !repository.is_empty()).then_some(Parts { host, repository, tag, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_host_a_repository_and_a_tag_or_digest() {
        let parts = split("127.0.0.1:5000/team/web:1.2").unwrap();
        assert_eq!((parts.host, parts.repository, parts.tag), ("127.0.0.1:5000", "team/web", Some("1.2")));
        let parts = split("registry.example.com/web@sha256:ab").unwrap();
        assert_eq!((parts.repository, parts.tag, parts.digest), ("web", None, Some("sha256:ab")));
        let parts = split("localhost/web").unwrap();
        assert_eq!((parts.repository, parts.tag, parts.digest), ("web", None, None));
    }

    #[test]
    fn a_reference_without_a_host_is_refused() {
        for reference in ["web", "team/web:1", "registry.example.com/", "/web"] {
            assert_eq!(split(reference), None, "{reference}");
        }
    }
}
