//! An archive as `docker save` writes it, read as a registry with one repository that holds one image.
//!
//! It names layers by their files and has no digests of these, but the config of the image has the digest of each layer
//! before compression. So a blob is a layer unpacked, and its digest is the one that the config has:
//! <https://github.com/moby/docker-image-spec/blob/main/spec.md>. The manifest is made up from both.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures::stream;
use serde::{Deserialize, Deserializer};
use tidewatch_core::Digest;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::media_type;
use tidewatch_core::names::{RegistryId, RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{BlobStream, ListPage, ListedTag, RawManifest, RegistryError};

use crate::answer::Subject;
use crate::archive::Archive;
use crate::image_files::{ImageFiles, OpenFile};
use crate::image_names::{ChoiceError, choose};

/// Bytes of a compressed layer that are unpacked at once: they may become a thousand times as many.
const PACKED_CHUNK: usize = 16 << 10;
/// The most bytes that a layer may have for each byte before it was unpacked, once it has [`EXPANSION_FLOOR`] of them.
const EXPANSION: u64 = 250;
/// Bytes of a layer up to which its expansion is not looked at.
const EXPANSION_FLOOR: u64 = 256 << 20;
/// The media type of a layer that is not compressed.
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// The first bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One image of the archive.
pub struct DockerArchive {
    id: RegistryId,
    repository: RepositoryName,
    files: ImageFiles,
    tags: Vec<Tag>,
    config: Bytes,
    config_digest: Digest,
    manifest: Bytes,
    /// The files of the layers, by the digests of what they hold.
    layers: BTreeMap<Digest, String>,
}

/// An archive in which the image cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum DockerArchiveError {
    /// It is not clear which image is meant.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// It is damaged, or not what `docker save` writes.
    #[error(transparent)]
    Content(#[from] RegistryError),
}

/// An image in `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    repo_tags: BTreeSet<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    layers: Vec<String>,
}

fn null_is_empty<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<Digest>,
}

impl DockerArchive {
    /// Reads what the archive says about the image that `name` names, by its tag or its whole name; without a name there
    /// must be only one. Errors name it `id`, and the image is in `repository`; other repositories are not found.
    pub async fn open(
        id: RegistryId,
        repository: RepositoryName,
        archive: Arc<Archive>,
        name: Option<&str>,
    ) -> Result<Self, DockerArchiveError> {
        let files = ImageFiles::Archive(archive);
        let subject = |what: String| Subject { registry: id.clone(), what };
        let bytes = files.document(&id, "file", "manifest.json").await?;
        let saved: Vec<Saved> = serde_json::from_slice(&bytes).map_err(|error| {
            subject("file manifest.json".to_owned()).invalid(format!("it is no list of images: {error}"))
        })?;
        let images = saved.iter().map(|image| (&image.repo_tags, image.config.as_str()));
        let chosen = choose(name, images)?;
        let image = saved.iter().find(|image| image.config == chosen).ok_or(ChoiceError::Nothing)?;
        let config = files.document(&id, "config", &image.config).await?;
        let subject = subject(format!("config {}", image.config));
        let config_digest = checked(&image.config, &config, &subject)?;
        let Config { rootfs } = serde_json::from_slice(&config)
            .map_err(|error| subject.invalid(format!("it is no config of an image: {error}")))?;
        if rootfs.diff_ids.len() != image.layers.len() {
            let (stated, there) = (rootfs.diff_ids.len(), image.layers.len());
            return Err(subject.invalid(format!("it has {stated} layers, and manifest.json {there}")).into());
        }
        let tags = image.repo_tags.iter().filter_map(|name| name.rsplit(':').next()?.parse().ok());
        Ok(Self {
            tags: tags.collect(),
            manifest: manifest(&config, &rootfs.diff_ids),
            layers: rootfs.diff_ids.into_iter().zip(image.layers.iter().cloned()).collect(),
            config,
            config_digest,
            id,
            repository,
            files,
        })
    }

    /// The digest of the config: what Docker calls the id of the image.
    pub const fn image_id(&self) -> Digest {
        self.config_digest
    }

    /// The digest of the manifest that is made up for the image.
    pub fn made_up_manifest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    fn subject(&self, what: String) -> Subject {
        Subject { registry: self.id.clone(), what }
    }

    /// Refuses another repository than that of the image.
    fn check(&self, repository: &RepositoryName) -> Result<(), RegistryError> {
        if *repository == self.repository {
            return Ok(());
        }
        Err(self.subject(format!("repository {repository}")).not_found())
    }
}

