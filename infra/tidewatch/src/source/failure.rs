//! Why an image could not be read, in words of what the user named, with what to do next.

use std::path::Path;

use anyhow::anyhow;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_registries::{ArchiveError, ChoiceError};
use tidewatch_runtime::messages::describe;
use tidewatch_scan_image::ScanError;

use super::{Kind, Target};
use crate::cli::ImageArguments;
use crate::failure::Failure;

/// What to do about a layer that arrived damaged.
const TRY_AGAIN: &str = "try again; if it stays so, the registry holds a damaged layer: push the image again";

/// What to do about damage on disk.
const DAMAGED: &str = "it is incomplete or damaged: save or copy the image again";

/// The failure in words of what the user named, with what to do next, when it is one of the registry.
pub(super) fn explain(failure: Failure, target: &Target, arguments: &ImageArguments) -> Failure {
    let place = &target.place;
    if !matches!(target.kind, Kind::Remote(_)) {
        return explain_on_disk(failure, place);
    }
    let Some(error) = failure.cause::<RegistryError>() else {
        return if is_damage(&failure) { failure.hint(TRY_AGAIN) } else { failure };
    };
    let text = match error {
        RegistryError::Unavailable { what, source, .. } => {
            format!("failed to reach {place} for {what}: {}", describe(source.as_ref()))
        }
        RegistryError::Throttled { what, .. } => format!("{place} throttles {what}"),
        RegistryError::Denied { what, reason, .. } => format!("{place} refused {what}: {reason}"),
        RegistryError::NotFound { what, .. } => format!("{place} has no {what}"),
        RegistryError::Invalid { what, reason, .. } => {
            format!("{place} gave a wrong answer for {what}: {reason}")
        }
        RegistryError::Misconfigured { reason, .. } => format!("failed to open {place}: {reason}"),
    };
    let hint = match (error, &arguments.credentials_env) {
        (RegistryError::Unavailable { .. }, _) if !arguments.plain_http => {
            "check the host and the network; a registry that speaks http, not https, needs --plain-http"
                .to_owned()
        }
        (RegistryError::Unavailable { .. }, _) => "check the host and the network".to_owned(),
        (RegistryError::Throttled { .. }, _) => "try again later, or with credentials".to_owned(),
        (RegistryError::Denied { .. }, None) => {
            "give credentials: --credentials-env VAR, where the variable VAR holds USER:PASSWORD".to_owned()
        }
        (RegistryError::Denied { .. }, Some(variable)) => {
            format!("check the name of the image, and the USER:PASSWORD in {variable}")
        }
        (RegistryError::NotFound { .. }, _) => "check the repository and the tag".to_owned(),
        (RegistryError::Invalid { .. } | RegistryError::Misconfigured { .. }, _) => {
            return Failure::new(anyhow!(text));
        }
    };
    Failure::new(anyhow!(text)).hint(hint)
}

/// The failure of what is in a file or folder.
pub(super) fn explain_on_disk(failure: Failure, place: &str) -> Failure {
    let Some(error) = failure.cause::<RegistryError>() else {
        let text = format!("{place}: {}", failure.text());
        return if is_damage(&failure) { Failure::new(anyhow!(text)).hint(DAMAGED) } else { failure };
    };
    Failure::new(anyhow!(on_disk(error, place))).hint(DAMAGED)
}

/// The failure to find the image in a file or folder that may hold several; `reference` is how one is named.
pub(super) fn not_chosen(error: ChoiceError, place: &str, reference: &str) -> Failure {
    let failure = |error| anyhow::Error::new(error).context(format!("failed to find the image in {place}"));
    match error {
        ChoiceError::Nothing => Failure::new(failure(error)).hint(DAMAGED),
        ChoiceError::Unknown { .. } => {
            Failure::new(failure(error)).hint(format!("name one that is there: {reference}"))
        }
        ChoiceError::NoName { .. } => {
            Failure::wrong_use(failure(error)).hint(format!("name the tag: {reference}"))
        }
        ChoiceError::Ambiguous { .. } => Failure::wrong_use(failure(error))
            .hint("give the whole name of one, with its registry and repository"),
    }
}

fn on_disk(error: &RegistryError, place: &str) -> String {
    match error {
        RegistryError::Unavailable { what, source, .. } => {
            format!("failed to read the {what} in {place}: {}", describe(source.as_ref()))
        }
        RegistryError::NotFound { what, .. } => format!("{place} has no {what}"),
        RegistryError::Invalid { what, reason, .. } => {
            format!("failed to read {what} in {place}: {reason}")
        }
        error => error.to_string(),
    }
}

/// Whether bytes came that are not those that were asked for.
fn is_damage(failure: &Failure) -> bool {
    matches!(failure.cause(), Some(ScanError::Layer(_) | ScanError::OversizedLayer { .. }))
}

/// The failure of a file that is no archive that can be read; `scheme` is how it was named.
pub(super) fn archive(error: ArchiveError, scheme: &str) -> Failure {
    let makes = if scheme == "docker-archive" {
        "docker save --output FILE IMAGE"
    } else {
        "skopeo copy docker://IMAGE oci-archive:FILE:TAG"
    };
    match &error {
        ArchiveError::Unreadable { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::new(anyhow!("there is no file {}", path.display()))
                .hint(format!("check its name; this makes one: {makes}"))
        }
        ArchiveError::Unreadable { path, .. } if path.is_dir() => {
            let scheme = if path.join("index.json").exists() { "oci" } else { "dir" };
            let hint = format!("a folder is named so: {scheme}:{}", path.display());
            Failure::new(anyhow!("{} is a folder", path.display())).hint(hint)
        }
        ArchiveError::Compressed { path, tool } => {
            let hint = format!("unpack it first: {tool} --decompress --keep {}", path.display());
            Failure::new(error).hint(hint)
        }
        ArchiveError::NoArchive { .. } => Failure::new(error).hint(format!("this makes one: {makes}")),
        ArchiveError::Unreadable { .. } => Failure::new(error).hint("check who may read it"),
        ArchiveError::Damaged { .. }
        | ArchiveError::Truncated { .. }
        | ArchiveError::TooManyMembers { .. } => Failure::new(error).hint(DAMAGED),
    }
}

/// The failure of an archive that holds no image of the kind that it was named as.
pub(super) fn no_image(path: &Path, has_manifest: bool, has_repositories: bool) -> Failure {
    let file = path.display();
    if has_manifest {
        return Failure::new(anyhow!("there is no OCI image layout in {file}"))
            .hint(format!("`docker save` has written it, and then it is named so: docker-archive:{file}"));
    }
    if has_repositories {
        return Failure::new(anyhow!("{file} has no manifest.json: it was saved by Docker before 1.10"))
            .hint("load it into a newer Docker, and save it again");
    }
    Failure::new(anyhow!("there is no image in {file}: it has neither index.json nor manifest.json")).hint(
        "`docker save` and `skopeo copy` make archives of images; the root of a file system is read once it is unpacked: \
         dir:PATH",
    )
}
