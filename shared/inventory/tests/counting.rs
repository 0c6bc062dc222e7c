//! What counts of what an image holds: packages of languages beside those of the distribution, lock files beside what is
//! installed, licences that stand elsewhere, and databases with a companion.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail by panic.

mod common;

use common::{dpkg, read};
use tidewatch_core::package::{Package, PackageType};
use tidewatch_inventory::{ImageInventory, LayerInventory, merge};
use tidewatch_testkit::layer::{Compression, LayerBuilder};

const STATUS: &str = "var/lib/dpkg/status";

fn image(layers: impl IntoIterator<Item = LayerBuilder>) -> ImageInventory {
    let layers: Vec<LayerInventory> =
        layers.into_iter().map(|layer| read(&layer.compression(Compression::None).build())).collect();
    merge(&layers)
}

/// Packages as `type name version`.
fn list(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .map(|package| format!("{} {} {}", package.package_type.as_str(), package.name, package.version))
        .collect()
}

fn npm(name: &str, version: &str) -> String {
    format!(r#"{{"name": "{name}", "version": "{version}", "license": "MIT"}}"#)
}

fn metadata(name: &str, version: &str) -> String {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n")
}

/// What npm writes: a lock file of an application with one dependency.
fn package_lock(name: &str) -> String {
    format!(
        r#"{{"name": "app", "version": "1.0.0", "lockfileVersion": 3, "packages": {{
            "": {{"name": "app", "version": "1.0.0", "dependencies": {{"{name}": "^1.0.0"}}}},
            "node_modules/{name}": {{"version": "1.0.0"}}
        }}}}"#
    )
}

#[test]
fn a_package_of_a_language_that_one_of_the_distribution_has_put_there_does_not_count_beside_it() {
    let metadata_path = "usr/lib/python3/dist-packages/requests-2.28.1.dist-info/METADATA";
    let image = image([LayerBuilder::new()
        .file(STATUS, dpkg(&["python3-requests"]))
        .file("var/lib/dpkg/info/python3-requests.list", format!("/.\n/usr\n/{metadata_path}\n"))
        .file(metadata_path, metadata("requests", "2.28.1"))
        .file("srv/lib/site-packages/flask-2.0.0.dist-info/METADATA", metadata("Flask", "2.0.0"))]);
    assert_eq!(list(&image.packages), ["deb python3-requests 1.0-1", "pypi flask 2.0.0"]);
    assert_eq!(list(&image.owned), ["pypi requests 2.28.1"]);
    assert!(image.problems.is_empty());
}

#[test]
fn what_a_package_lists_from_before_usr_was_merged_is_owned_where_it_is_now() {
    let image = image([LayerBuilder::new()
        .symlink("lib", "usr/lib")
        .file(STATUS, dpkg(&["node-ws"]))
        .file("var/lib/dpkg/info/node-ws:all.list", "/lib/nodejs/ws/package.json\n")
        .file("usr/lib/nodejs/ws/package.json", npm("ws", "8.0.0"))]);
    assert_eq!(list(&image.owned), ["npm ws 8.0.0"]);
}

#[test]
fn a_package_counts_again_once_the_list_that_owned_it_is_gone() {
    let path = "usr/share/nodejs/ws/package.json";
    let lower = LayerBuilder::new()
        .file("var/lib/dpkg/info/node-ws.list", format!("/{path}\n"))
        .file(path, npm("ws", "8.0.0"));
    let upper = LayerBuilder::new().whiteout("var/lib/dpkg/info/node-ws.list");
    let image = image([lower, upper]);
    assert_eq!((list(&image.packages), list(&image.owned)), (vec!["npm ws 8.0.0".to_owned()], vec![]));
}

#[test]
fn what_is_damaged_in_a_file_that_the_distribution_answers_for_is_no_problem_of_the_image() {
    let layer = |owned: &str| {
        LayerBuilder::new()
            .file("var/lib/dpkg/info/libx-java.list", owned)
            .file("usr/share/java/x.jar", "no archive")
    };
    assert!(image([layer("/usr/share/java/x.jar\n")]).problems.is_empty());
    assert_eq!(image([layer("/usr/share/java/y.jar\n")]).problems.len(), 1);
}

#[test]
fn two_copies_of_a_package_in_two_places_are_one_package_with_two_locations() {
    let image = image([
        LayerBuilder::new().file("a/node_modules/ws/package.json", npm("ws", "8.0.0")),
        LayerBuilder::new().file("b/node_modules/ws/package.json", npm("ws", "8.0.0")),
    ]);
    let [package] = &image.packages[..] else { panic!("{:?}", image.packages) };
    let paths: Vec<&str> = package.locations.iter().map(|location| location.path.as_str()).collect();
    assert_eq!(paths.len(), 2);
    assert_ne!(package.locations[0].layer, package.locations[1].layer);
    assert_eq!(package.license.as_deref(), Some("MIT"));
}

