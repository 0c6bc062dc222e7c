//! What reading a layer gives, which is a stored format, and what merging layers gives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::package::{Distribution, Package};
use tidewatch_core::problem::Problem;

/// Version of the readers and of the merge. It is raised whenever the same layer would give another inventory: results
/// of older readers stay valid, and are known to be older.
pub const READER_VERSION: u32 = 2;

/// What one layer holds at the paths that matter, and what it hides of the layers below: all that an exact merge needs.
/// A stored format, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInventory {
    /// The [`READER_VERSION`] that made it.
    pub reader_version: u32,
    /// Digest of the layer as it lies in the registry, compressed.
    pub layer: Digest,
    /// What the layer has at each path that matters: the files that are read, and every directory above them. Paths
    /// have no leading slash; the root is the empty path, and is there only when it is opaque.
    pub entries: BTreeMap<String, Entry>,
    /// What of the layer itself could not be read: a truncated stream, a damaged archive, a limit. Not empty means that
    /// `entries` may lack something.
    pub problems: Vec<Problem>,
}

/// What a layer has at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Entry {
    /// A directory, also one that only the paths below it imply.
    Directory {
        /// It hides what the layers below have in it: an opaque whiteout in it, or a whiteout of itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        opaque: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as it stands.
        target: String,
    },
    /// A whiteout: what the layers below have at and below the path is gone.
    Whiteout,
    /// A file that a reader has read.
    File(FileContent),
    /// Anything else that hides what was there: a device, or a file where directories are looked for.
    Other,
}

/// What a reader found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// Id of the reader.
    pub reader: String,
    /// The packages that the file says are installed. Their locations are empty: merging fills them in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// The distribution that the file names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Why something in the file could not be used: lower-case fragments. They count only while the file is visible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What an image holds, as a container of it would see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageInventory {
    /// The distribution that the image names; `None` when it names none that can be read.
    pub distribution: Option<Distribution>,
    /// The packages, sorted, each once: a package that several files name has several locations.
    pub packages: Vec<Package>,
    /// The packages of languages that a package of the distribution has put in place, sorted, each once. They are part of
    /// that package, and do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owned: Vec<Package>,
    /// What could not be read, sorted, each once. Not empty means that the image is only partly known.
    pub problems: Vec<Problem>,
}
