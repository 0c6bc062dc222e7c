//! How bad a vulnerability is, decided when the index is built: the distribution's own rating, else the best CVSS of
//! the advisory, else that of the same vulnerability in any other record, else the database's word.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cvss::Cvss;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidewatch_core::{Date, Severity};

use crate::record::{Affected, Record, Score};

/// The versions of CVSS, the preferred one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CvssVersion {
    /// CVSS 4.0: <https://www.first.org/cvss/v4.0/specification-document>
    V40,
    /// CVSS 3.1: <https://www.first.org/cvss/v3.1/specification-document>
    V31,
    /// CVSS 3.0: <https://www.first.org/cvss/v3.0/specification-document>
    V30,
    /// CVSS 2.0: <https://www.first.org/cvss/v2/guide>
    V20,
}

/// Where a severity comes from, the preferred source first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Basis {
    /// What it is: a package that was made to do harm is as bad as can be, whatever is said of it.
    Nature,
    /// The distribution's own rating.
    Distribution,
    /// A CVSS vector of the advisory.
    Cvss(CvssVersion),
    /// A CVSS vector of another record of the same vulnerability.
    AliasCvss(CvssVersion),
    /// The database's word for it.
    Word,
    /// Nothing says it.
    Nothing,
}

/// A severity and where it comes from. The smaller of two ratings is the one to believe: the one with the preferred
/// source, and of two with the same source the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rating {
    /// Where it comes from.
    pub basis: Basis,
    /// How bad it is.
    pub severity: Severity,
}

impl Rating {
    /// The rating of a vulnerability about which nothing is said.
    pub const NOTHING: Self = Self { basis: Basis::Nothing, severity: Severity::Unspecified };
}

/// A CVSS vector that cannot be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {vector:?} as a CVSS vector: {reason}")]
pub struct CvssError {
    vector: String,
    reason: String,
}

/// The severity of a CVSS vector of version 2.0 to 4.0, by its base score (for 4.0 by all its metrics).
///
/// CVSS 2.0 has no scale of its own; it gets NVD's (<https://nvd.nist.gov/vuln-metrics/cvss>), which ends at HIGH.
/// A vector without all base metrics is an error.
pub fn of_vector(vector: &str) -> Result<(CvssVersion, Severity), CvssError> {
    let error = |reason: String| CvssError { vector: vector.to_owned(), reason };
    // Some databases write version 2 in parentheses, or end a vector with the separator.
    let parsed: Cvss =
        vector.trim_matches(['(', ')', ' ', '/']).parse().map_err(|e: cvss::Error| error(e.to_string()))?;
    // The crate scores an absent base metric as if it were the mildest.
    let complete = match &parsed {
        Cvss::CvssV20(v) => {
            [v.av.is_some(), v.ac.is_some(), v.au.is_some(), v.c.is_some(), v.i.is_some(), v.a.is_some()]
                .iter()
                .all(|metric| *metric)
        }
        Cvss::CvssV30(v) | Cvss::CvssV31(v) => {
            let exploitability =
                [v.av.is_some(), v.ac.is_some(), v.pr.is_some(), v.ui.is_some(), v.s.is_some()];
            let impact = [v.c.is_some(), v.i.is_some(), v.a.is_some()];
            exploitability.iter().chain(&impact).all(|metric| *metric)
        }
        _ => true,
    };
    if !complete {
        return Err(error("a base metric is missing".to_owned()));
    }
    let version = match parsed {
        Cvss::CvssV20(_) => CvssVersion::V20,
        Cvss::CvssV30(_) => CvssVersion::V30,
        Cvss::CvssV31(_) => CvssVersion::V31,
        _ => CvssVersion::V40,
    };
    Ok((version, of_score(version, parsed.score())))
}

fn of_score(version: CvssVersion, score: f64) -> Severity {
    let severity = Severity::of_score(score);
    // The worse severity is the smaller one.
    if version == CvssVersion::V20 { severity.max(Severity::High) } else { severity }
}

/// The severity that a word of a database means: Debian's urgencies, GitHub's, Red Hat's and NVD's words, in any case.
/// `None` for words that rate nothing, such as "not yet assigned".
pub fn of_word(word: &str) -> Option<Severity> {
    match word.trim().to_ascii_lowercase().as_str() {
        "critical" => Some(Severity::Critical),
        "high" | "important" => Some(Severity::High),
        "medium" | "moderate" => Some(Severity::Medium),
        "low" | "minor" | "negligible" | "unimportant" => Some(Severity::Low),
        _ => None,
    }
}

/// The severity that the first word of a record's summary is: `Important: kernel security update`.
pub(crate) fn of_summary(record: &Record) -> Option<Severity> {
    of_word(record.summary.split_once(':')?.0)
}

