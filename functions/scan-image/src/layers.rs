//! The inventory of an image: its layers' inventories, each read once for all images of the organisation, merged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
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

/// How long before the end of the function no layer is read any further, so that leases are given back.
const STOP_READING: Duration = Duration::from_secs(60);

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
        let readable: Vec<&LayerDescriptor> =
            manifest.layers.iter().filter(|layer| layer.kind == LayerKind::Tar).collect();
        // An image may have a layer more than once: it must not wait for itself.
        let distinct: BTreeMap<&Digest, &LayerDescriptor> =
            readable.iter().map(|layer| (&layer.digest, *layer)).collect();
        let failed = AtomicBool::new(false);
        let reads: Vec<_> =
            distinct.values().map(|layer| self.layer_unless(&failed, org, config, work, layer)).collect();
        // Those that are being read when another fails are read to their end, so that none keeps its lease.
        let read: Vec<Result<_, ScanError>> =
            futures::stream::iter(reads).buffered(self.settings.layers_at_once).collect().await;
        let mut read: BTreeMap<&Digest, Option<Arc<LayerInventory>>> =
            distinct.into_keys().zip(read.into_iter().collect::<Result<Vec<_>, _>>()?).collect();
        for (layer, read) in read.iter_mut().filter(|(_, read)| read.is_none()) {
            // While the others were read, the message that says so may have found this attempt at work.
            *read = self.finished(org, layer, work).await?;
            if read.is_none() {
                return Ok(None);
            }
        }
        let layers = readable.iter().filter_map(|layer| read.get(&layer.digest)?.as_deref());
        let mut inventory = merge(layers);
        inventory.problems.extend(manifest.layers.iter().filter_map(unreadable_layer));
        inventory.problems.sort();
        inventory.problems.dedup();
        Ok(Some(inventory))
    }

    /// The inventory of one layer, unless the reading of another one has failed: then it is not begun.
    async fn layer_unless(
        &self,
        failed: &AtomicBool,
        org: &OrgName,
        config: &Config,
        work: &Work,
        layer: &LayerDescriptor,
    ) -> Result<Option<Arc<LayerInventory>>, ScanError> {
        if failed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let read = self.layer(org, config, work, layer).await;
        failed.fetch_or(read.is_err(), Ordering::Relaxed);
        read
    }

    /// The inventory of one layer: as it was stored, or read now under a lease; `None` when another has the lease.
    async fn layer(
        &self,
        org: &OrgName,
        config: &Config,
        work: &Work,
        layer: &LayerDescriptor,
    ) -> Result<Option<Arc<LayerInventory>>, ScanError> {
        let digest = &layer.digest;
        if let Some(inventory) = self.stored_layer(org, digest).await? {
            return Ok(Some(inventory));
        }
        let now = self.clock.now();
        let owner = self.ids.next();
        match self.records.lease_layer(org, digest, &owner, now, self.after(self.settings.lease)).await? {
            LeaseOutcome::Granted(lease) => {
                // It may have been finished between the first look and the lease.
                match self.stored_layer(org, digest).await {
                    Ok(None) => {}
                    stored => {
                        self.records.release_lease(&lease).await?;
                        return stored;
                    }
                }
                let read = self.read_leased(org, config, work, layer, &lease).await;
                if read.is_err() {
                    self.records.release_lease(&lease).await?;
                }
                read.map(Some)
            }
            LeaseOutcome::Held => self.wait(org, digest, work, now).await,
        }
    }

    async fn stored_layer(
        &self,
        org: &OrgName,
        layer: &Digest,
    ) -> Result<Option<Arc<LayerInventory>>, ScanError> {
        if let Some(known) = self.known_layers.get(org, layer) {
            return Ok(Some(known));
        }
        let Some(bytes) = self.records.layer_inventory(org, layer, READER_VERSION).await? else {
            return Ok(None);
        };
        // What cannot be decoded is read again: the registry still has the truth.
        let Ok(inventory) = serde_json::from_slice(&bytes) else { return Ok(None) };
        let inventory = Arc::new(inventory);
        self.known_layers.keep(org, layer, &inventory, bytes.len());
        Ok(Some(inventory))
    }

    /// Reads a leased layer and stores its inventory, which gives the lease back.
    async fn read_leased(
        &self,
        org: &OrgName,
        config: &Config,
        work: &Work,
        layer: &LayerDescriptor,
        lease: &Lease,
    ) -> Result<Arc<LayerInventory>, ScanError> {
        let registry = self.registry(config, work).await?;
        let inventory = tokio::select! {
            read = pull_layer(&*registry, &work.image.repository, layer, self.settings.limits) => read?,
            ended = self.keep(lease) => return Err(ended),
        };
        let content = serde_json::to_vec(&inventory).map_err(|error| RecordError::Corrupt {
            place: lease.layer().to_string(),
            reason: error.to_string(),
        })?;
        let (inventory, bytes) = (Arc::new(inventory), content.len());
        self.records.put_layer_inventory(lease, READER_VERSION, content.into()).await?;
        self.known_layers.keep(org, lease.layer(), &inventory, bytes);
        self.wake_waiters(org, lease.layer()).await?;
        Ok(inventory)
    }

    /// Renews the lease; ends only when it is lost, the layer has had all its time, or the function has.
    async fn keep(&self, lease: &Lease) -> ScanError {
        let limit = self.settings.layer_time;
        let end = self.after(limit);
        loop {
            self.sleeper.sleep(self.settings.renewal.min(self.time_left(STOP_READING))).await;
            if self.time_left(STOP_READING).is_zero() {
                return ScanError::OutOfTime;
            }
            if self.clock.now() >= end {
                return ScanError::SlowLayer { layer: *lease.layer(), limit };
            }
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
    ) -> Result<Option<Arc<LayerInventory>>, ScanError> {
        self.records.wait_for_layer(org, layer, work, now).await?;
        self.finished(org, layer, work).await
    }

    /// The inventory of a layer that `work` waits for, when it is there by now.
    async fn finished(
        &self,
        org: &OrgName,
        layer: &Digest,
        work: &Work,
    ) -> Result<Option<Arc<LayerInventory>>, ScanError> {
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
        send(&*self.queue, QueueName::Scans, &messages, Duration::ZERO).await?;
        for work in &waiting {
            self.records.stop_waiting(org, layer, &work.image).await?;
        }
        Ok(())
    }
}

/// A layer that is not read, as a problem of the image.
pub fn unreadable_layer(layer: &LayerDescriptor) -> Option<Problem> {
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
