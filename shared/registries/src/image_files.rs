//! The files of an image on disk: in a folder, or in an archive that is read in place.

use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream;
use tidewatch_core::names::RegistryId;
use tidewatch_core::ports::registry::{BlobStream, RegistryError};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::answer::Subject;
use crate::archive::Archive;

/// Bytes that an index, a manifest or a config may have.
const DOCUMENT_LIMIT: u64 = 4 << 20;
/// Bytes of a file that are read at once.
const CHUNK: usize = 64 << 10;

/// Where the files of an image are.
#[derive(Clone, Debug)]
pub(crate) enum ImageFiles {
    Folder(PathBuf),
    Archive(Arc<Archive>),
}

/// A file, opened at its beginning, and how many bytes of it are left.
pub(crate) struct OpenFile {
    file: File,
    left: u64,
    subject: Subject,
}

impl ImageFiles {
    /// Where they are, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Archive(archive) => archive.path().display().to_string(),
        }
    }

    /// Opens the file `name`, a path with slashes; errors call it a `kind` of the registry `id`.
    pub(crate) async fn open(
        &self,
        id: &RegistryId,
        kind: &str,
        name: &str,
    ) -> Result<OpenFile, RegistryError> {
        let (path, what, place) = match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                (path.clone(), path.display().to_string(), None)
            }
            Self::Archive(archive) => (archive.path().to_owned(), name.to_owned(), archive.place(name)),
        };
        let subject = Subject { registry: id.clone(), what: format!("{kind} {what}") };
        if matches!(self, Self::Archive(_)) && place.is_none() {
            return Err(subject.not_found());
        }
        let mut file = File::open(&path).await.map_err(|error| file_error(&subject, error))?;
        let left = match place {
            Some(place) => {
                let sought = file.seek(SeekFrom::Start(place.offset)).await;
                sought.map_err(|error| file_error(&subject, error))?;
                place.length
            }
            None => u64::MAX,
        };
        Ok(OpenFile { file, left, subject })
    }

    /// A whole file, which may not be large.
    pub(crate) async fn document(
        &self,
        id: &RegistryId,
        kind: &str,
        name: &str,
    ) -> Result<Bytes, RegistryError> {
        let mut file = self.open(id, kind, name).await?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = file.next(CHUNK).await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > DOCUMENT_LIMIT {
                return Err(file.subject.invalid(format!("it is larger than {DOCUMENT_LIMIT} bytes")));
            }
        }
        Ok(bytes.freeze())
    }
}

impl OpenFile {
    /// What errors name.
    pub(crate) const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The next bytes, at most `most` of them; `None` at the end.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Option<Bytes>, RegistryError> {
        let mut chunk = BytesMut::with_capacity(most.min(CHUNK));
        let read = (&mut self.file).take(self.left).read_buf(&mut chunk).await;
        let read = read.map_err(|error| file_error(&self.subject, error))?;
        self.left = self.left.saturating_sub(read as u64);
        Ok((read > 0).then(|| chunk.freeze()))
    }

    /// The bytes as they are.
    pub(crate) fn stream(self) -> BlobStream {
        Box::pin(stream::try_unfold(self, |mut file| async move {
            Ok(file.next(CHUNK).await?.map(|chunk| (chunk, file)))
        }))
    }
}

fn file_error(subject: &Subject, error: io::Error) -> RegistryError {
    if error.kind() == io::ErrorKind::NotFound { subject.not_found() } else { subject.unavailable(error) }
}
