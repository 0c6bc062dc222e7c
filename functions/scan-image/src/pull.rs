//! Pulls one layer and reads it as it arrives: the network on the async side, inflating and reading on a thread of its
//! own, with a short channel between them that bounds the memory.

use bytes::Bytes;
use futures::StreamExt as _;
use tidewatch_core::manifest::LayerDescriptor;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::BlobStream;
use tidewatch_inventory::{LayerInventory, LayerReader, Limits};
use tokio::sync::mpsc;

use crate::ScanError;

/// How many chunks of the network may wait to be read.
const CHUNKS_AHEAD: usize = 8;

/// The most bytes that are read of a layer whose manifest does not say how large it is: more than any registry takes.
const LARGEST_LAYER: u64 = 64 << 30;

/// Pulls `layer` from `repository` and reads it to its end, within `limits`. The digest is checked, and it stops when more comes than the
/// manifest says.
pub async fn pull_layer(
    registry: &dyn Registry,
    repository: &RepositoryName,
    layer: &LayerDescriptor,
    limits: Limits,
) -> Result<LayerInventory, ScanError> {
    read_layer(registry.blob(repository, &layer.digest).await?, layer, limits).await
}

/// Reads `layer`, whose bytes are `blob`, as [`pull_layer`] does.
pub async fn read_layer(
    mut blob: BlobStream,
    layer: &LayerDescriptor,
    limits: Limits,
) -> Result<LayerInventory, ScanError> {
    let limit = if layer.size == 0 { LARGEST_LAYER } else { layer.size };
    let layer = layer.digest;
    let (sender, mut chunks) = mpsc::channel::<Bytes>(CHUNKS_AHEAD);
    let reading = tokio::task::spawn_blocking(move || {
        let mut reader = LayerReader::new(layer, limits);
        while let Some(chunk) = chunks.blocking_recv() {
            reader.push(&chunk);
        }
        reader.finish()
    });
    let mut left = limit;
    // What breaks off or does not end leaves the layer half read; its reader's word about the digest is not asked for.
    while let Some(chunk) = blob.next().await {
        let chunk = chunk?;
        left = left.checked_sub(chunk.len() as u64).ok_or(ScanError::OversizedLayer { layer, limit })?;
        if sender.send(chunk).await.is_err() {
            return Err(ScanError::Thread("reading a layer"));
        }
    }
    drop(sender);
    Ok(reading.await.map_err(|_| ScanError::Thread("reading a layer"))??)
}
