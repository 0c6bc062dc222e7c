//! How releases and packages are named, and that table and folder say the same.

use tidewatch_core::package::SourcePackage;

use super::*;
use crate::order::Order;
use crate::subject::{Subject, subjects, subjects_of};

fn distribution(id: &str, version_id: Option<&str>, pretty_name: &str) -> Distribution {
    Distribution {
        id: id.to_owned(),
        version_id: version_id.map(str::to_owned),
        pretty_name: pretty_name.to_owned(),
    }
}

/// The ecosystem of the distribution's own packages.
fn scope(id: &str, version_id: Option<&str>, pretty_name: &str) -> Option<String> {
    let distribution = distribution(id, version_id, pretty_name);
    let of_distribution = |family: &&Family| family.package_type.is_some_and(PackageType::is_of_distribution);
    FAMILIES
        .iter()
        .filter(|family| of_distribution(family))
        .find_map(|family| (family.scope)(Some(&distribution)))
}

#[test]
fn releases_are_named_as_osv_names_them() {
    for (id, version_id, pretty_name, ecosystem) in [
        ("debian", "12", "", "Debian:12"),
        ("debian", "12.5", "", "Debian:12"),
        ("debian", "6.0.10", "", "Debian:6.0"),
        ("debian", "6", "", "Debian:6.0"),
        ("debian", "3.1", "", "Debian:3.1"),
        ("alpine", "3.19.1", "", "Alpine:v3.19"),
        ("alpine", "3.9", "", "Alpine:v3.9"),
        ("alpine", "3.23_alpha20250612", "", "Alpine:edge"),
        ("alpine", "3.20.0_alpha20240329", "", "Alpine:edge"),
        ("ubuntu", "22.04", "Ubuntu 22.04.4 LTS", "Ubuntu:22.04"),
        ("almalinux", "9.4", "", "AlmaLinux:9"),
        ("rocky", "8.10", "", "Rocky Linux:8"),
        ("rhel", "9.4", "", "Red Hat:9"),
        ("centos", "7", "CentOS Linux 7 (Core)", "Red Hat:7"),
        ("amzn", "2023", "", "Amazon Linux:2023"),
        ("amzn", "2", "", "Amazon Linux:2"),
        ("azurelinux", "3.0", "", "Azure Linux:3"),
        ("mariner", "2.0", "", "Azure Linux:2"),
        ("photon", "5.0", "", "Photon OS:5.0"),
        ("mageia", "9", "", "Mageia:9"),
        ("openeuler", "22.03", "openEuler 22.03 (LTS-SP1)", "openEuler:22.03-LTS-SP1"),
        ("openeuler", "24.03", "openEuler 24.03 (LTS)", "openEuler:24.03-LTS"),
        ("openeuler", "23.09", "openEuler 23.09", "openEuler:23.09"),
        ("opensuse-leap", "15.5", "openSUSE Leap 15.5", "openSUSE:Leap 15.5"),
        ("opensuse-tumbleweed", "20240801", "", "openSUSE:Tumbleweed"),
        ("opensuse-leap-micro", "5.5", "", "openSUSE:Leap Micro 5.5"),
        ("sles", "15.5", "SUSE Linux Enterprise Server 15 SP5", "SUSE:15 SP5"),
        ("sles", "15", "", "SUSE:15"),
        ("sles", "16.0", "", "SUSE:16.0"),
        ("sle-micro", "5.5", "", "SUSE:Micro 5.5"),
        ("sl-micro", "6.0", "", "SUSE:Micro 6.0"),
        ("wolfi", "20230201", "Wolfi", "Wolfi"),
        ("chainguard", "20230214", "Chainguard", "Chainguard"),
        ("minimos", "20241031", "", "MinimOS"),
        ("cleanstart", "2024", "", "CleanStart"),
        ("alpaquita", "23", "", "Alpaquita:23"),
        ("alpaquita", "stream", "", "Alpaquita:stream"),
        ("bellsoft-hardened-containers", "25", "", "BellSoft Hardened Containers:25"),
        ("echo", "1", "", "Echo"),
    ] {
        assert_eq!(scope(id, Some(version_id), pretty_name).as_deref(), Some(ecosystem), "{id} {version_id}");
    }
}

