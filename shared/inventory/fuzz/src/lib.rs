//! What all fuzz targets hold: the limits that they read with, and what has to be true of whatever was read.

pub mod archive;

use std::collections::BTreeSet;

use tidewatch_core::Digest;
use tidewatch_core::package::{Distribution, Package};
use tidewatch_inventory::fuzzing::{Findings, PROBLEMS, TEXT_BYTES};
use tidewatch_inventory::{ImageInventory, LayerInventory, LayerReader, Limits};

/// The most packages of one file here, few enough for small inputs to have more.
pub const PACKAGES: usize = 20;

/// The most bytes of one problem: the longest ones quote a name, a path and an error of a parser.
const PROBLEM_BYTES: usize = 16 << 10;

/// Limits that small inputs reach.
pub fn limits() -> Limits {
    Limits {
        entries: 200,
        path_bytes: 256,
        unpacked_bytes: 4 << 20,
        expansion_floor_bytes: 1 << 20,
        file_bytes: 64 << 10,
        kept_bytes: 256 << 10,
        kept_entries: 100,
        packages: 2 * PACKAGES,
        resolved_bytes: 1 << 20,
        ..Limits::default()
    }
}

/// `bytes` in pieces of many sizes, which depend on the bytes only.
pub fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let seed =
        bytes.iter().take(64).fold(bytes.len() as u64, |seed, byte| seed * 31 % (1 << 40) + u64::from(*byte));
    let (mut state, mut rest) = (seed | 1, bytes);
    std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let size = match state % 4 {
            0 => 1,
            1 => state / 4 % 16,
            2 => 512,
            _ => state / 4 % 2048,
        };
        let (piece, after) = rest.split_at(rest.len().min(size as usize));
        rest = after;
        (!piece.is_empty() || !after.is_empty()).then_some(piece)
    })
}

/// The inventory of the layer with the compressed bytes `bytes`: the same whether they come at once or in pieces, but where
/// a limit ends the reading. Limits are looked at after each piece that was unpacked.
pub fn read_layer(bytes: &[u8]) -> LayerInventory {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut reader = LayerReader::new(Digest::of(bytes), limits());
        pieces.for_each(|piece| reader.push(piece));
        reader.finish().expect("the digest is that of the bytes")
    };
    let inventory = read(&mut std::iter::once(bytes));
    check_layer(&inventory);
    let in_pieces = read(&mut pieces(bytes));
    if !is_stopped(&inventory) && !is_stopped(&in_pieces) {
        assert_eq!(in_pieces, inventory, "it depends on how the bytes come");
    }
    inventory
}

fn is_stopped(layer: &LayerInventory) -> bool {
    layer.problems.iter().any(|problem| problem.reason.starts_with("stopped reading the layer"))
}

/// Whether a layer of `bytes` is unpacked before it is read.
pub fn is_compressed(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x1f, 0x8b, 0x08, _, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    )
}

/// What holds for one layer.
pub fn check_layer(layer: &LayerInventory) {
    let mut packages = 0;
    for path in layer.files.keys().chain(layer.links.keys()) {
        assert!(path.split('/').all(|part| !["", ".", ".."].contains(&part)), "{path:?}");
        assert!(layer.leaves.contains(path), "{path:?} is no leaf");
        let directories = path.match_indices('/').map(|(end, _)| &path[..end]);
        directories.for_each(|above| assert!(layer.directories.contains(above), "{above:?} is no directory"));
    }
    for content in layer.files.values() {
        packages += content.packages.len();
        content.packages.iter().for_each(check_package);
        content.distribution.iter().for_each(check_distribution);
        check_problems(&content.problems);
    }
    layer.links.values().for_each(|target| check_text(target));
    assert!(packages <= limits().packages, "{packages} packages");
    // What stops the reading is found after a piece, which may hold all entries of a small layer.
    let (kept, entries) = (layer.files.len() + layer.links.len(), layer.leaves.len());
    assert!(kept <= entries && layer.files.keys().all(|path| !layer.links.contains_key(path)), "{kept} kept");
    assert!(layer.problems.len() <= PROBLEMS + 2, "{} problems", layer.problems.len());
    let stored = serde_json::to_vec(layer).expect("it can be stored");
    assert_eq!(&serde_json::from_slice::<LayerInventory>(&stored).expect("it can be read again"), layer);
}

/// What holds for what one reader finds in one file.
pub fn check_findings(findings: &Findings) {
    assert!(findings.packages.len() <= PACKAGES, "{} packages", findings.packages.len());
    findings.packages.iter().for_each(|package| {
        check_package(package);
        assert!(package.locations.is_empty(), "merging gives {} its locations", package.name);
    });
    findings.distribution.iter().for_each(check_distribution);
    findings.license.iter().for_each(|license| check_text(license));
    check_problems(&findings.problems);
}

/// What holds for an image whose layers are those with the digests `layers`.
pub fn check_image(image: &ImageInventory, layers: &BTreeSet<Digest>) {
    assert!(image.packages.is_sorted_by(|one, other| one < other), "the packages are not sorted, each once");
    assert!(image.problems.is_sorted_by(|one, other| one < other), "the problems are not sorted, each once");
    for package in &image.packages {
        assert!(!package.locations.is_empty(), "{} is nowhere", package.name);
        assert!(package.locations.iter().all(|location| layers.contains(&location.layer)));
    }
}

fn check_package(package: &Package) {
    assert!(!package.name.is_empty() && !package.version.is_empty(), "{package:?}");
    let source = package.source.iter().flat_map(|source| [&source.name, &source.version]);
    let others = [&package.architecture, &package.license, &package.sha1].into_iter().flatten();
    [&package.name, &package.version]
        .into_iter()
        .chain(source)
        .chain(others)
        .for_each(|text| check_text(text));
}

fn check_distribution(distribution: &Distribution) {
    assert!(!distribution.id.is_empty());
    check_text(&distribution.id);
    check_text(&distribution.pretty_name);
}

fn check_problems(problems: &[String]) {
    // One more says how many there were, and one may say that there are too many packages.
    assert!(problems.len() <= PROBLEMS + 2, "{} problems", problems.len());
    for problem in problems {
        assert!(problem.len() <= PROBLEM_BYTES, "a problem of {} bytes", problem.len());
        assert!(!problem.chars().any(char::is_control), "{problem:?} steers a terminal");
    }
}

/// What an image says is short, and steers no terminal.
fn check_text(text: &str) {
    assert!(text.len() <= 2 * TEXT_BYTES, "a text of {} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?} steers a terminal");
}
