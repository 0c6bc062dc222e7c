//! A tar archive on disk, read in place: one pass notes where each member lies, and members are then read from the file.
//! Nothing is unpacked, and what is not asked for is not read.
//!
//! Specification: <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>, with the long names and large
//! numbers of [GNU](https://www.gnu.org/software/tar/manual/html_node/Standard.html).

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header, PaxExtensions};

/// Bytes of a block; members begin at one.
const BLOCK: u64 = 512;
/// The most bytes of a PAX header or a long name: names of members are short.
const META_BYTES: u64 = 1 << 20;
/// The most members. An image has one for each layer and a few more.
const MEMBERS: usize = 100_000;
/// How many links one name may lead through.
const LINKS: usize = 16;

/// An archive whose members can be read by their names.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    members: BTreeMap<String, Member>,
}

/// A file in the archive, or another name of one.
#[derive(Debug)]
enum Member {
    File(Place),
    Link(String),
}

/// Where the bytes of a member lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A file that cannot be read as an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read at all.
    #[error("failed to read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is compressed as a whole, so that no member can be found in place.
    #[error("failed to read {} in place: it is compressed with {tool}", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// What unpacks it: `gzip`, `zstd`.
        tool: &'static str,
    },
    /// It does not begin as an archive does.
    #[error("failed to read {}: it is no tar archive", path.display())]
    NoArchive {
        /// The file.
        path: PathBuf,
    },
    /// It begins as an archive, and cannot be read on.
    #[error("failed to read {}: the header at byte {offset} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the header is.
        offset: u64,
    },
    /// It ends within a member or a header.
    #[error("failed to read {}: it is cut off within {member}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The name of the member.
        member: String,
    },
    /// It has more members than any image.
    #[error("failed to read {}: it has more than {MEMBERS} members", path.display())]
    TooManyMembers {
        /// The file.
        path: PathBuf,
    },
}

impl Archive {
    /// Notes where the members of the archive at `path` are. Reads only headers; blocks while it does.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let unreadable = |source| ArchiveError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")));
        }
        let scan = Scan {
            path,
            file: BufReader::with_capacity(4096, file),
            length: metadata.len(),
            offset: 0,
            next: Overrides::default(),
        };
        Ok(Self { path: path.to_owned(), members: scan.members()? })
    }

    /// Whether there is a member with this name.
    pub fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the member is; links are followed.
    pub(crate) fn place(&self, name: &str) -> Option<Place> {
        let mut member = self.members.get(&clean(name))?;
        for _ in 0..LINKS {
            match member {
                Member::File(place) => return Some(*place),
                Member::Link(target) => member = self.members.get(target)?,
            }
        }
        None
    }
}

/// What headers before a member say about it.
#[derive(Default)]
struct Overrides {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// The pass over the headers.
struct Scan<'a> {
    path: &'a Path,
    file: BufReader<File>,
    length: u64,
    /// Where the next header is.
    offset: u64,
    next: Overrides,
}

