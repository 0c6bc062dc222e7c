//! Golden files of every format, and what the official validators say of bills of materials.

use tidewatch_core::image::Platform;
use tidewatch_core::package::{Distribution, Location, PackageType, SourcePackage};
use tidewatch_inventory::ImageInventory;
use tidewatch_testkit::sbom::{Kind, Validator};

use super::*;
use crate::source::RemoteName;

const REFERENCE: &str = "docker.io/team/Web:1.4.2";

fn found(package: Package, places: &[&str]) -> Package {
    let layer = Digest::of(b"layer");
    let locations = places.iter().map(|path| Location { layer, path: (*path).to_owned() }).collect();
    Package { locations, ..package }
}

/// A small image, in which each thing is once that can be said of a package.
fn image() -> ReadImage {
    let curl = Package {
        architecture: Some("amd64".to_owned()),
        source: Some(SourcePackage { name: "curl-src".to_owned(), version: "7.88.1-10".to_owned() }),
        license: Some("curl".to_owned()),
        ..Package::new(PackageType::Deb, "curl", "7.88.1-10+b1", "dpkg")
    };
    let archive = Package {
        license: Some("The Apache License".to_owned()),
        sha1: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        ..Package::new(PackageType::Maven, "org.example:app", "1.0", "java-archive")
    };
    let scoped = Package {
        license: Some("MIT OR LicenseRef-own".to_owned()),
        ..Package::new(PackageType::Npm, "@babel/core", "7.0.0", "npm")
    };
    let inventory = ImageInventory {
        distribution: Some(Distribution {
            id: "debian".to_owned(),
            version_id: Some("12".to_owned()),
            pretty_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        }),
        packages: vec![
            found(curl, &["var/lib/dpkg/status"]),
            found(archive, &["app/a.jar", "app/b.jar"]),
            found(scoped, &["app/node_modules/@babel/core/package.json"]),
        ],
        vex: Vec::new(),
        owned: vec![found(
            Package::new(PackageType::Pypi, "apt-tool", "1", "python"),
            &["usr/lib/x/METADATA"],
        )],
        problems: vec![Problem::new("app/c.jar", "is no zip archive")],
    };
    ReadImage {
        said: None,
        digest: Some(Digest::of(b"manifest")),
        platform: Some(Platform::linux_amd64()),
        name: Some(RemoteName {
            host: "docker.io".to_owned(),
            repository: "team/Web".to_owned(),
            tag: Some("1.4.2".to_owned()),
        }),
        inventory,
    }
}

/// A folder in which there is nothing.
fn nothing() -> ReadImage {
    ReadImage { digest: None, platform: None, name: None, inventory: ImageInventory::default(), said: None }
}

/// An image with a package of every type, and licences of every kind.
fn everything() -> ReadImage {
    let licences = [
        "MIT",
        "GPL-2.0-or-later WITH Classpath-exception-2.0 AND (BSD-3-Clause OR ISC)",
        "GPL-2.0+",
        "LicenseRef-scan-1.0",
        "public domain, \"as is\" \u{2014} see <https://example.com/?a=b#c>",
        "GPL, LGPL",
        "许可证",
        "!",
        " ",
    ];
    let mut packages: Vec<Package> = PackageType::ALL
        .into_iter()
        .zip(licences.into_iter().cycle())
        .map(|(package_type, license)| Package {
            license: Some(license.to_owned()),
            architecture: Some("x86_64".to_owned()),
            ..Package::new(package_type, "group:a@b/c d+e", "1:2.0-3~rc1+b1 x#1?y%", "reader")
        })
        .collect();
    // Two that differ only in what a purl does not say.
    let twin = Package::new(PackageType::Deb, "twin", "1", "dpkg");
    packages.push(Package { license: Some("MIT".to_owned()), ..twin.clone() });
    packages.push(twin);
    let packages = packages.into_iter().map(|package| found(package, &["a\\x01b", "c d"])).collect();
    let problems = vec![Problem::new("a", "is cut off"), Problem::new("b", "is <no> \"JSON\"")];
    let distribution = Some(Distribution { id: "arch".to_owned(), ..Distribution::default() });
    ReadImage {
        said: None,
        inventory: ImageInventory { distribution, packages, problems, ..ImageInventory::default() },
        ..image()
    }
}

