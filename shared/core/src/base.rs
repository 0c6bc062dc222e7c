//! The images that others are built on: by which tag they are known, what that tag points to now, and how one is found by its
//! layers.

use serde::{Deserialize, Serialize};

use crate::config::{Config, RegistryConfig};
use crate::exception::Hosts;
use crate::image::ManifestReference;
use crate::manifest::{Classified, classify};
use crate::metadata::BaseImage;
use crate::names::{RegistryId, RepositoryName, Tag};
use crate::ports::Registry;
use crate::ports::registry::RegistryError;
use crate::{Digest, Timestamp};

/// The most layers by which a base is looked for. Runtimes refuse an image of more than 127 layers.
const LAYERS: usize = 127;

/// The tag by which an image that others are built on is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseTag {
    host: String,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
}

impl BaseTag {
    /// The parts of `HOST/REPOSITORY:TAG`; `None` for a name without a host or without a tag.
    pub fn parse(reference: &str) -> Option<Self> {
        let (host, rest) = reference.split_once('/')?;
        let (repository, tag) = rest.rsplit_once(':')?;
        let is_host = host.contains(['.', ':']) || host == "localhost";
        let (repository, tag) = (repository.parse().ok()?, tag.parse().ok()?);
        is_host.then(|| Self { host: host.to_owned(), repository, tag })
    }

    /// The registry that is configured with its host. No other is ever asked: the name is what somebody has written into an
    /// image.
    pub fn registry<'a>(&self, config: &'a Config) -> Option<&'a RegistryConfig> {
        let hosts = Hosts::of(config);
        config.registries.iter().find(|registry| hosts.is_of(&self.host, Some(&registry.id)))
    }
}

/// The name of an image with the host of its registry, as Docker completes it: without a host, Docker Hub is meant, and without
/// a folder one of its official images.
pub fn with_host(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

/// How people name an image of a registry of `config`: `HOST/REPOSITORY:TAG`. Docker Hub is `docker.io`.
pub fn reference(
    config: &Config,
    registry: &RegistryId,
    repository: &RepositoryName,
    tag: &Tag,
) -> Option<String> {
    let hosts = Hosts::of(config);
    let host = if hosts.is_of("docker.io", Some(registry)) { "docker.io" } else { hosts.host(registry)? };
    Some(format!("{host}/{repository}:{tag}"))
}

/// What the tag of a base points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseStanding {
    /// The digest: of an index, or of one image.
    pub digest: Digest,
    /// The manifests in it, when it is an index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Digest>,
    /// When the registry was asked.
    pub checked_at: Timestamp,
    /// Whether the images that are built on it have been sent for because of that.
    pub is_told: bool,
}

impl BaseStanding {
    /// The base with what its tag points to now. Whether it was named by its index or by the manifest of a platform, it is
    /// compared with its like.
    pub fn of(&self, base: &BaseImage) -> BaseImage {
        let is_in = |digest: &Digest| *digest == self.digest || self.manifests.contains(digest);
        let current = base.digest.filter(is_in).unwrap_or(self.digest);
        BaseImage { current: Some(current), ..base.clone() }
    }
}

/// Asks the registry of `tag` what it points to. Where that is what was `known`, it costs one HEAD request.
pub async fn ask(
    registry: &dyn Registry,
    tag: &BaseTag,
    known: Option<&BaseStanding>,
    now: Timestamp,
) -> Result<BaseStanding, RegistryError> {
    let digest = registry.resolve(&tag.repository, &tag.tag).await?;
    if let Some(known) = known.filter(|known| known.digest == digest) {
        return Ok(BaseStanding { checked_at: now, ..known.clone() });
    }
    let manifest = registry.manifest(&tag.repository, &ManifestReference::Digest(digest)).await?;
    let manifests = match classify(&manifest) {
        Ok(Classified::Index(children)) => children.into_iter().map(|child| child.digest).collect(),
        _ => Vec::new(),
    };
    Ok(BaseStanding { digest, manifests, checked_at: now, is_told: false })
}

/// Names the first one, two, and so on, of these layers, base first: an image whose layers have one of these names as a whole
/// is one that this image may be built on. At most 127.
pub fn chains(layers: &[Digest]) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::new();
    for layer in layers.iter().take(LAYERS) {
        let before = chains.last().map(ToString::to_string).unwrap_or_default();
        chains.push(Digest::of(format!("{before} {layer}").as_bytes()));
    }
    chains
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::metadata::BaseEvidence;

    fn config() -> Config {
        let registries = json!([
            {"id": "hub", "kind": "oci", "url": "https://registry-1.docker.io"},
            {"id": "own", "kind": "oci", "url": "https://registry.example.com:5000"},
        ]);
        serde_json::from_value(json!({"org": "acme", "registries": registries})).unwrap()
    }

    #[test]
    fn only_registries_that_are_configured_are_asked() {
        let config = config();
        let of = |reference: &str| {
            let tag = BaseTag::parse(reference)?;
            Some((tag.registry(&config)?.id.to_string(), tag.repository.to_string(), tag.tag.to_string()))
        };
        let found = |id: &str, repository: &str, tag: &str| {
            Some((id.to_owned(), repository.to_owned(), tag.to_owned()))
        };
        assert_eq!(of("docker.io/library/node:18-slim"), found("hub", "library/node", "18-slim"));
        assert_eq!(of("registry.example.com:5000/base:1"), found("own", "base", "1"));
        for other in ["evil.example.com/base:1", "node:18", "docker.io/library/node", "library/node:18"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn an_image_is_named_as_people_name_it() {
        let name = |id: &str| {
            let (repository, tag) = ("library/node".parse().unwrap(), "18".parse().unwrap());
            reference(&config(), &id.parse().unwrap(), &repository, &tag)
        };
        assert_eq!(name("hub").as_deref(), Some("docker.io/library/node:18"));
        assert_eq!(name("own").as_deref(), Some("registry.example.com:5000/library/node:18"));
        assert_eq!(name("gone"), None);
    }

    #[test]
    fn a_base_is_current_when_its_tag_points_to_it_or_to_an_index_with_it() {
        let digest = |content: &str| Digest::of(content.as_bytes());
        let base = |content: &str| BaseImage {
            reference: "docker.io/library/node:18".to_owned(),
            digest: Some(digest(content)),
            evidence: BaseEvidence::Layers,
            current: None,
        };
        let checked_at = "2026-01-01T00:00:00Z".parse().unwrap();
        let standing = BaseStanding {
            digest: digest("index"),
            manifests: vec![digest("amd64")],
            checked_at,
            is_told: true,
        };
        for (built_on, current) in [("index", "index"), ("amd64", "amd64"), ("older", "index")] {
            assert_eq!(standing.of(&base(built_on)).current, Some(digest(current)), "{built_on}");
        }
    }

    #[test]
    fn a_chain_names_layers_in_their_order() {
        let digest = |content: &str| Digest::of(content.as_bytes());
        let of =
            |contents: &[&str]| chains(&contents.iter().map(|content| digest(content)).collect::<Vec<_>>());
        let three = of(&["a", "b", "c"]);
        assert_eq!((three.len(), &three[..2]), (3, &of(&["a", "b"])[..]));
        assert_ne!(of(&["a", "b"])[1], of(&["b", "a"])[1]);
    }
}
