//! `tidewatch inventory` lists the packages of an image the same, wherever the image is, and in each format; and what
//! cannot be read ends with what to do about it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_testkit::fixtures::{self, Fixture};
use tidewatch_testkit::image::{BuiltImage, ImageBuilder, write_oci_layout};
use tidewatch_testkit::layer::{Compression, Layer, LayerBuilder};
use tidewatch_testkit::saved::{Members, docker_archive, docker_archive_of_now, oci_archive, unpack};
use tidewatch_tests::Finished;

use crate::images::{FIXED_LIBC, OLD_OPENSSL, base_layer, debian_image, package_layer};
use crate::installation::{Installation, fixture_registry, read_json};

/// The packages of [`image`], as lines.
const LINES: &str = "deb\tlibc6\t2.41-12+deb13u1\ndeb\topenssl\t3.5.1-1\n";

fn image() -> BuiltImage {
    debian_image(&[FIXED_LIBC, OLD_OPENSSL])
}

/// A folder for archives.
struct Shelf(TempDir);

impl Shelf {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.text(name)
    }

    fn archive(&self, name: &str, members: &Members) -> String {
        self.write(name, &members.archive())
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// Each form in which the image can be on disk, as a reference.
fn references(shelf: &Shelf, image: &BuiltImage) -> Vec<String> {
    write_oci_layout(&shelf.path("layout"), &[("v1", image)]).unwrap();
    unpack(image, &shelf.path("root"));
    let oci = shelf.archive("oci.tar", &oci_archive(&[("v1", image)]));
    let plain = shelf.archive("plain.tar", &docker_archive(image, &["web:v1"], Compression::None));
    let gzip = shelf.archive("gzip.tar", &docker_archive(image, &["web:v1"], Compression::Gzip));
    let now = shelf.archive("now.tar", &docker_archive_of_now(image, "web:v1"));
    vec![
        format!("oci:{}", shelf.text("layout")),
        format!("oci:{}:v1", shelf.text("layout")),
        format!("oci-archive:{oci}"),
        format!("oci-archive:{oci}:v1"),
        format!("docker-archive:{plain}"),
        format!("docker-archive:{plain}:v1"),
        format!("docker-archive:{gzip}:web:v1"),
        format!("docker-archive:{now}"),
        format!("docker-archive:{now}:web:v1"),
        format!("docker-archive:{now}:docker.io/library/web:v1"),
        format!("dir:{}", shelf.text("root")),
    ]
}

fn lines(reference: &str) -> Finished {
    Installation::new().run(&["inventory", reference, "--format", "tsv"])
}

/// A run that must fail with 1: what it says.
fn refusal(reference: &str) -> String {
    let Finished { code, stdout, stderr } = lines(reference);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{reference}: {stderr}");
    assert!(stderr.contains("next: "), "{reference} says what to do: {stderr}");
    stderr
}

#[test]
fn an_image_has_the_same_packages_in_whatever_form_it_is_on_disk() {
    let (shelf, image) = (Shelf::new(), image());
    for reference in references(&shelf, &image) {
        let Finished { code, stdout, stderr } = lines(&reference);
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), LINES, ""), "{reference}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_in_a_registry_has_the_same_packages_as_on_disk() {
    let registry = fixture_registry().await;
    let (shelf, images) = (Shelf::new(), fixtures::images());
    let Fixture { repository, tag, image } =
        images.iter().find(|fixture| fixture.repository == "demo/web").unwrap();
    let remote = format!("{}/{repository}:{tag}", registry.host());
    let installation = Installation::new();
    let expected = installation.must(&["inventory", &remote, "--plain-http", "--format", "tsv"]);
    assert!(expected.lines().count() > 3, "{expected}");
    let saved = shelf.archive("web.tar", &docker_archive(image, &["demo/web:1.0"], Compression::None));
    assert_eq!(
        installation.must(&["inventory", &format!("docker-archive:{saved}"), "--format", "tsv"]),
        expected
    );
    registry.assert_no_violations();
}

