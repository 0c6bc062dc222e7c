//! Merging layers: what a container of the image would see.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail by panic.

mod common;

use common::{apk, dpkg, read};
use tidewatch_core::Digest;
use tidewatch_core::package::Location;
use tidewatch_inventory::{IMAGE_PACKAGES, ImageInventory, LayerInventory, PathSet, merge};
use tidewatch_testkit::layer::{Compression, LayerBuilder};

const STATUS: &str = "var/lib/dpkg/status";
const INSTALLED: &str = "lib/apk/db/installed";

fn image(layers: impl IntoIterator<Item = LayerBuilder>) -> ImageInventory {
    let layers: Vec<LayerInventory> =
        layers.into_iter().map(|layer| read(&layer.compression(Compression::None).build())).collect();
    merge(&layers)
}

fn names(image: &ImageInventory) -> Vec<&str> {
    image.packages.iter().map(|package| package.name.as_str()).collect()
}

fn base() -> LayerBuilder {
    LayerBuilder::new()
        .file(STATUS, dpkg(&["libc6", "bash"]))
        .file("var/lib/dpkg/status.d/tzdata", dpkg(&["tzdata"]))
}

#[test]
fn a_replaced_database_is_the_whole_truth() {
    let image = image([base(), LayerBuilder::new().file(STATUS, dpkg(&["libc6", "curl"]))]);
    assert_eq!(names(&image), ["curl", "libc6", "tzdata"]);
    assert!(image.problems.is_empty());
}

#[test]
fn a_whiteout_of_a_file_or_of_any_directory_above_hides_what_lies_below() {
    for (path, left) in [
        (STATUS, vec!["tzdata"]),
        ("var/lib/dpkg/status.d/tzdata", vec!["bash", "libc6"]),
        ("var/lib/dpkg/status.d", vec!["bash", "libc6"]),
        ("var/lib/dpkg", vec![]),
        ("var", vec![]),
        ("var/lib/apk", vec!["bash", "libc6", "tzdata"]),
    ] {
        assert_eq!(names(&image([base(), LayerBuilder::new().whiteout(path)])), left, "{path}");
    }
}

#[test]
fn an_opaque_directory_hides_the_layers_below_wherever_the_marker_stands() {
    let own = dpkg(&["own"]);
    let before = LayerBuilder::new().opaque("var/lib/dpkg").file(STATUS, &own);
    let after = LayerBuilder::new().file(STATUS, &own).opaque("var/lib/dpkg");
    let of_all = LayerBuilder::new().file(STATUS, &own).opaque("");
    for upper in [before, after, of_all] {
        assert_eq!(names(&image([base(), upper])), ["own"]);
    }
}

#[test]
fn a_whiteout_does_not_hide_what_its_own_layer_has() {
    let own = LayerBuilder::new().file(STATUS, dpkg(&["own"])).whiteout("var/lib/dpkg").whiteout(STATUS);
    assert_eq!(names(&image([base(), own])), ["own"]);
}

#[test]
fn a_whiteout_goes_with_the_directory_that_it_stands_in() {
    let upper = LayerBuilder::new().whiteout("var/lib/dpkg/status.d/tzdata").file("var", "").dir("var/lib");
    assert_eq!(names(&image([base(), upper])), ["bash", "libc6", "tzdata"]);
}

#[test]
fn a_hidden_database_may_come_back() {
    let back = LayerBuilder::new().file(STATUS, dpkg(&["back"]));
    assert_eq!(names(&image([base(), LayerBuilder::new().whiteout("var"), back])), ["back"]);
}

#[test]
fn whatever_replaces_a_file_hides_it() {
    let by_directory = LayerBuilder::new().dir(STATUS);
    let by_file_inside = LayerBuilder::new().file("var/lib/dpkg/status/x", "");
    let by_dangling_link = LayerBuilder::new().symlink(STATUS, "gone/status");
    for upper in [by_directory, by_file_inside] {
        assert_eq!(names(&image([base(), upper])), ["tzdata"]);
    }
    let image = image([base(), by_dangling_link]);
    assert_eq!(names(&image), ["tzdata"]);
    assert!(image.problems.is_empty(), "the link leads to nothing");
}

#[test]
fn whatever_replaces_a_directory_hides_what_is_in_it() {
    for upper in [LayerBuilder::new().file("var/lib", ""), LayerBuilder::new().hardlink("var", "x")] {
        assert!(names(&image([base(), upper])).is_empty());
    }
}

#[test]
fn a_link_to_another_place_that_is_read_counts_once_and_at_the_place_itself() {
    let merged = "usr/lib/apk/db/installed";
    let lower = LayerBuilder::new().file(merged, apk(&["musl"]));
    let upper = LayerBuilder::new().symlink("lib", "usr/lib");
    let layer =
        read(&LayerBuilder::new().compression(Compression::None).file(merged, apk(&["musl"])).build()).layer;
    let image = image([lower, upper]);
    assert_eq!(image.packages[0].locations, [Location { layer, path: merged.to_owned() }]);
    assert_eq!(image.packages.len(), 1);
    assert!(image.problems.is_empty());
}

