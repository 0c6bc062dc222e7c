//! OSV records as they are published: a tolerant reading that takes nulls for absent fields and ignores unknown ones. They
//! can be written again, for sources that have their advisories in another form.
//!
//! Specification: <https://ossf.github.io/osv-schema/>

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tidewatch_core::Timestamp;

/// One OSV record. Times stay texts until they are asked for, because a wrong one does not make a record useless.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Id of the advisory: `DSA-5343-1`.
    pub id: String,
    /// One line about it.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Other ids of the same vulnerability.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Vulnerabilities that this advisory is about: a distribution's advisory names here the CVEs that it fixes.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<String>,
    /// Vulnerabilities that have to do with this one; never aliases.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
    /// Since when the record is no longer valid; such a record never matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// When it was published, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// When it was last changed, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// Ratings of the vulnerability as a whole.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub severity: Vec<Score>,
    /// The packages that it affects.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub affected: Vec<Affected>,
    /// What only this database says.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub database_specific: Value,
}

/// A rating, such as a CVSS vector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// `CVSS_V2`, `CVSS_V3`, `CVSS_V4`, or a distribution's name such as `Ubuntu`.
    #[serde(rename = "type", default, deserialize_with = "null_as_default")]
    pub kind: String,
    /// A CVSS vector, or a distribution's own word.
    #[serde(default, deserialize_with = "null_as_default")]
    pub score: String,
}

/// One affected package.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Affected {
    /// The package; absent where only a repository is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageName>,
    /// Ratings for this package; they take the place of the record's.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub severity: Vec<Score>,
    /// Ranges of affected versions.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Range>,
    /// Single affected versions.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// What only this ecosystem says.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub ecosystem_specific: Value,
    /// What only this database says.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub database_specific: Value,
}

/// A package by its ecosystem and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageName {
    /// The ecosystem with its release, where it has one: `Debian:12`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub ecosystem: String,
    /// Name within the ecosystem.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
}

/// A range of affected versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// How its versions are ordered.
    #[serde(rename = "type", default, deserialize_with = "null_as_default")]
    pub kind: RangeKind,
    /// Where it begins and ends.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
}

/// How the versions of a range are ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RangeKind {
    /// As the ecosystem does it.
    Ecosystem,
    /// By Semantic Versioning 2.0.0, which is how the ecosystem does it as well.
    Semver,
    /// By the history of a repository; of no use for installed packages.
    Git,
    /// In a way that is not known.
    Other(String),
}

impl Default for RangeKind {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl From<String> for RangeKind {
    fn from(kind: String) -> Self {
        match kind.as_str() {
            "ECOSYSTEM" => Self::Ecosystem,
            "SEMVER" => Self::Semver,
            "GIT" => Self::Git,
            _ => Self::Other(kind),
        }
    }
}

impl From<RangeKind> for String {
    fn from(kind: RangeKind) -> Self {
        match kind {
            RangeKind::Ecosystem => "ECOSYSTEM".to_owned(),
            RangeKind::Semver => "SEMVER".to_owned(),
            RangeKind::Git => "GIT".to_owned(),
            RangeKind::Other(kind) => kind,
        }
    }
}

/// One event of a range; exactly one field is set, and none in an event of an unknown kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The first affected version; `0` is before every version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introduced: Option<String>,
    /// The first version that is no longer affected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    /// The last affected version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_affected: Option<String>,
    /// No version from here on is affected; `*` is after every version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

impl Event {
    /// Whether it says nothing that is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Record {
    /// Reads a record from JSON. The only required field is `id`; what is there must have the type of the schema.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// When the record was published; `None` when it does not say so readably.
    pub fn published_at(&self) -> Option<Timestamp> {
        self.published.as_deref().and_then(|time| time.parse().ok())
    }

    /// When the record was last changed; `None` when it does not say so readably.
    pub fn modified_at(&self) -> Option<Timestamp> {
        self.modified.as_deref().and_then(|time| time.parse().ok())
    }

    /// Whether it is about a package that was made to do harm, rather than one with a mistake in it.
    /// Ids: <https://github.com/ossf/malicious-packages>
    pub fn is_malicious(&self) -> bool {
        [&self.id].into_iter().chain(&self.aliases).any(|id| id.starts_with("MAL-"))
    }

    /// The vulnerabilities that the record is about, each with all its ids, sorted.
    ///
    /// Without `upstream` that is one: the record itself and its aliases. A record with one upstream vulnerability is
    /// about that one and its aliases. A record with several upstream CVEs, such as a DSA, is about each of them on its
    /// own; ids that are no CVE cannot be told apart then and are left out. Where the database `fixes_related`
    /// vulnerabilities, the CVEs among them are upstream ones, if it names no others.
    pub fn vulnerabilities(&self, fixes_related: bool) -> Vec<Vec<String>> {
        let names_a_cve = self.aliases.iter().chain(&self.upstream).chain([&self.id]).any(|id| is_cve(id));
        let fixed = self.related.iter().filter(|id| fixes_related && !names_a_cve && is_cve(id));
        let upstream: BTreeSet<_> = self.upstream.iter().chain(fixed).cloned().collect();
        let cves: BTreeSet<_> = upstream.iter().filter(|id| is_cve(id)).cloned().collect();
        let alone = |ids: BTreeSet<String>| ids.into_iter().map(|id| vec![id]).collect();
        let together = |ids: BTreeSet<String>| vec![ids.into_iter().collect()];
        let aliases = self.aliases.iter().cloned();
        if upstream.is_empty() {
            together(aliases.chain([self.id.clone()]).collect())
        } else if cves.len() > 1 {
            alone(cves.into_iter().chain(aliases.filter(|id| is_cve(id))).collect())
        } else if cves.len() == 1 || upstream.len() == 1 {
            together(upstream.into_iter().chain(aliases).collect())
        } else {
            alone(upstream)
        }
    }
}

impl Affected {
    /// Whether it tells of something that is no vulnerability: that a package is no longer maintained, say.
    /// <https://github.com/rustsec/advisory-db#advisory-format>
    pub fn is_informational(&self) -> bool {
        self.database_specific.get("informational").is_some_and(|kind| !kind.is_null())
    }

