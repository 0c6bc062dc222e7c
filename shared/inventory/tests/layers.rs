//! Reading one layer: formats, damage on the way and in the layer, limits, links and whiteouts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail by panic.

mod common;

use proptest::prelude::*;

use common::{apk, apk_names, dpkg, read, read_with};
use tidewatch_core::{Digest, Retry, Retryable};
use tidewatch_inventory::{LayerError, LayerInventory, LayerReader, Limits, merge};
use tidewatch_testkit::layer::{Compression, Layer, LayerBuilder};

const INSTALLED: &str = "lib/apk/db/installed";

fn file<'a>(inventory: &'a LayerInventory, path: &str) -> &'a tidewatch_inventory::FileContent {
    inventory.files.get(path).unwrap_or_else(|| panic!("{path} is not among {:?}", inventory.files.keys()))
}

#[test]
fn the_stored_form_of_a_layer_stays_what_it_is() {
    let layer = LayerBuilder::new()
        .compression(Compression::None)
        .dir("./etc/")
        .file("./etc/os-release", "ID=alpine\nVERSION_ID=3.19.1\nPRETTY_NAME=\"Alpine Linux v3.19\"\n")
        .file("etc/passwd", "root:x:0:0")
        .file(INSTALLED, apk(&["musl"]) + "P:nameless\n")
        .symlink("usr", "/opt/usr")
        .opaque("var/lib/dpkg/status.d")
        .whiteout("var/lib/dpkg/status")
        .whiteout("home/user")
        .build();
    let inventory = read(&layer);
    insta::assert_json_snapshot!(inventory);
    let stored = serde_json::to_vec(&inventory).unwrap();
    assert_eq!(serde_json::from_slice::<LayerInventory>(&stored).unwrap(), inventory);
}

#[test]
fn every_compression_gives_the_same_entries() {
    let build = |compression| {
        read(&LayerBuilder::new().compression(compression).file(INSTALLED, apk(&["musl", "zlib"])).build())
            .files
    };
    let plain = build(Compression::None);
    assert_eq!(build(Compression::Gzip), plain);
    assert_eq!(build(Compression::Zstd), plain);
}

#[test]
fn bytes_damaged_on_the_way_are_an_error_worth_another_try() {
    let layer = LayerBuilder::new().file(INSTALLED, apk(&["musl"])).build();
    for bytes in [&layer.bytes[..layer.bytes.len() - 1], &layer.bytes[1..], b""] {
        let mut reader = LayerReader::new(layer.digest, Limits::default());
        reader.push(bytes);
        let error = reader.finish().unwrap_err();
        assert_eq!(error, LayerError::DigestMismatch { expected: layer.digest, actual: Digest::of(bytes) });
        assert_eq!(error.retry(), Retry::Again);
    }
}

#[test]
fn the_digest_is_checked_to_the_end_also_after_broken_content() {
    let mut reader = LayerReader::new(Digest::of(b"other"), Limits::default());
    reader.push(&[b'x'; 2048]);
    reader.push(b"more");
    assert!(reader.finish().is_err());
}

#[test]
fn a_layer_whose_stream_is_cut_keeps_what_was_readable_and_says_so() {
    let noise: Vec<u8> = (0..200_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let whole = LayerBuilder::new()
            .compression(compression)
            .file(INSTALLED, apk(&["musl"]))
            .file("usr/share/noise", &noise)
            .build();
        let bytes = whole.bytes.slice(..whole.bytes.len() / 2);
        let cut = Layer { digest: Digest::of(&bytes), bytes, ..whole };
        let inventory = read(&cut);
        assert_eq!(file(&inventory, INSTALLED).packages.len(), 1);
        assert_eq!(inventory.problems.len(), 1, "{compression:?}: {:?}", inventory.problems);
        assert_eq!(inventory.problems[0].subject, cut.digest.to_string());
    }
}

#[test]
fn a_database_cut_in_the_middle_gives_its_whole_stanzas_and_a_problem() {
    let whole =
        LayerBuilder::new().compression(Compression::None).file(INSTALLED, apk(&["musl", "zlib"])).build();
    let archive = &whole.bytes[..512 + apk(&["musl", "zlib"]).len() - 3];
    let inventory = read(&Layer::from_archive(archive, Compression::None));
    let content = file(&inventory, INSTALLED);
    assert_eq!(content.packages.len(), 1);
    assert_eq!(content.problems.len(), 1);
    assert_eq!(inventory.problems.len(), 1);
}