#[test]
fn a_lock_file_of_a_project_counts_where_its_tree_is_not_installed() {
    let lock = || LayerBuilder::new().file("app/package-lock.json", package_lock("ws"));
    assert_eq!(list(&image([lock()]).packages), ["npm ws 1.0.0"]);
    // Another project's tree, or the application's own manifest, says nothing about this one.
    let other = lock()
        .file("usr/lib/node_modules/npm/package.json", npm("npm", "10.0.0"))
        .file("app/package.json", npm("app", "1.0.0"))
        .file("app-too/node_modules/x/package.json", npm("x", "1.0.0"));
    assert_eq!(
        list(&image([other]).packages),
        ["npm app 1.0.0", "npm npm 10.0.0", "npm ws 1.0.0", "npm x 1.0.0"]
    );
    for path in ["app/node_modules/x/package.json", "app/packages/web/node_modules/x/package.json"] {
        let installed = lock().file(path, npm("x", "1.0.0"));
        assert_eq!(list(&image([installed]).packages), ["npm x 1.0.0"], "{path}");
    }
}

#[test]
fn a_lock_file_of_a_language_counts_where_nothing_of_it_is_installed() {
    let lock = || LayerBuilder::new().file("app/requirements.txt", "flask==2.0.0\n");
    assert_eq!(list(&image([lock()]).packages), ["pypi flask 2.0.0"]);
    let installed = LayerBuilder::new().file("usr/lib/python3/x-1.dist-info/METADATA", metadata("x", "1"));
    assert_eq!(list(&image([lock(), installed]).packages), ["pypi x 1"]);
    // What only the distribution has installed is not what the application runs on.
    let path = "usr/lib/python3/dist-packages/x-1.dist-info/METADATA";
    let of_distribution = LayerBuilder::new()
        .file("var/lib/dpkg/info/python3-x.list", format!("/{path}\n"))
        .file(path, metadata("x", "1"));
    assert_eq!(list(&image([lock(), of_distribution]).packages), ["pypi flask 2.0.0"]);
}

#[test]
fn the_licence_of_a_package_of_debian_stands_in_the_documents_of_it_or_of_another() {
    let copyright = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
                     Files: *\nCopyright: somebody\nLicense: GPL-2+\n";
    let image = image([
        LayerBuilder::new().file(STATUS, dpkg(&["gcc-12-base", "libgcc-s1", "tzdata"])),
        LayerBuilder::new()
            .file("usr/share/doc/gcc-12-base/copyright", copyright)
            .symlink("usr/share/doc/libgcc-s1", "gcc-12-base"),
    ]);
    let licenses: Vec<Option<&str>> =
        image.packages.iter().map(|package| package.license.as_deref()).collect();
    assert_eq!(licenses, [Some("GPL-2.0-or-later"), Some("GPL-2.0-or-later"), None]);
    assert!(image.problems.is_empty(), "{:?}", image.problems);
}

#[test]
fn a_log_of_changes_to_a_database_of_another_layer_is_a_problem_and_an_empty_one_is_none() {
    let log = "var/lib/rpm/rpmdb.sqlite-wal";
    assert!(image([LayerBuilder::new().file(log, "")]).problems.is_empty());
    let image = image([LayerBuilder::new().file(log, "frames")]);
    assert_eq!(image.problems.len(), 1);
    assert_eq!(image.problems[0].subject, log);
}

