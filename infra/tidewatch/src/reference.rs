//! What `tidewatch scan` is given: a reference to an image in a registry, or to an OCI image layout on disk.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::anyhow;
use tidewatch_core::config::{Credentials, RegistryConfig, RegistryKind};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RegistryId, RepositoryName};
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::ports::{Registries as _, Registry};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, OciLayout, Ports};
use tidewatch_runtime::messages::describe;
use tidewatch_runtime::system::{SystemClock, SystemRandomness, SystemSleeper};

use crate::cli::Scan;
use crate::failure::Failure;

/// An image to scan, and where it is.
pub(crate) struct Target {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) id: RegistryId,
    pub(crate) repository: RepositoryName,
    pub(crate) manifest: ManifestReference,
    /// Where it is, for people: the host, or the folder.
    pub(crate) place: String,
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
        if !std::path::Path::new(directory).join("index.json").is_file() {
            return Err(Failure::new(anyhow!("there is no OCI image layout in {directory}")).hint(
                "it is a folder with a file index.json; this makes one: skopeo copy docker://IMAGE oci:DIR:TAG",
            ));
        }
        let place = format!("the image layout {directory}");
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
        Ok(Self { registry: Arc::new(layout), id, repository, manifest, place })
    }

    async fn remote(arguments: &Scan) -> Result<Self, Failure> {
        let named = split(&arguments.reference).ok_or_else(|| {
            Failure::wrong_use(anyhow!("failed to read {:?} as an image", arguments.reference))
                .hint(advice(&arguments.reference))
        })?;
        let (host, repository) = docker_hub(named.host, named.repository);
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
            url: format!("{scheme}://{host}"),
            repositories: Vec::new(),
            credentials: arguments.credentials_env.clone().map(Credentials::Env),
        };
        let repository = repository.parse().map_err(Failure::wrong_use)?;
        let ports = Ports {
            clock: Arc::new(SystemClock),
            sleeper: Arc::new(SystemSleeper),
            randomness: Arc::new(SystemRandomness),
        };
        let secrets = LocalSecrets::new(tidewatch_runtime::environment::variable);
        let opened = ConfiguredRegistries::new(Arc::new(secrets), ports).open(&config).await;
        let registry = opened.map_err(|error| match error {
            RegistryError::Misconfigured { reason, .. } => {
                Failure::wrong_use(anyhow!("failed to open {host}: {reason}"))
            }
            error => error.into(),
        })?;
        Ok(Self { registry, id: config.id, repository, manifest, place: host.to_owned() })
    }
}

/// Splits a reference. The host is what stands before the first slash; without a slash there is none.
fn split(reference: &str) -> Option<Parts<'_>> {
    if reference.contains("://") {
        return None;
    }
    let (host, rest) = reference.split_once('/')?;
    let (rest, digest) = rest.split_once('@').map_or((rest, None), |(rest, digest)| (rest, Some(digest)));
    let (repository, tag) = rest.rsplit_once(':').map_or((rest, None), |(name, tag)| (name, Some(tag)));
    // `web/api:1` without a host would ask a host named `web`, and `./image` one named `.`.
    let is_host = host == "localhost" || (host.contains(['.', ':']) && !host.starts_with('.'));
    (is_host && !repository.is_empty()).then_some(Parts { host, repository, tag, digest })
}

/// What to give instead of a reference that is none.
fn advice(reference: &str) -> String {
    if let Some((scheme, rest)) = reference.split_once("://") {
        let http = if scheme == "http" { " --plain-http" } else { "" };
        return format!("leave out the scheme: {rest}{http}");
    }
    if reference.starts_with(['.', '/']) || std::path::Path::new(reference).is_dir() {
        return format!("an OCI image layout on disk is named so: oci:{reference}");
    }
    let library = if reference.contains('/') { "" } else { "library/" };
    let latest = if reference.contains([':', '@']) { "" } else { ":latest" };
    format!(
        "give HOST/REPOSITORY[:TAG][@DIGEST], such as docker.io/{library}{reference}{latest}, or oci:DIR[:TAG]"
    )
}

/// Docker Hub's registry has another host than its images are named by, and leaves `library/` out of their names.
fn docker_hub<'a>(host: &'a str, repository: &'a str) -> (&'a str, Cow<'a, str>) {
    if !matches!(host, "docker.io" | "index.docker.io") {
        return (host, Cow::Borrowed(repository));
    }
    let repository = if repository.contains('/') {
        Cow::Borrowed(repository)
    } else {
        Cow::Owned(format!("library/{repository}"))
    };
    ("registry-1.docker.io", repository)
}

/// The failure in words of what the user named, with what to do next, when it is one of the registry.
pub(crate) fn explain(failure: Failure, target: &Target, arguments: &Scan) -> Failure {
    let Some(error) = failure.cause::<RegistryError>() else { return failure };
    let place = &target.place;
    let text = match error {
        RegistryError::Unavailable { what, source, .. } => {
            format!("failed to reach {place} for {what}: {}", describe(source.as_ref()))
        }
        RegistryError::Throttled { what, .. } => format!("{place} throttles {what}"),
        RegistryError::Denied { what, reason, .. } => format!("{place} refused {what}: {reason}"),
        RegistryError::NotFound { what, .. } => format!("{place} has no {what}"),
        RegistryError::Invalid { what, reason, .. } => {
            format!("{place} gave a wrong answer for {what}: {reason}")
        }
        RegistryError::Misconfigured { reason, .. } => format!("failed to open {place}: {reason}"),
    };
    let hint = match (error, &arguments.credentials_env) {
        (RegistryError::Unavailable { .. }, _) if !arguments.plain_http => {
            "check the host and the network; a registry that speaks http, not https, needs --plain-http"
                .to_owned()
        }
        (RegistryError::Unavailable { .. }, _) => "check the host and the network".to_owned(),
        (RegistryError::Throttled { .. }, _) => "try again later, or with credentials".to_owned(),
        (RegistryError::Denied { .. }, None) => {
            "give credentials: --credentials-env VAR, where the variable VAR holds USER:PASSWORD".to_owned()
        }
        (RegistryError::Denied { .. }, Some(variable)) => {
            format!("check the name of the image, and the USER:PASSWORD in {variable}")
        }
        (RegistryError::NotFound { .. }, _) => "check the repository and the tag".to_owned(),
        (RegistryError::Invalid { .. } | RegistryError::Misconfigured { .. }, _) => {
            return Failure::new(anyhow!(text));
        }
    };
    Failure::new(anyhow!(text)).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_reference_is_answered_with_one() {
        let cases = [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("team/web", "docker.io/team/web:latest"),
            ("https://registry.example.com/web:1", "leave out the scheme: registry.example.com/web:1"),
            ("http://localhost:5000/web:1", "localhost:5000/web:1 --plain-http"),
            ("docker://docker.io/library/nginx", "leave out the scheme: docker.io/library/nginx"),
            ("./image:v1", "oci:./image:v1"),
        ];
        for (reference, expected) in cases {
            assert_eq!(split(reference), None, "{reference}");
            assert!(advice(reference).contains(expected), "{reference}: {}", advice(reference));
        }
    }

    #[test]
    fn images_of_docker_hub_are_asked_for_at_its_registry() {
        assert_eq!(docker_hub("docker.io", "nginx"), ("registry-1.docker.io", "library/nginx".into()));
        assert_eq!(docker_hub("docker.io", "team/web"), ("registry-1.docker.io", "team/web".into()));
        assert_eq!(docker_hub("registry.example.com", "web"), ("registry.example.com", "web".into()));
    }

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