#[test]
fn distributions_and_releases_without_advisories_have_no_ecosystem() {
    for (id, version_id, pretty_name) in [
        ("debian", None, "Debian GNU/Linux trixie/sid"),
        ("alpine", Some("3"), ""),
        ("ubuntu", None, ""),
        ("fedora", Some("39"), ""),
        ("centos", Some("9"), "CentOS Stream 9"),
        ("ol", Some("9.4"), ""),
        ("arch", None, ""),
        ("opensuse-slowroll", Some("20240801"), ""),
        ("", None, ""),
    ] {
        assert_eq!(scope(id, version_id, pretty_name), None, "{id} {version_id:?}");
    }
}

#[test]
fn the_spellings_of_a_release_are_one_key_and_other_products_keep_theirs() {
    for (ecosystem, id, key) in [
        ("Debian:12", "debian", "Debian:12"),
        ("Debian", "debian", "Debian"),
        ("Alpine:v3.19", "alpine", "Alpine:v3.19"),
        ("Alpine:edge", "alpine", "Alpine:edge"),
        ("Ubuntu:22.04:LTS", "ubuntu", "Ubuntu:22.04"),
        ("Ubuntu:22.04", "ubuntu", "Ubuntu:22.04"),
        ("Ubuntu:24.10", "ubuntu", "Ubuntu:24.10"),
        ("Ubuntu:Pro:22.04:LTS", "ubuntu", "Ubuntu:Pro:22.04"),
        ("Ubuntu:Pro:FIPS-updates:20.04:LTS", "ubuntu", "Ubuntu:Pro:FIPS-updates:20.04"),
        ("Ubuntu:Pro:22.04:LTS:Realtime:Kernel", "ubuntu", "Ubuntu:Pro:22.04:Realtime:Kernel"),
        ("AlmaLinux:9", "almalinux", "AlmaLinux:9"),
        ("Rocky Linux:9", "rocky", "Rocky Linux:9"),
        ("Red Hat:enterprise_linux:9::baseos", "red-hat", "Red Hat:9"),
        ("Red Hat:enterprise_linux:9::appstream", "red-hat", "Red Hat:9"),
        ("Red Hat:enterprise_linux:10.1", "red-hat", "Red Hat:10"),
        ("Red Hat:enterprise_linux:7::server", "red-hat", "Red Hat:7"),
        ("Red Hat:rhel_els:7", "red-hat", "Red Hat:7"),
        ("Red Hat:rhel_eus:9.2::baseos", "red-hat", "Red Hat:rhel_eus:9.2::baseos"),
        ("Red Hat:openshift:4.12::el9", "red-hat", "Red Hat:openshift:4.12::el9"),
        ("SUSE:Linux Enterprise Module for Basesystem 15 SP5", "suse", "SUSE:15 SP5"),
        ("SUSE:Linux Enterprise Server 15 SP5-LTSS", "suse", "SUSE:15 SP5"),
        ("SUSE:Linux Enterprise Server for SAP Applications 15 SP5", "suse", "SUSE:15 SP5"),
        ("SUSE:Linux Enterprise High Performance Computing 15 SP5-ESPOS", "suse", "SUSE:15 SP5"),
        ("SUSE:Linux Enterprise Server LTSS Extended Security 12 SP5", "suse", "SUSE:12 SP5"),
        ("SUSE:Linux Enterprise Module for Web and Scripting 12", "suse", "SUSE:12"),
        ("SUSE:Linux Enterprise Server 12-LTSS", "suse", "SUSE:12"),
        ("SUSE:Linux Enterprise Server 16.0", "suse", "SUSE:16.0"),
        ("SUSE:Linux Enterprise Micro 5.5", "suse", "SUSE:Micro 5.5"),
        ("SUSE:Linux Micro 6.0", "suse", "SUSE:Micro 6.0"),
        ("SUSE:Manager Server 4.3", "suse", "SUSE:Manager Server 4.3"),
        ("openSUSE:Leap 15.5", "opensuse", "openSUSE:Leap 15.5"),
        ("openSUSE:Leap 15.5 NonFree", "opensuse", "openSUSE:Leap 15.5"),
        ("openSUSE:Tumbleweed", "opensuse", "openSUSE:Tumbleweed"),
        ("openEuler:22.03-LTS-SP1", "openeuler", "openEuler:22.03-LTS-SP1"),
        ("Azure Linux:2", "azure-linux", "Azure Linux:2"),
        ("Photon OS:4.0", "photon", "Photon OS:4.0"),
        ("Mageia:9", "mageia", "Mageia:9"),
        ("Wolfi", "wolfi", "Wolfi"),
        ("Packagist:https://packages.drupal.org/8", "packagist", "Packagist"),
        ("Maven:https://maven.google.com", "maven", "Maven"),
        ("crates.io", "crates-io", "crates.io"),
    ] {
        let found = canonical(ecosystem).map(|(family, key)| (family.id, key));
        assert_eq!(found, Some((id, key.to_owned())), "{ecosystem}");
    }
    for unknown in ["", "Debia", "Debian12", "GIT", "Echo:PyPI", "Linux", "ubuntu:22.04"] {
        assert!(canonical(unknown).is_none(), "{unknown:?}");
    }
}