#[test]
fn a_link_to_a_place_that_is_not_read_is_a_problem() {
    for upper in [
        LayerBuilder::new().symlink("var/lib/dpkg", "/opt/dpkg"),
        LayerBuilder::new().symlink("var/lib/dpkg/status.d/x", "../../../../opt/x"),
        LayerBuilder::new().symlink(STATUS, "../../../lib/apk/db/installed"),
    ] {
        let lower =
            LayerBuilder::new().file(INSTALLED, apk(&["musl"])).file("opt/x", "").file("opt/dpkg/status", "");
        let image = image([lower, upper]);
        assert_eq!(names(&image), ["musl"]);
        assert!(!image.problems.is_empty());
    }
}

#[test]
fn a_link_to_nothing_is_no_problem() {
    for target in ["/opt/dpkg", "../gone", "dpkg"] {
        let image =
            image([LayerBuilder::new().file(INSTALLED, apk(&["musl"])).symlink("var/lib/dpkg", target)]);
        assert!(image.problems.is_empty(), "{target}: {:?}", image.problems);
    }
}

#[test]
fn one_package_in_two_files_is_one_package_with_two_locations() {
    let lower = LayerBuilder::new().file(STATUS, dpkg(&["libc6"]));
    let upper = LayerBuilder::new().file("var/lib/dpkg/status.d/libc6", dpkg(&["libc6"]));
    let image = image([lower, upper]);
    assert_eq!(image.packages.len(), 1);
    let paths: Vec<&str> =
        image.packages[0].locations.iter().map(|location| location.path.as_str()).collect();
    assert_eq!(paths.len(), 2);
    assert!(paths.contains(&STATUS) && paths.contains(&"var/lib/dpkg/status.d/libc6"));
}

#[test]
fn the_distribution_is_the_first_file_that_names_one_through_links_across_layers() {
    let usr = LayerBuilder::new().file("usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    let link = LayerBuilder::new().symlink("etc/os-release", "../usr/lib/os-release");
    let etc = LayerBuilder::new().file("etc/os-release", "ID=acme\n");
    let old = LayerBuilder::new().file("etc/alpine-release", "3.9.2\n");
    let id = |image: ImageInventory| image.distribution.map(|distribution| distribution.id);
    assert_eq!(id(image([link, usr])).as_deref(), Some("debian"));
    let usr = LayerBuilder::new().file("usr/lib/os-release", "ID=debian\n");
    assert_eq!(id(image([etc, usr])).as_deref(), Some("acme"));
    assert_eq!(id(image([old])).as_deref(), Some("alpine"));
    assert_eq!(id(image([])), None);
}

#[test]
fn problems_of_hidden_files_do_not_count_and_those_of_layers_do() {
    let lower = LayerBuilder::new().file(STATUS, "Package: nameless\n");
    let upper = LayerBuilder::new().whiteout(STATUS);
    assert_eq!(image([lower]).problems.len(), 1);
    let lower = LayerBuilder::new().file(STATUS, "Package: nameless\n");
    assert!(image([lower, upper]).problems.is_empty());
    let broken =
        LayerInventory { problems: vec![tidewatch_core::problem::Problem::new("x", "cut")], ..empty() };
    assert_eq!(merge([&broken, &broken]).problems.len(), 1);
}

#[test]
fn packages_over_the_limit_of_an_image_are_a_problem() {
    let number = IMAGE_PACKAGES / 3;
    let layers = [0, 1, 2].map(|layer| {
        let names: Vec<String> = (0..number).map(|package| format!("{layer}-{package}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        read(&LayerBuilder::new().file(&format!("var/lib/dpkg/status.d/{layer}"), dpkg(&names)).build())
    });
    let within = merge(&layers);
    assert_eq!((within.packages.len(), within.problems.len()), (3 * number, 0));
    let more = read(&LayerBuilder::new().file(STATUS, dpkg(&["x", "y"])).build());
    let over = merge(layers.iter().chain([&more]));
    assert_eq!((over.packages.len(), over.problems.len()), (IMAGE_PACKAGES, 1));
    assert!(over.problems[0].reason.contains("more than 100000 packages"), "{:?}", over.problems);
}

fn empty() -> LayerInventory {
    LayerInventory {
        reader_version: tidewatch_inventory::READER_VERSION,
        layer: Digest::of(b""),
        files: std::collections::BTreeMap::new(),
        links: std::collections::BTreeMap::new(),
        leaves: PathSet::default(),
        directories: PathSet::default(),
        opaque: PathSet::default(),
        whiteouts: PathSet::default(),
        problems: Vec::new(),
    }
}
