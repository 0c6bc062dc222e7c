//! An image in a registry, by its reference.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::anyhow;
use tidewatch_core::config::{Credentials, RegistryConfig, RegistryKind};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::ports::Registries as _;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_runtime::system::{SystemClock, SystemRandomness, SystemSleeper};

use super::{Kind, RemoteName, Target};
use crate::cli::ImageArguments;
use crate::failure::Failure;

/// The parts of `HOST/REPOSITORY[:TAG][@DIGEST]`.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    host: &'a str,
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

/// Opens the registry that the reference names.
pub(super) async fn open(arguments: &ImageArguments) -> Result<Target, Failure> {
    let named = split(&arguments.reference).ok_or_else(|| {
        Failure::wrong_use(anyhow!("failed to read {:?} as an image", arguments.reference))
            .hint(advice(&arguments.reference))
    })?;
    let (host, repository) = docker_hub(named.host, named.repository);
    let tag = named.tag.or_else(|| named.digest.is_none().then_some("latest"));
    let manifest = match (named.digest, tag) {
        (Some(digest), _) => ManifestReference::Digest(digest.parse().map_err(Failure::wrong_use)?),
        (None, tag) => ManifestReference::Tag(tag.unwrap_or_default().parse().map_err(Failure::wrong_use)?),
    };
    let scheme = if arguments.plain_http { "http" } else { "https" };
    let url = Some(format!("{scheme}://{host}"));
    let config = RegistryConfig {
        credentials: arguments.credentials_env.clone().map(Credentials::Env),
        ..RegistryConfig::new("remote".parse()?, RegistryKind::Oci, url)
    };
    let name = RemoteName {
        host: named.host.to_owned(),
        repository: repository.to_string(),
        tag: tag.map(str::to_owned),
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
    let (place, kind) = (host.to_owned(), Kind::Remote(name));
    Ok(Target { registry, id: config.id, repository, manifest, place, kind })
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
    let path = std::path::Path::new(reference);
    if path.is_file() {
        return format!(
            "a file is named so: docker-archive:{reference} when `docker save` has written it, oci-archive:{reference} \
             when it holds an OCI image layout"
        );
    }
    if path.is_dir() && !path.join("index.json").exists() {
        return format!("a folder that is the root of a file system is named so: dir:{reference}");
    }
    if reference.starts_with(['.', '/']) || path.is_dir() {
        return format!("an OCI image layout on disk is named so: oci:{reference}");
    }
    let library = if reference.contains('/') { "" } else { "library/" };
    let latest = if reference.contains([':', '@']) { "" } else { ":latest" };
    format!(
        "give HOST/REPOSITORY[:TAG][@DIGEST], such as docker.io/{library}{reference}{latest}, or oci:DIR[:TAG], \
         oci-archive:FILE[:TAG], docker-archive:FILE[:TAG] or dir:PATH"
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
