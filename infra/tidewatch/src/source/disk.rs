//! An image on disk: an OCI image layout in a folder or in an archive, or an archive of `docker save`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RegistryId, RepositoryName};
use tidewatch_registries::{Archive, DockerArchive, DockerArchiveError, OciLayout};

use super::failure::{archive as archive_failure, explain_on_disk, no_image, not_chosen};
use super::{Kind, Target};
use crate::failure::Failure;

/// Opens `DIR[:TAG]`.
pub(super) async fn layout(text: &str) -> Result<Target, Failure> {
    let (directory, tag) = split(text, Path::is_dir);
    if !Path::new(directory).join("index.json").is_file() {
        return Err(Failure::new(anyhow!("there is no OCI image layout in {directory}")).hint(
            "it is a folder with a file index.json; this makes one: skopeo copy docker://IMAGE oci:DIR:TAG",
        ));
    }
    let place = format!("the image layout {directory}");
    let (id, repository) = names()?;
    let layout = OciLayout::open(id, repository, directory).await;
    let layout = layout.map_err(|error| explain_on_disk(Failure::new(error), &place))?;
    oci(layout, place, tag, &format!("oci:{directory}:TAG"))
}

/// Opens `FILE[:TAG]`, where the file is an archive of an OCI image layout.
pub(super) async fn oci_archive(text: &str) -> Result<Target, Failure> {
    let (file, tag) = split(text, Path::exists);
    let archive = open(file, "oci-archive").await?;
    if !archive.has("index.json") {
        return Err(no_image(Path::new(file), archive.has("manifest.json"), archive.has("repositories")));
    }
    layout_in(archive, file, tag, "oci-archive").await
}

/// Opens `FILE[:TAG]`, where the file is what `docker save` has written. Since Docker 25 that is an OCI image layout too,
/// which knows more: the digests of manifests.
pub(super) async fn docker_archive(text: &str) -> Result<Target, Failure> {
    let (file, tag) = split(text, Path::exists);
    let archive = open(file, "docker-archive").await?;
    if archive.has("index.json") {
        return layout_in(archive, file, tag, "docker-archive").await;
    }
    if !archive.has("manifest.json") {
        return Err(no_image(Path::new(file), false, archive.has("repositories")));
    }
    let place = format!("the archive {file}");
    let (id, repository) = names()?;
    let image = DockerArchive::open(id.clone(), repository.clone(), archive, tag).await;
    let image = image.map_err(|error| match error {
        DockerArchiveError::Choice(error) => {
            not_chosen(error, &place, &format!("docker-archive:{file}:REPOSITORY:TAG"))
        }
        DockerArchiveError::Content(error) => explain_on_disk(Failure::new(error), &place),
    })?;
    let manifest = ManifestReference::Digest(image.made_up_manifest());
    let kind = Kind::DockerArchive { image_id: image.image_id() };
    Ok(Target { registry: Arc::new(image), id, repository, manifest, place, kind })
}

async fn layout_in(
    archive: Arc<Archive>,
    file: &str,
    tag: Option<&str>,
    scheme: &str,
) -> Result<Target, Failure> {
    let place = format!("the archive {file}");
    let (id, repository) = names()?;
    let layout = OciLayout::in_archive(id, repository, archive).await;
    let layout = layout.map_err(|error| explain_on_disk(Failure::new(error), &place))?;
    oci(layout, place, tag, &format!("{scheme}:{file}:TAG"))
}

fn oci(layout: OciLayout, place: String, tag: Option<&str>, reference: &str) -> Result<Target, Failure> {
    let digest = layout.choose(tag).map_err(|error| not_chosen(error, &place, reference))?;
    let (id, repository) = names()?;
    let manifest = ManifestReference::Digest(digest);
    Ok(Target { registry: Arc::new(layout), id, repository, manifest, place, kind: Kind::Disk })
}

async fn open(file: &str, scheme: &str) -> Result<Arc<Archive>, Failure> {
    let path = PathBuf::from(file);
    let opened = tokio::task::spawn_blocking(move || Archive::open(&path)).await?;
    opened.map(Arc::new).map_err(|error| archive_failure(error, scheme))
}

/// What an image on disk is called where a registry has names.
fn names() -> Result<(RegistryId, RepositoryName), Failure> {
    Ok(("local".parse()?, "layout".parse()?))
}

/// Splits `PATH[:TAG]`. A colon that is part of the path is meant as such when there is something at that path, and a
/// tag may be a whole reference.
fn split(text: &str, exists: impl Fn(&Path) -> bool) -> (&str, Option<&str>) {
    let colons = text.rmatch_indices(':').map(|(at, _)| at);
    let paths = std::iter::once((text, None))
        .chain(colons.filter_map(|at| Some((text.get(..at)?, text.get(at + 1..)))));
    let found = paths.clone().find(|(path, _)| exists(Path::new(path)));
    found.unwrap_or_else(|| text.split_once(':').map_or((text, None), |(path, tag)| (path, Some(tag))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_belongs_to_the_path_where_there_is_something_at_that_path() {
        let exists = |path: &Path| [Path::new("a"), Path::new("b:1")].contains(&path);
        assert_eq!(split("a", exists), ("a", None));
        assert_eq!(split("a:v1", exists), ("a", Some("v1")));
        assert_eq!(split("a:host:5000/web:v1", exists), ("a", Some("host:5000/web:v1")));
        assert_eq!(split("b:1", exists), ("b:1", None));
        assert_eq!(split("b:1:v1", exists), ("b:1", Some("v1")));
        assert_eq!(split("missing:v1", exists), ("missing", Some("v1")));
    }
}