    /// Whether packages on Linux are concerned: a record can be about other systems alone.
    /// <https://github.com/rustsec/advisory-db#advisory-format>
    pub fn concerns_linux(&self) -> bool {
        let systems =
            self.ecosystem_specific.get("affects").and_then(|affects| affects.get("os")?.as_array());
        systems.is_none_or(|systems| systems.is_empty() || systems.iter().any(|system| system == "linux"))
    }
}

/// Whether `id` is a CVE id.
pub fn is_cve(id: &str) -> bool {
    id.starts_with("CVE-")
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    value: D,
) -> Result<T, D::Error> {
    Option::deserialize(value).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &Value) -> Record {
        Record::from_json(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn nulls_and_unknown_fields_are_taken_for_absent() {
        let record = record(&serde_json::json!({
            "id": "A-1", "aliases": null, "upstream": null, "severity": null, "withdrawn": null, "new_field": {"a": 1},
            "database_specific": null,
            "affected": [{"package": null, "ranges": null, "versions": null, "severity": null}],
        }));
        assert_eq!(record.vulnerabilities(false), [["A-1"]]);
        assert!(record.affected[0].package.is_none());
    }

    #[test]
    fn related_ids_are_no_aliases() {
        let record = record(&serde_json::json!({"id": "A-1", "aliases": ["CVE-1"], "related": ["CVE-2"]}));
        assert_eq!(record.vulnerabilities(false), [["A-1", "CVE-1"]]);
    }

    #[test]
    fn an_advisory_with_several_upstream_cves_is_about_each_of_them() {
        let record =
            record(&serde_json::json!({"id": "DSA-1", "upstream": ["CVE-2", "CVE-1", "CVE-2", "X-1"]}));
        assert_eq!(record.vulnerabilities(false), [["CVE-1"], ["CVE-2"]]);
    }

    #[test]
    fn one_upstream_cve_keeps_the_other_ids_of_the_vulnerability() {
        let record = record(&serde_json::json!({"id": "U-1", "upstream": ["CVE-1", "UBUNTU-CVE-1"]}));
        assert_eq!(record.vulnerabilities(false), [["CVE-1", "UBUNTU-CVE-1"]]);
    }

    #[test]
    fn a_time_that_cannot_be_read_is_no_time() {
        let record = record(
            &serde_json::json!({"id": "A", "published": "yesterday", "modified": "0001-01-01T00:00:00Z"}),
        );
        assert_eq!(record.published_at(), None);
        assert!(record.modified_at().is_some());
    }

    #[test]
    fn related_cves_are_fixed_where_the_database_says_so_and_no_other_is_named() {
        let related = serde_json::json!({"id": "ALSA-1", "related": ["CVE-2", "CVE-1", "RHSA-1"]});
        assert_eq!(record(&related).vulnerabilities(true), [["CVE-1"], ["CVE-2"]]);
        assert_eq!(record(&related).vulnerabilities(false), [["ALSA-1"]]);
        let other = serde_json::json!({"id": "ALSA-1", "related": ["CVE-2"], "upstream": ["CVE-1"]});
        assert_eq!(record(&other).vulnerabilities(true), [["CVE-1"]]);
    }

    #[test]
    fn kinds_that_are_not_known_leave_a_record_readable() {
        let record = record(&serde_json::json!({
            "id": "A-1",
            "affected": [{
                "package": {"ecosystem": "Debian:12"},
                "ranges": [
                    {"type": "VERS", "events": [{"backported": "1"}]},
                    {"type": null, "events": null},
                    {"type": "SEMVER", "events": [{"introduced": "0"}]},
                ],
            }],
        }));
        let ranges = &record.affected[0].ranges;
        let kinds: Vec<_> = ranges.iter().map(|range| String::from(range.kind.clone())).collect();
        assert_eq!(kinds, ["VERS", "", "SEMVER"]);
        assert!(ranges[0].events[0].is_empty() && !ranges[2].events[0].is_empty());
    }

    #[test]
    fn a_record_that_is_written_reads_the_same() {
        let json = serde_json::json!({
            "id": "ALAS2023-2024-1", "upstream": ["CVE-2024-1"], "published": "2024-01-01T00:00:00Z",
            "affected": [{
                "package": {"ecosystem": "Amazon Linux:2023", "name": "curl"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "8.3.0-1.amzn2023.0.2"}]}],
            }],
            "database_specific": {"severity": "Important"},
        });
        assert_eq!(serde_json::to_value(record(&json)).unwrap(), json);
    }

    #[test]
    fn what_is_no_vulnerability_and_what_is_not_about_linux_is_told() {
        let affected = |json| serde_json::from_value::<Affected>(json).unwrap();
        assert!(
            affected(serde_json::json!({"database_specific": {"informational": "unmaintained"}}))
                .is_informational()
        );
        assert!(
            !affected(serde_json::json!({"database_specific": {"informational": null}})).is_informational()
        );
        let of = |systems: Value| {
            affected(serde_json::json!({"ecosystem_specific": {"affects": {"os": systems}}}))
        };
        assert!(!of(serde_json::json!(["windows", "macos"])).concerns_linux());
        for systems in [serde_json::json!([]), Value::Null, serde_json::json!(["windows", "linux"])] {
            assert!(of(systems).concerns_linux());
        }
    }
}
