//! The floor: what reading a layer costs at least, which is to hash its bytes and to decompress them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

use crate::layout::{CHUNK_BYTES, Layer, layers};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Reads every layer of the only image in the layout `folder` by `read`, which gives the digest and how many bytes there
/// are after decompression. Prints the bytes of all.
pub(crate) fn run(
    folder: &Path,
    read: fn(&Layer) -> anyhow::Result<(tidewatch_core::Digest, u64)>,
) -> anyhow::Result<()> {
    let mut bytes = 0;
    for layer in layers(folder)? {
        let (digest, unpacked) = read(&layer)?;
        ensure!(digest == layer.digest, "{} is not what it should be", layer.digest);
        bytes += unpacked;
    }
    println!("{bytes}");
    Ok(())
}

/// By the libraries that tidewatch uses, in a stream.
pub(crate) fn zlib_rs(layer: &Layer) -> anyhow::Result<(tidewatch_core::Digest, u64)> {
    let mut source = Hashed {
        file: BufReader::with_capacity(CHUNK_BYTES, File::open(&layer.path)?),
        hasher: Sha256::new(),
    };
    let magic = source.fill_buf()?.to_vec();
    let bytes = if magic.starts_with(&GZIP) {
        count(flate2::bufread::MultiGzDecoder::new(&mut source))?
    } else if magic.starts_with(&ZSTD) {
        count(zstd::stream::read::Decoder::with_buffer(&mut source)?)?
    } else {
        count(&mut source)?
    };
    // What may follow a frame is part of the digest.
    count(&mut source)?;
    Ok((tidewatch_core::Digest::from_bytes(source.hasher.finalize().into()), bytes))
}

/// By libdeflate, which is faster because it has the whole layer in memory, before and after decompression.
pub(crate) fn libdeflate(layer: &Layer) -> anyhow::Result<(tidewatch_core::Digest, u64)> {
    let packed = std::fs::read(&layer.path)?;
    if !packed.starts_with(&GZIP) {
        return zlib_rs(layer);
    }
    let digest = tidewatch_core::Digest::from_bytes(Sha256::digest(&packed).into());
    // The last four bytes of a member say how many there are after decompression, up to 4 GiB.
    let size = packed.last_chunk().map(|size| u32::from_le_bytes(*size)).context("it has no end")?;
    let mut unpacked = vec![0; usize::try_from(size)?];
    let bytes = libdeflater::Decompressor::new().gzip_decompress(&packed, &mut unpacked)?;
    Ok((digest, u64::try_from(bytes)?))
}

/// Reads to the end and forgets it: how many bytes there were.
fn count(mut reader: impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; 2 * CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(bytes),
            count => bytes += count as u64,
        }
    }
}

/// A file whose bytes are hashed as they are used.
struct Hashed {
    file: BufReader<File>,
    hasher: Sha256,
}

impl BufRead for Hashed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.file.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.hasher.update(self.file.buffer().get(..count).unwrap_or_default());
        self.file.consume(count);
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let count = available.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
