//! Decompression of a layer in push style. The format is told by the first bytes, because media types are often wrong:
//! gzip (<https://www.rfc-editor.org/rfc/rfc1952>, also of several members), zstd
//! (<https://www.rfc-editor.org/rfc/rfc8878>, also of several frames), else nothing is compressed.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

/// Bytes that are needed to tell the format.
const MAGIC_BYTES: usize = 4;

/// The window of deflate, as a power of two: there is one only that every stream fits into.
const GZIP_WINDOW_LOG: u8 = 15;

/// The largest window that a zstd frame may ask for, as a power of two: 128 MiB, which is what `zstd --ultra` makes.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Bytes before each block of a zstd frame.
const ZSTD_BLOCK_HEADER_BYTES: usize = 3;

/// The most bytes of a block.
const ZSTD_BLOCK_BYTES: usize = 128 << 10;

/// Bytes that are handed on at once. After each step a decoder of deflate copies its window of 32 KiB, so steps are much
/// larger than that; they stay in the cache of a processor.
const OUTPUT_BYTES: usize = 256 << 10;

/// Takes compressed bytes and hands on what is in them, at most [`OUTPUT_BYTES`] at a time.
pub(crate) struct Decompressor {
    state: State,
}

enum State {
    /// Fewer bytes than tell the format.
    Unknown(Vec<u8>),
    Plain,
    Packed(Unpacker),
}

/// Unpacks a stream that is compressed.
struct Unpacker {
    format: Format,
    /// A member or frame has begun and not ended.
    open: bool,
    output: Box<[u8]>,
}

enum Format {
    Gzip(Decompress),
    Zstd(ZstdDecoder),
}

/// A decoder of zstd that gets one header or block at a time, and all of it. Of what it takes at once, libzstd gives nothing
/// when it breaks, and what it asks of a frame or block depends on whether it got all of it at once.
struct ZstdDecoder {
    decoder: Decoder<'static>,
    /// The bytes that it wants next.
    wanted: usize,
    /// Fewer bytes than that.
    waiting: Vec<u8>,
}

/// What one step of decompression has done.
struct Step {
    /// Bytes that it has taken.
    read: usize,
    /// Bytes that it has given.
    written: usize,
    /// Whether a member or frame has ended with it. There may be bytes before an error.
    ended: io::Result<bool>,
}

impl Decompressor {
    pub(crate) const fn new() -> Self {
        Self { state: State::Unknown(Vec::new()) }
    }

    /// Takes the next bytes, and gives what is in them to `output`. After an error of either, nothing more may be pushed.
    pub(crate) fn push<E: From<io::Error>>(
        &mut self,
        bytes: &[u8],
        mut output: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut self.state {
            State::Unknown(start) => {
                start.extend_from_slice(bytes);
                if start.len() < MAGIC_BYTES {
                    return Ok(());
                }
                let start = std::mem::take(start);
                self.state = State::of(&start)?;
                self.push(&start, output)
            }
            State::Plain => output(bytes),
            State::Packed(unpacker) => unpacker.push(bytes, &mut output),
        }
    }

    /// Gives what is left to `output`; an error when the compressed stream is not complete.
    pub(crate) fn finish<E: From<io::Error>>(
        self,
        mut output: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.state {
            State::Unknown(bytes) => output(&bytes),
            State::Packed(unpacker) if unpacker.open => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream is cut off").into())
            }
            State::Plain | State::Packed(_) => Ok(()),
        }
    }
}

impl State {
    /// The state for a stream that begins with `magic`, at least [`MAGIC_BYTES`] of it.
    fn of(magic: &[u8]) -> io::Result<Self> {
        let format = match magic {
            [0x1f, 0x8b, 0x08, ..] => Format::Gzip(Decompress::new_gzip(GZIP_WINDOW_LOG)),
            // A frame, or a skippable frame before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                let mut decoder = Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                Format::Zstd(ZstdDecoder { decoder, wanted: 1, waiting: Vec::new() })
            }
            _ => return Ok(Self::Plain),
        };
        Ok(Self::Packed(Unpacker { format, open: false, output: vec![0; OUTPUT_BYTES].into() }))
    }
}