#[test]
fn every_scope_is_a_key_of_its_own_family() {
    let releases = ["9", "12.5", "22.04", "3.19.1", "2023", "15.5", "stream"];
    let ids =
        ["debian", "ubuntu", "alpine", "rhel", "rocky", "almalinux", "sles", "amzn", "photon", "sle-micro"];
    for (id, release) in ids.into_iter().flat_map(|id| releases.map(|release| (id, release))) {
        let Some(ecosystem) = scope(id, Some(release), "") else { continue };
        let (_, key) = canonical(&ecosystem).unwrap();
        assert_eq!(key, ecosystem, "a canonical ecosystem does not change");
    }
}

fn built_from(
    package_type: PackageType,
    [name, version]: [&str; 2],
    [source, its_version]: [&str; 2],
) -> Package {
    let source = SourcePackage { name: source.to_owned(), version: its_version.to_owned() };
    Package { source: Some(source), ..Package::new(package_type, name, version, "test") }
}

/// The keys under which the package is looked up, as `ecosystem name version`.
fn keys(distribution: &Distribution, package: &Package) -> Vec<String> {
    let found = subjects(Some(distribution), package).unwrap();
    found.keys.iter().map(text).collect()
}

fn text(Subject { ecosystem, name, version }: &Subject) -> String {
    format!("{ecosystem} {name} {version}")
}

#[test]
fn a_package_is_looked_up_by_the_name_that_its_advisories_use() {
    let libs = built_from(PackageType::Rpm, ["openssl-libs", "1:3.0.7-27.el9"], ["openssl", "3.0.7-27.el9"]);
    let of = |id: &str, release: &str| keys(&distribution(id, Some(release), ""), &libs)[0].clone();
    assert_eq!(of("almalinux", "9.4"), "AlmaLinux:9 openssl-libs 1:3.0.7-27.el9");
    assert_eq!(of("rhel", "9.4"), "Red Hat:9 openssl-libs 1:3.0.7-27.el9");
    assert_eq!(of("amzn", "2023"), "Amazon Linux:2023 openssl-libs 1:3.0.7-27.el9");
    assert_eq!(of("rocky", "9.4"), "Rocky Linux:9 openssl 3.0.7-27.el9");
    assert_eq!(of("sles", "15.5"), "SUSE:15 SP5 openssl 3.0.7-27.el9");
    let azure = built_from(PackageType::Rpm, ["zlib-devel", "1.3.1-1.azl3"], ["zlib", "1.3.1-1.azl3"]);
    assert_eq!(keys(&distribution("azurelinux", Some("3.0"), ""), &azure)[0], "Azure Linux:3 zlib 1.3.1-1");
    let wolfi = built_from(PackageType::Apk, ["libssl3", "3.3.0-r1"], ["openssl", "3.3.0-r1"]);
    let both = ["Wolfi libssl3 3.3.0-r1", "Wolfi openssl 3.3.0-r1"];
    assert_eq!(keys(&distribution("wolfi", None, ""), &wolfi), both);
    let python = Package::new(PackageType::Pypi, "Zope.Interface", "5.4", "test");
    assert_eq!(keys(&distribution("debian", Some("12"), ""), &python), ["PyPI zope-interface 5.4"]);
}

#[test]
fn what_comes_from_ubuntu_pro_is_looked_for_there_first() {
    let ubuntu = distribution("ubuntu", Some("18.04"), "");
    let of = |version: &str| keys(&ubuntu, &Package::new(PackageType::Deb, "openssl", version, "test"));
    let public = "Ubuntu:18.04 openssl 1";
    assert_eq!(of("1"), [public, "Ubuntu:Pro:18.04 openssl 1", "Ubuntu openssl 1"]);
    assert_eq!(of("1+esm2")[0], "Ubuntu:Pro:18.04 openssl 1+esm2");
    assert_eq!(of("1.fips.2")[0], "Ubuntu:Pro:FIPS-updates:18.04 openssl 1.fips.2");
}

