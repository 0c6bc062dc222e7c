//! A folder in the form of the OCI image layout, read as a registry with one repository.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream;
use serde::Deserialize;
use tidewatch_core::Digest;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RegistryId, RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{BlobStream, ListPage, RawManifest, RegistryError};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::answer::Subject;

/// Bytes that the index or a manifest may have.
const MANIFEST_LIMIT: u64 = 4 << 20;
/// Bytes of a blob that are read at once.
const CHUNK: usize = 64 << 10;
/// The annotation that names a manifest: a tag, or a whole reference that ends with one.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An image layout.
pub struct OciLayout {
    id: RegistryId,
    repository: RepositoryName,
    directory: PathBuf,
    manifests: Vec<Entry>,
}

/// A manifest that the index of the layout names.
struct Entry {
    tag: Option<Tag>,
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
        let directory = directory.into();
        let path = directory.join("index.json");
        let subject = Subject { registry: id.clone(), what: path.display().to_string() };
        let bytes = read_file(&path, &subject).await?;
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|error| subject.invalid(format!("it is no index of an image layout: {error}")))?;
        let mut manifests: Vec<Entry> = Vec::with_capacity(index.manifests.len());
        for IndexEntry { media_type, digest, annotations } in index.manifests {
            let name = annotations.as_ref().and_then(|annotations| annotations.get(REF_NAME));
            let tag = name.and_then(|name| tag_of(name));
            let taken = manifests.iter().find(|other| tag.is_some() && other.tag == tag);
            if let (Some(tag), Some(other)) = (&tag, taken)
                && other.digest != digest
            {
                return Err(
                    subject.invalid(format!("the tag {tag} names both {} and {digest}", other.digest))
                );
            }
            manifests.push(Entry { tag, digest, media_type });
        }
        Ok(Self { id, repository, directory, manifests })
    }

    /// The only manifest of the layout, which needs no tag to be named.
    pub fn only_manifest(&self) -> Result<Digest, RegistryError> {
        let subject = self.subject(self.directory.display().to_string());
        let (first, others) = self.manifests.split_first().ok_or_else(|| subject.not_found())?;
        if others.iter().all(|other| other.digest == first.digest) {
            return Ok(first.digest);
        }
        let tags: Vec<&str> =
            self.manifests.iter().filter_map(|entry| entry.tag.as_ref()).map(Tag::as_str).collect();
        Err(subject.invalid(format!("it holds several images; name one of these tags: {}", tags.join(", "))))
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

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join("blobs").join("sha256").join(digest.hex())
    }
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
    ) -> Result<ListPage<Tag>, RegistryError> {
        self.check(repository)?;
        let mut entries: Vec<Tag> = self.manifests.iter().filter_map(|entry| entry.tag.clone()).collect();
        entries.sort();
        entries.dedup();
        Ok(ListPage { entries, next: None })
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError> {
        self.check(repository)?;
        let found = self.manifests.iter().find(|entry| entry.tag.as_ref() == Some(tag));
        let found = found
            .ok_or_else(|| self.subject(format!("tag {tag} in {}", self.directory.display())).not_found());
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
        let path = self.blob_path(&expected);
        let subject = self.subject(format!("manifest {}", path.display()));
        let bytes = read_file(&path, &subject).await?;
        let digest = Digest::of(&bytes);
        if digest != expected {
            return Err(subject.invalid(format!("its digest is {digest}")));
        }
        let entry = self.manifests.iter().find(|entry| entry.digest == digest);
        let media_type = entry.map(|entry| entry.media_type.clone()).unwrap_or_default();
        Ok(RawManifest { digest, media_type, bytes })
    }

    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError> {
        self.check(repository)?;
        let path = self.blob_path(digest);
        let subject = self.subject(format!("blob {}", path.display()));
        let file = File::open(&path).await.map_err(|error| file_error(&subject, error))?;
        Ok(Box::pin(stream::try_unfold((file, subject), |(mut file, subject)| async move {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let read = file.read_buf(&mut chunk).await.map_err(|error| file_error(&subject, error))?;
            Ok((read > 0).then(|| (chunk.freeze(), (file, subject))))
        })))
    }
}

/// The tag in the name of a manifest: the name itself, or what follows the last colon of a whole reference.
fn tag_of(name: &str) -> Option<Tag> {
    name.rsplit(':').next().and_then(|tag| tag.parse().ok())
}

/// A file of at most [`MANIFEST_LIMIT`] bytes.
async fn read_file(path: &Path, subject: &Subject) -> Result<Bytes, RegistryError> {
    let file = File::open(path).await.map_err(|error| file_error(subject, error))?;
    let mut bytes = Vec::new();
    let read = file.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| file_error(subject, error))?;
    if bytes.len() as u64 > MANIFEST_LIMIT {
        return Err(subject.invalid(format!("it is larger than {MANIFEST_LIMIT} bytes")));
    }
    Ok(bytes.into())
}

fn file_error(subject: &Subject, error: io::Error) -> RegistryError {
    if error.kind() == io::ErrorKind::NotFound { subject.not_found() } else { subject.unavailable(error) }
}
