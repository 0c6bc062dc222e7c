//! The merge against a reference: a file system of whole layers, mounted over each other and looked up path by path as
//! overlayfs does it. Random sequences of entries go into both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail by panic.

mod common;
mod reference;

use std::collections::BTreeSet;

use common::{apk, dpkg, read};
use proptest::prelude::*;
use reference::{Kind, Operation, Overlay};
use tidewatch_core::Digest;
use tidewatch_inventory::{ImageInventory, LayerInventory, merge};
use tidewatch_testkit::layer::{Compression, Layer, LayerBuilder};

const FILES: [&str; 12] = [
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d/a",
    "var/lib/dpkg/status.d/b",
    "var/lib/dpkg/status.d/a.md5sums",
    "lib/apk/db/installed",
    "usr/lib/apk/db/installed",
    "etc/os-release",
    "usr/lib/os-release",
    "opt/x/status",
    "app/package.json",
    "app/node_modules/a/package.json",
    "usr/lib/node_modules/b/package.json",
];

/// A path of [`FILES`], one of the directories above it, or something beside it.
fn path() -> impl Strategy<Value = String> {
    (prop::sample::select(&FILES[..]), 0usize..8, any::<bool>()).prop_map(|(file, cut, beside)| {
        let parts: Vec<&str> = file.split('/').collect();
        // Most paths are whole.
        let length = if cut < 5 { parts.len() } else { (cut - 4).min(parts.len()) };
        let path = parts[..length].join("/");
        if beside && cut == 7 { format!("{path}-beside") } else { path }
    })
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "/usr/lib", "usr/lib", "../usr/lib/os-release", "/usr/lib/apk/db/installed", "../../../usr/lib/apk/db/installed",
            "/var/lib/dpkg/status", "a", "b", "../status", "/etc/os-release", "/var/lib/dpkg",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["/opt/x", "/opt", "/opt/x/status", "..", "/", "/app", "app/node_modules", "../app"]).prop_map(str::to_owned),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (path(), 0usize..6).prop_map(|(path, number)| Operation::File(path, number)),
        2 => path().prop_map(Operation::Directory),
        2 => (path(), target()).prop_map(|(path, target)| Operation::Symlink(path, target)),
        2 => (path(), path()).prop_map(|(path, target)| Operation::HardLink(path, target)),
        3 => path().prop_map(Operation::Whiteout),
        2 => path().prop_map(Operation::Opaque),
    ]
}

fn layers() -> impl Strategy<Value = Vec<Vec<Operation>>> {
    prop::collection::vec(prop::collection::vec(operation(), 0..7), 1..5)
}

fn build(operations: &[Operation], number: usize) -> Layer {
    // Equal layers would have equal digests, and locations could not tell them apart.
    let start = LayerBuilder::new().compression(Compression::None).file("layer", number.to_string());
    let builder = operations.iter().fold(start, |layer, operation| match operation {
        Operation::File(path, number) => {
            let name = format!("p{number}");
            let content = match Kind::of(path) {
                Kind::Apk => apk(&[&name]),
                Kind::Dpkg => dpkg(&[&name]),
                Kind::OsRelease => format!("ID={name}\n"),
                Kind::Npm => format!(r#"{{"name": "{name}", "version": "1.0.0"}}"#),
            };
            layer.file(path, content)
        }
        Operation::Directory(path) => layer.dir(path),
        Operation::Symlink(path, target) => layer.symlink(path, target),
        Operation::HardLink(path, target) => layer.hardlink(path, target),
        Operation::Whiteout(path) => layer.whiteout(path),
        Operation::Opaque(path) => layer.opaque(path),
    });
    builder.build()
}

/// What an image says of itself: packages with layer and path.
type Found = BTreeSet<(String, Digest, String)>;

fn found(image: &ImageInventory) -> Found {
    let packages = image.packages.iter();
    packages
        .flat_map(|package| {
            package.locations.iter().map(|at| (package.name.clone(), at.layer, at.path.clone()))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_merge_finds_what_a_container_would_see(operations in layers()) {
        let built: Vec<Layer> = operations.iter().enumerate().map(|(number, layer)| build(layer, number)).collect();
        let inventories: Vec<LayerInventory> = built.iter().map(read).collect();
        let image = merge(&inventories);
        let overlay = Overlay::mount(&operations);
        let expected: Found = overlay
            .packages()
            .into_iter()
            .map(|(number, layer, path)| (format!("p{number}"), built[layer].digest, path))
            .collect();
        if image.problems.is_empty() {
            prop_assert_eq!(found(&image), expected);
            let distribution = image.distribution.map(|distribution| distribution.id);
            prop_assert_eq!(distribution, overlay.distribution().map(|number| format!("p{number}")));
        } else {
            // What is behind a problem may be missing; nothing may be there that a container does not see.
            prop_assert!(found(&image).is_subset(&expected), "{:?} of {:?}", found(&image), expected);
        }
    }
}

#[test]
fn the_random_layers_mostly_have_no_problems_and_often_hide_something() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut without_problems, mut hiding) = (0, 0);
    for _ in 0..500 {
        let operations = layers().new_tree(&mut runner).unwrap().current();
        let built: Vec<Layer> =
            operations.iter().enumerate().map(|(number, layer)| build(layer, number)).collect();
        let inventories: Vec<LayerInventory> = built.iter().map(read).collect();
        let image = merge(&inventories);
        let of_layers: usize = inventories.iter().map(|inventory| found(&merge([inventory])).len()).sum();
        without_problems += usize::from(image.problems.is_empty());
        hiding += usize::from(image.problems.is_empty() && found(&image).len() < of_layers);
    }
    assert!(without_problems > 250, "{without_problems} of 500");
    assert!(hiding > 50, "{hiding} of 500");
}
