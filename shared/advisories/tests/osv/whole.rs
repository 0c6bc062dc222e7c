//! The whole way: what is compiled of the same archives is the same, and images are matched as the OSV service answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use tidewatch_advisories::evaluate::Judgement;
use tidewatch_advisories::order::{Compare, apk, dpkg};
use tidewatch_advisories::{
    Advisory, Build, Coverage, Index, IndexSet, ReadOptions, Reading, ScoreTable, match_packages,
};
use tidewatch_core::Severity;
use tidewatch_core::package::{Distribution, Package, PackageType};

use crate::data::{built, compile, indexes, present, recorded, records};

/// The advisories about a package of the index.
fn advisories(index: &Index, ecosystem: &str, name: &str) -> Vec<Advisory> {
    let statements = index.statements(ecosystem, name).unwrap().unwrap();
    statements.read().unwrap().map(|said| index.advisory(said.unwrap().advisory).unwrap()).collect()
}

/// The distribution whose packages OSV files under `ecosystem`.
fn distribution(ecosystem: &str) -> Option<(Distribution, PackageType)> {
    let (id, version, package_type) = match ecosystem.split_once(':')? {
        ("Debian", release) => ("debian", release.to_owned(), PackageType::Deb),
        ("Alpine", release) => ("alpine", format!("{}.0", release.strip_prefix('v')?), PackageType::Apk),
        _ => return None,
    };
    let distribution =
        Distribution { id: id.to_owned(), version_id: Some(version), ..Distribution::default() };
    Some((distribution, package_type))
}

fn package(package_type: PackageType, name: &str, version: &str) -> Package {
    Package::new(package_type, name, version, "test")
}

#[test]
fn the_same_archives_give_the_same_files() {
    let (Some((_, first)), Some(source)) = (built(), present("osv")) else { return };
    let (_folder, second) = compile(&source);
    let hashes =
        |build: &Build| build.families.iter().map(|f| (f.family, f.size, f.hash)).collect::<Vec<_>>();
    assert_eq!(hashes(first), hashes(&second));
    eprintln!("sizes and hashes: {:?}", hashes(first));
}

#[test]
fn cves_of_distributions_get_the_scores_of_other_ecosystems() {
    let Some(indexes) = indexes() else { return };
    for (family, at_least) in [("debian", 670), ("alpine", 38)] {
        let index = indexes.get(family).unwrap();
        let (mut all, mut rated) = (BTreeSet::new(), BTreeSet::new());
        for (ecosystem, name) in index.packages().unwrap() {
            let advisories = advisories(index, &ecosystem, &name);
            for vulnerability in advisories.into_iter().flat_map(|advisory| advisory.vulnerabilities) {
                if vulnerability.rating.severity != Severity::Unspecified {
                    rated.insert(vulnerability.ids.clone());
                }
                all.insert(vulnerability.ids);
            }
        }
        eprintln!("{family}: {} of {} vulnerabilities are rated", rated.len(), all.len());
        assert!(rated.len() >= at_least, "{family}: only {} are rated", rated.len());
    }
}

/// Ids of all advisories in the indexes.
fn indexed(indexes: &IndexSet) -> BTreeSet<String> {
    let of = |index: &Index| -> Vec<String> {
        let packages = index.packages().unwrap().into_iter();
        packages
            .flat_map(|(ecosystem, name)| advisories(index, &ecosystem, &name))
            .map(|advisory| advisory.id)
            .collect()
    };
    ["alpine", "debian"].into_iter().flat_map(|family| of(indexes.get(family).unwrap())).collect()
}

#[test]
fn the_answers_are_those_of_the_osv_service() {
    let (Some(indexes), Some(answers)) = (indexes(), recorded()) else { return };
    let known = indexed(&indexes);
    let (mut compared, mut found, mut absent, mut unsupported, mut wrong) = (0, 0, 0, 0, Vec::new());
    for (line, answer) in answers {
        let Some((distribution, package_type)) = distribution(&answer.ecosystem) else { continue };
        let package = package(package_type, &answer.name, &answer.version);
        let matches = match_packages(&indexes, Some(&distribution), &[package]).unwrap();
        if !indexes.get(&distribution.id).unwrap().covers(&answer.ecosystem) {
            assert!(matches!(matches.coverage, Coverage::Unsupported { .. }), "{line}");
            unsupported += 1;
            continue;
        }
        assert_eq!((matches.coverage, matches.problems), (Coverage::Full, vec![]), "{line}");
        let ours: BTreeSet<_> = matches.findings.into_iter().flat_map(|finding| finding.advisories).collect();
        // The service knew advisories that the snapshot lacks; what the snapshot has must be found, and nothing else.
        let expected: BTreeSet<_> = answer.ids.intersection(&known).cloned().collect();
        if ours != expected {
            wrong.push(format!("{line}: found {ours:?}, expected {expected:?}"));
        }
        compared += 1;
        found += ours.len();
        absent += answer.ids.len() - expected.len();
    }
    eprintln!(
        "{compared} answers compared, {found} advisories found, {absent} are not in the snapshot, {unsupported} answers about releases that it lacks"
    );
    assert!(wrong.is_empty(), "{} of {compared} answers differ: {wrong:#?}", wrong.len());
    assert!(compared > 100 && unsupported > 50);
}