#[test]
fn what_is_no_archive_is_a_problem() {
    let inventory = read(&Layer::from_archive(&[b'x'; 4096], Compression::None));
    assert!(inventory.files.is_empty());
    insta::assert_json_snapshot!(
        inventory.problems.iter().map(|problem| &problem.reason).collect::<Vec<_>>()
    );
}

#[test]
fn an_empty_layer_holds_nothing_and_is_no_problem() {
    for layer in [LayerBuilder::new().build(), Layer::from_archive(b"", Compression::None)] {
        let inventory = read(&layer);
        assert!(inventory.files.is_empty() && inventory.leaves.is_empty() && inventory.problems.is_empty());
    }
}

#[test]
fn of_two_entries_at_one_path_the_last_counts() {
    let layer = LayerBuilder::new()
        .file(INSTALLED, apk(&["old"]))
        .file("./lib/apk/db/installed", apk(&["new"]))
        .build();
    assert_eq!(apk_names(file(&read(&layer), INSTALLED)), ["new"]);
}

#[test]
fn a_hard_link_is_the_file_as_it_was_and_one_to_an_unread_file_is_a_problem() {
    let merged = "usr/lib/apk/db/installed";
    let layer = LayerBuilder::new()
        .file(INSTALLED, apk(&["musl"]))
        .hardlink(merged, INSTALLED)
        .file(INSTALLED, apk(&["later"]))
        .file("objects/1", dpkg(&["libc6"]))
        .hardlink("var/lib/dpkg/status", "objects/1")
        .build();
    let inventory = read(&layer);
    assert_eq!(apk_names(file(&inventory, merged)), ["musl"]);
    assert_eq!(apk_names(file(&inventory, INSTALLED)), ["later"]);
    let status = file(&inventory, "var/lib/dpkg/status");
    assert!(status.packages.is_empty());
    assert_eq!(status.problems, ["is a hard link to objects/1, whose content was not kept"]);
}

#[test]
fn entries_below_a_link_of_the_same_layer_are_where_it_leads() {
    let layer = LayerBuilder::new().symlink("lib", "usr/lib").file(INSTALLED, apk(&["musl"])).build();
    let inventory = read(&layer);
    assert_eq!(apk_names(file(&inventory, "usr/lib/apk/db/installed")), ["musl"]);
    assert_eq!(inventory.links["lib"], "usr/lib");
}

#[test]
fn a_file_over_its_limit_is_read_up_to_there_and_told() {
    let limits = Limits { file_bytes: 60, ..Limits::default() };
    let layer = LayerBuilder::new().file(INSTALLED, apk(&["one", "two", "three"])).build();
    let inventory = read_with(&layer, limits);
    let content = file(&inventory, INSTALLED);
    assert_eq!(apk_names(content), ["one"]);
    assert_eq!(content.problems.len(), 1);
}

#[test]
fn every_limit_of_the_layer_ends_the_reading_with_a_problem() {
    let zeros = vec![0; 1 << 20];
    let layer = LayerBuilder::new()
        .file(INSTALLED, apk(&["musl"]))
        .file("zeros", &zeros)
        .file("a", "")
        .file("b", "")
        .build();
    let default = Limits::default();
    for limits in [
        Limits { entries: 3, ..default },
        Limits { unpacked_bytes: 500_000, ..default },
        Limits { expansion_ratio: 100, expansion_floor_bytes: 100_000, ..default },
        Limits { kept_bytes: 10, ..default },
        Limits { kept_entries: 0, ..default },
    ] {
        assert_eq!(read_with(&layer, limits).problems.len(), 1, "{limits:?}");
    }
    assert_eq!(read(&layer).problems.len(), 0);
    let long = LayerBuilder::new().file(&"x/".repeat(40), "").symlink("lib", &"y".repeat(80)).build();
    assert_eq!(read_with(&long, Limits { path_bytes: 50, ..default }).problems.len(), 2);
}

