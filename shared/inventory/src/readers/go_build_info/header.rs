//! The build information itself: a header of 32 bytes, and since Go 1.18 two strings behind it.

use super::layout::{Layout, Words};
use super::modules::is_version;
use super::search::MAGIC;

/// Bytes of the header.
const HEADER: usize = 32;

/// The most bytes of a version of Go, with all that it says of experiments.
const VERSION_BYTES: usize = 1024;

/// Bytes that are taken of each: the header, a version and the length of both strings.
const TAKEN: usize = HEADER + VERSION_BYTES + 20;

/// The most of what looks like build information that is kept. One is what programs have; a program that holds other ones
/// as data has more.
const KEPT: usize = 8;

/// The most that may be taken at once: they may lie 16 bytes apart.
const TAKEN_AT_ONCE: usize = TAKEN / 16 + 1;

/// What build information says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Info {
    /// The strings are there.
    Inline {
        /// The version of Go.
        version: String,
        /// Where the text of the modules is in the file, as offset and length; `None` where there is none.
        text: Option<(u64, u64)>,
    },
    /// Addresses of the strings' own headers, each an address and a length.
    Pointers {
        /// Of the version of Go.
        version: u64,
        /// Of the text of the modules.
        text: u64,
    },
}

/// All that looks like build information.
#[derive(Debug, Default)]
pub(super) struct Headers {
    open: Vec<(u64, Vec<u8>)>,
    /// What was found in data that the program may write, where the linker puts it.
    certain: Option<Info>,
    others: Vec<Info>,
}

impl Headers {
    /// Begins to take what stands at the offset `at`; `bytes` are those from `position` on.
    pub(super) fn begin(&mut self, at: u64, position: u64, bytes: &[u8], layout: &Layout) {
        if self.open.len() >= TAKEN_AT_ONCE || self.certain.is_some() {
            return;
        }
        let mut taken = MAGIC.to_vec();
        take(at, &mut taken, position, bytes);
        self.open.push((at, taken));
        self.read(layout, false);
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, position: u64, bytes: &[u8], layout: &Layout) {
        if self.open.is_empty() {
            return;
        }
        for (at, taken) in &mut self.open {
            take(*at, taken, position, bytes);
        }
        self.read(layout, false);
    }

    /// There are no more bytes.
    pub(super) fn finish(&mut self, layout: &Layout) {
        self.read(layout, true);
    }

    /// What the linker put there for sure.
    pub(super) const fn certain(&self) -> Option<&Info> {
        self.certain.as_ref()
    }

    /// The build information of the program.
    pub(super) fn best(&self) -> Option<&Info> {
        self.certain.as_ref().or_else(|| self.others.first())
    }

    fn read(&mut self, layout: &Layout, all: bool) {
        self.open.retain(|(at, taken)| {
            let is_open = !all && taken.len() < TAKEN;
            if !is_open && let Some(info) = read(*at, taken) {
                if layout.is_writable(*at) {
                    self.certain.get_or_insert(info);
                } else if self.others.len() < KEPT {
                    self.others.push(info);
                }
            }
            is_open
        });
    }
}

fn take(at: u64, taken: &mut Vec<u8>, position: u64, bytes: &[u8]) {
    let start = usize::try_from((at + taken.len() as u64).saturating_sub(position)).unwrap_or(usize::MAX);
    let bytes = bytes.get(start..).unwrap_or_default();
    taken.extend_from_slice(
        bytes.get(..bytes.len().min(TAKEN.saturating_sub(taken.len()))).unwrap_or_default(),
    );
}

/// What `bytes`, those from the offset `at` on, say; `None` when they are no build information: the magic alone is also in
/// every program that looks for it.
fn read(at: u64, bytes: &[u8]) -> Option<Info> {
    let (header, strings) = bytes.split_at_checked(HEADER)?;
    let (words, flags, pointers) = (header.get(14)?, header.get(15)?, header.get(16..)?);
    if ![4, 8].contains(words) || *flags > 3 {
        return None;
    }
    if flags & 2 == 0 {
        let words = Words { bytes: usize::from(*words), big_endian: flags & 1 == 1 };
        let (version, text) = (words.at(pointers, 0)?, words.at(pointers, 1)?);
        return (version != 0).then_some(Info::Pointers { version, text });
    }
    let (length, size) = varint(strings)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= VERSION_BYTES)?;
    let version = std::str::from_utf8(strings.get(size..size + length)?).ok()?;
    if !is_version(version) {
        return None;
    }
    let rest = strings.get(size + length..)?;
    let (text, text_size) = varint(rest)?;
    let offset = at + (HEADER + size + length + text_size) as u64;
    Some(Info::Inline { version: version.to_owned(), text: (text > 0).then_some((offset, text)) })
}

/// A number of the form of <https://pkg.go.dev/encoding/binary#Uvarint>, and how many bytes it takes.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    for (position, byte) in bytes.iter().take(9).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Some((number, position + 1));
        }
    }
    None
}

#[cfg(test)]
impl Headers {
    /// Roughly the bytes that are kept.
    pub(super) fn memory(&self) -> usize {
        (self.open.len() + self.others.len()) * TAKEN
    }
}