#[test]
fn the_modules_of_suse_12_are_for_every_service_pack() {
    let package = Package::new(PackageType::Rpm, "php74", "7.4-1", "test");
    let sles = distribution("sles", Some("12.5"), "");
    assert_eq!(keys(&sles, &package), ["SUSE:12 SP5 php74 7.4-1", "SUSE:12 php74 7.4-1", "SUSE php74 7.4-1"]);
}

#[test]
fn a_question_is_about_the_ecosystems_that_the_service_answers_it_of() {
    let of = |ecosystem: &str, name: &str| -> Vec<String> {
        subjects_of(ecosystem, name, "1").unwrap().keys.iter().map(text).collect()
    };
    let both = ["Ubuntu:22.04 curl 1", "Ubuntu:Pro:22.04 curl 1", "Ubuntu curl 1"];
    assert_eq!(of("Ubuntu:22.04", "curl"), both);
    assert_eq!(of("Ubuntu:22.04:LTS", "curl"), ["Ubuntu:22.04 curl 1", "Ubuntu curl 1"]);
    assert_eq!(of("NuGet", "Newtonsoft.Json"), ["NuGet newtonsoft.json 1"]);
    assert_eq!(
        of("SwiftURL", "https://github.com/apple/swift-nio.git"),
        ["SwiftURL github.com/apple/swift-nio 1"]
    );
    assert!(subjects_of("GIT", "https://example.com/x", "1").is_none());
}

#[test]
fn only_families_of_the_distribution_are_called_for_without_packages() {
    let debian = distribution("debian", Some("12"), "");
    assert_eq!(families_for(Some(&debian), &[]), ["debian"]);
    let packages = [PackageType::Npm, PackageType::Deb, PackageType::Rpm];
    let packages = packages.map(|package_type| Package::new(package_type, "a", "1", "test"));
    assert_eq!(families_for(Some(&debian), &packages), ["debian", "npm"]);
    assert_eq!(families_for(None, &packages), ["npm"]);
}

#[test]
fn no_release_of_a_distribution_belongs_to_two_families() {
    for package_type in [PackageType::Apk, PackageType::Deb, PackageType::Rpm] {
        let ids = [
            "alpine",
            "debian",
            "ubuntu",
            "echo",
            "wolfi",
            "rhel",
            "centos",
            "sles",
            "opensuse-leap",
            "photon",
        ];
        for id in ids {
            let distribution = distribution(id, Some("15.5"), "");
            let count = FAMILIES
                .iter()
                .filter(|family| family.package_type == Some(package_type))
                .filter(|family| (family.scope)(Some(&distribution)).is_some())
                .count();
            assert!(count <= 1, "{id}: {count} families");
        }
    }
}

#[test]
fn the_table_lists_every_family_once_and_in_order() {
    assert!(FAMILIES.is_sorted_by(|a, b| a.id < b.id));
    let ecosystems: std::collections::BTreeSet<_> = FAMILIES.iter().map(|family| family.ecosystem).collect();
    assert_eq!(ecosystems.len(), FAMILIES.len());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ecosystem");
    let files =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.filter(|file| !["mod.rs", "tests.rs"].contains(&file.as_str())).collect();
    files.sort();
    // `pub` is a word of the language.
    let file =
        |id: &str| if id == "pub" { "pub_.rs".to_owned() } else { format!("{}.rs", id.replace('-', "_")) };
    let mut table: Vec<_> = FAMILIES.iter().map(|family| file(family.id)).collect();
    table.sort();
    assert_eq!(files, table, "a file without its line in the table, or a line without its file");
}

#[test]
fn the_page_of_advisories_lists_every_family_as_it_is() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ADVISORIES.md")).unwrap();
    let (_, section) = page.split_once("\n## Families\n").unwrap();
    let rows =
        section.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"));
    // The order may be followed by what of versions is left out.
    let listed: Vec<Vec<&str>> = rows
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .map(|row: Vec<_>| [&row[..4], &[row[5].split(',').next().unwrap()]].concat())
        .collect();
    let of = |family: &&Family| -> Vec<String> {
        let packages = family.package_type.map_or("", PackageType::as_str);
        let order = Order::of_ecosystem(family.ecosystem).unwrap();
        assert!(std::ptr::fn_addr_eq(order.compare, family.compare), "{}", family.id);
        let id = format!("`{}`", family.id);
        [&id, family.ecosystem, packages, family.names.as_str(), order.name].map(str::to_owned).into()
    };
    assert_eq!(listed, FAMILIES.iter().map(of).collect::<Vec<_>>(), "docs/ADVISORIES.md");
}