#[test]
fn packages_over_the_limit_of_a_layer_are_a_problem_of_the_files_that_hold_them() {
    let status = |number| format!("var/lib/dpkg/status.d/{number}");
    let layer = LayerBuilder::new()
        .file(&status(0), dpkg(&["a", "b"]))
        .hardlink(&status(1), &status(0))
        .file(&status(2), dpkg(&["c", "d"]))
        .hardlink(&status(3), &status(0))
        .file(&status(4), dpkg(&["e"]))
        .build();
    let inventory = read_with(&layer, Limits { packages: 5, ..Limits::default() });
    let counts = [0, 1, 2, 3, 4].map(|number| {
        let content = file(&inventory, &status(number));
        (content.packages.len(), content.problems.len())
    });
    assert_eq!(counts, [(2, 0), (2, 0), (1, 1), (0, 1), (0, 1)]);
    assert_eq!(merge([&inventory]).problems.len(), 3);
}

#[test]
fn links_that_make_every_entry_cost_much_end_the_reading_with_a_problem() {
    let mut builder = LayerBuilder::new().symlink("l", &"x/../".repeat(800)).file(INSTALLED, apk(&["musl"]));
    for number in 0..300 {
        builder = builder.file(&format!("l/{number}/x"), "");
    }
    let layer = builder.build();
    assert!(read(&layer).problems.is_empty());
    let inventory = read_with(&layer, Limits { resolved_bytes: 400_000, ..Limits::default() });
    let reasons: Vec<_> = inventory.problems.iter().map(|problem| problem.reason.as_str()).collect();
    let limit = "stopped reading the layer: it has more than 400000 bytes of paths on the way to its entries";
    assert_eq!(reasons.last(), Some(&limit));
    assert_eq!(apk_names(file(&inventory, INSTALLED)), ["musl"]);
}

#[test]
fn a_database_that_says_more_than_is_kept_of_a_layer_is_a_problem() {
    let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/rpm-sqlite/packages");
    let path = "var/lib/rpm/rpmdb.sqlite";
    let layer = LayerBuilder::new().file(path, std::fs::read(seed).unwrap()).build();
    let content = |limits| file(&read_with(&layer, limits), path).clone();
    let whole = content(Limits::default());
    assert!(!whole.packages.is_empty() && whole.problems.is_empty());
    let cut = content(Limits { kept_bytes: 100, ..Limits::default() });
    assert!(cut.packages.is_empty());
    assert_eq!(cut.problems, ["says more than is kept of a layer (100 bytes)"]);
}

#[test]
fn copies_by_hard_link_count_against_the_limit() {
    let mut builder = LayerBuilder::new().file("var/lib/dpkg/status.d/0", dpkg(&["libc6"]));
    for number in 1..200 {
        builder = builder.hardlink(&format!("var/lib/dpkg/status.d/{number}"), "var/lib/dpkg/status.d/0");
    }
    let limits = Limits { kept_bytes: 2000, ..Limits::default() };
    let inventory = read_with(&builder.build(), limits);
    assert_eq!(inventory.problems.len(), 1);
}

proptest! {
    #[test]
    fn damaged_layers_end_in_an_inventory_within_the_limits(
        compression in prop::sample::select(vec![Compression::None, Compression::Gzip, Compression::Zstd]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        inside in any::<bool>(),
    ) {
        let plain = LayerBuilder::new()
            .compression(Compression::None)
            .file(INSTALLED, apk(&["musl", "zlib"]))
            .symlink("lib64", "lib")
            .hardlink("usr/lib/apk/db/installed", INSTALLED)
            .whiteout("var")
            .build();
        let change = |mut bytes: Vec<u8>| {
            for (position, byte) in &damage {
                let position = position.index(bytes.len());
                bytes[position] = *byte;
            }
            bytes
        };
        let bytes = if inside {
            compression.compress(&change(plain.bytes.to_vec()))
        } else {
            change(compression.compress(&plain.bytes))
        };
        let limits = Limits { entries: 10, kept_entries: 20, unpacked_bytes: 20_000, ..Limits::default() };
        let layer = Layer { digest: Digest::of(&bytes), bytes: bytes.into(), ..plain };
        let inventory = read_with(&layer, limits);
        // A limit is checked after each piece that is unpacked, which holds at most 64 headers here.
        prop_assert!(inventory.files.len() + inventory.links.len() <= 20 + 64);
        let stored = serde_json::to_vec(&inventory).unwrap();
        prop_assert_eq!(serde_json::from_slice::<LayerInventory>(&stored).unwrap(), inventory);
    }
}
