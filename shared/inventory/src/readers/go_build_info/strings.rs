//! The strings to which the build information of Go before 1.18 points, by way of their headers: an address and a length.
//! They lie among all strings of a program, one after the other without an end.

use super::layout::Layout;
use super::modules::is_version;
use super::search::VERSION;
use super::texts::Texts;

/// The most bytes of a version of Go that is found: `go1.16.15b7`.
const VERSION_BYTES: usize = 32;

/// The most headers of strings that are kept.
const HEADERS: usize = 4096;

/// What may be a version of Go, and where something points to it.
#[derive(Debug, Default)]
pub(super) struct Strings {
    /// In the order of their offsets.
    versions: Vec<Version>,
    headers: Vec<Header>,
    /// The offset and what the last word points to, when that is something.
    pointer: Option<(u64, Target)>,
}

/// What may be a version of Go: the bytes from `at` on.
#[derive(Debug)]
struct Version {
    at: u64,
    bytes: [u8; VERSION_BYTES],
    length: usize,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Version(usize),
    Text(u64),
}

/// The header of a string, by its address.
#[derive(Debug)]
struct Header {
    address: u64,
    target: Target,
    length: u64,
}

impl Strings {
    /// Begins to take what stands at the offset `at`; `bytes` are those from `position` on.
    pub(super) fn begin(&mut self, at: u64, position: u64, bytes: &[u8]) {
        let mut version = Version { at, bytes: [0; VERSION_BYTES], length: 0 };
        version.take(at, VERSION);
        version.take(position, bytes);
        self.versions.push(version);
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, position: u64, bytes: &[u8]) {
        let open = self.versions.iter_mut().rev().take_while(|version| version.length < VERSION_BYTES);
        // Those that lie in one piece are not many: each begins after the one before.
        open.take(VERSION_BYTES).for_each(|version| version.take(position, bytes));
    }

    /// Looks in data that the program may write for headers of strings of which the bytes are known already.
    pub(super) fn find_pointers(
        &mut self,
        position: u64,
        bytes: &[u8],
        before: &[u8],
        layout: &Layout,
        texts: &Texts,
    ) {
        if (self.versions.is_empty() && texts.is_empty()) || !layout.has_writable(position, bytes.len()) {
            self.pointer = None;
            return;
        }
        layout.words_in(position, bytes, before, |at, word| {
            if let Some((header, target)) = self.pointer.take()
                && let Some(address) = layout.address(header)
                && self.headers.len() < HEADERS
                && self.is_target(target, word, texts)
            {
                self.headers.push(Header { address, target, length: word });
            }
            self.pointer = layout.offset(word).map(|offset| (at, self.target(offset)));
        });
    }

    /// The version whose header has the address `header`.
    pub(super) fn version(&self, header: u64) -> Option<&str> {
        let header = self.headers.iter().find(|other| other.address == header)?;
        match header.target {
            Target::Version(number) => self.versions.get(number)?.text(header.length),
            Target::Text(_) => None,
        }
    }

    /// Offset and length of the text of modules whose header has the address `header`.
    pub(super) fn text(&self, header: u64) -> Option<(u64, u64)> {
        let header = self.headers.iter().find(|other| other.address == header)?;
        match header.target {
            Target::Text(at) => Some((at, header.length)),
            Target::Version(_) => None,
        }
    }

    fn target(&self, offset: u64) -> Target {
        let version = self.versions.binary_search_by_key(&offset, |version| version.at);
        // Texts are few, and whether there is one is asked with the length.
        version.map_or(Target::Text(offset), Target::Version)
    }

    fn is_target(&self, target: Target, length: u64, texts: &Texts) -> bool {
        match target {
            Target::Version(number) => {
                self.versions.get(number).is_some_and(|version| version.text(length).is_some())
            }
            Target::Text(at) => texts.is_at(at, length),
        }
    }
}

impl Version {
    /// Takes those of `bytes`, which stand at `position`, that belong to it.
    fn take(&mut self, position: u64, bytes: &[u8]) {
        let next = self.at + self.length as u64;
        let start = usize::try_from(next.saturating_sub(position)).unwrap_or(usize::MAX);
        let bytes = bytes.get(start..).unwrap_or_default();
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        self.length += bytes.len().min(room.len());
        room.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
    }

    /// Its first `length` bytes, when they are a version.
    fn text(&self, length: u64) -> Option<&str> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.length)?;
        std::str::from_utf8(self.bytes.get(..length)?).ok().filter(|text| is_version(text))
    }
}

#[cfg(test)]
impl Strings {
    /// Roughly the bytes that are kept.
    pub(super) fn memory(&self) -> usize {
        self.versions.capacity() * size_of::<Version>() + self.headers.capacity() * size_of::<Header>()
    }
}
