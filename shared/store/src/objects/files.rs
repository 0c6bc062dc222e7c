//! Objects that are too large for memory, from and to files.

use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::BytesMut;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{GetResult, ObjectStore, ObjectStoreExt as _, WriteMultipart};
use tidewatch_core::ports::objects::ObjectsError;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::unavailable;

/// A file of at most so many bytes is stored by one request, a larger one in parts of this size. S3 takes 10,000 parts.
const PART: usize = 16 << 20;
/// How many parts are on their way at the same time.
const PARTS_AT_ONCE: usize = 4;

/// Writes the object to a file.
pub(super) async fn write(key: &str, object: GetResult, to: &FilePath) -> Result<(), ObjectsError> {
    let failed = |source| ObjectsError::File { path: to.to_owned(), source };
    let mut file = File::create(to).await.map_err(failed)?;
    let mut chunks = object.into_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(|error| unavailable(key, error))? {
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

/// Stores a file: nothing is seen of it before all of it is there.
pub(super) async fn store(
    store: &Arc<dyn ObjectStore>,
    key: &str,
    path: &Path,
    from: &FilePath,
) -> Result<(), ObjectsError> {
    let failed = |source| ObjectsError::File { path: from.to_owned(), source };
    let mut file = File::open(from).await.map_err(failed)?;
    let first = part(&mut file).await.map_err(failed)?;
    if first.len() < PART {
        let stored = store.put(path, first.freeze().into()).await;
        return stored.map(drop).map_err(|error| unavailable(key, error));
    }
    let upload = store.put_multipart(path).await.map_err(|error| unavailable(key, error))?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
    let mut next = first;
    while !next.is_empty() {
        upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(|error| unavailable(key, error))?;
        upload.put(next.freeze());
        next = match part(&mut file).await {
            Ok(next) => next,
            Err(error) => {
                // What is left of it on S3 is removed by the rule of the bucket about unfinished uploads.
                let _ = upload.abort().await;
                return Err(failed(error));
            }
        };
    }
    upload.finish().await.map(drop).map_err(|error| unavailable(key, error))
}

/// The next [`PART`] bytes, or what is left.
async fn part(file: &mut File) -> std::io::Result<BytesMut> {
    let mut bytes = BytesMut::with_capacity(PART);
    let mut rest = file.take(PART as u64);
    while rest.read_buf(&mut bytes).await? > 0 {}
    Ok(bytes)
}
