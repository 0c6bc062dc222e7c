//! Finds the zlib streams that begin as a list of crates does.
//!
//! Formats: <https://www.rfc-editor.org/rfc/rfc1950> and <https://www.rfc-editor.org/rfc/rfc1951>.

use flate2::{Decompress, FlushDecompress};

/// Begins every list: the tool writes the fields in this order.
const BEGINNING: &[u8; 13] = b"{\"packages\":[";

/// The bytes of a stream that are enough to inflate [`BEGINNING`]: the header of zlib, and the longest one of a block, which
/// has 316 lengths of codes with at most 14 bits each.
const ENOUGH: usize = 640;

/// Bytes that are looked at before a stream is inflated.
const LOOKED_AT: usize = 4;

/// Bytes that are looked at together.
const CHUNK: usize = 128;

/// How many bytes of a program allow for one more place to be inflated. Of random bytes one in 37,000 is such a place; a
/// hostile program is not to cost more than it costs to decompress it.
const BYTES_FOR_A_TRIAL: u64 = 256;

/// Places that may be inflated in any program.
const TRIALS: u64 = 64;

/// Searches one program.
#[derive(Default)]
pub(super) struct Search {
    /// The last bytes that came by, too few to look at.
    last: Vec<u8>,
    /// The beginnings of streams of which not enough came by yet.
    open: Vec<Vec<u8>>,
    trial: Option<Decompress>,
    trials: u64,
    position: u64,
    gave_up: bool,
}

/// The beginning of a list.
pub(super) struct Found {
    /// Bytes of it that came by already, with those of the piece before `offset`.
    pub(super) before: Vec<u8>,
    /// Where it goes on in the piece that was searched.
    pub(super) offset: usize,
}

impl Search {
    /// Searches the next bytes; stops at the first beginning of a list, after which the bytes from its offset on are to be
    /// pushed once it is clear what it was.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<Found> {
        let found = self.find_open(bytes).or_else(|| self.find_seam(bytes)).or_else(|| self.find(bytes));
        let taken = found.as_ref().map_or(bytes.len(), |found| found.offset);
        self.position = self.position.saturating_add(taken as u64);
        if found.is_some() {
            self.last.clear();
            self.open.clear();
        } else {
            let new = bytes.get(bytes.len().saturating_sub(LOOKED_AT - 1)..).unwrap_or_default();
            self.last.extend_from_slice(new);
            self.last.drain(..self.last.len().saturating_sub(LOOKED_AT - 1));
        }
        found
    }

    /// There are no more bytes: the beginnings of lists among the last ones.
    pub(super) fn finish(&mut self) -> Vec<Vec<u8>> {
        let open = std::mem::take(&mut self.open);
        open.into_iter().filter(|bytes| self.is_beginning(bytes)).collect()
    }

    /// Whether not all places were tried.
    pub(super) const fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// Goes on with the streams that began in an earlier piece.
    fn find_open(&mut self, bytes: &[u8]) -> Option<Found> {
        for mut begun in std::mem::take(&mut self.open) {
            let offset = ENOUGH.saturating_sub(begun.len()).min(bytes.len());
            begun.extend_from_slice(bytes.get(..offset).unwrap_or_default());
            if begun.len() < ENOUGH {
                self.open.push(begun);
            } else if self.is_beginning(&begun) {
                return Some(Found { before: begun, offset });
            }
        }
        None
    }

    /// Looks at the places whose first bytes lie in two pieces.
    fn find_seam(&mut self, bytes: &[u8]) -> Option<Found> {
        let last = std::mem::take(&mut self.last);
        let new = bytes.get(..bytes.len().min(LOOKED_AT - 1)).unwrap_or_default();
        let seam = [last.as_slice(), new].concat();
        for start in 0..last.len() {
            let begins = seam.get(start..).is_some_and(may_begin);
            let before = last.get(start..).unwrap_or_default();
            if begins && let Some(found) = self.try_at(before, bytes) {
                return Some(found);
            }
        }
        self.last = last;
        None
    }

    fn find(&mut self, bytes: &[u8]) -> Option<Found> {
        // Each chunk is looked at with the first byte of the next one.
        for (number, chunk) in bytes.chunks(CHUNK).enumerate() {
            let start = number * CHUNK;
            let next = bytes.get(start + 1..).unwrap_or_default();
            if !has_header(chunk, next) {
                continue;
            }
            for at in start..start + chunk.len() {
                if bytes.get(at..).is_some_and(may_begin)
                    && let Some(found) = self.try_at(&[], bytes.get(at..).unwrap_or_default())
                {
                    return Some(Found { offset: found.offset + at, ..found });
                }
            }
        }
        None
    }

    /// Inflates the stream that begins with `before` and goes on with `bytes`, or keeps it until enough came by.
    fn try_at(&mut self, before: &[u8], bytes: &[u8]) -> Option<Found> {
        if self.trials >= TRIALS + self.position / BYTES_FOR_A_TRIAL {
            self.gave_up = true;
            return None;
        }
        self.trials += 1;
        let offset = ENOUGH.saturating_sub(before.len()).min(bytes.len());
        let begun = [before, bytes.get(..offset).unwrap_or_default()].concat();
        if begun.len() < ENOUGH {
            self.open.push(begun);
            return None;
        }
        self.is_beginning(&begun).then_some(Found { before: begun, offset })
    }

    /// Whether the stream that begins with `bytes` is the beginning of a list.
    fn is_beginning(&mut self, bytes: &[u8]) -> bool {
        let trial = self.trial.get_or_insert_with(|| Decompress::new(true));
        trial.reset(true);
        let mut text = [0; BEGINNING.len()];
        trial.decompress(bytes, &mut text, FlushDecompress::None).is_ok() && text == *BEGINNING
    }
}

/// Whether any of `bytes` begins the header of a zlib stream with the byte after it, of which `next` has one for each.
fn has_header(bytes: &[u8], next: &[u8]) -> bool {
    // Written so that a compiler looks at many bytes at once.
    let is_header = |(first, second): (&u8, &u8)| {
        u8::from(*first == 0x78)
            & (u8::from(*second == 0x9c)
                | u8::from(*second == 0xda)
                | u8::from(*second == 0x5e)
                | u8::from(*second == 0x01))
    };
    bytes.iter().zip(next).fold(0, |any, pair| any | is_header(pair)) != 0
}

/// Whether `bytes` may begin a zlib stream with a block that is compressed: a list is never stored as it is.
fn may_begin(bytes: &[u8]) -> bool {
    let &[0x78, 0x9c | 0xda | 0x5e | 0x01, block, codes, ..] = bytes else { return false };
    match block >> 1 & 3 {
        1 => true,
        // The numbers of codes of both kinds, of which the two largest do not exist.
        2 => block >> 3 <= 29 && codes & 31 <= 29,
        _ => false,
    }
}

#[cfg(test)]
impl Search {
    /// Roughly the bytes that are kept.
    pub(super) fn memory(&self) -> usize {
        self.open.iter().map(Vec::capacity).sum()
    }
}
