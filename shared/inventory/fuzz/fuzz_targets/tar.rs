//! A layer that is not compressed: the bytes as they are, then with its headers mended, so that what changed in one does
//! not only make its checksum wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch_inventory_fuzz::archive::mended;
use tidewatch_inventory_fuzz::read_layer;

fuzz_target!(|bytes: &[u8]| {
    read_layer(bytes);
    read_layer(&mended(bytes));
});
