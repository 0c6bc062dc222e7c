//! What a build takes, gives and reports.

use serde_json::json;
use tempfile::TempDir;
use tidewatch_advisories::{BuildOptions, Index, build, changed_packages};
use tidewatch_testkit::advisory::{write_archive, write_folder};

use crate::set_up::{Built, DEBIAN, advisory, build_from, time};

/// A rating that is CRITICAL.
const CRITICAL: (&str, &str) = ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H");

#[test]
fn a_broken_record_is_a_problem_and_the_others_are_built() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("osv");
    let records = [advisory("DSA-1-1").affects_all(DEBIAN, "pkg").build(), advisory("DSA-3-1").affected(json!({
        "package": {"ecosystem": DEBIAN, "name": "pkg"}, "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}],
    })).severity("CVSS_V3", "CVSS:3.1/nonsense").build()];
    let debian = write_folder(&source, "Debian", &records);
    std::fs::write(debian.join("DSA-2-1.json"), "{\"id\": \"DSA-2-1\", \"affected\": 7}").unwrap();
    std::fs::write(debian.join("README.md"), "not a record").unwrap();
    let built = Built::compile(folder);
    let problems: Vec<_> =
        built.build.families[0].problems.iter().map(|problem| problem.subject.as_str()).collect();
    assert_eq!(problems, ["Debian/DSA-2-1.json", "DSA-3-1", "DSA-3-1"]);
    assert_eq!(built.findings("pkg", "1").len(), 1);
}

#[test]
fn a_broken_archive_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let archive = write_archive(folder.path(), "PyPI", &[advisory("PYSEC-1").build()]);
    let bytes = std::fs::read(&archive).unwrap();
    std::fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    let error = build_from(folder.path(), folder.path()).unwrap_err();
    assert!(error.to_string().contains("PyPI/all.zip"), "{error}");
}

#[test]
fn the_same_records_give_the_same_bytes_whatever_their_form_and_order() {
    let a = advisory("DSA-1-1").upstream(["CVE-2024-1"]).fixed(DEBIAN, "pkg", "2").build();
    let b = advisory("DSA-2-1")
        .upstream(["CVE-2024-2"])
        .fixed("Debian:11", "pkg", "2")
        .fixed(DEBIAN, "pkg", "3")
        .build();
    let archive = Built::debian(&[b.clone(), a.clone()]);
    let folder = TempDir::new().unwrap();
    write_folder(&folder.path().join("osv"), "Debian", &[a, b]);
    let plain = Built::compile(folder);
    assert_eq!(archive.build.families[0].hash, plain.build.families[0].hash);
    let name = format!("debian-{}.redb", plain.build.families[0].hash.hex());
    assert_eq!(
        std::fs::read(plain.folder.path().join(&name)).unwrap(),
        std::fs::read(archive.folder.path().join(&name)).unwrap()
    );
}

#[test]
fn the_index_says_what_it_holds() {
    let built = Built::debian(&[
        advisory("DSA-1-1")
            .fixed(DEBIAN, "a", "1")
            .fixed(DEBIAN, "b", "1")
            .modified("2024-05-01T00:00:00Z")
            .build(),
        advisory("DSA-2-1").fixed("Debian:11", "a", "1").modified("2027-07-09T00:00:00Z").build(),
    ]);
    let index = built.index("debian");
    let info = index.info();
    assert_eq!(
        info.releases.iter().map(|(name, count)| (name.as_str(), *count)).collect::<Vec<_>>(),
        [("Debian:11", 1), (DEBIAN, 2)]
    );
    assert_eq!(
        info.newest_modified,
        Some(time("2024-05-01T00:00:00Z")),
        "a record from the future was believed"
    );
    assert_eq!((info.records, info.advisories, info.withdrawn), (2, 2, 0));
    assert!(index.covers("Debian:11") && !index.covers("Debian:1") && !index.covers("Debian"));
}

#[test]
fn the_changed_packages_of_two_indexes_are_those_that_say_something_else() {
    let same = advisory("DSA-1-1").fixed(DEBIAN, "same", "1").build();
    let changed = |version| advisory("DSA-2-1").upstream(["CVE-1"]).fixed(DEBIAN, "changed", version).build();
    let rated = advisory("DSA-4-1").upstream(["CVE-4"]).affects_all(DEBIAN, "rated").build();
    let gone = advisory("DSA-3-1").fixed(DEBIAN, "gone", "1").build();
    let new = advisory("DSA-3-1").fixed(DEBIAN, "new", "1").build();
    let score = advisory("CVE-4").severity(CRITICAL.0, CRITICAL.1).build();
    let old = Built::debian(&[same.clone(), changed("1"), rated.clone(), gone]);
    let new = Built::of(&[("Debian", &[same, changed("2"), rated, new]), ("CVE", &[score])]);
    let names = changed_packages(&old.index("debian"), &new.index("debian")).unwrap();
    let names: Vec<_> = names.iter().map(|(ecosystem, name)| (ecosystem.as_str(), name.as_str())).collect();
    assert_eq!(names, [(DEBIAN, "changed"), (DEBIAN, "gone"), (DEBIAN, "new"), (DEBIAN, "rated")]);
}

#[test]
fn an_ecosystem_that_appears_or_vanishes_is_a_change_without_a_name() {
    let old = Built::debian(&[advisory("DSA-1-1").fixed(DEBIAN, "pkg", "1").build()]);
    let new = Built::debian(&[advisory("DSA-1-1").fixed("Debian:13", "pkg", "1").build()]);
    let changed = changed_packages(&old.index("debian"), &new.index("debian")).unwrap();
    let changed: Vec<_> =
        changed.iter().map(|(ecosystem, name)| (ecosystem.as_str(), name.as_str())).collect();
    assert_eq!(changed, [(DEBIAN, ""), (DEBIAN, "pkg"), ("Debian:13", ""), ("Debian:13", "pkg")]);
}

#[test]
fn a_file_that_is_no_index_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("debian.redb");
    assert!(Index::open(&path).is_err());
    std::fs::write(&path, "not an index").unwrap();
    assert!(Index::open(&path).unwrap_err().to_string().contains("debian.redb"));
}

#[test]
fn progress_is_told_for_every_record() {
    let folder = TempDir::new().unwrap();
    let records = [advisory("DSA-1-1").build(), advisory("DSA-2-1").build()];
    write_archive(folder.path(), "Debian", &records);
    let options = BuildOptions { output: folder.path().to_owned(), now: time("2026-01-01T00:00:00Z") };
    let mut told = Vec::new();
    build(folder.path(), &options, &mut |progress| {
        told.push((progress.ecosystem.to_owned(), progress.done, progress.total));
    })
    .unwrap();
    assert_eq!(told, [("Debian".to_owned(), 1, 2), ("Debian".to_owned(), 2, 2)]);
}

#[test]
fn an_open_index_is_shared_between_threads() {
    let built = Built::debian(&[advisory("DSA-1-1").affects_all(DEBIAN, "pkg").build()]);
    let index = built.index("debian");
    let query = || index.statements(DEBIAN, "pkg").unwrap().unwrap().read().unwrap().count();
    let counts = std::thread::scope(|scope| {
        [scope.spawn(query), scope.spawn(query)].map(|thread| thread.join().unwrap())
    });
    assert_eq!(counts, [1, 1]);
}
