//! Finds the few texts by which a Go program is known, in pieces of any size.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Begins the build information.
pub(super) const MAGIC: &[u8; 14] = b"\xff Go buildinf:";

/// Stands before what is recorded of modules.
pub(super) const TEXT_START: &[u8; 16] = b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6";

/// Stands behind what is recorded of modules.
pub(super) const TEXT_END: &[u8; 16] = b"\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2";

/// Begins the version of Go.
pub(super) const VERSION: &[u8; 4] = b"go1.";

/// Of a text that lies in two pieces at most so many bytes lie in the first.
const OVERLAP: usize = TEXT_START.len() - 1;

/// Where build information may be: its place in the file is a multiple of this.
const ALIGNMENT: u64 = 16;

/// The most places of versions that one program is searched for.
const VERSIONS: usize = 4096;

static FINDERS: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [Finder::new(MAGIC), Finder::new(TEXT_START), Finder::new(VERSION)]);

/// What is known of the bytes that came by.
#[derive(Debug, Default)]
pub(super) struct Search {
    position: u64,
    /// The last bytes that came by.
    last: Vec<u8>,
    versions: usize,
}

/// What was found in one piece: offsets in the file of what ends in it, in order.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Of [`MAGIC`].
    pub(super) headers: Vec<u64>,
    /// Of [`TEXT_START`].
    pub(super) texts: Vec<u64>,
    /// Of [`VERSION`].
    pub(super) versions: Vec<u64>,
    /// The bytes before the piece, as many as may be of use.
    pub(super) before: Vec<u8>,
}

impl Search {
    /// Offset in the file of the next byte.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Searches the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Found {
        let mut found = Found { before: self.last.clone(), ..Found::default() };
        let [magic, text, version] = &*FINDERS;
        self.find(magic, bytes, |at| {
            if at.is_multiple_of(ALIGNMENT) {
                found.headers.push(at);
            }
            true
        });
        self.find(text, bytes, |at| {
            found.texts.push(at);
            true
        });
        let room = VERSIONS.saturating_sub(self.versions);
        if room > 0 {
            self.find(version, bytes, |at| {
                found.versions.push(at);
                found.versions.len() < room
            });
        }
        self.versions += found.versions.len();
        self.position = self.position.saturating_add(bytes.len() as u64);
        let new = bytes.get(bytes.len().saturating_sub(OVERLAP)..).unwrap_or_default();
        self.last.extend_from_slice(new);
        self.last.drain(..self.last.len().saturating_sub(OVERLAP));
        found
    }

    /// Gives `take` the offset of every match that ends in `bytes`, until it says `false`.
    fn find(&self, finder: &Finder<'_>, bytes: &[u8], mut take: impl FnMut(u64) -> bool) {
        let (last, overlap) = (self.last.len(), finder.needle().len() - 1);
        let mut seam = [0_u8; 2 * OVERLAP];
        let (from, new) = (last.saturating_sub(overlap), overlap.min(bytes.len()));
        let parts = [self.last.get(from..).unwrap_or_default(), bytes.get(..new).unwrap_or_default()];
        let length = last - from + new;
        seam.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, byte)| *to = *byte);
        let seam = seam.get(..length).unwrap_or_default();
        let seam_position = self.position - (last - from) as u64;
        let in_seam = finder.find_iter(seam).map(|at| seam_position + at as u64);
        let in_piece = finder.find_iter(bytes).map(|at| self.position + at as u64);
        for at in in_seam.chain(in_piece) {
            if !take(at) {
                break;
            }
        }
    }
}
