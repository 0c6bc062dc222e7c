//! Events: what is told at once to whoever listens, beside the numbers of the metrics. There is one kind: that an image is
//! newly affected by a vulnerability, because something was published about packages that it has had all along.
//!
//! Events tell of changes, so the first result of an image tells nothing, and neither does one that was made from other
//! packages. Which vulnerabilities are new is a comparison of two reports, and depends on nothing else.

use std::collections::HashSet;

use serde::Serialize;

use crate::finding::Finding;
use crate::image::{ImageId, Platform};
use crate::names::{OrgName, RegistryId, RepositoryName, StreamName, Tag};
use crate::result::{ImageResult, Report};
use crate::{Date, Digest, Severity, Timestamp};

/// Names the shape of [`AffectedEvent`], and its version.
pub const AFFECTED: &str = "tidewatch.affected/1";

/// How many packages and members an event names. How many there are stands beside them.
pub const MOST_NAMED: usize = 20;

/// An image is newly affected by a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AffectedEvent {
    /// [`AFFECTED`].
    pub schema: &'static str,
    /// The same for the same organisation, image and vulnerability, whenever it is told.
    pub id: Digest,
    /// The organisation that the image belongs to.
    pub org: OrgName,
    /// The id that people look for: the CVE id when there is one.
    pub vulnerability: String,
    /// Other ids of the same vulnerability, sorted.
    pub aliases: Vec<String>,
    /// The worst severity that it has in a package of the image.
    pub severity: Severity,
    /// When the first advisory about it was published, where one says so.
    pub published_at: Option<Timestamp>,
    /// Since when it is known to be exploited, by CISA's catalogue.
    pub known_exploited: Option<Date>,
    /// Digest of the image's manifest.
    pub digest: Digest,
    /// Platform of the image.
    pub platform: Platform,
    /// The streams that the image counts in, sorted.
    pub streams: Vec<StreamName>,
    /// Where it counts, at most [`MOST_NAMED`].
    pub members: Vec<EventMember>,
    /// In how many places it counts.
    pub member_count: usize,
    /// The affected packages, at most [`MOST_NAMED`].
    pub packages: Vec<AffectedPackage>,
    /// How many packages are affected.
    pub package_count: usize,
    /// When the result was made that found it.
    pub found_at: Timestamp,
}

/// Where an image counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EventMember {
    /// The stream.
    pub stream: StreamName,
    /// Registry of the configuration.
    pub registry: RegistryId,
    /// The repository within it.
    pub repository: RepositoryName,
    /// The tag under which the image is shown.
    pub tag: Tag,
}

/// A package that is affected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AffectedPackage {
    /// Its name as installed.
    pub package: String,
    /// Its version as installed.
    pub version: String,
    /// Its package URL.
    pub purl: String,
    /// The lowest version that has the vulnerability fixed, where one is known.
    pub fixed_version: Option<String>,
}

impl AffectedEvent {
    /// What is told of `vulnerability` in an image that counts at `members`, by its `report` of `found_at`. `None` when it
    /// affects no package any more, or only findings that an exception suppresses.
    pub fn new(
        org: &OrgName,
        image: &ImageId,
        vulnerability: &str,
        (report, found_at): (&Report, Timestamp),
        members: &[EventMember],
    ) -> Option<Self> {
        let suppressed: HashSet<usize> = report.suppressed.iter().map(|by| by.finding).collect();
        let findings = report.findings.iter().enumerate();
        let findings: Vec<&Finding> = findings
            .filter(|(position, finding)| {
                finding.vulnerability == vulnerability && !suppressed.contains(position)
            })
            .map(|(_, finding)| finding)
            .collect();
        let severity = findings.iter().map(|finding| finding.severity).min()?;
        let mut aliases: Vec<String> = findings.iter().flat_map(|finding| finding.aliases.clone()).collect();
        aliases.sort_unstable();
        aliases.dedup();
        let mut streams: Vec<StreamName> = members.iter().map(|member| member.stream.clone()).collect();
        streams.sort_unstable();
        streams.dedup();
        Some(Self {
            schema: AFFECTED,
            id: event_id(org, image, vulnerability),
            org: org.clone(),
            vulnerability: vulnerability.to_owned(),
            aliases,
            severity,
            published_at: findings.iter().filter_map(|finding| finding.published_at).min(),
            known_exploited: findings.iter().filter_map(|finding| finding.known_exploited).min(),
            digest: image.digest,
            platform: image.platform.clone(),
            streams,
            members: members.iter().take(MOST_NAMED).cloned().collect(),
            member_count: members.len(),
            packages: findings.iter().take(MOST_NAMED).map(|finding| AffectedPackage::of(finding)).collect(),
            package_count: findings.len(),
            found_at,
        })
    }
}

