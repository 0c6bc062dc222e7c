//! Pulls one layer and reads it as it arrives: the network on the async side, inflating and reading on a thread of its
//! own, with a short channel between them that bounds the memory.

use bytes::Bytes;
use futures::StreamExt as _;
use tidewatch_core::Digest;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Registry;
use tidewatch_inventory::{LayerInventory, LayerReader, Limits};
use tokio::sync::mpsc;

use crate::ScanError;

/// How many chunks of the network may wait to be read.
const CHUNKS_AHEAD: usize = 8;

/// Pulls the layer `digest` from `repository` and reads it to its end; the digest is checked.
pub async fn pull_layer(
    registry: &dyn Registry,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<LayerInventory, ScanError> {
    let mut blob = registry.blob(repository, digest).await?;
    let (sender, mut chunks) = mpsc::channel::<Bytes>(CHUNKS_AHEAD);
    let digest = *digest;
    let reading = tokio::task::spawn_blocking(move || {
        let mut reader = LayerReader::new(digest, Limits::default());
        while let Some(chunk) = chunks.blocking_recv() {
            reader.push(&chunk);
        }
        reader.finish()
    });
    while let Some(chunk) = blob.next().await {
        // A stream that breaks off leaves the layer half read; its reader's word about the digest is not asked for.
        if sender.send(chunk?).await.is_err() {
            return Err(ScanError::Thread("reading a layer"));
        }
    }
    drop(sender);
    Ok(reading.await.map_err(|_| ScanError::Thread("reading a layer"))??)
}
