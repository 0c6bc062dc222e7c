//! Images as a scan has left them: findings in packages, a state, and how they were judged.

use std::collections::BTreeMap;

use tidewatch_core::basis::MATCHING;
use tidewatch_core::finding::Finding;
use tidewatch_core::package::{Package, PackageType};
use tidewatch_core::problem::Problem;
use tidewatch_core::result::{ImageResult, Inventory, Report, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::{Digest, Severity, Timestamp};

/// What is found in an image.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// `REGISTRY/REPOSITORY`.
    pub(crate) place: String,
    pub(crate) tag: String,
    /// What makes its digest.
    pub(crate) content: String,
    pub(crate) state: ResultState,
    pub(crate) findings: Vec<Finding>,
}

impl Scan {
    /// A scanned image without vulnerabilities.
    pub(crate) fn of(place: &str) -> Self {
        Self {
            place: place.to_owned(),
            tag: "1.0".to_owned(),
            content: place.to_owned(),
            state: ResultState::Scanned,
            findings: Vec::new(),
        }
    }

    pub(crate) fn tagged(self, tag: &str) -> Self {
        Self { tag: tag.to_owned(), ..self }
    }

    pub(crate) fn holding(self, content: &str) -> Self {
        Self { content: content.to_owned(), ..self }
    }

    pub(crate) fn in_state(self, state: ResultState) -> Self {
        Self { state, ..self }
    }

    /// With a vulnerability in a package, which is fixed in version 2.
    pub(crate) fn with(mut self, vulnerability: &str, package: &str, severity: Severity) -> Self {
        self.findings.push(finding(vulnerability, package, severity));
        self
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.content.as_bytes())
    }

    /// Its inventory: the packages that have something.
    pub(crate) fn inventory(&self) -> Inventory {
        let packages = self.findings.iter().map(|finding| {
            Package::new(PackageType::Deb, finding.package.as_str(), finding.version.as_str(), "dpkg")
        });
        let problem = Problem::new("opt/app.jar", "the file is damaged");
        let problems = if self.state == ResultState::Partial { vec![problem] } else { Vec::new() };
        Inventory { distribution: None, packages: packages.collect(), problems }
    }

    pub(crate) fn report(&self) -> Report {
        Report { version: Report::VERSION, findings: self.findings.clone(), ..Report::default() }
    }

    /// Its result, before it is judged.
    pub(crate) fn result(&self, now: Timestamp) -> ImageResult {
        let reason = (self.state != ResultState::Scanned).then(|| "something is wrong with it".to_owned());
        ImageResult {
            state: self.state,
            reason,
            distribution: Some("Debian GNU/Linux 13 (trixie)".to_owned()),
            packages: 120,
            severities: SeverityCounts::default(),
            suppressed: SeverityCounts::default(),
            policies: BTreeMap::new(),
            created_at: None,
            scanned_at: now,
            next_change_at: None,
            reader_version: 1,
            matching: MATCHING,
            indexes: BTreeMap::new(),
            judged_under: Digest::of(b""),
            matched: None,
            inventory: None,
            metadata: None,
            report: None,
            is_limited: false,
        }
    }
}

fn finding(vulnerability: &str, package: &str, severity: Severity) -> Finding {
    Finding {
        vulnerability: vulnerability.to_owned(),
        advisories: vec![format!("DSA-{}", vulnerability.trim_start_matches("CVE-"))],
        aliases: vec![format!("GHSA-{}", vulnerability.trim_start_matches("CVE-"))],
        package_type: PackageType::Deb,
        package: package.to_owned(),
        version: "1".to_owned(),
        purl: format!("pkg:deb/debian/{package}@1"),
        severity,
        fixed_version: Some("2".to_owned()),
        fix_published_at: None,
        published_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        known_exploited: None,
    }
}
