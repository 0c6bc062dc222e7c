//! Layers: inventories that were read once, and the leases that keep a thousand workers from reading one layer.
//!
//! A lease has an owner, a fence that grows with every owner, and an end. Who finds a layer leased records what it
//! was about; whoever finishes the layer sends that again. Storing an inventory needs the current fence.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::image::Image;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Item, Query, TIME_TO_LIVE, Update, Write};
use tidewatch_core::work::Work;

use super::{
    DAY, ITEM_VERSION, RecordError, Records, decode, encode, keys, millis, time_to_live,
    unless_condition_failed,
};

/// The right to read a layer, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    org: OrgName,
    layer: Digest,
    owner: String,
    fence: i64,
}

/// What became of the wish for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// It is given.
    Granted(Lease),
    /// Another worker has it.
    Held,
}

impl Records {
    /// The inventory of a layer as its reader wrote it, when one of this reader version is there.
    pub async fn layer_inventory(
        &self,
        org: &OrgName,
        layer: &Digest,
        reader_version: u32,
    ) -> Result<Option<Bytes>, RecordError> {
        if self.table.get(&keys::layer_inventory(org, layer, reader_version)).await?.is_none() {
            return Ok(None);
        }
        let key = keys::object::layer_inventory(org, layer, reader_version);
        Ok(self.objects.get(&key).await?)
    }

    /// Which of `layers` have an inventory of this reader version.
    pub async fn layers_read(
        &self,
        org: &OrgName,
        layers: &[Digest],
        reader_version: u32,
    ) -> Result<HashSet<Digest>, RecordError> {
        let key = |layer| keys::layer_inventory(org, layer, reader_version);
        let items = self.items(layers.iter().map(key).collect()).await?;
        Ok(layers.iter().zip(items).filter(|(_, item)| item.is_some()).map(|(layer, _)| *layer).collect())
    }

    /// Asks for the lease of a layer until `until`. `owner` must be new for every lease.
    pub async fn lease_layer(
        &self,
        org: &OrgName,
        layer: &Digest,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseOutcome, RecordError> {
        let free = Condition::Any(vec![
            Condition::Absent("expires_at".to_owned()),
            Condition::LessOrEqual("expires_at".to_owned(), millis(now).into()),
        ]);
        let take = Update::default()
            .set("v", ITEM_VERSION)
            .set("owner", owner)
            .set("expires_at", millis(until))
            .set(TIME_TO_LIVE, time_to_live(until, DAY))
            .add("fence", 1);
        let taken = self.table.update(&keys::layer_lease(org, layer), take, free).await;
        Ok(match unless_condition_failed(taken)? {
            None => LeaseOutcome::Held,
            Some(item) => {
                let fence = item.number("fence").unwrap_or(0);
                LeaseOutcome::Granted(Lease {
                    org: org.clone(),
                    layer: *layer,
                    owner: owner.to_owned(),
                    fence,
                })
            }
        })
    }

    /// Makes a lease last until `until`. `false` when it was lost.
    pub async fn renew_lease(&self, lease: &Lease, until: Timestamp) -> Result<bool, RecordError> {
        let key = keys::layer_lease(&lease.org, &lease.layer);
        let longer =
            Update::default().set("expires_at", millis(until)).set(TIME_TO_LIVE, time_to_live(until, DAY));
        Ok(unless_condition_failed(self.table.update(&key, longer, lease.held()).await)?.is_some())
    }

    /// Gives a lease back, whether or not the layer was read; one that was lost is no error.
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), RecordError> {
        let key = keys::layer_lease(&lease.org, &lease.layer);
        unless_condition_failed(
            self.table.update(&key, Update::default().set("expires_at", 0), lease.held()).await,
        )?;
        Ok(())
    }

    /// Stores the inventory of a leased layer, and gives the lease back with it. [`RecordError::Changed`] when that was lost.
    pub async fn put_layer_inventory(
        &self,
        lease: &Lease,
        reader_version: u32,
        inventory: Bytes,
    ) -> Result<(), RecordError> {
        let key = keys::object::layer_inventory(&lease.org, &lease.layer, reader_version);
        self.objects.put(&key, inventory).await?;
        let row = Item::new(keys::layer_inventory(&lease.org, &lease.layer, reader_version))
            .with("v", ITEM_VERSION);
        let back = Update::default().set("expires_at", 0);
        let writes = vec![
            Write::Update(keys::layer_lease(&lease.org, &lease.layer), back, lease.held()),
            Write::Put(row, Condition::Always),
        ];
        unless_condition_failed(self.transact(writes).await)?
            .ok_or_else(|| RecordError::Changed { what: format!("the inventory of layer {}", lease.layer) })
    }

    /// Records that `work` waits for a layer.
    pub async fn wait_for_layer(
        &self,
        org: &OrgName,
        layer: &Digest,
        work: &Work,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let item = encode(keys::layer_waiter(org, layer, &work.image), work)?
            .with(TIME_TO_LIVE, time_to_live(now, Duration::from_secs(3600)));
        Ok(self.table.put(item, Condition::Always).await?)
    }

    /// The work that waits for a layer.
    pub async fn layer_waiters(&self, org: &OrgName, layer: &Digest) -> Result<Vec<Work>, RecordError> {
        let items = self.all(Query::prefix(keys::layer_waiters(org, layer), keys::WAIT)).await?;
        items.iter().map(decode).collect()
    }

    /// Notes that `image` does not wait for a layer any more.
    pub async fn stop_waiting(
        &self,
        org: &OrgName,
        layer: &Digest,
        image: &Image,
    ) -> Result<(), RecordError> {
        Ok(self.table.delete(&keys::layer_waiter(org, layer, image), Condition::Always).await?)
    }
}

impl Lease {
    /// The layer.
    pub const fn layer(&self) -> &Digest {
        &self.layer
    }

    fn held(&self) -> Condition {
        Condition::All(vec![
            Condition::Equal("owner".to_owned(), self.owner.clone().into()),
            Condition::Equal("fence".to_owned(), self.fence.into()),
        ])
    }
}