/// The severity in a word, where a distribution's record has it: beside the package, else beside the record.
pub(crate) fn of_database(record: &Record, affected: &Affected) -> Option<Severity> {
    [&affected.ecosystem_specific, &affected.database_specific, &record.database_specific]
        .into_iter()
        .find_map(|specific| of_word(specific.get("severity")?.as_str()?))
}

/// What `affected` of `record` says about itself: a distribution's rating (by `distribution`, the ecosystem's rule),
/// its best CVSS, or its database's word. Vectors that cannot be read go to `errors`.
pub fn own_rating(
    record: &Record,
    affected: &Affected,
    distribution: impl Fn(&Record, &Affected) -> Option<Severity>,
    errors: &mut Vec<CvssError>,
) -> Rating {
    if record.is_malicious() {
        return Rating { basis: Basis::Nature, severity: Severity::Critical };
    }
    if let Some(severity) = distribution(record, affected) {
        return Rating { basis: Basis::Distribution, severity };
    }
    let scores = if affected.severity.is_empty() { &record.severity } else { &affected.severity };
    let specific =
        [&affected.database_specific, &record.database_specific].into_iter().flat_map(specific_scores);
    if let Some((version, severity)) = best(official_scores(scores).chain(specific), errors) {
        return Rating { basis: Basis::Cvss(version), severity };
    }
    of_database(record, affected).map_or(Rating::NOTHING, |severity| Rating { basis: Basis::Word, severity })
}

/// A severity by one CVSS vector or score, or why there is none.
type Scored = Result<(CvssVersion, Severity), CvssError>;

/// The preferred and then worst of `scores`.
fn best(
    scores: impl Iterator<Item = Scored>,
    errors: &mut Vec<CvssError>,
) -> Option<(CvssVersion, Severity)> {
    scores.filter_map(|scored| scored.map_err(|error| errors.push(error)).ok()).min()
}

/// The CVSS vectors where the schema has them.
fn official_scores(scores: &[Score]) -> impl Iterator<Item = Scored> {
    scores.iter().filter(|score| score.kind.starts_with("CVSS_V")).map(|score| of_vector(&score.score))
}

/// What some databases keep beside the schema: a vector in `cvss`, as a text (RustSec) or as NVD's object (npm, PyPI);
/// base scores as numbers in `cvss_v2` to `cvss_v4` (RubySec, which does not say 3.0 or 3.1).
fn specific_scores(specific: &Value) -> impl Iterator<Item = Scored> {
    let vector =
        specific.get("cvss").and_then(|cvss| cvss.as_str().or_else(|| cvss.get("vectorString")?.as_str()));
    let fields =
        [("cvss_v4", CvssVersion::V40), ("cvss_v3", CvssVersion::V30), ("cvss_v2", CvssVersion::V20)];
    let numbers = fields.into_iter().filter_map(|(field, version)| {
        let score = specific.get(field)?;
        let score = score.as_f64().or_else(|| score.as_str()?.parse().ok())?;
        (0.0..=10.0).contains(&score).then(|| Ok((version, of_score(version, score))))
    });
    vector.map(of_vector).into_iter().chain(numbers)
}

/// Stored scores cannot be read, or not be stored.
#[derive(Debug, thiserror::Error)]
#[error("failed to read or write a table of scores")]
pub struct ScoreTableError(#[from] postcard::Error);

/// What is known of vulnerabilities by their ids, over all records of one ecosystem or of several, and from other sources:
/// the best CVSS, and since when they are exploited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScoreTable {
    scores: HashMap<String, (CvssVersion, Severity)>,
    exploited: HashMap<String, Date>,
}

impl ScoreTable {
    /// Takes in the CVSS vectors of `record` for all its ids. A record about several vulnerabilities rates none of them
    /// on its own, and a withdrawn one rates nothing.
    pub fn add(&mut self, record: &Record, errors: &mut Vec<CvssError>) {
        if record.withdrawn.is_some() {
            return;
        }
        let own = official_scores(&record.severity).chain(specific_scores(&record.database_specific));
        let scores = own.chain(record.affected.iter().flat_map(|affected| {
            official_scores(&affected.severity).chain(specific_scores(&affected.database_specific))
        }));
        let Some(best) = best(scores, errors) else { return };
        let vulnerabilities = record.vulnerabilities(false);
        let [ids] = vulnerabilities.as_slice() else { return };
        for id in ids {
            self.add_score(id, best);
        }
    }

    /// Takes in a score of the vulnerability `id`.
    pub(crate) fn add_score(&mut self, id: &str, score: (CvssVersion, Severity)) {
        if let Some(known) = self.scores.get_mut(id) {
            *known = score.min(*known);
        } else {
            self.scores.insert(id.to_owned(), score);
        }
    }

    /// Takes in that the vulnerability `id` is known to be exploited since `day`. The earliest day counts.
    pub(crate) fn add_exploited(&mut self, id: &str, day: Date) {
        let known = self.exploited.entry(id.to_owned()).or_insert(day);
        *known = day.min(*known);
    }

