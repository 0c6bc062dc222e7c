//! An OCI image layout, in a folder or in an archive, read as a registry with one repository.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use tidewatch_core::Digest;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RegistryId, RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{BlobStream, ListPage, ListedTag, RawManifest, RegistryError};

use crate::answer::Subject;
use crate::archive::Archive;
use crate::image_files::ImageFiles;
use crate::image_names::{ChoiceError, choose};

/// The annotation that names a manifest: a tag, or a whole reference that ends with one.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation of containerd and Docker with the whole reference.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// An image layout.
pub struct OciLayout {
    id: RegistryId,
    repository: RepositoryName,
    files: ImageFiles,
    manifests: Vec<Entry>,
}

/// A manifest that the index of the layout names.
struct Entry {
    tag: Option<Tag>,
    /// The names as they stand.
    names: BTreeSet<String>,
    digest: Digest,
    media_type: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<IndexEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    annotations: Option<BTreeMap<String, String>>,
}

impl OciLayout {
    /// Reads the index of the layout in `directory`. Errors name it `id`, and its images are in `repository`; other
    /// repositories are not found.
    pub async fn open(
        id: RegistryId,
        repository: RepositoryName,
        directory: impl Into<PathBuf>,
    ) -> Result<Self, RegistryError> {
        Self::read(id, repository, ImageFiles::Folder(directory.into())).await
    }

    /// The same for the layout in an archive.
    pub async fn in_archive(
        id: RegistryId,
        repository: RepositoryName,
        archive: Arc<Archive>,
    ) -> Result<Self, RegistryError> {
        Self::read(id, repository, ImageFiles::Archive(archive)).await
    }

    async fn read(
        id: RegistryId,
        repository: RepositoryName,
        files: ImageFiles,
    ) -> Result<Self, RegistryError> {
        let bytes = files.document(&id, "index", "index.json").await?;
        let subject = Subject { registry: id.clone(), what: "index index.json".to_owned() };
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|error| subject.invalid(format!("it is no index of an image layout: {error}")))?;
        let mut manifests: Vec<Entry> = Vec::with_capacity(index.manifests.len());
        for IndexEntry { media_type, digest, annotations } in index.manifests {
            let annotations = annotations.unwrap_or_default();
            let tag = annotations.get(REF_NAME).and_then(|name| tag_of(name));
            let names = [REF_NAME, IMAGE_NAME].into_iter().filter_map(|key| annotations.get(key).cloned());
            let entry = Entry { tag, names: names.collect(), digest, media_type };
            if let Some(other) = manifests.iter().find(|other| other.contradicts(&entry)) {
                let tag = entry.tag.as_ref().map_or("", Tag::as_str);
                return Err(
                    subject.invalid(format!("the tag {tag} names both {} and {digest}", other.digest))
                );
            }
            manifests.push(entry);
        }
        Ok(Self { id, repository, files, manifests })
    }

    /// The manifest that `name` names: a tag, or a whole reference. Without a name the only manifest of the layout,
    /// which needs none.
    pub fn choose(&self, name: Option<&str>) -> Result<Digest, ChoiceError> {
        choose(name, self.manifests.iter().map(|entry| (&entry.names, entry.digest)))
    }

    fn subject(&self, what: String) -> Subject {
        Subject { registry: self.id.clone(), what }
    }

    /// Refuses another repository than that of the layout.
    fn check(&self, repository: &RepositoryName) -> Result<(), RegistryError> {
        if *repository == self.repository {
            return Ok(());
        }
        Err(self.subject(format!("repository {repository}")).not_found())
    }
}

impl Entry {
    /// Whether another image has the same tag, without a longer name that would tell them apart.
    fn contradicts(&self, other: &Self) -> bool {
        let told_apart = self.names.len() > 1 && other.names.len() > 1 && self.names != other.names;
        self.tag.is_some() && self.tag == other.tag && self.digest != other.digest && !told_apart
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

#[async_trait]
impl Registry for OciLayout {
    async fn repositories(&self, _cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        Ok(ListPage { entries: vec![self.repository.clone()], next: None })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        _cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        self.check(repository)?;
        let mut entries: Vec<Tag> = self.manifests.iter().filter_map(|entry| entry.tag.clone()).collect();
        entries.sort();
        entries.dedup();
        Ok(ListPage { entries: entries.into_iter().map(ListedTag::named).collect(), next: None })
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError> {
        self.check(repository)?;
        let found = self.manifests.iter().find(|entry| entry.tag.as_ref() == Some(tag));
        let found =
            found.ok_or_else(|| self.subject(format!("tag {tag} in {}", self.files.place())).not_found());
        found.map(|entry| entry.digest)
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestReference,
    ) -> Result<RawManifest, RegistryError> {
        self.check(repository)?;
        let expected = match reference {
            ManifestReference::Tag(tag) => self.resolve(repository, tag).await?,
            ManifestReference::Digest(digest) => *digest,
        };
        let bytes = self.files.document(&self.id, "manifest", &blob_name(&expected)).await?;
        let digest = Digest::of(&bytes);
        if digest != expected {
            let subject = self.subject(format!("manifest {expected}"));
            return Err(subject.invalid(format!("its digest is {digest}")));
        }
        let entry = self.manifests.iter().find(|entry| entry.digest == digest);
        let media_type = entry.map(|entry| entry.media_type.clone()).unwrap_or_default();
        Ok(RawManifest { digest, media_type, bytes })
    }

    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError> {
        self.check(repository)?;
        Ok(self.files.open(&self.id, "blob", &blob_name(digest)).await?.stream())
    }
}

/// The tag in the name of a manifest: the name itself, or what follows the last colon of a whole reference.
fn tag_of(name: &str) -> Option<Tag> {
    name.rsplit(':').next().and_then(|tag| tag.parse().ok())
}