impl Unpacker {
    fn push<E: From<io::Error>>(
        &mut self,
        mut bytes: &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // A step that fills the space may have left more to give.
        let mut is_full = false;
        while !bytes.is_empty() || (is_full && self.open) {
            if !self.open {
                self.format.begin();
            }
            let step = self.format.step(bytes, &mut self.output);
            // Also what came before an error is to be read.
            if let Some(part) = self.output.get(..step.written).filter(|part| !part.is_empty()) {
                output(part)?;
            }
            self.open = !step.ended?;
            if self.open && step.read == 0 && step.written == 0 && !bytes.is_empty() {
                return Err(damaged().into());
            }
            is_full = step.written == self.output.len();
            bytes = bytes.get(step.read..).unwrap_or_default();
        }
        Ok(())
    }
}

impl Format {
    /// Prepares for another member or frame.
    fn begin(&mut self) {
        match self {
            Self::Gzip(member) if member.total_in() > 0 => member.reset(true),
            // Frames follow one another without a word.
            Self::Gzip(_) | Self::Zstd(_) => {}
        }
    }

    /// Takes of `bytes`, and gives to `output`, as many as there are or as fit.
    fn step(&mut self, bytes: &[u8], output: &mut [u8]) -> Step {
        match self {
            Self::Gzip(member) => {
                let (read, written) = (member.total_in(), member.total_out());
                let status = member.decompress(bytes, output, FlushDecompress::None);
                let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or_default();
                Step {
                    read: since(member.total_in(), read),
                    written: since(member.total_out(), written),
                    // What the decoder says of the same damage depends on how the bytes were cut.
                    ended: status.map(|status| status == Status::StreamEnd).map_err(|_| damaged()),
                }
            }
            Self::Zstd(decoder) => decoder.step(bytes, output),
        }
    }
}

impl ZstdDecoder {
    fn step(&mut self, bytes: &[u8], output: &mut [u8]) -> Step {
        let Some(part) = bytes.get(..self.wanted.saturating_sub(self.waiting.len())) else {
            self.waiting.extend_from_slice(bytes);
            return Step { read: bytes.len(), written: 0, ended: Ok(false) };
        };
        let mut input = InBuffer::around(part);
        if !self.waiting.is_empty() {
            self.waiting.extend_from_slice(part);
            input = InBuffer::around(&self.waiting);
        }
        let mut output = OutBuffer::around(output);
        let hint = self.decoder.run(&mut input, &mut output);
        // A block fits into the output, so all is taken; else something would be lost without a word.
        let is_taken = input.pos() == input.src.len();
        self.waiting.clear();
        self.wanted = match hint {
            Ok(hint @ 1..=ZSTD_BLOCK_HEADER_BYTES) => hint,
            // With the header that follows. Only what is skipped is longer than a block.
            Ok(hint) => hint.saturating_sub(ZSTD_BLOCK_HEADER_BYTES).clamp(1, ZSTD_BLOCK_BYTES),
            Err(_) => 1,
        };
        let ended = match hint {
            Ok(hint) if is_taken => Ok(hint == 0),
            Ok(_) => Err(damaged()),
            Err(error) => Err(zstd_error(&error)),
        };
        Step { read: part.len(), written: output.pos(), ended }
    }
}

