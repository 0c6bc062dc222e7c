//! The official validators take the bills of materials of real command lines: of images with packages, without any, and
//! of folders. `make test-sboms` installs them.

use tidewatch_testkit::fixtures;
use tidewatch_testkit::image::{ImageBuilder, write_oci_layout};
use tidewatch_testkit::layer::LayerBuilder;
use tidewatch_testkit::sbom::{Kind, Validator};

use crate::installation::{Installation, fixture_registry};

#[tokio::test(flavor = "multi_thread")]
async fn the_official_validators_take_what_is_written_of_every_fixture() {
    let Some(validator) = Validator::find_or_skip("bills of materials of images") else { return };
    let registry = fixture_registry().await;
    let layouts = tempfile::tempdir().unwrap();
    let broken = LayerBuilder::new().file("lib/apk/db/installed", "P:musl\n\n").build();
    let images =
        [("empty", ImageBuilder::new().build()), ("broken", ImageBuilder::new().layer(broken).build())];
    let mut references = vec![format!("dir:{}", layouts.path().display())];
    for (name, image) in images {
        let folder = layouts.path().join(name);
        write_oci_layout(&folder, &[("1", &image)]).unwrap();
        references.push(format!("oci:{}", folder.display()));
    }
    for image in fixtures::images() {
        references.push(format!("{}/{}:{}", registry.host(), image.repository, image.tag));
    }
    let installation = Installation::new();
    for (format, kind) in [("cyclonedx", Kind::CycloneDx), ("spdx", Kind::Spdx)] {
        let documents: Vec<String> = references
            .iter()
            .map(|reference| {
                installation.must(&["inventory", reference, "--plain-http", "--format", format, "--quiet"])
            })
            .collect();
        assert_eq!(validator.complaints(kind, &documents), Vec::<String>::new(), "{format}: {references:?}");
    }
}
