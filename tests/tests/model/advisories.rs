//! The advisories that are published, some at a time: compiled once for all cases, and as one applies them by hand.

use std::io::Cursor;
use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_advisories::{ReadOptions, Reading, kev};
use tidewatch_assessment::index_record;
use tidewatch_core::finding::Finding;
use tidewatch_core::package::PackageType;
use tidewatch_core::{Severity, Timestamp};
use tidewatch_store::records::AdvisoryFamily;
use tidewatch_testkit::advisory::{AdvisoryBuilder, archive};

use crate::images::Content;

/// A vulnerability of a package of Debian.
struct Advisory {
    id: &'static str,
    vulnerability: &'static str,
    releases: &'static [&'static str],
    package: &'static str,
    /// The first version without it; none when nothing fixes it.
    fixed: Option<u32>,
    severity: Severity,
    vector: &'static str,
    published: &'static str,
}

const ADVISORIES: [Advisory; 4] = [
    Advisory {
        id: "DSA-1-1",
        vulnerability: "CVE-2099-0001",
        releases: &["12", "13"],
        package: "openssl",
        fixed: Some(2),
        severity: Severity::Critical,
        vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        published: "2026-06-10T00:00:00Z",
    },
    Advisory {
        id: "DSA-2-1",
        vulnerability: "CVE-2099-0002",
        releases: &["13"],
        package: "zlib",
        fixed: None,
        severity: Severity::Medium,
        vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N",
        published: "2026-06-10T00:00:00Z",
    },
    Advisory {
        id: "DSA-3-1",
        vulnerability: "CVE-2099-0003",
        releases: &["13"],
        package: "bash",
        fixed: Some(2),
        severity: Severity::High,
        vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N",
        published: "2026-06-14T00:00:00Z",
    },
    // One that everybody knows of.
    Advisory {
        id: "DSA-4-1",
        vulnerability: "CVE-2024-3094",
        releases: &["13"],
        package: "zlib",
        fixed: Some(5),
        severity: Severity::Critical,
        vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",
        published: "2024-03-29T00:00:00Z",
    },
];

/// Since when what is exploited is in CISA's catalogue.
const EXPLOITED_SINCE: &str = "2026-06-01";

/// The vulnerability that is exploited, or not yet.
const EXPLOITED: &str = "CVE-2099-0003";

/// The release that an advisory about nothing that is here is always in force for: so there always is an index.
const OTHER_RELEASE: &str = "13";

/// What is in force together: which of the advisories, and whether one of them is known to be exploited.
pub(crate) const PUBLISHED: [(Range<usize>, bool); 6] =
    [(0..0, false), (0..1, false), (1..3, false), (0..4, false), (0..4, true), (2..4, true)];

/// The index of each of [`PUBLISHED`], and its file.
static COMPILED: LazyLock<Vec<(AdvisoryFamily, Bytes)>> = LazyLock::new(|| {
    PUBLISHED
        .iter()
        .map(|(advisories, exploited)| compile(&ADVISORIES[advisories.clone()], *exploited))
        .collect()
});

/// The index of `PUBLISHED[number]`, as if it were built at `now`, and its file.
pub(crate) fn compiled(number: usize, now: Timestamp) -> (AdvisoryFamily, Bytes) {
    let (family, file) = COMPILED[number].clone();
    (AdvisoryFamily { built_at: now, ..family }, file)
}

fn compile(advisories: &[Advisory], is_exploited: bool) -> (AdvisoryFamily, Bytes) {
    let about = format!("Debian:{OTHER_RELEASE}");
    let other = AdvisoryBuilder::new("DSA-9-1").fixed(&about, "unheard-of", "1").build();
    let records: Vec<Value> = advisories.iter().map(Advisory::record).chain([other]).collect();
    let now = "2026-06-15T00:00:00Z".parse().unwrap();
    let options = ReadOptions { now, inflated_limit: 1 << 30 };
    let reading = Reading::of_archive("Debian", Cursor::new(archive(&records)), &options).unwrap();
    let entries =
        if is_exploited { vec![json!({"cveID": EXPLOITED, "dateAdded": EXPLOITED_SINCE})] } else { vec![] };
    let catalogue = json!({"dateReleased": "2026-06-01T00:00:00Z", "vulnerabilities": entries});
    let mut scores = kev::catalogue(catalogue.to_string().as_bytes()).unwrap().scores;
    scores.merge(reading.scores().clone());
    let output = TempDir::new().unwrap();
    let built = reading.compile(&scores, output.path()).unwrap().expect("a family");
    let file = std::fs::read(&built.path).unwrap();
    (index_record(&built, now), file.into())
}

impl Advisory {
    fn record(&self) -> Value {
        let builder = AdvisoryBuilder::new(self.id)
            .field("upstream", json!([self.vulnerability]))
            .published(self.published)
            .severity("CVSS_V3", self.vector);
        let affect = |builder: AdvisoryBuilder, release: &&str| {
            let ecosystem = format!("Debian:{release}");
            match self.fixed {
                Some(fixed) => builder.fixed(&ecosystem, self.package, &fixed.to_string()),
                None => builder.affects_all(&ecosystem, self.package),
            }
        };
        self.releases.iter().fold(builder, affect).build()
    }

    fn finding(&self, release: &str, version: u32, is_exploited: bool) -> Finding {
        let published_at: Timestamp = self.published.parse().unwrap();
        let package = self.package;
        Finding {
            vulnerability: self.vulnerability.to_owned(),
            advisories: vec![self.id.to_owned()],
            aliases: Vec::new(),
            package_type: PackageType::Deb,
            package: package.to_owned(),
            version: version.to_string(),
            purl: format!("pkg:deb/debian/{package}@{version}?arch=amd64&distro=debian-{release}"),
            severity: self.severity,
            fixed_version: self.fixed.map(|fixed| fixed.to_string()),
            fix_published_at: self.fixed.map(|_| published_at),
            published_at: Some(published_at),
            known_exploited: (is_exploited && self.vulnerability == EXPLOITED)
                .then(|| EXPLOITED_SINCE.parse().unwrap()),
        }
    }
}

/// Whether `PUBLISHED[number]` has advisories for a release at all.
pub(crate) fn is_covered(number: usize, release: &str) -> bool {
    let (advisories, _) = &PUBLISHED[number];
    release == OTHER_RELEASE
        || ADVISORIES[advisories.clone()].iter().any(|advisory| advisory.releases.contains(&release))
}

/// What `PUBLISHED[number]` says of an image, package by package.
pub(crate) fn findings(number: usize, image: &Content) -> Vec<Finding> {
    let (advisories, is_exploited) = &PUBLISHED[number];
    let Some(release) = image.release else { return Vec::new() };
    let mut findings = Vec::new();
    for (name, version) in image.packages {
        for advisory in &ADVISORIES[advisories.clone()] {
            let is_affected = advisory.package == *name
                && advisory.releases.contains(&release)
                && advisory.fixed.is_none_or(|fixed| *version < fixed);
            if is_affected {
                findings.push(advisory.finding(release, *version, *is_exploited));
            }
        }
    }
    findings
}