    /// Takes in all that `other` knows. The order of additions and merges makes no difference.
    pub fn merge(&mut self, other: Self) {
        for (id, score) in other.scores {
            self.add_score(&id, score);
        }
        for (id, day) in other.exploited {
            self.add_exploited(&id, day);
        }
    }

    /// What it knows of these vulnerabilities.
    #[must_use]
    pub fn about(&self, ids: &BTreeSet<String>) -> Self {
        let scores = ids.iter().filter_map(|id| Some((id.clone(), *self.scores.get(id)?)));
        let exploited = ids.iter().filter_map(|id| Some((id.clone(), *self.exploited.get(id)?)));
        Self { scores: scores.collect(), exploited: exploited.collect() }
    }

    /// The table as bytes, in postcard's format, sorted: the same scores give the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ScoreTableError> {
        let scores: BTreeMap<_, _> = self.scores.iter().collect();
        let exploited: BTreeMap<_, _> = self.exploited.iter().collect();
        Ok(postcard::to_allocvec(&(scores, exploited))?)
    }

    /// The table that [`Self::to_bytes`] has made these bytes of.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ScoreTableError> {
        let (scores, exploited) = postcard::from_bytes(bytes)?;
        Ok(Self { scores, exploited })
    }

    /// Since when a vulnerability with these ids is known to be exploited.
    pub fn known_exploited(&self, ids: &[String]) -> Option<Date> {
        ids.iter().filter_map(|id| self.exploited.get(id)).min().copied()
    }

    /// The best rating that another record gives one of `ids`.
    pub fn rating(&self, ids: &[String]) -> Option<Rating> {
        let best = ids.iter().filter_map(|id| self.scores.get(id)).min()?;
        Some(Rating { basis: Basis::AliasCvss(best.0), severity: best.1 })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_version_of_cvss_is_scored() {
        let vectors = [
            ("AV:N/AC:L/Au:N/C:P/I:P/A:P", CvssVersion::V20, Severity::High),
            ("(AV:N/AC:L/Au:N/C:C/I:C/A:C)", CvssVersion::V20, Severity::High),
            ("AV:L/AC:H/Au:N/C:P/I:N/A:N", CvssVersion::V20, Severity::Low),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", CvssVersion::V30, Severity::Critical),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", CvssVersion::V31, Severity::Medium),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", CvssVersion::V31, Severity::Unspecified),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P/RL:O/", CvssVersion::V31, Severity::Critical),
            (
                "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
                CvssVersion::V40,
                Severity::Critical,
            ),
            (
                "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N",
                CvssVersion::V40,
                Severity::Low,
            ),
        ];
        for (vector, version, severity) in vectors {
            assert_eq!(of_vector(vector), Ok((version, severity)), "{vector}");
        }
    }

    #[test]
    fn a_vector_that_is_broken_or_lacks_a_base_metric_is_an_error() {
        for bad in
            ["", "7.5", "CVSS:3.1/AV:N", "AV:N/AC:L", "CVSS:4.0/AV:N", "CVSS:9.9/AV:N/AC:L", "CVSS:3.1/XX:N"]
        {
            assert!(of_vector(bad).is_err(), "{bad:?} was scored as {:?}", of_vector(bad));
        }
    }

    #[test]
    fn scores_beside_the_schema_are_taken_as_numbers_or_vectors() {
        let scores = |specific: Value| best(specific_scores(&specific), &mut Vec::new());
        let rated = |version, severity| Some((version, severity));
        assert_eq!(
            scores(json!({"cvss_v2": "10.0", "cvss_v3": null})),
            rated(CvssVersion::V20, Severity::High)
        );
        assert_eq!(
            scores(json!({"cvss_v2": 10.0, "cvss_v3": 5.3})),
            rated(CvssVersion::V30, Severity::Medium)
        );
        let vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
        assert_eq!(scores(json!({"cvss": vector})), rated(CvssVersion::V31, Severity::Critical));
        assert_eq!(
            scores(json!({"cvss": {"vectorString": vector}})),
            rated(CvssVersion::V31, Severity::Critical)
        );
        assert_eq!(scores(json!({"cvss": null, "cvss_v3": 11})), None);
        assert_eq!(scores(Value::Null), None);
    }

    #[test]
    fn words_of_all_databases_are_understood() {
        let words = [
            ("CRITICAL", Some(Severity::Critical)),
            ("Important", Some(Severity::High)),
            ("MODERATE", Some(Severity::Medium)),
            ("unimportant", Some(Severity::Low)),
            ("not yet assigned", None),
            ("end-of-life", None),
            ("Unknown", None),
        ];
        for (word, severity) in words {
            assert_eq!(of_word(word), severity, "{word}");
        }
    }
}
