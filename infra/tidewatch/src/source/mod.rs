//! What `tidewatch scan` and `tidewatch inventory` are given: a reference to an image in a registry, to one on disk, or
//! to a folder; and how its layers are read.

mod disk;
mod failure;
mod folder;
mod image;
mod registry;

use std::path::PathBuf;
use std::sync::Arc;

use tidewatch_core::Digest;
use tidewatch_core::image::{ManifestReference, Platform};
use tidewatch_core::metadata::ManifestMetadata;
use tidewatch_core::names::{RegistryId, RepositoryName};
use tidewatch_core::ports::Registry;
use tidewatch_inventory::ImageInventory;

use crate::cli::ImageArguments;
use crate::failure::Failure;
use crate::output::ProgressBars;

pub(crate) use image::config_of;

/// What a reference leads to.
enum Source {
    Image(Target),
    Folder(PathBuf),
}

/// An image, and where it is.
struct Target {
    registry: Arc<dyn Registry>,
    id: RegistryId,
    repository: RepositoryName,
    manifest: ManifestReference,
    /// Where it is, for people: the host, or the folder or file.
    place: String,
    kind: Kind,
}

/// What kind of place an image is in.
enum Kind {
    /// A registry, and the image's name there.
    Remote(RemoteName),
    /// A file or folder that has the image's own manifest.
    Disk,
    /// An archive that has none. Its image is known by its id.
    DockerArchive { image_id: Digest },
}

/// The name of an image in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteName {
    /// The registry's host as it was given.
    pub(crate) host: String,
    /// The repository.
    pub(crate) repository: String,
    /// The tag; `None` when it was named by its digest.
    pub(crate) tag: Option<String>,
}

/// What was read.
pub(crate) struct ReadImage {
    /// The digest of its manifest; of an archive without one that of its config, which is its id; a folder has none.
    pub(crate) digest: Option<Digest>,
    /// Its platform; a folder has none.
    pub(crate) platform: Option<Platform>,
    /// Its name, in a registry.
    pub(crate) name: Option<RemoteName>,
    /// What it holds.
    pub(crate) inventory: ImageInventory,
    /// What its manifest and its configuration say; a folder has none.
    pub(crate) said: Option<ManifestMetadata>,
}

/// Reads the image or folder that the arguments name, and shows the progress unless `quiet`.
pub(crate) async fn read(quiet: bool, arguments: &ImageArguments) -> Result<ReadImage, Failure> {
    let source = open(arguments).await?;
    let bars = ProgressBars::new(quiet);
    match source {
        Source::Folder(path) => folder::read(path, arguments.limits.get(), &bars).await,
        Source::Image(target) => image::read(&target, arguments, &bars)
            .await
            .map_err(|failure| failure::explain(failure, &target, arguments)),
    }
}

async fn open(arguments: &ImageArguments) -> Result<Source, Failure> {
    Ok(match arguments.reference.split_once(':') {
        Some(("oci", text)) => Source::Image(disk::layout(text).await?),
        Some(("oci-archive", text)) => Source::Image(disk::oci_archive(text).await?),
        Some(("docker-archive", text)) => Source::Image(disk::docker_archive(text).await?),
        Some(("dir", path)) => Source::Folder(folder::open(path)?),
        _ => Source::Image(registry::open(arguments).await?),
    })
}