#[test]
fn scan_reads_the_same_forms_and_finds_the_same() {
    let (shelf, image, installation) = (Shelf::new(), image(), Installation::new());
    installation.build_advisories(&fixtures::advisories());
    for reference in references(&shelf, &image) {
        let scan = installation.json(&["scan", &reference]);
        assert_eq!(scan["state"], "scanned", "{reference}");
        assert_eq!(scan["vulnerabilities"]["critical"], 1, "{reference}");
        assert_eq!(scan["packages"], 2, "{reference}");
        let is_folder = reference.starts_with("dir:");
        assert_eq!(
            (scan["digest"].is_null(), scan["platform"].is_null()),
            (is_folder, is_folder),
            "{reference}"
        );
    }
}

#[test]
fn an_image_is_known_by_the_digest_that_its_tool_knows_it_by() {
    let (shelf, image) = (Shelf::new(), image());
    let installation = Installation::new();
    let digest = |reference: &str| installation.json(&["inventory", reference])["digest"].clone();
    let manifest = image.digest.to_string();
    let now = shelf.archive("now.tar", &docker_archive_of_now(&image, "web:v1"));
    assert_eq!(digest(&format!("docker-archive:{now}")), manifest);
    let old = docker_archive(&image, &["web:v1"], Compression::None);
    let config = old.names().find(|name| name.len() == 64 + ".json".len()).unwrap().replace(".json", "");
    let old = shelf.archive("old.tar", &old);
    assert_eq!(digest(&format!("docker-archive:{old}")), format!("sha256:{config}"));
}

#[test]
fn a_layer_that_is_in_an_image_twice_is_read_through_the_link_that_docker_saves() {
    let layer = package_layer(&[FIXED_LIBC, OLD_OPENSSL]);
    let image = ImageBuilder::new().layer(layer.clone()).layer(base_layer("b")).layer(layer).build();
    let (shelf, saved) = (Shelf::new(), docker_archive(&image, &["web:v1"], Compression::None));
    let file = shelf.archive("web.tar", &saved);
    let Finished { code, stdout, stderr } = lines(&format!("docker-archive:{file}"));
    assert_eq!((code, stdout.as_str()), (Some(0), LINES), "{stderr}");
}

#[test]
fn an_archive_with_several_images_needs_a_name_and_says_which_there_are() {
    let (shelf, first) = (Shelf::new(), image());
    let second = debian_image(&[FIXED_LIBC]);
    let saved = |image: &BuiltImage, name: &str| docker_archive(image, &[name], Compression::None);
    let (one, two) = (saved(&first, "a.example/web:v1"), saved(&second, "a.example/api:v1"));
    let list =
        |members: &Members| -> Value { serde_json::from_slice(&members.bytes("manifest.json")).unwrap() };
    // The second image has other names for its layers.
    let mut entry = list(&two)[0].clone();
    let mut both = one.clone();
    let mut layers = Vec::new();
    for layer in entry["Layers"].as_array().unwrap() {
        let layer = layer.as_str().unwrap();
        both = both.file(&format!("two/{layer}"), two.bytes(layer));
        layers.push(json!(format!("two/{layer}")));
    }
    entry["Layers"] = json!(layers);
    let config = entry["Config"].as_str().unwrap();
    both = both.file(config, two.bytes(config));
    both = both.file("manifest.json", json!([list(&one)[0], entry]).to_string());
    let file = shelf.archive("both.tar", &both);

    for name in [String::new(), ":v1".to_owned()] {
        let Finished { code, stderr, .. } = lines(&format!("docker-archive:{file}{name}"));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("a.example/web:v1") && stderr.contains("a.example/api:v1"), "{stderr}");
    }
    assert_eq!(lines(&format!("docker-archive:{file}:a.example/web:v1")).stdout, LINES);
    let api = lines(&format!("docker-archive:{file}:a.example/api:v1")).stdout;
    assert_eq!(api, "deb\tlibc6\t2.41-12+deb13u1\n");
    let said = refusal(&format!("docker-archive:{file}:v2"));
    assert!(said.contains("no image named v2, but: a.example/"), "{said}");
}

