//! Decompression of a layer in push style. The format is told by the first bytes, because media types are often wrong:
//! gzip (<https://www.rfc-editor.org/rfc/rfc1952>, also of several members), zstd
//! (<https://www.rfc-editor.org/rfc/rfc8878>, also of several frames), else nothing is compressed.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// Bytes that are needed to tell the format.
const MAGIC_BYTES: usize = 4;

/// The largest window that a zstd frame may ask for, as a power of two: 128 MiB, which is what `zstd --ultra` makes.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Takes compressed bytes and hands on what is in them, at most some 100 KiB at a time.
pub(crate) struct Decompressor {
    state: State,
}

enum State {
    /// Fewer bytes than tell the format.
    Unknown(Vec<u8>),
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Vec<u8>>>),
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
            State::Gzip(decoder) => {
                drain(decoder.as_mut(), bytes, |decoder| take(decoder.get_mut(), &mut output))
            }
            State::Zstd(decoder) => {
                drain(decoder.as_mut(), bytes, |decoder| take(decoder.get_mut(), &mut output))
            }
        }
    }

    /// Gives what is left to `output`; an error when the compressed stream is not complete.
    pub(crate) fn finish<E: From<io::Error>>(
        self,
        mut output: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.state {
            State::Unknown(bytes) => output(&bytes),
            State::Plain => Ok(()),
            State::Gzip(mut decoder) => {
                let finished = decoder.try_finish();
                take(decoder.get_mut(), &mut output)?;
                Ok(finished?)
            }
            State::Zstd(mut decoder) => {
                let finished = decoder.do_finish();
                take(decoder.get_mut(), &mut output)?;
                Ok(finished?)
            }
        }
    }
}

impl State {
    /// The state for a stream that begins with `magic`, at least [`MAGIC_BYTES`] of it.
    fn of(magic: &[u8]) -> io::Result<Self> {
        Ok(match magic {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            // A frame, or a skippable frame before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                let mut decoder = zstd::stream::raw::Decoder::new()?;
                decoder.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                Self::Zstd(Box::new(zstd::stream::write::Decoder::with_decoder(Vec::new(), decoder)))
            }
            _ => Self::Plain,
        })
    }
}

/// Writes `bytes` step by step, so that what one step gives stays small, and calls `after` after each.
fn drain<W: Write, E: From<io::Error>>(
    decoder: &mut W,
    mut bytes: &[u8],
    mut after: impl FnMut(&mut W) -> Result<(), E>,
) -> Result<(), E> {
    while !bytes.is_empty() {
        let written = decoder.write(bytes);
        // Also what came before an error is to be read.
        after(decoder)?;
        match written? {
            0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            count => bytes = bytes.get(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Hands on what is in `buffer` and empties it.
fn take<E>(buffer: &mut Vec<u8>, output: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    if buffer.is_empty() {
        return Ok(());
    }
    let result = output(buffer);
    buffer.clear();
    result
}

#[cfg(test)]
mod tests {
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
        assert!(largest <= 256 * 1024, "{largest} bytes at a time");
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
    fn a_bomb_is_handed_on_in_small_pieces() {
        let zeros = vec![0; 64 << 20];
        for compressed in [gzip(&zeros), zstd::encode_all(&zeros[..], 19).unwrap()] {
            let (output, result) = decompress(&compressed, compressed.len());
            result.unwrap();
            assert_eq!(output.len(), zeros.len());
        }
    }
}
