//! The inventories of an image's layers, as they are stored, put together.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use libfuzzer_sys::fuzz_target;
use tidewatch_core::Digest;
use tidewatch_inventory::{LayerInventory, PathSet, READER_VERSION, merge};
use tidewatch_inventory_fuzz::check_image;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut layers) = serde_json::from_slice::<Vec<LayerInventory>>(bytes) else { return };
    let image = merge(&layers);
    check_image(&image, &layers.iter().map(|layer| layer.layer).collect::<BTreeSet<Digest>>());
    let empty = LayerInventory {
        reader_version: READER_VERSION,
        layer: Digest::of(b""),
        files: BTreeMap::new(),
        links: BTreeMap::new(),
        leaves: PathSet::default(),
        directories: PathSet::default(),
        opaque: PathSet::default(),
        whiteouts: PathSet::default(),
        problems: Vec::new(),
    };
    layers.push(empty);
    assert_eq!(merge(&layers), image, "an empty layer changes something");
});