impl AffectedPackage {
    fn of(finding: &Finding) -> Self {
        let Finding { package, version, purl, fixed_version, .. } = finding.clone();
        Self { package, version, purl, fixed_version }
    }
}

fn event_id(org: &OrgName, image: &ImageId, vulnerability: &str) -> Digest {
    Digest::of(format!("{org}\n{}\n{}\n{vulnerability}", image.digest, image.platform).as_bytes())
}

/// Whether what `after` found beyond `before` is news about the packages that the image had before: they are the same, the
/// same program has matched them, and all of the advisories that they need were there both times.
pub fn is_comparable(before: &ImageResult, after: &ImageResult) -> bool {
    before.inventory.is_some()
        && before.inventory == after.inventory
        && before.matching == after.matching
        && before.indexes.keys().eq(after.indexes.keys())
        && before.indexes.values().all(Option::is_some)
}

/// The vulnerabilities that are at least as bad as `at_least` by the report `after`, and were not by `before`, under none of
/// their ids; worst first.
pub fn newly_affecting(before: &Report, after: &Report, at_least: Severity) -> Vec<String> {
    let is_bad = |finding: &&Finding| finding.severity <= at_least;
    let known: HashSet<&str> = before.findings.iter().filter(is_bad).flat_map(names).collect();
    let mut newly: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    for finding in after.findings.iter().filter(is_bad) {
        if !names(finding).any(|name| known.contains(name)) && seen.insert(finding.vulnerability.as_str()) {
            newly.push(finding.vulnerability.clone());
        }
    }
    newly
}

