//! Limits on what one layer may ask of the process that reads it. A layer over a limit is read up to there, and the
//! rest becomes a problem of its inventory.

/// Limits of one layer. The defaults leave room for every layer met in practice, and keep a hostile one from taking
/// the process with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most entries of the archive.
    pub entries: u64,
    /// The longest path or link target in bytes; Linux itself takes 4,096.
    pub path_bytes: usize,
    /// The most bytes after decompression.
    pub unpacked_bytes: u64,
    /// The most bytes after decompression for each byte before it, once there are `expansion_floor_bytes` of them.
    pub expansion_ratio: u64,
    /// Bytes after decompression up to which no ratio is asked: a small file of zeros compresses very well.
    pub expansion_floor_bytes: u64,
    /// The most bytes of one file that are given to its reader; a reader may set less.
    pub file_bytes: usize,
    /// The most bytes of all files together that are given to readers, with the paths of all `kept_entries`; a hard link
    /// counts as its file.
    pub kept_bytes: usize,
    /// The most symbolic links, and entries at paths that matter.
    pub kept_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            path_bytes: 4096,
            unpacked_bytes: 64 << 30,
            expansion_ratio: 250,
            expansion_floor_bytes: 256 << 20,
            file_bytes: 32 << 20,
            kept_bytes: 128 << 20,
            kept_entries: 500_000,
        }
    }
}
