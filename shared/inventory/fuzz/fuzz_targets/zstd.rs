//! A layer compressed with zstd: its bytes as they are, and an archive compressed as two frames, which is read as it is
//! without the compression.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch_inventory_fuzz::{is_compressed, read_layer};

const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

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
    zstd::encode_all(bytes, 1).expect("it is written to memory")
}
