//! A layer compressed with gzip: its bytes as they are, and an archive compressed as two members, which is read as it is
//! without the compression.
#![no_main]

use std::io::Write as _;

use libfuzzer_sys::fuzz_target;
use tidewatch_inventory_fuzz::{is_compressed, read_layer};

const MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];

fuzz_target!(|bytes: &[u8]| {
    if is_compressed(bytes) {
        read_layer(bytes);
        return;
    }
    read_layer(&[MAGIC, bytes].concat());
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    let packed = read_layer(&[compress(head), compress(tail)].concat());
    let plain = read_layer(bytes);
    assert_eq!((packed.files, packed.links, packed.leaves), (plain.files, plain.links, plain.leaves));
});

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("it is written to memory");
    encoder.finish().expect("it is written to memory")
}
