//! Inventories of layers that this process has used last. Most layers of an image are those of many others, and what a layer
//! holds never changes: a known one costs no read of table and objects, and is decoded once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidewatch_core::Digest;
use tidewatch_core::names::OrgName;
use tidewatch_inventory::LayerInventory;

/// How many bytes the kept inventories have as they are stored, before the older half of them is forgotten. In memory they
/// take two to three times as many.
const MOST_BYTES: usize = 16 << 20;

/// An inventory with more bytes is not kept: it would put too many others out.
const LARGEST: usize = 1 << 20;

type Kept = HashMap<(OrgName, Digest), (Arc<LayerInventory>, usize)>;

/// Inventories by organisation and layer.
#[derive(Debug, Default)]
pub(crate) struct KnownLayers(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    newer: Kept,
    older: Kept,
    /// Of the newer half.
    bytes: usize,
}

impl KnownLayers {
    /// The inventory of a layer, when it is known.
    pub(crate) fn get(&self, org: &OrgName, layer: &Digest) -> Option<Arc<LayerInventory>> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (org.clone(), *layer);
        if let Some((inventory, _)) = halves.newer.get(&key) {
            return Some(Arc::clone(inventory));
        }
        let (inventory, bytes) = halves.older.remove(&key)?;
        halves.keep(key, Arc::clone(&inventory), bytes);
        Some(inventory)
    }

    /// Keeps the inventory of a layer, which is stored and has so many bytes there.
    pub(crate) fn keep(&self, org: &OrgName, layer: &Digest, inventory: &Arc<LayerInventory>, bytes: usize) {
        if bytes <= LARGEST {
            let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            halves.keep((org.clone(), *layer), Arc::clone(inventory), bytes);
        }
    }
}

impl Halves {
    fn keep(&mut self, key: (OrgName, Digest), inventory: Arc<LayerInventory>, bytes: usize) {
        if self.bytes + bytes > MOST_BYTES / 2 {
            self.older = std::mem::take(&mut self.newer);
            self.bytes = 0;
        }
        if self.newer.insert(key, (inventory, bytes)).is_none() {
            self.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewatch_inventory::{LayerReader, Limits};
    use tidewatch_testkit::layer::LayerBuilder;

    use super::*;

    fn org(name: &str) -> OrgName {
        name.parse().unwrap()
    }

    fn layer(number: usize) -> Arc<LayerInventory> {
        let layer = LayerBuilder::new().file("number", number.to_string()).build();
        let mut reader = LayerReader::new(layer.digest, Limits::default());
        reader.push(&layer.bytes);
        Arc::new(reader.finish().unwrap())
    }

    #[test]
    fn a_layer_is_known_to_the_organisation_that_has_read_it_and_to_no_other() {
        let (known, layer) = (KnownLayers::default(), layer(1));
        known.keep(&org("acme"), &layer.layer, &layer, 100);
        assert_eq!(known.get(&org("acme"), &layer.layer), Some(Arc::clone(&layer)));
        assert_eq!(known.get(&org("globex"), &layer.layer), None);
    }

    #[test]
    fn what_is_used_stays_known_while_others_come_and_go() {
        let (known, base) = (KnownLayers::default(), layer(0));
        known.keep(&org("acme"), &base.layer, &base, LARGEST);
        let others: Vec<_> = (1..40).map(layer).collect();
        for other in &others {
            known.keep(&org("acme"), &other.layer, other, LARGEST);
            assert!(known.get(&org("acme"), &base.layer).is_some());
        }
        assert!(known.get(&org("acme"), &others[0].layer).is_none(), "there is no room for all");
        let halves = known.0.lock().unwrap();
        let bytes: usize = halves.newer.values().chain(halves.older.values()).map(|(_, bytes)| bytes).sum();
        assert!(bytes <= MOST_BYTES);
    }

    #[test]
    fn a_huge_inventory_is_not_kept() {
        let (known, layer) = (KnownLayers::default(), layer(1));
        known.keep(&org("acme"), &layer.layer, &layer, LARGEST + 1);
        assert_eq!(known.get(&org("acme"), &layer.layer), None);
    }
}
