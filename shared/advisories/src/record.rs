//! OSV records as they are published: a tolerant reading that takes nulls for absent fields and ignores unknown ones.
//!
//! Specification: <https://ossf.github.io/osv-schema/>

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tidewatch_core::Timestamp;

/// One OSV record. Times stay texts until they are asked for, because a wrong one does not make a record useless.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// Id of the advisory: `DSA-5343-1`.
    pub id: String,
    /// One line about it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub summary: String,
    /// Other ids of the same vulnerability.
    #[serde(default, deserialize_with = "null_as_default")]
    pub aliases: Vec<String>,
    /// Vulnerabilities that this advisory is about: a distribution's advisory names here the CVEs that it fixes.
    #[serde(default, deserialize_with = "null_as_default")]
    pub upstream: Vec<String>,
    /// Vulnerabilities that have to do with this one; never aliases.
    #[serde(default, deserialize_with = "null_as_default")]
    pub related: Vec<String>,
    /// Since when the record is no longer valid; such a record never matches.
    #[serde(default)]
    pub withdrawn: Option<String>,
    /// When it was published, RFC 3339.
    #[serde(default)]
    pub published: Option<String>,
    /// When it was last changed, RFC 3339.
    #[serde(default)]
    pub modified: Option<String>,
    /// Ratings of the vulnerability as a whole.
    #[serde(default, deserialize_with = "null_as_default")]
    pub severity: Vec<Score>,
    /// The packages that it affects.
    #[serde(default, deserialize_with = "null_as_default")]
    pub affected: Vec<Affected>,
    /// What only this database says.
    #[serde(default)]
    pub database_specific: Value,
}

/// A rating, such as a CVSS vector.
#[derive(Clone, Debug, Deserialize)]
pub struct Score {
    /// `CVSS_V2`, `CVSS_V3`, `CVSS_V4`, or a distribution's name such as `Ubuntu`.
    #[serde(rename = "type", default, deserialize_with = "null_as_default")]
    pub kind: String,
    /// A CVSS vector, or a distribution's own word.
    #[serde(default, deserialize_with = "null_as_default")]
    pub score: String,
}

/// One affected package.
#[derive(Clone, Debug, Deserialize)]
pub struct Affected {
    /// The package; absent where only a repository is named.
    #[serde(default)]
    pub package: Option<PackageName>,
    /// Ratings for this package; they take the place of the record's.
    #[serde(default, deserialize_with = "null_as_default")]
    pub severity: Vec<Score>,
    /// Ranges of affected versions.
    #[serde(default, deserialize_with = "null_as_default")]
    pub ranges: Vec<Range>,
    /// Single affected versions.
    #[serde(default, deserialize_with = "null_as_default")]
    pub versions: Vec<String>,
    /// What only this ecosystem says.
    #[serde(default)]
    pub ecosystem_specific: Value,
    /// What only this database says.
    #[serde(default)]
    pub database_specific: Value,
}

/// A package by its ecosystem and name.
#[derive(Clone, Debug, Deserialize)]
pub struct PackageName {
    /// The ecosystem with its release, where it has one: `Debian:12`.
    pub ecosystem: String,
    /// Name within the ecosystem.
    pub name: String,
}

/// A range of affected versions.
#[derive(Clone, Debug, Deserialize)]
pub struct Range {
    /// How its versions are ordered.
    #[serde(rename = "type")]
    pub kind: RangeKind,
    /// Where it begins and ends.
    #[serde(default, deserialize_with = "null_as_default")]
    pub events: Vec<Event>,
}

/// How the versions of a range are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RangeKind {
    /// As the ecosystem does it.
    Ecosystem,
    /// By Semantic Versioning 2.0.0.
    Semver,
    /// By the history of a repository; of no use for installed packages.
    Git,
}

/// One event of a range; exactly one field is set.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// The first affected version; `0` is before every version.
    #[serde(default)]
    pub introduced: Option<String>,
    /// The first version that is no longer affected.
    #[serde(default)]
    pub fixed: Option<String>,
    /// The last affected version.
    #[serde(default)]
    pub last_affected: Option<String>,
    /// No version from here on is affected; `*` is after every version.
    #[serde(default)]
    pub limit: Option<String>,
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

    /// The vulnerabilities that the record is about, each with all its ids, sorted.
    ///
    /// Without `upstream` that is one: the record itself and its aliases. A record with one upstream vulnerability is
    /// about that one and its aliases. A record with several upstream CVEs, such as a DSA, is about each of them on its
    /// own; ids that are no CVE cannot be told apart then and are left out.
    pub fn vulnerabilities(&self) -> Vec<Vec<String>> {
        let distinct = |ids: &mut dyn Iterator<Item = &String>| ids.cloned().collect::<BTreeSet<_>>();
        let upstream = distinct(&mut self.upstream.iter());
        let cves = distinct(&mut self.upstream.iter().filter(|id| is_cve(id)));
        let alone = |ids: BTreeSet<String>| ids.into_iter().map(|id| vec![id]).collect();
        if upstream.is_empty() {
            let ids = distinct(&mut self.aliases.iter().chain([&self.id]));
            vec![ids.into_iter().collect()]
        } else if cves.len() > 1 {
            let aliases = distinct(&mut self.aliases.iter().filter(|id| is_cve(id)));
            alone(&cves | &aliases)
        } else if cves.len() == 1 || upstream.len() == 1 {
            let ids = distinct(&mut self.upstream.iter().chain(&self.aliases));
            vec![ids.into_iter().collect()]
        } else {
            alone(upstream)
        }
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
        assert_eq!(record.vulnerabilities(), [["A-1"]]);
        assert!(record.affected[0].package.is_none());
    }

    #[test]
    fn related_ids_are_no_aliases() {
        let record = record(&serde_json::json!({"id": "A-1", "aliases": ["CVE-1"], "related": ["CVE-2"]}));
        assert_eq!(record.vulnerabilities(), [["A-1", "CVE-1"]]);
    }

    #[test]
    fn an_advisory_with_several_upstream_cves_is_about_each_of_them() {
        let record =
            record(&serde_json::json!({"id": "DSA-1", "upstream": ["CVE-2", "CVE-1", "CVE-2", "X-1"]}));
        assert_eq!(record.vulnerabilities(), [["CVE-1"], ["CVE-2"]]);
    }

    #[test]
    fn one_upstream_cve_keeps_the_other_ids_of_the_vulnerability() {
        let record = record(&serde_json::json!({"id": "U-1", "upstream": ["CVE-1", "UBUNTU-CVE-1"]}));
        assert_eq!(record.vulnerabilities(), [["CVE-1", "UBUNTU-CVE-1"]]);
    }

    #[test]
    fn a_time_that_cannot_be_read_is_no_time() {
        let record = record(
            &serde_json::json!({"id": "A", "published": "yesterday", "modified": "0001-01-01T00:00:00Z"}),
        );
        assert_eq!(record.published_at(), None);
        assert!(record.modified_at().is_some());
    }
}
