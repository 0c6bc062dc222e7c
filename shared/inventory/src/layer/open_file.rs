//! The file whose content is coming by: kept as its reader needs it, or looked through when it is a program.

use std::io;

use tidewatch_core::package::Package;

use super::tree::Directory;
use crate::contents::Contents;
use crate::inventory::FileContent;
use crate::limits::Limits;
use crate::readers::{Access, Evidence, Reader, SCANNERS, Scan};
use crate::reading::{InputFile, RandomFile, Reading};

/// Bytes that tell a program from other files.
const MAGIC_BYTES: usize = 4;

/// The fewest bytes of a program with anything in it. Shorter files are not looked at.
pub(super) const SMALLEST_PROGRAM: u64 = 512;

/// The most bytes for which room is made at once: sizes are only what an archive says.
const FIRST_ROOM: u64 = 1 << 20;

/// A file whose content is being taken.
pub(super) struct OpenFile {
    /// The directory that it is in.
    pub(super) directory: Directory,
    /// Its name in it.
    pub(super) name: String,
    /// Its path.
    pub(super) path: String,
    /// Bytes in the archive.
    size: u64,
    taken: u64,
    content: Content,
}

enum Content {
    Whole {
        reader: &'static Reader,
        read: fn(&InputFile<'_>) -> Reading,
        bytes: Vec<u8>,
        most: usize,
    },
    Random {
        reader: &'static Reader,
        contents: Contents,
    },
    /// What another file is read with.
    Companion(Contents),
    /// Fewer bytes than tell whether it is a program.
    Unknown(Vec<u8>),
    Program(Vec<(&'static str, Box<dyn Scan + Send>)>),
    /// Nothing that anybody reads.
    Unwanted,
}

/// A file that was taken to its end.
pub(super) enum TakenFile {
    /// Nobody reads it.
    Unread,
    /// What is in it, and how many bytes of it were in memory.
    Read(FileContent, usize),
    /// It is read when all of the layer has come by, because there may be a companion.
    Waits(&'static Reader, Contents),
    /// What another file is read with.
    Companion(Contents),
}

impl OpenFile {
    /// Begins the file `name` in `directory`, at `path`, of `size` bytes, for `reader`; without one it is looked at, and
    /// read on when it is a program.
    pub(super) fn new(
        directory: Directory,
        name: String,
        path: String,
        size: u64,
        reader: Option<&'static Reader>,
        limits: &Limits,
    ) -> Self {
        let content = match reader.map(|reader| (reader, reader.access)) {
            Some((reader, Access::Whole(read))) => {
                let most = usize::try_from(reader.file_bytes).unwrap_or(usize::MAX).min(limits.file_bytes);
                let room = usize::try_from(size.min(FIRST_ROOM)).unwrap_or(0).min(most);
                Content::Whole { reader, read, bytes: Vec::with_capacity(room), most }
            }
            Some((reader, Access::Random(_) | Access::RandomWith { .. })) => {
                Content::Random { reader, contents: Contents::new() }
            }
            None => Content::Unknown(Vec::new()),
        };
        Self { directory, name, path, size, taken: 0, content }
    }

    /// Begins the file `name` in `directory`, at `path`, of `size` bytes, that another one is read with.
    pub(super) const fn companion(directory: Directory, name: String, path: String, size: u64) -> Self {
        Self { directory, name, path, size, taken: 0, content: Content::Companion(Contents::new()) }
    }

    /// Takes the next bytes. An error is one of the temporary folder.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.taken += bytes.len() as u64;
        match &mut self.content {
            Content::Whole { bytes: kept, most, .. } => {
                let room = most.saturating_sub(kept.len());
                kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            }
            Content::Random { contents, .. } | Content::Companion(contents) => contents.append(bytes)?,
            Content::Unknown(head) => {
                if head.is_empty() && bytes.len() >= MAGIC_BYTES {
                    self.content = Content::begin(bytes);
                } else {
                    head.extend_from_slice(bytes);
                    if head.len() >= MAGIC_BYTES {
                        self.content = Content::begin(&std::mem::take(head));
                    }
                }
            }
            Content::Program(scans) => scans.iter_mut().for_each(|(_, scan)| scan.push(bytes)),
            Content::Unwanted => {}
        }
        Ok(())
    }

    /// Bytes of it that are in memory.
    pub(super) const fn kept_bytes(&self) -> usize {
        match &self.content {
            Content::Whole { bytes, .. } => bytes.len(),
            Content::Random { .. }
            | Content::Companion(_)
            | Content::Unknown(_)
            | Content::Program(_)
            | Content::Unwanted => 0,
        }
    }

    /// Whether the bytes that come matter.
    pub(super) const fn wants_more(&self) -> bool {
        !matches!(self.content, Content::Unwanted)
    }

    /// Gives it up, because of `reason`.
    pub(super) fn unread(self, reason: String) -> TakenFile {
        let bytes = self.kept_bytes();
        let reader = match self.content {
            Content::Whole { reader, .. } | Content::Random { reader, .. } => reader.id,
            Content::Companion(_) | Content::Unknown(_) | Content::Program(_) | Content::Unwanted => {
                return TakenFile::Unread;
            }
        };
        TakenFile::Read(content_of(reader, Reading::default(), Some(reason)), bytes)
    }

    /// There are no more bytes; when not `complete`, because the archive is cut off. Gives at most `packages` packages.
    pub(super) fn finish(self, complete: bool, packages: usize) -> TakenFile {
        let Self { path, size, taken, content, .. } = self;
        let cut = (!complete).then(|| format!("is cut off after {taken} of {size} bytes"));
        match content {
            Content::Whole { reader, read, bytes, .. } => {
                let is_whole = u64::try_from(bytes.len()) == Ok(size);
                let reading = read(&InputFile { path: &path, bytes: &bytes, complete: is_whole, packages });
                // What is only said about packages is no evidence of any.
                let over = (complete && !is_whole && reader.evidence != Evidence::About)
                    .then(|| format!("has {size} bytes, of which the first {} were read", bytes.len()));
                TakenFile::Read(content_of(reader.id, reading, cut.or(over)), bytes.len())
            }
            Content::Random { reader, .. } if !complete => {
                TakenFile::Read(content_of(reader.id, Reading::default(), cut), 0)
            }
            Content::Random { reader, contents } => match reader.access {
                Access::Random(read) => {
                    let reading = read(&RandomFile { path: &path, contents: &contents, packages });
                    TakenFile::Read(content_of(reader.id, reading, None), 0)
                }
                Access::RandomWith { .. } | Access::Whole(_) => TakenFile::Waits(reader, contents),
            },
            Content::Companion(contents) => TakenFile::Companion(contents),
            Content::Program(scans) => match program(scans, complete, packages, cut) {
                Some(content) => TakenFile::Read(content, 0),
                None => TakenFile::Unread,
            },
            Content::Unknown(_) | Content::Unwanted => TakenFile::Unread,
        }
    }
}

impl Content {
    /// The content of a file that begins with `head`, at least [`MAGIC_BYTES`] of it.
    fn begin(head: &[u8]) -> Self {
        if !is_program(head) {
            return Self::Unwanted;
        }
        let mut scans: Vec<_> = SCANNERS.iter().map(|scanner| (scanner.id, (scanner.start)())).collect();
        for (_, scan) in &mut scans {
            scan.push(head);
        }
        Self::Program(scans)
    }
}

/// Whether a file that begins so is an ELF, PE or Mach-O program.
fn is_program(head: &[u8]) -> bool {
    matches!(
        head,
        [0x7f, b'E', b'L', b'F', ..]
            | [b'M', b'Z', ..]
            | [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..]
            | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..]
    )
}

/// What all scanners together have found in a program; `None` when that is nothing.
fn program(
    scans: Vec<(&'static str, Box<dyn Scan + Send>)>,
    complete: bool,
    packages: usize,
    cut: Option<String>,
) -> Option<FileContent> {
    let mut found: Option<FileContent> = None;
    let mut left = packages;
    for (id, scan) in scans {
        let content = content_of(id, scan.finish(complete, left), None);
        left = left.saturating_sub(content.packages.len());
        if content.packages.is_empty() && content.problems.is_empty() {
            continue;
        }
        if let Some(found) = &mut found {
            found.packages.extend(content.packages);
            found.problems.extend(content.problems);
        } else {
            found = Some(content);
        }
    }
    // A program that is cut off may have had anything in the rest.
    match (&mut found, cut) {
        (Some(found), Some(cut)) => found.problems.push(cut),
        (None, Some(cut)) => {
            let reader = SCANNERS.first()?.id.to_owned();
            found = Some(FileContent { reader, problems: vec![cut], ..FileContent::default() });
        }
        (_, None) => {}
    }
    found
}

pub(super) fn content_of(reader: &str, reading: Reading, problem: Option<String>) -> FileContent {
    let Reading { packages, distribution, owned, license, vex, problems } = reading;
    let over = owned.problem();
    let mut problems = problems.into_reasons();
    problems.extend(over.into_iter().chain(problem));
    FileContent {
        reader: reader.to_owned(),
        packages: packages.into_iter().map(|package| Package { locations: Vec::new(), ..package }).collect(),
        distribution,
        owned: owned.into_hashes().into_iter().collect(),
        license,
        vex,
        problems,
    }
}
