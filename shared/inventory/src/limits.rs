//! Limits on what one layer, and what one image, may ask of the process that reads it. What is over a limit is read up
//! to there, and the rest becomes a problem of the inventory.

/// The most packages of one image, each counted once for each file that names it. More of them are a problem.
pub const IMAGE_PACKAGES: usize = 100_000;

/// The most bytes of paths that are looked up to follow the links of one image; counted as [`Limits::resolved_bytes`].
pub(crate) const IMAGE_RESOLVED_BYTES: u64 = 64 << 20;

/// Limits of one layer. The defaults leave room for every layer met in practice, and keep a hostile one from taking
/// the process with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most entries of the archive. A million of them need some 40 MiB.
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
    /// The most bytes of all files together that are given to readers, with the paths of all links and files and what is
    /// wrong with the files; a hard link counts as its file.
    pub kept_bytes: usize,
    /// The most bytes of one file that is read at any place of it, as Java archives and databases of RPM are. What has
    /// over 8 MiB lies in the temporary folder meanwhile, one file of a layer at a time.
    pub spilled_bytes: u64,
    /// The most symbolic links and files that are read.
    pub kept_entries: usize,
    /// The most packages of all files together; those of a hard link count again.
    pub packages: usize,
    /// The most bytes of paths that are looked up to find where the entries of the layer really are: every directory on
    /// the way counts with its whole path, and every link with its target.
    pub resolved_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 900_000,
            path_bytes: 4096,
            unpacked_bytes: 64 << 30,
            expansion_ratio: 250,
            expansion_floor_bytes: 256 << 20,
            file_bytes: 16 << 20,
            kept_bytes: 128 << 20,
            spilled_bytes: 400 << 20,
            kept_entries: 250_000,
            packages: 50_000,
            resolved_bytes: 2 << 30,
        }
    }
}