#[test]
fn what_is_no_archive_of_an_image_ends_with_what_to_do() {
    let (shelf, image) = (Shelf::new(), image());
    let oci = oci_archive(&[("v1", &image)]);
    let docker = docker_archive(&image, &["web:v1"], Compression::None);
    let text = shelf.write("text.tar", &[b'x'; 2000]);
    let empty = shelf.write("empty.tar", b"");
    let gzip = shelf.write("web.tar.gz", &Compression::Gzip.compress(&docker.archive()));
    let other = shelf.archive("other.tar", &Members::new().file("a", "b"));
    let ancient = shelf.archive("ancient.tar", &docker.clone().without("manifest.json"));
    let docker = shelf.archive("docker.tar", &docker);
    write_oci_layout(&shelf.path("layout"), &[("v1", &image)]).unwrap();
    let oci = shelf.archive("oci.tar", &oci);
    let (missing, layout) = (shelf.text("missing.tar"), shelf.text("layout"));
    for (reference, said) in [
        (format!("docker-archive:{missing}:v1"), format!("there is no file {missing}\n")),
        (format!("docker-archive:{text}"), "it is no tar archive".to_owned()),
        (format!("oci-archive:{empty}"), "it is no tar archive".to_owned()),
        (format!("docker-archive:{gzip}"), format!("gzip --decompress --keep {gzip}")),
        (format!("docker-archive:{other}"), "there is no image in".to_owned()),
        (format!("docker-archive:{ancient}"), "saved by Docker before 1.10".to_owned()),
        (format!("oci-archive:{docker}"), format!("docker-archive:{docker}")),
        (format!("oci-archive:{layout}"), format!("oci:{layout}")),
        (format!("oci-archive:{oci}:v2"), "no image named v2, but: v1".to_owned()),
        (format!("docker-archive:{docker}:v2"), "no image named v2, but: web:v1".to_owned()),
        (format!("oci:{layout}:v2"), "no image named v2, but: v1".to_owned()),
        (format!("dir:{missing}"), format!("there is no folder {missing}")),
        (format!("dir:{docker}"), format!("docker-archive:{docker}")),
    ] {
        let stderr = refusal(&reference);
        assert!(stderr.contains(&said), "{reference}: {stderr}");
    }
}

#[test]
fn a_damaged_archive_is_named_with_what_is_wrong() {
    let (shelf, image) = (Shelf::new(), image());
    let saved = [
        ("docker-archive", docker_archive(&image, &["web:v1"], Compression::None)),
        ("docker-archive", docker_archive(&image, &["web:v1"], Compression::Gzip)),
        ("oci-archive", oci_archive(&[("v1", &image)])),
    ];
    for (scheme, members) in saved {
        let name_of =
            |wanted: &Bytes| members.names().find(|name| members.bytes(name) == *wanted).map(str::to_owned);
        // The largest member is a layer, or is compressed into one.
        let layer = members
            .names()
            .filter(|name| name.ends_with("layer.tar") || image.blobs.contains_key(&digest_in(name)))
            .filter(|name| !members.bytes(name).starts_with(b"{"))
            .max_by_key(|name| members.bytes(name).len())
            .unwrap()
            .to_owned();
        let config =
            image.blobs.values().find_map(|blob| blob.starts_with(b"{").then(|| name_of(blob))).unwrap();
        let config = config.unwrap();

        let whole = members.archive();
        let cut = shelf.write("cut.tar", &whole[..whole.len() - 2000]);
        let said = refusal(&format!("{scheme}:{cut}"));
        assert!(said.contains("is cut off within"), "{said}");

        let mut bytes = members.bytes(&layer).to_vec();
        let other = if scheme == "docker-archive" && bytes.starts_with(&[0x1f, 0x8b]) {
            Compression::Gzip.compress(b"another layer")
        } else {
            *bytes.last_mut().unwrap() ^= 1;
            bytes
        };
        let changed = shelf.archive("changed.tar", &members.clone().file(&layer, other));
        let said = refusal(&format!("{scheme}:{changed}"));
        assert!(said.contains("failed to read layer sha256:") && said.contains("have the digest"), "{said}");
        assert!(said.contains("save or copy the image again"), "{said}");

        let gone = shelf.archive("gone.tar", &members.clone().without(&layer));
        let said = refusal(&format!("{scheme}:{gone}"));
        assert!(said.contains("has no ") && said.contains(&layer), "{said}");

        let changed = shelf.archive("config.tar", &members.clone().file(&config, "{\"rootfs\": {}}"));
        let said = refusal(&format!("{scheme}:{changed}"));
        assert!(said.contains("its digest is sha256:"), "{said}");
    }
}

