//! Layer bytes to packages, and layers to one image: synchronous, bounded memory, no network.
//!
//! A [`LayerReader`] takes the compressed bytes of one layer as they arrive and gives its [`LayerInventory`]: what the
//! layer holds at the paths that matter, and what it hides of the layers below. [`merge()`] puts the inventories of an
//! image's layers together as a container runtime would mount them. A layer is read once, whoever uses it; merging
//! needs nothing but the inventories.
//!
//! A package database, lock file or other evidence of packages is read by a reader: one file in `readers/` and one
//! line in its table.

mod archive;
pub mod attestation;
mod compression;
mod contents;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod inventory;
mod layer;
mod license;
mod limits;
mod merge;
mod path_set;
mod paths;
mod pattern;
mod readers;
mod reading;
#[cfg(test)]
mod seeds;
pub mod vex;
mod zip;

pub use inventory::{FileContent, ImageInventory, LayerInventory, READER_VERSION};
pub use layer::{FolderReader, LayerError, LayerReader};
pub use limits::{IMAGE_PACKAGES, Limits, LimitsError};
pub use merge::merge;
pub use path_set::PathSet;
