//! What the tests of layers and images share: databases, and reading a built layer.

#![allow(dead_code)] // Not every test binary uses all of it.

use tidewatch_inventory::{FileContent, LayerInventory, LayerReader, Limits};
use tidewatch_testkit::layer::Layer;

/// An apk database with version 1 of each package.
pub(crate) fn apk(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("P:{name}\nV:1.0-r0\nA:x86_64\no:{name}\n\n"))
        .collect::<Vec<_>>()
        .concat()
}

/// A dpkg database with version 1 of each package, all installed.
pub(crate) fn dpkg(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| {
            format!("Package: {name}\nStatus: install ok installed\nVersion: 1.0-1\nArchitecture: amd64\n\n")
        })
        .collect::<Vec<_>>()
        .concat()
}

/// The names of the packages of a file.
pub(crate) fn apk_names(content: &FileContent) -> Vec<&str> {
    content.packages.iter().map(|package| package.name.as_str()).collect()
}

/// Reads a layer within the default limits.
pub(crate) fn read(layer: &Layer) -> LayerInventory {
    read_with(layer, Limits::default())
}

/// Reads a layer within `limits`, in pieces as a network gives them.
pub(crate) fn read_with(layer: &Layer, limits: Limits) -> LayerInventory {
    let mut reader = LayerReader::new(layer.digest, limits);
    layer.bytes.chunks(1000).for_each(|part| reader.push(part));
    reader.finish().expect("the digest is that of the bytes")
}