/// The digest that a blob of a layout is named by.
fn digest_in(name: &str) -> tidewatch_core::Digest {
    let hex = name.rsplit('/').next().unwrap_or_default();
    format!("sha256:{hex}").parse().unwrap_or_else(|_| tidewatch_core::Digest::of(name.as_bytes()))
}

#[test]
fn a_folder_is_read_as_it_is_without_following_links_out_of_it() {
    let (shelf, image) = (Shelf::new(), image());
    let (root, outside) = (shelf.path("root"), shelf.path("outside"));
    unpack(&image, &root);
    unpack(&debian_image(&[crate::images::ZLIB]), &outside);
    std::os::unix::fs::symlink(&outside, root.join("srv")).unwrap();
    // A name that would be a whiteout in a layer is a file like others here.
    std::fs::write(root.join("var/lib/.wh.dpkg"), "").unwrap();
    let Finished { code, stdout, stderr } = lines(&format!("dir:{}", root.display()));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), LINES, ""));
}

#[test]
fn what_cannot_be_read_in_a_folder_is_named_and_the_rest_counts() {
    let (shelf, image) = (Shelf::new(), image());
    let root = shelf.path("root");
    unpack(&image, &root);
    std::fs::create_dir_all(root.join("lib/apk/db")).unwrap();
    let database = root.join("lib/apk/db/installed");
    std::fs::write(&database, "P:musl\nV:1\n\n").unwrap();
    if !forbid(&database) {
        tidewatch_testkit::skip::skipped("this user may read every file");
        return;
    }
    let Finished { code, stdout, stderr } = lines(&format!("dir:{}", root.display()));
    assert_eq!((code, stdout.as_str()), (Some(0), LINES), "{stderr}");
    assert!(stderr.contains("not read: lib/apk/db/installed: "), "{stderr}");
}

/// Takes away the right to read; says whether that has an effect.
fn forbid(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).unwrap();
    std::fs::File::open(path).is_err()
}

#[test]
fn each_format_says_which_packages_there_are() {
    let (shelf, image, installation) = (Shelf::new(), image(), Installation::new());
    let file = shelf.archive("web.tar", &oci_archive(&[("v1", &image)]));
    let reference = format!("oci-archive:{file}");
    let printed = |arguments: &[&str]| installation.must(&[&["inventory", &reference], arguments].concat());

    let table = printed(&[]);
    assert!(table.trim_start().starts_with("TYPE"), "{table}");
    assert!(table.ends_with("Debian GNU/Linux 13 (trixie): 2 packages (deb 2), 0 problems\n"), "{table}");
    let wide = printed(&["--wide"]);
    assert!(
        wide.contains("glibc") && wide.contains("var/lib/dpkg/status") && !table.contains("glibc"),
        "{wide}"
    );

    let document = read_json(&printed(&["--format", "json"]));
    assert_eq!(document["schema"], "tidewatch.inventory/1");
    assert_eq!((&document["digest"], &document["platform"]), (&json!(image.digest), &json!("linux/amd64")));
    assert_eq!(document["distribution"]["id"], "debian");
    let libc = &document["packages"][0];
    assert_eq!(libc["purl"], "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64&distro=debian-13");
    assert_eq!((&libc["source"]["name"], &libc["reader"]), (&json!("glibc"), &json!("dpkg")));
    assert_eq!(libc["locations"][0]["path"], "var/lib/dpkg/status");
    assert_eq!(document["owned"], json!([]));

    for format in ["cyclonedx", "spdx"] {
        let made = ["--format", format, "--created", "2026-01-31T12:00:00Z"];
        let text = printed(&made);
        assert_eq!(text, printed(&made), "it is the same again");
        assert!(text.contains("2026-01-31T12:00:00Z") && text.contains(&image.digest.to_string()), "{text}");
        assert!(text.contains("pkg:deb/debian/openssl@3.5.1-1?arch=amd64&distro=debian-13"), "{text}");
        // The file holds the same, and nothing is printed.
        let path = shelf.text(format);
        assert_eq!(printed(&[&made[..], &["--output", &path]].concat()), "");
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }
}