/// The ids of the vulnerability itself: an advisory can be about several.
fn names(finding: &Finding) -> impl Iterator<Item = &str> {
    std::iter::once(&finding.vulnerability).chain(&finding.aliases).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::policy::facts;

    fn report(findings: &[(&str, Severity, &[&str])]) -> Report {
        let finding = |(id, severity, aliases): &(&str, Severity, &[&str])| Finding {
            severity: *severity,
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            ..facts::finding(id, "curl")
        };
        Report { findings: findings.iter().map(finding).collect(), ..Report::default() }
    }

    fn image() -> ImageId {
        ImageId { digest: Digest::of(b"web"), platform: Platform::linux_amd64() }
    }

    fn member(stream: &str) -> EventMember {
        EventMember {
            stream: stream.parse().unwrap(),
            registry: "hub".parse().unwrap(),
            repository: "team/web".parse().unwrap(),
            tag: "1.0".parse().unwrap(),
        }
    }

    #[test]
    fn what_is_new_and_bad_enough_is_news_and_nothing_else() {
        use Severity::{Critical, High, Low};
        let before = report(&[("CVE-1", High, &[]), ("CVE-2", Low, &[]), ("GHSA-3", High, &[])]);
        let after = report(&[
            ("CVE-4", Critical, &[]),
            ("CVE-1", High, &[]),
            ("CVE-2", High, &[]),
            ("CVE-3", High, &["GHSA-3"]),
            ("CVE-5", Low, &[]),
            ("CVE-4", High, &[]),
        ]);
        assert_eq!(newly_affecting(&before, &after, High), ["CVE-4", "CVE-2"]);
        assert_eq!(newly_affecting(&before, &after, Critical), ["CVE-4"]);
        assert_eq!(newly_affecting(&before, &after, Low), ["CVE-4", "CVE-5"]);
        assert!(newly_affecting(&after, &before, Low).is_empty(), "what goes is no news");
    }

    #[test]
    fn an_advisory_about_several_vulnerabilities_hides_none_of_them() {
        let of = |id| Finding { advisories: vec!["DSA-1".to_owned()], ..facts::finding(id, "curl") };
        let before = Report { findings: vec![of("CVE-1")], ..Report::default() };
        let after = Report { findings: vec![of("CVE-1"), of("CVE-2")], ..Report::default() };
        assert_eq!(newly_affecting(&before, &after, Severity::Unspecified), ["CVE-2"]);
    }

    #[test]
    fn only_results_of_the_same_packages_and_advisories_are_compared() {
        let result = |families: &[(&str, bool)], inventory: &[u8], matching: u32| {
            let index = |(family, is_there): &(&str, bool)| {
                ((*family).to_owned(), is_there.then(|| Digest::of(family.as_bytes())))
            };
            let indexes: BTreeMap<_, _> = families.iter().map(index).collect();
            serde_json::from_value::<ImageResult>(json!({
                "state": "scanned", "reason": null, "distribution": null, "packages": 1, "policies": {},
                "severities": {"critical": 0, "high": 0, "medium": 0, "low": 0, "unspecified": 0},
                "created_at": null, "scanned_at": facts::NOW, "next_change_at": null, "reader_version": 1,
                "indexes": indexes, "judged_under": Digest::of(b""), "report": null, "matching": matching,
                "inventory": Digest::of(inventory),
            }))
            .unwrap()
        };
        let before = result(&[("debian", true)], b"packages", 1);
        assert!(is_comparable(&before, &before));
        for other in [
            result(&[("debian", true)], b"others", 1),
            result(&[("debian", true)], b"packages", 2),
            result(&[("debian", true), ("npm", true)], b"packages", 1),
        ] {
            assert!(!is_comparable(&before, &other));
        }
        let missing = result(&[("debian", false)], b"packages", 1);
        assert!(!is_comparable(&missing, &before), "all of its vulnerabilities would be news");
    }

    #[test]
    fn an_event_says_what_is_affected_and_where_it_counts() {
        let mut found = report(&[("CVE-1", Severity::High, &["GHSA-1"]), ("CVE-1", Severity::Critical, &[])]);
        found.findings[1].package = "libcurl".to_owned();
        let org = "acme".parse().unwrap();
        let at = facts::NOW.parse().unwrap();
        let members = [member("latest-indexed"), member("production")];
        let event = AffectedEvent::new(&org, &image(), "CVE-1", (&found, at), &members).unwrap();
        assert_eq!((event.severity, event.package_count, event.member_count), (Severity::Critical, 2, 2));
        assert_eq!(event.aliases, ["GHSA-1"]);
        assert_eq!(event.streams, members.map(|member| member.stream));
        let packages: Vec<&str> = event.packages.iter().map(|package| package.package.as_str()).collect();
        assert_eq!(packages, ["curl", "libcurl"]);
        let other = AffectedEvent::new(&"other".parse().unwrap(), &image(), "CVE-1", (&found, at), &[]);
        assert_ne!(other.unwrap().id, event.id);
        assert_eq!(AffectedEvent::new(&org, &image(), "CVE-2", (&found, at), &[]), None);
    }

    #[test]
    fn what_exceptions_suppress_is_not_told() {
        let suppression = |finding| {
            serde_json::from_value(
                json!({"finding": finding, "by": {"exception": {"id": "x"}}, "type": "accepted_risk"}),
            )
        };
        let mut found = report(&[("CVE-1", Severity::Critical, &[]), ("CVE-1", Severity::High, &[])]);
        let told = |report: &Report| {
            let at = facts::NOW.parse().unwrap();
            AffectedEvent::new(&"acme".parse().unwrap(), &image(), "CVE-1", (report, at), &[])
        };
        found.suppressed = vec![suppression(0).unwrap()];
        assert_eq!(told(&found).unwrap().severity, Severity::High);
        found.suppressed.push(suppression(1).unwrap());
        assert_eq!(told(&found), None);
    }
}
