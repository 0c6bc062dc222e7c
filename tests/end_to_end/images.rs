//! Small Debian images, whose vulnerabilities under the advisories of the fixtures follow from their packages.

use tidewatch_testkit::image::{BuiltImage, ImageBuilder};
use tidewatch_testkit::layer::{Layer, LayerBuilder};
use tidewatch_testkit::registry::TestRegistry;

use crate::installation::Numbers;

const OS_RELEASE: &str = "ID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n";

/// A package: name, source and version.
pub(crate) type Package = (&'static str, &'static str, &'static str);

/// One vulnerability: MEDIUM, fixed in the next version.
pub(crate) const OLD_LIBC: Package = ("libc6", "glibc", "2.41-12");
/// None.
pub(crate) const FIXED_LIBC: Package = ("libc6", "glibc", "2.41-12+deb13u1");
/// Two vulnerabilities: CRITICAL and HIGH, both fixed in the next version, so that the policy fails.
pub(crate) const OLD_OPENSSL: Package = ("openssl", "openssl", "3.5.1-1");
/// One vulnerability: CRITICAL, without a fix.
pub(crate) const ZLIB: Package = ("zlib1g", "zlib", "1:1.3.dfsg+really1.3.1-1");

/// The layer with the distribution's name; `name` makes it another layer than that of other names.
pub(crate) fn base_layer(name: &str) -> Layer {
    LayerBuilder::new().file("etc/os-release", OS_RELEASE).file("etc/hostname", name).build()
}

/// The layer with a package database of these packages.
pub(crate) fn package_layer(packages: &[Package]) -> Layer {
    LayerBuilder::new().file("var/lib/dpkg/status", package_database(packages)).build()
}

/// The image with these packages, on a base that all such images share.
pub(crate) fn debian_image(packages: &[Package]) -> BuiltImage {
    ImageBuilder::new().layer(base_layer("base")).layer(package_layer(packages)).build()
}

pub(crate) fn package_database(packages: &[Package]) -> String {
    let stanza = |(name, source, version): &Package| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nSource: {source}\nVersion: {version}\n\n"
        )
    };
    packages.iter().map(stanza).collect()
}

/// Puts an image into a registry, under a tag.
pub(crate) fn push(registry: &TestRegistry, repository: &str, tag: &str, image: &BuiltImage) {
    for blob in image.blobs.values() {
        registry.push_blob(repository, blob.clone());
    }
    for (digest, manifest) in &image.manifests {
        let tag = (*digest == image.digest).then_some(tag);
        registry.push_manifest(repository, tag, &manifest.media_type, manifest.bytes.clone());
    }
}

/// The numbers of images with these packages.
pub(crate) fn numbers(images: &[&[Package]]) -> Numbers {
    let mut numbers = Numbers::default();
    for packages in images {
        numbers.evaluated += 1;
        numbers.compliant += u64::from(!packages.contains(&OLD_OPENSSL));
        let has = |package: Package| u64::from(packages.contains(&package));
        numbers.severities[0] += has(OLD_OPENSSL) + has(ZLIB);
        numbers.severities[1] += has(OLD_OPENSSL);
        numbers.severities[2] += has(OLD_LIBC);
    }
    numbers
}