#[async_trait]
impl Registry for DockerArchive {
    async fn repositories(&self, _cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        Ok(ListPage { entries: vec![self.repository.clone()], next: None })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        _cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        self.check(repository)?;
        let tags: BTreeSet<Tag> = self.tags.iter().cloned().collect();
        Ok(ListPage { entries: tags.into_iter().map(ListedTag::named).collect(), next: None })
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError> {
        self.check(repository)?;
        if self.tags.contains(tag) {
            return Ok(self.made_up_manifest());
        }
        Err(self.subject(format!("tag {tag}")).not_found())
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestReference,
    ) -> Result<RawManifest, RegistryError> {
        let digest = match reference {
            ManifestReference::Tag(tag) => self.resolve(repository, tag).await?,
            ManifestReference::Digest(digest) => *digest,
        };
        self.check(repository)?;
        if digest != self.made_up_manifest() {
            return Err(self.subject(format!("manifest {digest}")).not_found());
        }
        Ok(RawManifest {
            digest,
            media_type: media_type::DOCKER_MANIFEST.to_owned(),
            bytes: self.manifest.clone(),
        })
    }

    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError> {
        self.check(repository)?;
        if *digest == self.config_digest {
            let config = self.config.clone();
            return Ok(Box::pin(stream::once(async move { Ok(config) })));
        }
        let Some(layer) = self.layers.get(digest) else {
            return Err(self.subject(format!("blob {digest}")).not_found());
        };
        let first = self.files.open(&self.id, "layer", layer).await?.next(GZIP.len()).await?;
        let file = self.files.open(&self.id, "layer", layer).await?;
        Ok(if first.is_some_and(|first| first[..] == GZIP) { unpacked(file) } else { file.stream() })
    }
}

/// The digest of a config, which is what it is named by where it is named by a digest.
fn checked(name: &str, config: &[u8], subject: &Subject) -> Result<Digest, RegistryError> {
    let digest = Digest::of(config);
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let stem = stem.rsplit(['/', ':']).next().unwrap_or_default();
    match format!("sha256:{stem}").parse::<Digest>() {
        Ok(named) if named != digest => Err(subject.invalid(format!("its digest is {digest}"))),
        _ => Ok(digest),
    }
}

/// The manifest that a registry would have for the image, with its layers unpacked.
fn manifest(config: &[u8], diff_ids: &[Digest]) -> Bytes {
    let layers = diff_ids.iter().map(|digest| {
        // Nothing says how large a layer is before it was unpacked.
        serde_json::json!({ "mediaType": DOCKER_LAYER, "digest": digest.to_string(), "size": 0 })
    });
    let config = serde_json::json!({
        "mediaType": media_type::DOCKER_CONFIG,
        "digest": Digest::of(config).to_string(),
        "size": config.len(),
    });
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::DOCKER_MANIFEST,
        "config": config,
        "layers": layers.collect::<Vec<_>>(),
    });
    Bytes::from(manifest.to_string())
}

/// A file that is being unpacked.
struct Unpacking {
    file: OpenFile,
    decoder: MultiGzDecoder<Vec<u8>>,
    read: u64,
    written: u64,
    ended: bool,
}

/// The bytes of a file in gzip, unpacked.
fn unpacked(file: OpenFile) -> BlobStream {
    let decoder = MultiGzDecoder::new(Vec::new());
    let unpacking = Unpacking { file, decoder, read: 0, written: 0, ended: false };
    Box::pin(stream::try_unfold(unpacking, |mut unpacking| async move {
        Ok(unpacking.next().await?.map(|bytes| (bytes, unpacking)))
    }))
}

impl Unpacking {
    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        while !self.ended {
            let packed = self.file.next(PACKED_CHUNK).await?;
            self.ended = packed.is_none();
            let packed = packed.unwrap_or_default();
            let done = if self.ended { self.decoder.try_finish() } else { self.decoder.write_all(&packed) };
            done.map_err(|error| self.file.subject().invalid(format!("failed to unpack it: {error}")))?;
            let bytes = std::mem::take(self.decoder.get_mut());
            self.read = self.read.saturating_add(packed.len() as u64);
            self.written = self.written.saturating_add(bytes.len() as u64);
            if self.written > EXPANSION_FLOOR && self.written / self.read.max(1) >= EXPANSION {
                let reason = format!("it has more than {EXPANSION} bytes for each compressed byte");
                return Err(self.file.subject().invalid(reason));
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes.into()));
            }
        }
        Ok(None)
    }
}
