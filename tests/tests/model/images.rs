//! The images that are pushed, alone or several in an index, and what is in them: as a registry holds them, and as one reads
//! them by hand.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::Value;
use tidewatch_core::Digest;
use tidewatch_core::image::Platform;
use tidewatch_core::metadata::{ConfigMetadata, ImageMetadata, ManifestMetadata};
use tidewatch_core::package::{Distribution, Package, PackageType};
use tidewatch_testkit::image::{BuiltImage, ImageBuilder, IndexBuilder, Manifest};
use tidewatch_testkit::layer::LayerBuilder;

/// Where images are pushed to: registry and repository. Of each the tag `latest` moves.
pub(crate) const REPOSITORIES: [(&str, &str); 4] =
    [("hub", "team/web"), ("hub", "team/api"), ("hub", "odd"), ("quay", "app")];

/// The registry that is not always configured.
pub(crate) const QUAY: &str = "quay";

/// What is in an image.
pub(crate) struct Content {
    /// The release of Debian; none for an image without a distribution and packages.
    pub(crate) release: Option<&'static str>,
    /// Name and version of each package; versions are whole numbers.
    pub(crate) packages: &'static [(&'static str, u32)],
    pub(crate) user: Option<&'static str>,
    /// Whether a layer of it lies elsewhere, so that it cannot be read as a whole.
    pub(crate) is_cut: bool,
    /// Whether it is for linux/arm64, and not for linux/amd64.
    is_arm: bool,
}

pub(crate) const IMAGES: [Content; 9] = [
    image(Some("13"), &[("openssl", 1), ("zlib", 1)], Some("app")),
    image(Some("13"), &[("openssl", 2), ("zlib", 1)], None),
    image(Some("13"), &[("bash", 1)], Some("1000")),
    image(Some("13"), &[("bash", 3), ("openssl", 1)], Some("0")),
    image(Some("12"), &[("openssl", 1), ("bash", 1)], Some("app")),
    image(None, &[], Some("app")),
    Content { is_cut: true, ..image(Some("13"), &[("bash", 1), ("openssl", 2)], Some("app")) },
    Content { is_arm: true, ..image(Some("13"), &[("openssl", 1), ("bash", 1)], None) },
    Content { is_arm: true, ..image(Some("12"), &[("openssl", 1)], Some("app")) },
];

/// What tags point to: an image, or an index of several.
const PUSHES: [&[usize]; 12] =
    [&[0], &[1], &[2], &[3], &[4], &[5], &[6], &[8], &[0, 7], &[1, 8], &[2, 7], &[7]];

/// How many different things are pushed.
pub(crate) const PUSHED: usize = PUSHES.len();

/// The images of what is pushed that the gauges count: each, or the one for linux/amd64 where there are several.
pub(crate) fn counted(push: usize, counts_all: bool) -> &'static [usize] {
    if counts_all { PUSHES[push] } else { &PUSHES[push][..1] }
}

/// The image of what is pushed that stands for it.
pub(crate) fn standing(push: usize) -> usize {
    PUSHES[push][0]
}

const fn image(
    release: Option<&'static str>,
    packages: &'static [(&'static str, u32)],
    user: Option<&'static str>,
) -> Content {
    Content { release, packages, user, is_cut: false, is_arm: false }
}

/// The images as a registry holds them, in the order of [`IMAGES`].
pub(crate) static BUILT: LazyLock<Vec<BuiltImage>> =
    LazyLock::new(|| IMAGES.iter().map(Content::build).collect());

/// What is pushed, as a registry holds it, in the order of [`PUSHES`]. One image of an index is one by itself, too.
pub(crate) static BUILT_PUSHES: LazyLock<Vec<BuiltImage>> = LazyLock::new(|| {
    let push = |images: &[usize]| match images {
        [image] if *image != 7 => BUILT[*image].clone(),
        _ => images.iter().fold(IndexBuilder::new(), |index, image| index.image(&BUILT[*image])).build(),
    };
    PUSHES.iter().map(|images| push(images)).collect()
});

/// The image with this digest, by its number.
pub(crate) fn number_of(digest: &Digest) -> usize {
    BUILT.iter().position(|built| built.digest == *digest).expect("one of the images")
}

impl Content {
    fn build(&self) -> BuiltImage {
        let builder = ImageBuilder::new().created("2026-01-01T00:00:00Z".parse().unwrap());
        let platform = if self.is_arm { Platform::linux_arm64() } else { Platform::linux_amd64() };
        let builder = builder.platform(&platform);
        let builder = self.user.map_or(builder.clone(), |user| builder.user(user));
        let Some(release) = self.release else {
            return builder.layer(LayerBuilder::new().file("srv/content", "nothing").build()).build();
        };
        // All images of a release have its layer in common, and images with the same packages both.
        let os_release = format!("ID=debian\nVERSION_ID=\"{release}\"\n");
        let stanza = |(name, version): &(&str, u32)| {
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
            )
        };
        let status = self.packages.iter().map(stanza).collect::<Vec<_>>().join("\n");
        let base = LayerBuilder::new().file("etc/os-release", os_release).build();
        let packages = LayerBuilder::new().file("var/lib/dpkg/status", status).build();
        let builder = builder.layer(base).layer(packages);
        if !self.is_cut {
            return builder.build();
        }
        elsewhere(&builder.layer(LayerBuilder::new().file("opt/app", "app").build()).build())
    }

    pub(crate) fn distribution(&self) -> Option<Distribution> {
        let version_id = Some(self.release?.to_owned());
        Some(Distribution { id: "debian".to_owned(), version_id, ..Distribution::default() })
    }

    pub(crate) fn installed(&self) -> Vec<Package> {
        let package = |(name, version): &(&str, u32)| Package {
            architecture: Some("amd64".to_owned()),
            ..Package::new(PackageType::Deb, *name, version.to_string(), "dpkg")
        };
        self.packages.iter().map(package).collect()
    }

    pub(crate) fn metadata(&self) -> ImageMetadata {
        let config = Some(ConfigMetadata { user: self.user.map(str::to_owned) });
        ImageMetadata::of(Some(ManifestMetadata { config, ..ManifestMetadata::default() }), Vec::new())
    }
}

/// The image, with its last layer at a place that the registry does not hold.
fn elsewhere(image: &BuiltImage) -> BuiltImage {
    let mut manifest: Value = serde_json::from_slice(&image.manifest().bytes).unwrap();
    manifest["layers"][2]["mediaType"] =
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
    let bytes = Bytes::from(manifest.to_string());
    let digest = Digest::of(&bytes);
    let manifest = Manifest { media_type: image.manifest().media_type.clone(), bytes };
    BuiltImage { digest, manifests: [(digest, manifest)].into(), ..image.clone() }
}