/// An error of the decoder of zstd, but for what depends on how the bytes were cut.
fn zstd_error(error: &io::Error) -> io::Error {
    if error.to_string().contains("too much memory") {
        let reason =
            format!("the stream asks for a window of more than {} bytes", 1_u64 << ZSTD_WINDOW_LOG_MAX);
        return io::Error::new(io::ErrorKind::InvalidData, reason);
    }
    damaged()
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the stream is damaged")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decompress(bytes: &[u8], chunk: usize) -> (Vec<u8>, io::Result<()>) {
        let mut output = Vec::new();
        let mut largest = 0;
        let mut decompressor = Decompressor::new();
        let mut keep = |bytes: &[u8]| {
            largest = largest.max(bytes.len());
            output.extend_from_slice(bytes);
            Ok(())
        };
        let result = bytes
            .chunks(chunk)
            .try_for_each(|chunk| decompressor.push(chunk, &mut keep))
            .and_then(|()| decompressor.finish(&mut keep));
        assert!(largest <= OUTPUT_BYTES, "{largest} bytes at a time");
        (output, result)
    }

    #[test]
    fn every_format_gives_its_bytes_however_they_are_cut() {
        let content: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let (head, tail) = content.split_at(1000);
        let two_frames = [zstd::encode_all(head, 3).unwrap(), zstd::encode_all(tail, 3).unwrap()].concat();
        let two_members = [gzip(head), gzip(tail)].concat();
        for compressed in
            [gzip(&content), two_members, zstd::encode_all(&content[..], 3).unwrap(), two_frames]
        {
            for chunk in [7, 4096, usize::MAX] {
                let (output, result) = decompress(&compressed, chunk.min(compressed.len()));
                result.unwrap();
                assert!(output == content);
            }
        }
        let (output, result) = decompress(&content, 1);
        result.unwrap();
        assert!(output == content);
    }

    #[test]
    fn a_truncated_stream_is_an_error_and_gives_what_came_before() {
        let content = b"what came before".repeat(10_000);
        for compressed in [gzip(&content), zstd::encode_all(&content[..], 3).unwrap()] {
            for cut in 4..compressed.len() {
                let (output, result) = decompress(&compressed[..cut], 1000);
                assert!(result.is_err(), "cut at {cut} of {} was taken", compressed.len());
                assert!(content.starts_with(&output));
            }
        }
    }

    #[test]
    fn a_gzip_member_with_a_wrong_checksum_is_an_error() {
        let mut compressed = gzip(b"content");
        let position = compressed.len() - 6;
        compressed[position] ^= 1;
        assert!(decompress(&compressed, 100).1.is_err());
    }

    #[test]
    fn a_damaged_stream_gives_the_same_however_it_is_cut() {
        let content: Vec<u8> = (0..150_000u32).flat_map(u32::to_le_bytes).collect();
        let mut zstd = zstd::encode_all(&content[..], 3).unwrap();
        let end = zstd.len() - 20;
        zstd[end..].fill(0xff);
        let bad_code = include_bytes!("../fuzz/corpus/gzip/bad-code").as_slice();
        let bad_frame = include_bytes!("../fuzz/corpus/zstd/bad-frame").as_slice();
        let raw_block = include_bytes!("../fuzz/corpus/zstd/raw-block").as_slice();
        for compressed in [&zstd, bad_code, bad_frame, raw_block] {
            let (output, result) = decompress(compressed, compressed.len());
            let error = result.unwrap_err().to_string();
            for chunk in [1, 2, 3, 5, 64, 1000, 70_000] {
                let (in_chunks, result) = decompress(compressed, chunk);
                assert_eq!(result.unwrap_err().to_string(), error, "{chunk}");
                assert!(in_chunks == output, "{chunk}: {} and {}", in_chunks.len(), output.len());
            }
        }
        assert!(decompress(&zstd, 1000).0.len() > 100_000);
    }

    #[test]
    fn a_zstd_frame_with_too_large_a_window_is_an_error_that_says_so() {
        // A window of 2 GiB, and a last block without bytes.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xa8, 1, 0, 0];
        for chunk in [1, 100] {
            assert_eq!(
                decompress(&frame, chunk).1.unwrap_err().to_string(),
                "the stream asks for a window of more than 134217728 bytes"
            );
        }
    }

    #[test]
    fn a_bomb_is_handed_on_in_small_pieces() {
        let zeros = vec![0; 64 << 20];
        for compressed in [gzip(&zeros), zstd::encode_all(&zeros[..], 19).unwrap()] {
            let (output, result) = decompress(&compressed, compressed.len());
            result.unwrap();
            assert_eq!(output.len(), zeros.len());
        }
    }
}
