//! What reading a layer gives, which is a stored format, and what merging layers gives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::package::{Distribution, Package};
use tidewatch_core::problem::Problem;
use tidewatch_core::result::Inventory;
use tidewatch_core::vex::VexDocument;

use crate::path_set::PathSet;

pub use tidewatch_core::basis::READER_VERSION;

/// What one layer holds, and what it hides of the layers below: all that an exact merge needs. Paths have no leading
/// slash; the root is the empty path. A stored format, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInventory {
    /// The [`READER_VERSION`] that made it.
    pub reader_version: u32,
    /// Digest of the layer as it lies in the registry, compressed.
    pub layer: Digest,
    /// The files that a reader has read.
    pub files: BTreeMap<String, FileContent>,
    /// The symbolic links, each with its target as it stands.
    pub links: BTreeMap<String, String>,
    /// Everything that is no directory: `files`, `links`, and what no reader wants.
    pub leaves: PathSet,
    /// The directories, also those that only the paths below them imply.
    pub directories: PathSet,
    /// The directories in which nothing of the layers below is seen.
    pub opaque: PathSet,
    /// The whiteouts where the layer itself has nothing: what the layers below have at and below the path is gone.
    pub whiteouts: PathSet,
    /// What of the layer itself could not be read: a truncated stream, a damaged archive, a limit. Not empty means that
    /// the rest may lack something.
    pub problems: Vec<Problem>,
}

/// What a reader found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// Id of the reader.
    pub reader: String,
    /// The packages that the file says are installed, or asks for. Their locations are empty: merging fills them in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// The distribution that the file names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// The files that the packages have put in place.
    #[serde(default, skip_serializing_if = "PathSet::is_empty")]
    pub owned: PathSet,
    /// The licence that the file says a package has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// What the file says of vulnerabilities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vex: Vec<VexDocument>,
    /// Why something in the file could not be used: lower-case fragments. They count only while the file is visible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl FileContent {
    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let packages = self.packages.iter().map(|package| {
            let source = package.source.as_ref();
            size_of::<Package>()
                + package.name.len()
                + package.version.len()
                + source.map_or(0, |source| source.name.len() + source.version.len())
                + text(&package.architecture)
                + text(&package.license)
                + text(&package.sha1)
        });
        let problems = self.problems.iter().map(String::len);
        packages.chain(problems).fold(8 * self.owned.len() + text(&self.license), usize::saturating_add)
    }
}

/// What an image holds, as a container of it would see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageInventory {
    /// The distribution that the image names; `None` when it names none that can be read.
    pub distribution: Option<Distribution>,
    /// The packages, sorted, each once: a package that several files name has several locations.
    pub packages: Vec<Package>,
    /// Packages of languages in files that a package of the distribution has put in place, sorted. They are there, and
    /// do not count beside that package: who maintains it answers for what is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owned: Vec<Package>,
    /// What the image itself says of vulnerabilities, in the order of the paths of its documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vex: Vec<VexDocument>,
    /// What could not be read, sorted, each once. Not empty means that the image is only partly known.
    pub problems: Vec<Problem>,
}

/// What is matched and judged of it. What a package of the distribution brings with it counts as that package.
impl From<ImageInventory> for Inventory {
    fn from(inventory: ImageInventory) -> Self {
        let ImageInventory { distribution, packages, problems, .. } = inventory;
        Self { distribution, packages, problems }
    }
}
