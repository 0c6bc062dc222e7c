//! The images of the fixtures, read, merged, matched and judged by the libraries alone: what comes out is what was
//! worked out by hand.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use tidewatch_advisories::{BuildOptions, Coverage, Index, IndexSet, Matches, build, match_packages};
use tidewatch_core::manifest::{Classified, ImageConfig, classify};
use tidewatch_core::metadata::{Attested, ConfigMetadata, ImageMetadata, ManifestMetadata};
use tidewatch_core::policy::{ImageFacts, PolicySet};
use tidewatch_core::ports::registry::RawManifest;
use tidewatch_core::result::ResultState;
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::tables::Tables;
use tidewatch_core::{Digest, Severity, Timestamp};
use tidewatch_inventory::{ImageInventory, LayerReader, Limits, merge};
use tidewatch_testkit::fixtures::{self, ExpectedFinding, ExpectedImage, Fixture};

#[test]
fn every_image_has_the_packages_findings_and_evaluations_that_were_worked_out_by_hand() {
    let indexes = indexes();
    let images = fixtures::images();
    for expected in fixtures::expected().images {
        let name = format!("{}:{} {}", expected.repository, expected.tag, expected.platform);
        let fixture = images.iter().find(|fixture| fixture.repository == expected.repository).expect(&name);
        let (inventory, metadata) = read(fixture, &expected);
        assert_eq!(inventory.problems, [], "{name}");
        let packages =
            inventory.packages.iter().map(|package| format!("{} {}", package.name, package.version));
        assert_eq!(packages.collect::<Vec<_>>(), expected.packages, "{name}");

        let matches =
            match_packages(&indexes, inventory.distribution.as_ref(), &inventory.packages).expect(&name);
        assert_eq!(matches.coverage, Coverage::Full, "{name}");
        assert_eq!(matches.problems, [], "{name}");
        assert_eq!(comparable(&matches), expected.findings, "{name}");
        let counts: SeverityCounts = matches.findings.iter().map(|finding| finding.severity).collect();
        let counts: BTreeMap<Severity, u64> =
            Severity::ALL.map(|severity| (severity, counts.of(severity))).into();
        assert_eq!(counts, expected.severities, "{name}");
        assert_eq!(outcomes(&inventory, &metadata, &matches), expected.policies, "{name}");
    }
}

/// The compiled advisories of the fixtures.
fn indexes() -> IndexSet {
    let output = tempfile::tempdir().unwrap();
    let options = BuildOptions { output: output.path().to_owned(), now: now() };
    let built = build(&fixtures::advisories(), &options, &mut |_| ()).expect("an index");
    for family in &built.families {
        assert_eq!(family.problems, [], "{}", family.family);
    }
    built.families.iter().map(|family| Index::open(&family.path).expect("an index")).collect()
}

/// Reads and merges the layers of the platform, and reads its configuration.
fn read(fixture: &Fixture, expected: &ExpectedImage) -> (ImageInventory, ImageMetadata) {
    let image = &fixture.image;
    let digest = match classified(fixture, image.digest) {
        Classified::Index(children) => {
            let child = children.iter().find(|child| child.platform.as_ref() == Some(&expected.platform));
            child.expect("a manifest of the platform").digest
        }
        _ => image.digest,
    };
    let Classified::Image { layers, config } = classified(fixture, digest) else {
        panic!("{digest} is no image")
    };
    let layers = layers.iter().map(|layer| {
        let mut reader = LayerReader::new(layer.digest, Limits::default());
        reader.push(&image.blobs[&layer.digest]);
        reader.finish().expect("a layer")
    });
    let config = ImageConfig::parse(&image.blobs[&config]).expect("a configuration");
    let config = Some(ConfigMetadata { user: config.user });
    let metadata = ImageMetadata::of(
        Some(ManifestMetadata { config, base: None, attested: Some(Attested::default()) }),
        Vec::new(),
    );
    (merge(&layers.collect::<Vec<_>>()), metadata)
}

fn classified(fixture: &Fixture, digest: Digest) -> Classified {
    let manifest = &fixture.image.manifests[&digest];
    let raw = RawManifest { digest, media_type: manifest.media_type.clone(), bytes: manifest.bytes.clone() };
    classify(&raw).expect("a manifest")
}

fn comparable(matches: &Matches) -> Vec<ExpectedFinding> {
    let findings = matches.findings.iter().map(|finding| ExpectedFinding {
        package: finding.package.clone(),
        vulnerability: finding.vulnerability.clone(),
        advisories: finding.advisories.clone(),
        severity: finding.severity,
        fixed_version: finding.fixed_version.clone(),
    });
    findings.collect()
}

fn outcomes(
    inventory: &ImageInventory,
    metadata: &ImageMetadata,
    matches: &Matches,
) -> BTreeMap<String, String> {
    let facts = ImageFacts {
        findings: &matches.findings.iter().collect::<Vec<_>>(),
        packages: &inventory.packages,
        distribution: inventory.distribution.as_ref(),
        metadata,
        families: &[],
        tables: &Tables::default(),
        state: ResultState::Scanned,
        now: now(),
    };
    let evaluations = PolicySet::new(&[]).evaluate(facts).into_iter();
    let word = |outcome| serde_json::to_value(outcome).unwrap().as_str().unwrap().to_owned();
    evaluations.map(|(id, evaluation)| (id.to_string(), word(evaluation.outcome))).collect()
}

/// After every advisory of the fixtures was published.
fn now() -> Timestamp {
    "2026-04-01T00:00:00Z".parse().unwrap()
}