impl Scan<'_> {
    fn members(mut self) -> Result<BTreeMap<String, Member>, ArchiveError> {
        let mut members = BTreeMap::new();
        while let Some(header) = self.header()? {
            let kind = header.entry_type();
            let own = header.entry_size().map_err(|_| self.damaged())?;
            if matches!(kind, EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink) {
                self.meta(kind, own)?;
                continue;
            }
            let Overrides { path, link, size } = if kind == EntryType::XGlobalHeader {
                Overrides::default()
            } else {
                std::mem::take(&mut self.next)
            };
            let name = text(&path.unwrap_or_else(|| header.path_bytes().into_owned()));
            let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
            let length = if is_file || kind == EntryType::XGlobalHeader { size.unwrap_or(own) } else { 0 };
            let place = Place { offset: self.offset.saturating_add(BLOCK), length };
            self.advance(length, &name)?;
            let target = link.or_else(|| header.link_name_bytes().map(Cow::into_owned));
            let target = target.map(|target| text(&target)).unwrap_or_default();
            let member = match kind {
                _ if is_file => Member::File(place),
                EntryType::Link => Member::Link(clean(&target)),
                // Docker writes one for each layer that the archive has already.
                EntryType::Symlink => Member::Link(beside(&name, &target)),
                _ => continue,
            };
            members.insert(clean(&name), member);
            if members.len() > MEMBERS {
                return Err(ArchiveError::TooManyMembers { path: self.path.to_owned() });
            }
        }
        Ok(members)
    }

    /// The next header; `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut header = Header::new_old();
        let left = self.length.saturating_sub(self.offset);
        if left < BLOCK {
            return match (self.offset, left) {
                (0, _) => Err(ArchiveError::NoArchive { path: self.path.to_owned() }),
                // Some writers leave out the blocks of zeros at the end.
                (_, 0) => Ok(None),
                _ => Err(self.truncated("a header")),
            };
        }
        let file = &mut self.file;
        let read = seek(file, self.offset).and_then(|()| file.read_exact(header.as_mut_bytes()));
        read.map_err(|source| self.unreadable(source))?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) && self.offset > 0 {
            return Ok(None);
        }
        if is_valid(&header) {
            return Ok(Some(header));
        }
        let path = self.path.to_owned();
        Err(match (self.offset, compression(bytes)) {
            (0, Some(tool)) => ArchiveError::Compressed { path, tool },
            (0, None) => ArchiveError::NoArchive { path },
            _ => self.damaged(),
        })
    }

    /// Reads a header that says more about the next member.
    fn meta(&mut self, kind: EntryType, size: u64) -> Result<(), ArchiveError> {
        if size > META_BYTES {
            return Err(self.damaged());
        }
        let begin = self.offset.saturating_add(BLOCK);
        let damaged = self.damaged();
        self.advance(size, "a header")?;
        let mut bytes = Vec::new();
        let file = &mut self.file;
        let read = seek(file, begin).and_then(|()| file.take(size).read_to_end(&mut bytes));
        read.map_err(|source| self.unreadable(source))?;
        let until_nul = |bytes: Vec<u8>| bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        match kind {
            EntryType::GNULongName => self.next.path = Some(until_nul(bytes)),
            EntryType::GNULongLink => self.next.link = Some(until_nul(bytes)),
            _ => {
                for record in PaxExtensions::new(&bytes) {
                    let Ok(record) = record else { return Err(damaged) };
                    match record.key_bytes() {
                        b"path" => self.next.path = Some(record.value_bytes().to_vec()),
                        b"linkpath" => self.next.link = Some(record.value_bytes().to_vec()),
                        b"size" => {
                            let size = record.value().ok().and_then(|size| size.parse().ok());
                            let Some(size) = size else { return Err(damaged) };
                            self.next.size = Some(size);
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Goes on behind a member of `length` bytes.
    fn advance(&mut self, length: u64, name: &str) -> Result<(), ArchiveError> {
        let end = self.offset.saturating_add(BLOCK).saturating_add(length);
        if end > self.length {
            return Err(self.truncated(name));
        }
        self.offset = end.next_multiple_of(BLOCK);
        Ok(())
    }

    fn unreadable(&self, source: io::Error) -> ArchiveError {
        ArchiveError::Unreadable { path: self.path.to_owned(), source }
    }

    fn damaged(&self) -> ArchiveError {
        ArchiveError::Damaged { path: self.path.to_owned(), offset: self.offset }
    }

    fn truncated(&self, member: &str) -> ArchiveError {
        ArchiveError::Truncated { path: self.path.to_owned(), member: member.to_owned() }
    }
}

/// Moves within what is buffered where that is possible.
fn seek(file: &mut BufReader<File>, offset: u64) -> io::Result<()> {
    let position = file.stream_position()?;
    match i64::try_from(i128::from(offset) - i128::from(position)) {
        Ok(relative) => file.seek_relative(relative),
        Err(_) => file.seek(SeekFrom::Start(offset)).map(drop),
    }
}

/// Whether the checksum of a header is right: the sum of its bytes, with the checksum's own as spaces.
fn is_valid(header: &Header) -> bool {
    let own = 148..156;
    let bytes = header.as_bytes().iter().enumerate();
    let sum: u32 = bytes.map(|(at, byte)| if own.contains(&at) { 32 } else { u32::from(*byte) }).sum();
    header.cksum().is_ok_and(|stated| stated == sum)
}

/// What a file that begins so is compressed with.
fn compression(bytes: &[u8]) -> Option<&'static str> {
    let magics: [(&[u8], &str); 4] = [
        (&[0x1f, 0x8b], "gzip"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh", "bzip2"),
    ];
    magics.into_iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, tool)| tool)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A name without `.` and `..`, and without a leading slash.
fn clean(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Where a symbolic link at `name` leads.
fn beside(name: &str, target: &str) -> String {
    let name = clean(name);
    match name.rsplit_once('/') {
        Some((directory, _)) if !target.starts_with('/') => clean(&format!("{directory}/{target}")),
        _ => clean(target),
    }
}