fn text(image: &ReadImage, format: Format) -> String {
    text_of(image, format, false)
}

fn text_of(image: &ReadImage, format: Format, all: bool) -> String {
    let created = "2026-01-31T12:00:00.5Z".parse().unwrap();
    let sbom = Sbom { reference: REFERENCE, image, without_owned: !all, created };
    sbom.text(format, Layout { wide: all, terminal: false }).unwrap()
}

#[test]
fn cyclonedx_has_what_is_known_of_each_package() {
    insta::assert_snapshot!(text(&image(), Format::Cyclonedx));
}

#[test]
fn spdx_has_what_is_known_of_each_package() {
    insta::assert_snapshot!(text(&image(), Format::Spdx));
}

#[test]
fn json_has_what_is_known_of_each_package() {
    let text = text_of(&image(), Format::Json, true);
    let version = format!("\"reader_version\": {}", tidewatch_inventory::READER_VERSION);
    assert!(text.contains(&version));
    insta::assert_snapshot!(text.replace(&version, "\"reader_version\": 0"));
}

#[test]
fn a_table_is_narrow_or_wide() {
    insta::assert_snapshot!(text(&image(), Format::Table));
    insta::assert_snapshot!(text_of(&image(), Format::Table, true));
    assert_eq!(text(&nothing(), Format::Table), "no distribution: 0 packages, 0 problems\n");
}

#[test]
fn lines_are_sorted_by_their_bytes_and_each_is_there_once() {
    let package = |package_type, name, version| Package::new(package_type, name, version, "reader");
    let arm = Package { architecture: Some("arm64".to_owned()), ..package(PackageType::Deb, "curl", "1") };
    let packages = vec![
        package(PackageType::Pypi, "a", "1"),
        package(PackageType::Deb, "curl", "1"),
        arm,
        package(PackageType::Deb, "Zed", "1"),
        package(PackageType::Deb, "curl-dev\tx", "1\n"),
    ];
    let image =
        ReadImage { inventory: ImageInventory { packages, ..ImageInventory::default() }, ..nothing() };
    assert_eq!(text(&image, Format::Tsv), "deb\tZed\t1\ndeb\tcurl\t1\ndeb\tcurl-dev\\tx\t1\\n\npypi\ta\t1\n");
    assert_eq!(text(&nothing(), Format::Tsv), "");
}

#[test]
fn packages_that_are_part_of_another_are_listed_when_that_is_asked_for() {
    for format in [Format::Table, Format::Json, Format::Tsv] {
        assert!(!text_of(&image(), format, false).contains("apt-tool"), "{format:?}");
        assert!(text_of(&image(), format, true).contains("apt-tool"), "{format:?}");
    }
}

#[test]
fn the_same_document_has_the_same_id_and_another_has_another() {
    for (format, key) in [(Format::Cyclonedx, "serialNumber"), (Format::Spdx, "documentNamespace")] {
        let id = |image: &ReadImage| {
            let document: serde_json::Value = serde_json::from_str(&text(image, format)).unwrap();
            document[key].as_str().unwrap().to_owned()
        };
        assert_eq!(id(&image()), id(&image()));
        assert_ne!(id(&image()), id(&everything()));
    }
}

#[test]
fn a_time_is_rfc_3339_or_seconds() {
    let expected = "2026-01-31T12:00:00Z".parse().unwrap();
    assert_eq!(parse_time("2026-01-31T12:00:00Z"), Ok(expected));
    assert_eq!(parse_time("1769860800"), Ok(expected));
    for wrong in ["", "yesterday", "99999999999999999", "2026-01-31"] {
        assert!(parse_time(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_official_validators_take_every_bill_of_materials() {
    let Some(validator) = Validator::find_or_skip("bills of materials") else { return };
    for (format, kind) in [(Format::Cyclonedx, Kind::CycloneDx), (Format::Spdx, Kind::Spdx)] {
        let texts = [image(), nothing(), everything()].map(|image| text(&image, format));
        assert_eq!(validator.complaints(kind, &texts), Vec::<String>::new(), "{format:?}");
        // They would complain.
        let broken = text(&image(), format).replace("\"name\"", "\"nam\"");
        assert!(!validator.complaints(kind, &[broken]).is_empty(), "{format:?}");
    }
}
