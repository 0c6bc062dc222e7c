//! Builds layers: tar archives with known bytes. The same calls give the same bytes: every time, owner and mode is fixed.

use std::io::Write;

use bytes::Bytes;
use tar::{EntryType, Header};
use tidewatch_core::Digest;

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar archive.
    None,
    /// One gzip member.
    #[default]
    Gzip,
    /// One zstd frame.
    Zstd,
}

impl Compression {
    /// `bytes`, compressed.
    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::None => bytes.to_vec(),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).expect("writing to memory");
                encoder.finish().expect("writing to memory")
            }
            Self::Zstd => zstd::encode_all(bytes, 3).expect("compressing in memory"),
        }
    }
}

/// A layer as it lies in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The compressed bytes.
    pub bytes: Bytes,
    /// Digest of `bytes`.
    pub digest: Digest,
    /// Digest of the archive before compression, as the image's configuration names it.
    pub diff_id: Digest,
    /// How it is compressed.
    pub compression: Compression,
}

impl Layer {
    /// The layer whose archive is `archive`.
    pub fn from_archive(archive: &[u8], compression: Compression) -> Self {
        let bytes = Bytes::from(compression.compress(archive));
        Self { digest: Digest::of(&bytes), diff_id: Digest::of(archive), bytes, compression }
    }
}

/// Builds a layer entry by entry, in the order of the calls. Only the entries that are asked for are written: parents
/// are not.
#[derive(Default)]
pub struct LayerBuilder {
    archive: Option<tar::Builder<Vec<u8>>>,
    compression: Compression,
}

impl LayerBuilder {
    /// A layer without entries, to be compressed with gzip.
    pub fn new() -> Self {
        Self::default()
    }

    /// Compresses the layer with `compression`.
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// A regular file.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        let mut header = header(EntryType::Regular, 0o644);
        header.set_size(content.len() as u64);
        self.archive().append_data(&mut header, path, content).expect("writing to memory");
        self
    }

    /// A directory.
    #[must_use]
    pub fn dir(mut self, path: &str) -> Self {
        let mut header = header(EntryType::Directory, 0o755);
        self.archive().append_data(&mut header, path, std::io::empty()).expect("writing to memory");
        self
    }

    /// A symbolic link to `target`, which is written as it stands.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.link(EntryType::Symlink, path, target)
    }

    /// A hard link to the entry `target` of the same layer.
    #[must_use]
    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.link(EntryType::Link, path, target)
    }

    /// A whiteout: hides `path` of the layers below.
    #[must_use]
    pub fn whiteout(self, path: &str) -> Self {
        let (directory, name) =
            path.rsplit_once('/').map_or(("", path), |(directory, name)| (directory, name));
        let separator = if directory.is_empty() { "" } else { "/" };
        self.file(&format!("{directory}{separator}.wh.{name}"), "")
    }

    /// An opaque whiteout: hides what the layers below have in `directory`.
    #[must_use]
    pub fn opaque(self, directory: &str) -> Self {
        let separator = if directory.is_empty() { "" } else { "/" };
        self.file(&format!("{directory}{separator}.wh..wh..opq"), "")
    }

    /// The finished layer.
    pub fn build(mut self) -> Layer {
        self.archive();
        let archive = self.archive.take().expect("made above").into_inner().expect("writing to memory");
        Layer::from_archive(&archive, self.compression)
    }

    fn link(mut self, entry_type: EntryType, path: &str, target: &str) -> Self {
        let mut header = header(entry_type, 0o777);
        self.archive().append_link(&mut header, path, target).expect("writing to memory");
        self
    }

    fn archive(&mut self) -> &mut tar::Builder<Vec<u8>> {
        self.archive.get_or_insert_with(|| tar::Builder::new(Vec::new()))
    }
}

fn header(entry_type: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(entry_type);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_calls_give_the_same_bytes() {
        let build = || {
            LayerBuilder::new()
                .dir("etc")
                .file("etc/os-release", "ID=alpine\n")
                .symlink("lib", "usr/lib")
                .whiteout("etc/motd")
                .opaque("var")
                .build()
        };
        assert_eq!(build(), build());
        assert_eq!(build().digest, Digest::of(&build().bytes));
    }

    #[test]
    fn a_path_of_any_length_is_written() {
        let path = "long/".repeat(60) + "name";
        let layer = LayerBuilder::new().compression(Compression::None).file(&path, "x").build();
        let mut archive = tar::Archive::new(&layer.bytes[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some(path.as_str()));
    }
}
