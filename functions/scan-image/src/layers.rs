//! The inventory of an image: its layers' inventories, each read once for all images of the organisation, merged.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::config::Config;
use tidewatch_core::manifest::{LayerDescriptor, LayerKind};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::problem::Problem;
use tidewatch_core::work::{ScanMessage, Work};
use tidewatch_core::{Digest, Timestamp};
use tidewatch_inventory::{ImageInventory, LayerInventory, READER_VERSION, merge};
use tidewatch_runtime::messages::send;
use tidewatch_store::records::{ImageManifest, Lease, LeaseOutcome, RecordError};

use crate::{ScanError, ScanImage, pull_layer};

impl ScanImage {
    /// The merged inventory of an image; `None` when another worker is reading one of its layers. Even then every
    /// other layer is read.
    pub(crate) async fn inventory(
        &self,
        org: &OrgName,
        config: &Config,
        work: &Work,
        manifest: &ImageManifest,
    ) -> Result<Option<ImageInventory>, ScanError> {
        let readable = manifest.layers.iter().filter(|layer| layer.kind == LayerKind::Tar);
        let readable: Vec<&Digest> = readable.map(|layer| &layer.digest).collect();
        // An image may have a layer more than once: it must not wait for itself.
        let distinct: BTreeSet<&Digest> = readable.iter().copied().collect();
        let reads: Vec<_> = distinct.iter().map(|layer| self.layer(org, config, work, layer)).collect();
        let read: Vec<Option<LayerInventory>> =
            futures::stream::iter(reads).buffered(self.settings.layers_at_once).try_collect().await?;
        let Some(read) = read.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
        let mut read: BTreeMap<&Digest, LayerInventory> = distinct.into_iter().zip(read).collect();
        let mut layers = Vec::with_capacity(readable.len());
        for (position, layer) in readable.iter().enumerate() {
            let comes_again = readable[position + 1..].contains(layer);
            layers.extend(if comes_again { read.get(layer).cloned() } else { read.remove(layer) });
        }
        let mut inventory = merge(&layers);
        inventory.problems.extend(manifest.layers.iter().filter_map(unreadable));
        Ok(Some(inventory))
    }

    /// The inventory of one layer: as it was stored, or read now under a lease; `None` when another has the lease.
    async fn layer(
        &self,
        org: &OrgName,
        config: &Config,
        work: &Work,
        layer: &Digest,
    ) -> Result<Option<LayerInventory>, ScanError> {
        if let Some(inventory) = self.stored_layer(org, layer).await? {
            return Ok(Some(inventory));
        }
        let now = self.clock.now();
        let owner = self.ids.next();
        match self.records.lease_layer(org, layer, &owner, now, self.after(self.settings.lease)).await? {
            LeaseOutcome::Granted(lease) => {
                let read = self.read_leased(org, config, work, &lease).await;
                self.records.release_lease(&lease).await?;
                read.map(Some)
            }
            LeaseOutcome::Held => self.wait(org, layer, work, now).await,
        }
    }

    async fn stored_layer(&self, org: &OrgName, layer: &Digest) -> Result<Option<LayerInventory>, ScanError> {
        let stored = self.records.layer_inventory(org, layer, READER_VERSION).await?;
        // What cannot be decoded is read again: the registry still has the truth.
        Ok(stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    async fn read_leased(
        &self,
        org: &OrgName,
        config: &Config,
        work: &Work,
        lease: &Lease,
    ) -> Result<LayerInventory, ScanError> {
        // It may have been finished between the first look and the lease.
        if let Some(inventory) = self.stored_layer(org, lease.layer()).await? {
            return Ok(inventory);
        }
        let registry = self.registry(config, work).await?;
        let inventory = tokio::select! {
            read = pull_layer(&*registry, &work.image.repository, lease.layer()) => read?,
            lost = self.keep(lease) => return Err(lost),
        };
        let content = serde_json::to_vec(&inventory).map_err(|error| RecordError::Corrupt {
            place: lease.layer().to_string(),
            reason: error.to_string(),
        })?;
        self.records.put_layer_inventory(lease, READER_VERSION, content.into()).await?;
        self.wake_waiters(org, lease.layer()).await?;
        Ok(inventory)
    }

    /// Renews the lease for ever; ends only when it is lost.
    async fn keep(&self, lease: &Lease) -> ScanError {
        loop {
            self.sleeper.sleep(self.settings.renewal).await;
            match self.records.renew_lease(lease, self.after(self.settings.lease)).await {
                Ok(true) => {}
                Ok(false) => {
                    return RecordError::Changed { what: format!("the lease of layer {}", lease.layer()) }
                        .into();
                }
                Err(error) => return error.into(),
            }
        }
    }

    /// Notes that `work` waits for the layer. The other worker may have finished just before, so it looks once more.
    async fn wait(
        &self,
        org: &OrgName,
        layer: &Digest,
        work: &Work,
        now: Timestamp,
    ) -> Result<Option<LayerInventory>, ScanError> {
        self.records.wait_for_layer(org, layer, work, now).await?;
        let finished = self.stored_layer(org, layer).await?;
        if finished.is_some() {
            self.records.stop_waiting(org, layer, &work.image).await?;
        }
        Ok(finished)
    }

    /// Sends everything again that waits for the layer.
    async fn wake_waiters(&self, org: &OrgName, layer: &Digest) -> Result<(), ScanError> {
        let waiting = self.records.layer_waiters(org, layer).await?;
        let messages: Vec<ScanMessage> =
            waiting.iter().map(|work| ScanMessage { org: org.clone(), work: work.clone() }).collect();
        send(&*self.queue, QueueName::Scans, &messages, std::time::Duration::ZERO).await?;
        for work in &waiting {
            self.records.stop_waiting(org, layer, &work.image).await?;
        }
        Ok(())
    }
}

/// A layer that is not read, as a problem of the image.
fn unreadable(layer: &LayerDescriptor) -> Option<Problem> {
    match layer.kind {
        LayerKind::Tar => None,
        LayerKind::Foreign => {
            Some(Problem::new(layer.digest.to_string(), "the registry does not hold this layer"))
        }
        LayerKind::Unknown => {
            let reason = format!("a layer of type {:?} cannot be read", layer.media_type);
            Some(Problem::new(layer.digest.to_string(), reason))
        }
    }
}