#[test]
fn what_an_image_holds_but_cannot_be_read_is_named_beside_the_lines() {
    let broken = LayerBuilder::new().file("lib/apk/db/installed", "P:musl\n\n").build();
    let image = ImageBuilder::new().layer(package_layer(&[FIXED_LIBC, OLD_OPENSSL])).layer(broken).build();
    let shelf = Shelf::new();
    let reference = format!("oci-archive:{}", shelf.archive("web.tar", &oci_archive(&[("v1", &image)])));
    for quiet in [&[][..], &["--quiet"]] {
        let arguments = [&["inventory", &reference, "--format", "tsv"], quiet].concat();
        let Finished { code, stdout, stderr } = Installation::new().run(&arguments);
        assert_eq!((code, stdout.as_str()), (Some(0), LINES));
        assert!(stderr.contains("not read: lib/apk/db/installed"), "{stderr}");
    }
    let document = Installation::new().json(&["inventory", &reference]);
    assert_eq!(document["problems"][0]["subject"], "lib/apk/db/installed");
}

#[test]
fn a_layer_is_read_up_to_the_limits_that_are_given() {
    let image = ImageBuilder::new().layer(package_layer(&[FIXED_LIBC, OLD_OPENSSL])).build();
    let shelf = Shelf::new();
    let reference = format!("oci-archive:{}", shelf.archive("web.tar", &oci_archive(&[("v1", &image)])));
    let document = Installation::new().json(&["inventory", &reference, "--limits", "packages=1"]);
    assert_eq!(document["packages"].as_array().unwrap().len(), 1);
    let reason = document["problems"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("has more packages than its layer may have"), "{reason}");
}

#[test]
fn options_that_do_not_go_together_end_with_2_before_anything_is_read() {
    let installation = Installation::new();
    for (arguments, said) in [
        (&["inventory", "oci:/nowhere", "--format", "tsv", "--wide"][..], "--wide is for the table"),
        (&["inventory", "oci:/nowhere", "--output", "/nowhere/at/all"], "failed to write /nowhere/at/all"),
        (&["inventory", "oci:/nowhere", "--limits", "entry=1"], "there are entries, path_bytes"),
        (&["inventory", "oci:/nowhere", "--created", "noon"], "expected 2026-01-31T12:00:00Z"),
        (&["scan", "oci:/nowhere", "--format", "tsv"], "only `tidewatch inventory` prints this format"),
        (&["images", "--format", "cyclonedx"], "only `tidewatch inventory` prints this format"),
    ] {
        let Finished { code, stdout, stderr } = installation.run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    assert!(!installation.data().exists(), "an inventory makes no data folder");
}

#[test]
fn another_platform_than_the_one_that_is_saved_has_to_be_named() {
    let layer: Layer = package_layer(&[FIXED_LIBC, OLD_OPENSSL]);
    let platform = tidewatch_core::image::Platform::linux_arm64();
    let image = ImageBuilder::new().layer(layer).platform(&platform).build();
    let shelf = Shelf::new();
    let file = shelf.archive("web.tar", &docker_archive(&image, &["web:v1"], Compression::None));
    let reference = format!("docker-archive:{file}");
    let said = refusal(&reference);
    assert!(said.contains("linux/arm64") && said.contains("--platform"), "{said}");
    let arguments = ["inventory", &reference, "--platform", "linux/arm64", "--format", "tsv"];
    assert_eq!(Installation::new().must(&arguments), LINES);
}