/// Every (ecosystem, package, fixed version, advisory) of these records.
fn fixes(records: &[Value]) -> Vec<[String; 4]> {
    let mut fixes = Vec::new();
    for record in records {
        for affected in record["affected"].as_array().unwrap() {
            let package = &affected["package"];
            for event in affected["ranges"][0]["events"].as_array().unwrap() {
                let fix = [&package["ecosystem"], &package["name"], &event["fixed"], &record["id"]];
                fixes.extend(
                    fix.iter()
                        .all(|text| text.is_string())
                        .then(|| fix.map(|text| text.as_str().unwrap().to_owned())),
                );
            }
        }
    }
    fixes
}

#[test]
fn every_advisory_affects_what_is_older_than_its_fix_and_not_the_fix() {
    let Some(indexes) = indexes() else { return };
    let mut packages: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for [ecosystem, name, fix, id] in
        ["Alpine", "Debian"].into_iter().flat_map(|ecosystem| fixes(&records(ecosystem)))
    {
        packages.entry((ecosystem, name)).or_default().push((fix, id));
    }
    let (mut checked, mut unorderable) = (0, 0);
    for ((ecosystem, name), fixes) in packages {
        let (distribution, package_type) = distribution(&ecosystem).unwrap();
        let compare = order_of(package_type);
        let index = indexes.get(&distribution.id).unwrap();
        let advisories = advisories(index, &ecosystem, &name);
        let stored = index.statements(&ecosystem, &name).unwrap().unwrap();
        let statements: Vec<_> = stored.read().unwrap().map(Result::unwrap).collect();
        for (fix, id) in fixes {
            let position = advisories.iter().position(|advisory| advisory.id == id).unwrap();
            let said = &statements[position];
            let affects = |version: &str| matches!(said.judge(version, compare), Judgement::Affected { .. });
            if compare(&fix, &fix).is_err() {
                unorderable += 1;
                continue;
            }
            let older =
                if package_type == PackageType::Deb { format!("{fix}~") } else { "0_alpha".to_owned() };
            // Alpine writes a fix of 0 where a package was never affected.
            assert_eq!(affects(&older), fix != "0", "{id} and {name} {older} of {ecosystem}");
            // Where a record names a package more than once, one fix is not enough.
            assert!(
                !affects(&fix) || said.fixed_versions().count() > 1,
                "{id} and {name} {fix} of {ecosystem}"
            );
            checked += 1;
        }
    }
    eprintln!("{checked} fixes checked, {unorderable} cannot be ordered");
    assert_eq!((checked, unorderable), (22_692, 16));
}

fn order_of(package_type: PackageType) -> Compare {
    if package_type == PackageType::Deb { dpkg::compare } else { apk::compare }
}

#[test]
fn archives_that_are_read_one_by_one_give_the_same_indexes() {
    let Some((_, build)) = built() else { return };
    let source = present("osv").unwrap();
    let options = ReadOptions::at("2026-11-22T00:00:00Z".parse().unwrap());
    let mut archives: Vec<PathBuf> =
        std::fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path().join("all.zip")).collect();
    archives.retain(|archive| archive.is_file());
    archives.sort();
    let (mut scores, mut readings) = (ScoreTable::default(), Vec::new());
    for archive in archives.iter().rev() {
        let ecosystem = archive.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let reading = Reading::of_archive(ecosystem, File::open(archive).unwrap(), &options).unwrap();
        scores.merge(ScoreTable::from_bytes(&reading.scores().to_bytes().unwrap()).unwrap());
        readings.push(reading);
    }
    let output = TempDir::new().unwrap();
    let compiled =
        readings.into_iter().filter_map(|reading| reading.compile(&scores, output.path()).unwrap());
    let compiled: BTreeMap<_, _> = compiled.map(|family| (family.family, family.hash)).collect();
    assert_eq!(compiled, build.families.iter().map(|family| (family.family, family.hash)).collect());
}
