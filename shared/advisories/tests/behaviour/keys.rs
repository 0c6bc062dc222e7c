//! The law of keys: what a change of indexes does to an image, it is about one of the image's keys.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_advisories::{
    BuildOptions, Index, IndexSet, build, changed_keys, family_key, keys_of, match_packages,
};
use tidewatch_core::package::{Distribution, Package, PackageType, SourcePackage};
use tidewatch_testkit::advisory::{AdvisoryBuilder, write_archive};

use crate::set_up::time;

/// Ecosystems and packages that advisories are about, and those that the packages of images are found under.
const SUBJECTS: [(&str, &str, &str); 10] = [
    ("Debian", "Debian:12", "openssl"),
    ("Debian", "Debian:13", "openssl"),
    ("Debian", "Debian", "openssl"),
    ("Ubuntu", "Ubuntu:22.04:LTS", "openssl"),
    ("Ubuntu", "Ubuntu:Pro:22.04:LTS", "zlib"),
    ("Alpine", "Alpine:v3.19", "zlib"),
    ("AlmaLinux", "AlmaLinux:9", "zlib-devel"),
    ("PyPI", "PyPI", "Flask.Login"),
    ("npm", "npm", "zlib"),
    ("Maven", "Maven", "org.example:zlib"),
];

fn advisory(number: usize, variant: usize) -> Value {
    let (_, ecosystem, name) = SUBJECTS[number];
    let advisory = AdvisoryBuilder::new(&format!("X-{number}")).upstream(["CVE-2024-1"]);
    match variant {
        0 => advisory.fixed(ecosystem, name, "2.0.0"),
        1 => advisory
            .severity("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
            .fixed(ecosystem, name, "2.0.0"),
        2 => advisory.affects_all(ecosystem, name),
        3 => advisory.affected(json!({
            "package": {"ecosystem": ecosystem, "name": name},
            "versions": ["1.0.0"],
        })),
        _ => advisory.published("2024-02-03T00:00:00Z").fixed(ecosystem, name, "1.0.0"),
    }
    .build()
}

/// What each subject's advisory says; a family of which none says anything has no index.
type Said = Vec<Option<usize>>;

fn said() -> impl Strategy<Value = Said> {
    vec(option::of(0..5_usize), SUBJECTS.len())
}

fn indexes(said: &Said) -> IndexSet {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("osv");
    std::fs::create_dir(&source).unwrap();
    for family in ["Debian", "Ubuntu", "Alpine", "AlmaLinux", "PyPI", "npm", "Maven"] {
        let of_family = (0..SUBJECTS.len()).filter(|number| SUBJECTS[*number].0 == family);
        let records: Vec<Value> =
            of_family.filter_map(|number| Some(advisory(number, said[number]?))).collect();
        if !records.is_empty() {
            write_archive(&source, family, &records);
        }
    }
    let options = BuildOptions { output: folder.path().to_owned(), now: time("2026-01-01T00:00:00Z") };
    let built = build(&source, &options, &mut |_| {}).unwrap();
    built.families.iter().map(|family| Index::open(&family.path).unwrap()).collect()
}

prop_compose! {
    fn image()(
        distribution in 0_usize..6,
        packages in vec((0_usize..4, 0_usize..4, option::of(0_usize..4), any::<bool>()), 0..5),
    ) -> (Option<Distribution>, Vec<Package>) {
        let named = |id: &str, version: &str| Distribution {
            id: id.to_owned(),
            version_id: Some(version.to_owned()),
            pretty_name: String::new(),
        };
        let (system, distribution) = [
            (PackageType::Deb, None),
            (PackageType::Deb, Some(named("debian", "12"))),
            (PackageType::Deb, Some(named("debian", "13"))),
            (PackageType::Deb, Some(named("ubuntu", "22.04"))),
            (PackageType::Apk, Some(named("alpine", "3.19.1"))),
            (PackageType::Rpm, Some(named("almalinux", "9.4"))),
        ][distribution].clone();
        let versions = ["1.0.0", "2.0.0", "2.0.0+esm1", "not a version"];
        let names = ["openssl", "zlib", "zlib-devel", "libc"];
        let package = |(name, version, source, is_language): (usize, usize, Option<usize>, bool)| {
            if is_language {
                let (package_type, name) = [
                    (PackageType::Pypi, "flask-login"),
                    (PackageType::Npm, "zlib"),
                    (PackageType::Maven, "org.example:zlib"),
                    (PackageType::Cargo, "zlib"),
                ][name];
                return Package::new(package_type, name, versions[version], "test");
            }
            let source = source.map(|source| SourcePackage {
                name: names[source].to_owned(),
                version: versions[version].to_owned(),
            });
            Package { source, ..Package::new(system, names[name], versions[version], "test") }
        };
        (distribution, packages.into_iter().map(package).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_changes_for_an_image_is_about_one_of_its_keys(
        before in said(), after in said(), images in vec(image(), 1..8),
    ) {
        let (old, new) = (indexes(&before), indexes(&after));
        let mut changed = Vec::new();
        for family in tidewatch_advisories::FAMILIES {
            match (old.get(family.id), new.get(family.id)) {
                (old, Some(new)) => changed.extend(changed_keys(family.id, old, new).unwrap()),
                (Some(_), None) => changed.push(family_key(family.id)),
                (None, None) => {}
            }
        }
        for (distribution, packages) in &images {
            let distribution = distribution.as_ref();
            let matches = |indexes| match_packages(indexes, distribution, packages).unwrap();
            let keys = keys_of(distribution, packages);
            if matches(&old) != matches(&new) {
                prop_assert!(changed.iter().any(|key| keys.contains(key)), "{:?} {:?}", distribution, packages);
            }
        }
    }
}
