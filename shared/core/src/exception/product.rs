//! Whether the name of a product in a VEX document means an image.
//!
//! Package URLs of images: <https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md>,
//! <https://github.com/package-url/purl-spec/blob/main/types-doc/docker-definition.md>.

use std::collections::BTreeMap;

use super::Narrowness;
use crate::Digest;
use crate::config::Config;
use crate::judgement::Scope;
use crate::names::RegistryId;
use crate::package::PackagePattern;

/// Hosts by which people name Docker Hub.
const HUB: [&str; 5] =
    ["docker.io", "hub.docker.com", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// The hosts of registries, with their ports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(BTreeMap<RegistryId, String>);

impl Hosts {
    pub(crate) fn of(config: &Config) -> Self {
        let hosts = config.registries.iter().map(|registry| {
            let address = registry.address();
            let host = address.split_once("://").map_or(&*address, |(_, host)| host);
            (registry.id.clone(), host.trim_end_matches('/').to_ascii_lowercase())
        });
        Self(hosts.collect())
    }

    pub(crate) fn host(&self, registry: &RegistryId) -> Option<&str> {
        self.0.get(registry).map(String::as_str)
    }

    /// Whether `host` is that of the registry. One that is not known is none.
    pub(crate) fn is_of(&self, host: &str, registry: Option<&RegistryId>) -> bool {
        let host = host.to_ascii_lowercase();
        let known = registry.and_then(|registry| self.host(registry));
        known.is_some_and(|known| known == host || (HUB.contains(&known) && HUB.contains(&host.as_str())))
    }
}

/// How narrowly `id` means the image that is looked at in `scope`: by its digest, or by the name of its repository, with or
/// without a tag. `None` where it means another, or where it cannot be told.
pub(super) fn narrowness(id: &str, scope: Scope<'_>, hosts: &Hosts) -> Option<Narrowness> {
    if id.starts_with("pkg:") {
        return by_purl(&id.parse().ok()?, scope, hosts);
    }
    if let Ok(digest) = id.parse::<Digest>() {
        return by_digest(&digest, scope);
    }
    let (name, digest) = id.split_once('@').map_or((id, None), |(name, digest)| (name, Some(digest)));
    if let Some(digest) = digest {
        return by_digest(&digest.parse().ok()?, scope);
    }
    // The colon of a port stands before a slash.
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    let (host, path) = split_host(name);
    by_name(host, path, tag, scope, hosts)
}

/// Whether `id` is of the kind that means images by the name of their repository, and not by their digest.
pub(super) fn is_by_name(id: &str) -> bool {
    if id.starts_with("pkg:") {
        return id.parse::<PackagePattern>().is_ok_and(|purl| {
            let is_digest = purl.version().is_some_and(|version| version.parse::<Digest>().is_ok());
            match purl.package_type() {
                "docker" => !is_digest,
                "oci" => purl.version().is_none(),
                _ => false,
            }
        });
    }
    !id.contains('@') && id.parse::<Digest>().is_err()
}

fn by_purl(purl: &PackagePattern, scope: Scope<'_>, hosts: &Hosts) -> Option<Narrowness> {
    let digest = purl.version().and_then(|version| version.parse::<Digest>().ok());
    let url = purl.qualifier("repository_url").map(|url| url.split_once("://").map_or(url, |(_, rest)| rest));
    match (purl.package_type(), digest) {
        ("oci" | "docker", Some(digest)) => by_digest(&digest, scope),
        ("docker", None) => {
            let host = url.map(|url| url.trim_end_matches('/'));
            by_name(host, purl.full_name(), purl.version(), scope, hosts)
        }
        // The version of an image of this type is its digest: something else is none of ours.
        ("oci", None) if purl.version().is_none() => {
            let (name, tag) = (purl.base_name(), purl.qualifier("tag"));
            match url.map(|url| split_host(url.trim_end_matches('/'))) {
                Some((host, path)) => by_name(host, path, tag, scope, hosts)
                    .or_else(|| by_name(host, &format!("{path}/{name}"), tag, scope, hosts)),
                None if scope.repository?.as_str().rsplit('/').next() == Some(name) => by_tag(tag, scope),
                None => None,
            }
        }
        _ => None,
    }
}

fn by_digest(digest: &Digest, scope: Scope<'_>) -> Option<Narrowness> {
    (scope.digest == Some(digest)).then_some(Narrowness::Digest)
}

fn by_name(
    host: Option<&str>,
    path: &str,
    tag: Option<&str>,
    scope: Scope<'_>,
    hosts: &Hosts,
) -> Option<Narrowness> {
    let repository = scope.repository?.as_str();
    // Official images of Docker Hub are named with and without it.
    let is_hub = hosts.is_of("docker.io", scope.registry);
    let short = |path: &str| path.strip_prefix("library/").filter(|_| is_hub).map(str::to_owned);
    let is_it = path == repository
        || short(path).is_some_and(|path| path == repository)
        || short(repository).is_some_and(|repository| path == repository);
    let is_there = host.is_none_or(|host| hosts.is_of(host, scope.registry));
    if is_it && is_there { by_tag(tag, scope) } else { None }
}

fn by_tag(tag: Option<&str>, scope: Scope<'_>) -> Option<Narrowness> {
    let is_tag = |tag: &str| scope.tag.is_some_and(|known| known.as_str() == tag);
    tag.is_none_or(is_tag).then_some(Narrowness::Repository)
}

/// Host and path of a name. As in Docker, the first part is a host when it has a dot or a colon, or is `localhost`.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
        _ => (None, name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::{RepositoryName, Tag};

    /// Of the image `acme/web:1.0` in Docker Hub.
    fn of(id: &str) -> Option<Narrowness> {
        of_image("https://registry-1.docker.io", "acme/web", id)
    }

    /// Of the tag `1.0` of a repository in the registry at `url`.
    fn of_image(url: &str, repository: &str, id: &str) -> Option<Narrowness> {
        let registries = json!([{"id": "hub", "kind": "oci", "url": url}]);
        let config: Config =
            serde_json::from_value(json!({"org": "acme", "registries": registries})).unwrap();
        let (registry, repository): (RegistryId, RepositoryName) =
            ("hub".parse().unwrap(), repository.parse().unwrap());
        let (tag, digest): (Tag, Digest) = ("1.0".parse().unwrap(), Digest::of(b"web"));
        let scope = Scope {
            registry: Some(&registry),
            repository: Some(&repository),
            tag: Some(&tag),
            digest: Some(&digest),
            stream: None,
        };
        assert_eq!(
            narrowness(id, Scope::default(), &Hosts::of(&config)),
            None,
            "nothing is known of the image"
        );
        narrowness(id, scope, &Hosts::of(&config))
    }

    #[test]
    fn an_image_is_meant_by_its_digest() {
        let digest = Digest::of(b"web");
        let encoded = digest.to_string().replace(':', "%3A");
        for id in [
            digest.to_string(),
            format!("docker.io/acme/web@{digest}"),
            format!("pkg:oci/web@{encoded}?repository_url=docker.io/acme/web"),
            format!("pkg:docker/acme/web@{digest}"),
            format!("pkg:oci/mirrored@{digest}"),
        ] {
            assert_eq!(of(&id), Some(Narrowness::Digest), "{id}");
            assert!(!is_by_name(&id), "{id}");
            assert_eq!(of(&id.replace(&digest.hex(), &Digest::of(b"other").hex())), None);
        }
    }

    #[test]
    fn an_image_is_meant_by_its_repository_with_its_tag_or_without() {
        for id in [
            "acme/web",
            "acme/web:1.0",
            "docker.io/acme/web:1.0",
            "index.docker.io/acme/web",
            "pkg:docker/acme/web",
            "pkg:docker/acme/web@1.0",
            "pkg:docker/acme/web@1.0?repository_url=docker.io",
            "pkg:oci/web",
            "pkg:oci/web?tag=1.0",
            "pkg:oci/web?repository_url=docker.io/acme/web&tag=1.0",
            "pkg:oci/web?repository_url=https://docker.io/acme",
        ] {
            assert_eq!(of(id), Some(Narrowness::Repository), "{id}");
            assert!(is_by_name(id), "{id}");
        }
    }

    #[test]
    fn official_images_are_named_with_and_without_library_in_docker_hub_and_nowhere_else() {
        let (hub, other) = ("https://registry-1.docker.io", "https://registry.example.com");
        assert_eq!(of_image(hub, "library/web", "docker.io/web"), Some(Narrowness::Repository));
        assert_eq!(of_image(hub, "library/web", "web"), Some(Narrowness::Repository));
        assert_eq!(of_image(other, "library/web", "registry.example.com/web"), None);
        assert_eq!(of_image(other, "web", "registry.example.com/library/web"), None);
        let own = "registry.example.com/library/web";
        assert_eq!(of_image(other, "library/web", own), Some(Narrowness::Repository));
    }

    #[test]
    fn another_host_repository_tag_or_type_is_another_product() {
        for id in [
            "web",
            "acme/web:2.0",
            "ghcr.io/acme/web:1.0",
            "localhost:5000/acme/web",
            "pkg:docker/web",
            "pkg:docker/acme/web@2.0",
            "pkg:docker/acme/web?repository_url=ghcr.io",
            "pkg:oci/web@1.0",
            "pkg:oci/web?tag=2.0",
            "pkg:oci/web?repository_url=ghcr.io/acme/web",
            "pkg:oci/api",
            "pkg:npm/web",
            "sha256:1",
            "",
        ] {
            assert_eq!(of(id), None, "{id}");
        }
    }
}