/// A program from the seeds of the fuzz targets.
fn program(seed: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fuzz/corpus/{seed}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn a_program_is_known_by_its_first_bytes_wherever_it_is_and_is_gone_with_its_file() {
    let programs = || {
        LayerBuilder::new()
            .file("usr/bin/go-program", program("go-build-info/inline"))
            .hardlink("opt/alias.txt", "usr/bin/go-program")
            .file("srv/data", program("cargo-auditable/list"))
    };
    let found = image([programs()]);
    let paths = |package_type: PackageType| -> Vec<Vec<&str>> {
        let packages = found.packages.iter().filter(|package| package.package_type == package_type);
        packages.map(|package| package.locations.iter().map(|at| at.path.as_str()).collect()).collect()
    };
    let (go, rust) = (paths(PackageType::Golang), paths(PackageType::Cargo));
    assert!(
        !go.is_empty() && go.iter().all(|paths| *paths == ["opt/alias.txt", "usr/bin/go-program"]),
        "{go:?}"
    );
    assert!(!rust.is_empty() && rust.iter().all(|paths| *paths == ["srv/data"]), "{rust:?}");
    let replaced =
        LayerBuilder::new().file("usr/bin/go-program", "#!/bin/sh").file("srv/data", "").whiteout("opt");
    assert!(image([programs(), replaced]).packages.is_empty());
}

#[test]
fn a_program_without_evidence_gives_nothing() {
    let mut program = b"\x7fELF".to_vec();
    program.resize(4096, 0);
    let image = image([LayerBuilder::new().file("usr/bin/x", &program).hardlink("bin/x", "usr/bin/x")]);
    assert!(image.packages.is_empty() && image.problems.is_empty());
}

#[test]
fn a_package_that_counts_and_is_owned_elsewhere_is_in_both_lists() {
    let path = "usr/share/nodejs/ws/package.json";
    let image = image([LayerBuilder::new()
        .file("var/lib/dpkg/info/node-ws.list", format!("/{path}\n"))
        .file(path, npm("ws", "8.0.0"))
        .file("app/node_modules/ws/package.json", npm("ws", "8.0.0"))]);
    assert_eq!((image.packages.len(), image.owned.len()), (1, 1));
    assert_eq!(image.packages[0].package_type, PackageType::Npm);
    assert_eq!(image.packages[0].locations[0].path, "app/node_modules/ws/package.json");
}

#[test]
fn what_replaces_a_file_of_the_distribution_in_a_later_layer_counts() {
    let path = "usr/lib/node_modules/npm/package.json";
    let lower = LayerBuilder::new()
        .file("var/lib/dpkg/info/nodejs.list", format!("/{path}\n"))
        .file(path, npm("npm", "9.0.0"));
    let upper = LayerBuilder::new().file(path, npm("npm", "10.9.0"));
    let image = image([lower, upper]);
    assert_eq!((list(&image.packages), list(&image.owned)), (vec!["npm npm 10.9.0".to_owned()], vec![]));
}

#[test]
fn a_lock_file_that_cannot_be_read_is_no_problem_where_its_packages_are_installed() {
    let broken = || LayerBuilder::new().file("app/package-lock.json", "<<<<<<< HEAD\n");
    assert_eq!(image([broken()]).problems.len(), 1);
    let installed = broken().file("app/node_modules/x/package.json", npm("x", "1.0.0"));
    assert!(image([installed]).problems.is_empty());
}

#[test]
fn what_asks_for_packages_within_a_dependency_asks_for_nothing() {
    let pom = "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version><dependencies><dependency>\
               <groupId>org.x</groupId><artifactId>y</artifactId><version>2</version></dependency></dependencies></project>";
    let files = [("pom.xml", pom), ("gradle.lockfile", "org.x:y:2=compileClasspath\n")];
    for (name, content) in files {
        let at = |path: &str| image([LayerBuilder::new().file(&format!("{path}/{name}"), content)]);
        assert_eq!(list(&at("srv/app").packages), ["maven org.x:y 2"], "{name}");
        for path in ["app/node_modules/react-native-x/android", "usr/share/doc/x/examples"] {
            assert!(at(path).packages.is_empty() && at(path).problems.is_empty(), "{path}/{name}");
        }
    }
}

#[test]
fn a_jar_with_two_projects_of_one_name_holds_both() {
    let mut jar = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (group, version) in [("a.org", "1.0"), ("b.org", "2.0")] {
        let path = format!("META-INF/maven/{group}/foo/pom.properties");
        jar.start_file(path, zip::write::SimpleFileOptions::default()).unwrap();
        let text = format!("groupId={group}\nartifactId=foo\nversion={version}\n");
        std::io::Write::write_all(&mut jar, text.as_bytes()).unwrap();
    }
    let jar = jar.finish().unwrap().into_inner();
    let image = image([LayerBuilder::new().file("app/foo.jar", jar)]);
    assert_eq!(list(&image.packages), ["maven a.org:foo 1.0", "maven b.org:foo 2.0"]);
}

#[test]
fn links_among_the_files_that_name_a_distribution_are_no_problem_once_one_does() {
    let fedora = || {
        LayerBuilder::new()
            .file("usr/lib/fedora-release", "Fedora release 40 (Forty)\n")
            .symlink("etc/fedora-release", "../usr/lib/fedora-release")
            .symlink("etc/redhat-release", "fedora-release")
            .symlink("etc/system-release", "fedora-release")
    };
    let named = fedora()
        .file("usr/lib/os-release", "ID=fedora\nVERSION_ID=40\n")
        .symlink("etc/os-release", "../usr/lib/os-release");
    let named = image([named]);
    assert_eq!(named.distribution.unwrap().id, "fedora");
    assert!(named.problems.is_empty(), "{:?}", named.problems);
    assert!(!image([fedora()]).problems.is_empty());
}

#[test]
fn a_hard_link_to_a_database_is_that_database() {
    let database = "usr/lib/sysimage/rpm/rpmdb.sqlite";
    let lower = LayerBuilder::new()
        .file(database, "no database")
        .hardlink("var/lib/rpm/rpmdb.sqlite", database)
        .hardlink("var/lib/rpm/rpmdb.sqlite-wal", database);
    let lower_only = image([lower]);
    let subjects: Vec<&str> = lower_only.problems.iter().map(|problem| problem.subject.as_str()).collect();
    assert_eq!(subjects, [database, "var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite-wal"]);
}

#[test]
fn a_licence_that_is_a_hard_link_or_too_long_is_no_problem() {
    let long = "x".repeat(5 << 20);
    let image = image([LayerBuilder::new()
        .file("opt/license", "MIT")
        .hardlink("usr/share/doc/a/copyright", "opt/license")
        .file("usr/share/doc/b/copyright", long)]);
    assert!(image.problems.is_empty(), "{:?}", image.problems);
}
