//! The scores of the National Vulnerability Database, from its feeds of a year or of what was changed: most CVEs that
//! distributions fix have a score nowhere else.
//!
//! Format: <https://csrc.nist.gov/schema/nvd/api/2.0/cve_api_json_2.0.schema>, in the feeds of
//! <https://nvd.nist.gov/vuln/data-feeds>.

use std::cell::Cell;
use std::fmt;
use std::io::{BufReader, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tidewatch_core::problem::Problem;
use tidewatch_core::{Retry, Retryable};

use crate::severity::{CvssError, CvssVersion, ScoreTable, of_vector};

/// Bytes of a feed at most when it is unpacked; that of a year has some 300 MB.
const LIMIT: u64 = 4 << 30;
/// Bytes of one CVE at most; the largest, of processors and kernels, have some hundred thousand.
const CVE_LIMIT: u64 = 4 << 20;
/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A feed cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the feed of the National Vulnerability Database")]
pub struct FeedError {
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Retryable for FeedError {
    /// A broken feed stays broken until it is downloaded again.
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// What a feed says.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    /// Number of its CVEs, rejected ones included.
    pub vulnerabilities: usize,
    /// The scores of those that have one.
    pub scores: ScoreTable,
    /// Vectors that cannot be scored.
    pub problems: Vec<Problem>,
}

/// Reads a feed, plain or packed with gzip. Only one CVE at a time is in memory, beside the scores.
///
/// Of one version of CVSS the database's own vectors count, and those of others where it has none.
pub fn feed(mut json: impl Read) -> Result<Feed, FeedError> {
    let failed = |source: std::io::Error| FeedError { source: source.into() };
    let mut start = Vec::with_capacity(GZIP.len());
    json.by_ref().take(GZIP.len() as u64).read_to_end(&mut start).map_err(failed)?;
    let is_packed = start == GZIP;
    let whole = std::io::Cursor::new(start).chain(json);
    if is_packed { parse(MultiGzDecoder::new(BufReader::new(whole))) } else { parse(whole) }
}

fn parse(json: impl Read) -> Result<Feed, FeedError> {
    let count = Rc::new(Cell::new(0));
    let counted = Counted { inner: json.take(LIMIT), count: Rc::clone(&count) };
    let mut deserializer = serde_json::Deserializer::from_reader(BufReader::new(counted));
    let failed = |source: serde_json::Error| FeedError { source: source.into() };
    let feed = deserializer.deserialize_map(Document { count }).map_err(failed)?;
    deserializer.end().map_err(failed)?;
    Ok(feed)
}

/// Gives the bytes of `inner`, and an error when more than [`CVE_LIMIT`] come before the count is set back.
struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.count.get() > CVE_LIMIT {
            let reason = format!("a vulnerability has more than {CVE_LIMIT} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, reason));
        }
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// The whole feed, of which the vulnerabilities are looked at as they come by.
struct Document {
    count: Rc<Cell<u64>>,
}

impl<'de> Visitor<'de> for Document {
    type Value = Feed;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a feed with a list of vulnerabilities")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Feed, A::Error> {
        let mut feed = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "vulnerabilities" {
                feed = Some(map.next_value_seed(Vulnerabilities { count: Rc::clone(&self.count) })?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        feed.ok_or_else(|| serde::de::Error::missing_field("vulnerabilities"))
    }
}

struct Vulnerabilities {
    count: Rc<Cell<u64>>,
}

impl<'de> DeserializeSeed<'de> for Vulnerabilities {
    type Value = Feed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Feed, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Vulnerabilities {
    type Value = Feed;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of vulnerabilities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Feed, A::Error> {
        let mut feed = Feed::default();
        while let Some(Item { cve }) = items.next_element()? {
            feed.add(&cve);
            self.count.set(0);
        }
        Ok(feed)
    }
}

#[derive(Deserialize)]
struct Item {
    cve: Cve,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cve {
    id: String,
    #[serde(default)]
    vuln_status: String,
    #[serde(default)]
    metrics: Metrics,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metrics {
    #[serde(rename = "cvssMetricV40")]
    v40: Vec<Metric>,
    #[serde(rename = "cvssMetricV31")]
    v31: Vec<Metric>,
    #[serde(rename = "cvssMetricV30")]
    v30: Vec<Metric>,
    #[serde(rename = "cvssMetricV2")]
    v20: Vec<Metric>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    /// `Primary` where the database has scored it itself, `Secondary` where somebody else has.
    #[serde(rename = "type", default)]
    kind: String,
    cvss_data: CvssData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CvssData {
    vector_string: String,
}

impl Feed {
    fn add(&mut self, cve: &Cve) {
        self.vulnerabilities += 1;
        if cve.vuln_status.eq_ignore_ascii_case("rejected") {
            return;
        }
        let Metrics { v40, v31, v30, v20 } = &cve.metrics;
        for metrics in [v40, v31, v30, v20] {
            let own = |metric: &&Metric| metric.kind == "Primary";
            let is_scored = metrics.iter().any(|metric| own(&metric));
            for metric in metrics.iter().filter(|metric| own(metric) || !is_scored) {
                let scored: Result<(CvssVersion, _), CvssError> = of_vector(&metric.cvss_data.vector_string);
                match scored {
                    Ok(score) => self.scores.add_score(&cve.id, score),
                    Err(error) => self.problems.push(Problem::new(&cve.id, error)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::{Value, json};
    use tidewatch_core::Severity;

    use super::*;
    use crate::severity::{Basis, Rating};

    const CRITICAL: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
    const MEDIUM: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N";

    fn metric(kind: &str, vector: &str) -> Value {
        json!({"source": "nvd@nist.gov", "type": kind, "cvssData": {"version": "3.1", "vectorString": vector, "baseScore": 1.0}})
    }

    fn cve(id: &str, status: &str, metrics: &Value) -> Value {
        json!({"cve": {"id": id, "vulnStatus": status, "descriptions": [{"lang": "en", "value": "…"}], "metrics": metrics}})
    }

    fn of(vulnerabilities: &[Value]) -> String {
        json!({"resultsPerPage": 2, "format": "NVD_CVE", "vulnerabilities": vulnerabilities, "timestamp": "2026-01-01"}).to_string()
    }

    fn rating(feed: &Feed, id: &str) -> Option<Severity> {
        let Rating { basis, severity } = feed.scores.rating(&[id.to_owned()])?;
        assert!(matches!(basis, Basis::AliasCvss(_)));
        Some(severity)
    }

    fn example() -> String {
        of(&[
            cve(
                "CVE-1",
                "Analyzed",
                &json!({"cvssMetricV31": [metric("Secondary", CRITICAL), metric("Primary", MEDIUM)]}),
            ),
            cve("CVE-2", "Received", &json!({"cvssMetricV31": [metric("Secondary", CRITICAL)], "other": 1})),
            cve("CVE-3", "Rejected", &json!({"cvssMetricV31": [metric("Primary", CRITICAL)]})),
            cve(
                "CVE-4",
                "Analyzed",
                &json!({"cvssMetricV2": [metric("Primary", "AV:N/AC:L/Au:N/C:P/I:P/A:P")]}),
            ),
            cve("CVE-5", "Analyzed", &json!({"cvssMetricV31": [metric("Primary", "CVSS:3.1/AV:X")]})),
            cve("CVE-6", "Awaiting Analysis", &json!({})),
        ])
    }

    #[test]
    fn the_own_score_of_the_database_counts_before_that_of_others() {
        let feed = feed(example().as_bytes()).unwrap();
        let ratings: Vec<_> = (1..=6).map(|number| rating(&feed, &format!("CVE-{number}"))).collect();
        let (high, medium, critical) =
            (Some(Severity::High), Some(Severity::Medium), Some(Severity::Critical));
        assert_eq!(ratings, [medium, critical, None, high, None, None]);
        assert_eq!((feed.vulnerabilities, feed.problems.len()), (6, 1));
        assert_eq!(feed.problems[0].subject, "CVE-5");
    }

    #[test]
    fn a_packed_feed_is_the_same_feed() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(example().as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let (packed, plain) = (feed(packed.as_slice()).unwrap(), feed(example().as_bytes()).unwrap());
        assert_eq!(packed.scores, plain.scores);
    }

    #[test]
    fn what_is_no_whole_feed_is_an_error() {
        let example = example();
        for json in ["", "[]", "{}", &example[..example.len() - 1], &format!("{example}{{}}")] {
            assert!(feed(json.as_bytes()).is_err(), "{json}");
        }
        assert_eq!(feed(of(&[]).as_bytes()).unwrap().vulnerabilities, 0);
    }

    #[test]
    fn a_feed_may_be_large_but_none_of_its_vulnerabilities() {
        let half = "x".repeat(usize::try_from(CVE_LIMIT / 2).unwrap());
        let many: Vec<_> = (0..3).map(|number| cve(&format!("CVE-{number}"), &half, &json!({}))).collect();
        assert_eq!(feed(of(&many).as_bytes()).unwrap().vulnerabilities, 3);
        let large = cve("CVE-1", &half.repeat(3), &json!({}));
        assert!(feed(of(&[large]).as_bytes()).is_err());
    }
}
