//! Fetches from folders of this machine: a file has changed when its size or the time of its last change has.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::{Entry, FetchError, Fetched, Fetcher, MOST_FILES, Sink, Validators};
use crate::progress::Progress;

/// How deep folders are looked into: `<Ecosystem>/<release>/updateinfo.xml` is the deepest of use.
const DEEPEST: usize = 2;

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 18;

impl Fetcher {
    pub(super) async fn get_from_folder(
        &self,
        path: &Path,
        known: &Validators,
        progress: &mut Progress<'_>,
    ) -> Result<Fetched, FetchError> {
        let failed = |error| failed(path, error);
        let mut file = File::open(path).await.map_err(failed)?;
        let before = mark(&file.metadata().await.map_err(failed)?);
        if known.etag.as_ref() == Some(&before) {
            return Ok(Fetched::Unchanged);
        }
        let length = file.metadata().await.map_err(failed)?.len();
        let too_large = || self.too_large(&path.display());
        if length > self.limit {
            return Err(too_large());
        }
        progress.expect(Some(length));
        let mut sink = Sink::new(&self.folder, self.limit, progress)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = file.read(&mut buffer).await.map_err(failed)?;
            if read == 0 {
                break;
            }
            sink.write(buffer.get(..read).unwrap_or_default()).await.map_err(|error| match error.kind() {
                ErrorKind::FileTooLarge => too_large(),
                _ => error.into(),
            })?;
        }
        if mark(&file.metadata().await.map_err(failed)?) != before {
            return Err(FetchError::Changed { place: path.display().to_string() });
        }
        Ok(Fetched::Changed(sink.finish(Validators::mark(before)).await?))
    }

    pub(super) async fn read_from_folder(&self, path: &Path, limit: u64) -> Result<Vec<u8>, FetchError> {
        let failed = |error| failed(path, error);
        let file = File::open(path).await.map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).await.map_err(failed)?;
        if bytes.len() as u64 > limit {
            return Err(FetchError::TooLarge { place: path.display().to_string(), limit });
        }
        Ok(bytes)
    }
}

/// The files in `folder`, and those in the folders of it; none where it is not there.
pub(super) async fn list(folder: &Path) -> Result<Vec<Entry>, FetchError> {
    let folder = folder.to_owned();
    let root = folder.clone();
    let listed = tokio::task::spawn_blocking(move || {
        let (mut entries, mut waiting) = (Vec::new(), vec![(folder, 0)]);
        while let Some((folder, depth)) = waiting.pop() {
            list_one(&root, &folder, depth, &mut entries, &mut waiting)?;
        }
        entries.sort_unstable_by(|a: &Entry, b| a.name.cmp(&b.name));
        Ok(entries)
    });
    listed.await.map_err(|error| FetchError::Disk(std::io::Error::other(error)))?
}

fn list_one(
    root: &Path,
    folder: &Path,
    depth: usize,
    entries: &mut Vec<Entry>,
    waiting: &mut Vec<(PathBuf, usize)>,
) -> Result<(), FetchError> {
    let failed = |error| failed(folder, error);
    let listed = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        listed => listed.map_err(failed)?,
    };
    for entry in listed {
        let path = entry.map_err(failed)?.path();
        // Links are followed: an ecosystem may lie elsewhere. What is gone since is not there.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_dir() && depth < DEEPEST {
            waiting.push((path, depth + 1));
        } else if let (true, Some(name)) =
            (metadata.is_file(), path.strip_prefix(root).ok().and_then(Path::to_str))
        {
            if entries.len() == MOST_FILES {
                return Err(FetchError::Metadata {
                    place: root.display().to_string(),
                    reason: format!("it holds more than {MOST_FILES} files"),
                });
            }
            entries.push(Entry { name: name.to_owned(), mark: mark(&metadata) });
        }
    }
    Ok(())
}

/// What changes when a file changes.
fn mark(metadata: &Metadata) -> String {
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{}-{}", metadata.len(), changed.unwrap_or_default().as_nanos())
}

fn failed(path: &Path, source: std::io::Error) -> FetchError {
    match source.kind() {
        ErrorKind::NotFound => FetchError::Absent { place: path.display().to_string() },
        _ => FetchError::File { path: path.to_owned(), source },
    }
}
