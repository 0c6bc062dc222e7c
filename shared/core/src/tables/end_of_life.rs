//! Until when the releases of distributions are supported, as endoflife.date knows it: <https://endoflife.date>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TableDate;
use crate::package::Distribution;
use crate::{Date, Timestamp};

/// Until when the releases of distributions are supported by those who make them, without what is sold beside that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndOfLife {
    /// Of when the table is.
    pub date: TableDate,
    /// Distribution, then release, to the last day.
    distributions: BTreeMap<String, BTreeMap<String, LastDay>>,
}

/// The last day of support, in the form of endoflife.date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum LastDay {
    /// This day.
    Known(Date),
    /// `true`: some day that has passed. `false`: none is known yet.
    Passed(bool),
}

/// How a release of a distribution is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Until this time, which is the end of its last day in UTC.
    Until(Timestamp),
    /// With no end that is known.
    Endless,
    /// No more, since some time.
    Ended,
}

impl Support {
    /// Whether it is supported at `now`.
    pub fn is_supported(self, now: Timestamp) -> bool {
        match self {
            Self::Until(end) => now < end,
            Self::Endless => true,
            Self::Ended => false,
        }
    }
}

/// A document that is no table of endoflife.date.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the table of ends of life: {reason}")]
pub struct EndOfLifeError {
    reason: String,
}

/// Product of endoflife.date to the `ID`s of os-release files that mean it.
const PRODUCTS: &[(&str, &[&str])] = &[
    ("almalinux", &["almalinux"]),
    ("alpine-linux", &["alpine"]),
    ("amazon-linux", &["amzn"]),
    ("azure-linux", &["azurelinux", "mariner"]),
    ("centos", &["centos"]),
    ("centos-stream", &[CENTOS_STREAM]),
    ("debian", &["debian"]),
    ("devuan", &["devuan"]),
    ("eurolinux", &["eurolinux"]),
    ("fedora", &["fedora"]),
    ("linuxmint", &["linuxmint"]),
    ("mageia", &["mageia"]),
    ("nixos", &["nixos"]),
    ("opensuse", &["opensuse-leap", "opensuse"]),
    ("openwrt", &["openwrt"]),
    ("oracle-linux", &["ol"]),
    ("postmarketos", &["postmarketos"]),
    ("rhel", &["rhel"]),
    ("rocky-linux", &["rocky"]),
    ("slackware", &["slackware"]),
    ("sles", &["sles", "sled", "sles_sap", "sle_hpc"]),
    ("suse-linux-micro", &["sl-micro", "sle-micro", "suse-microos"]),
    ("ubuntu", &["ubuntu"]),
    ("vmware-photon", &["photon"]),
];

/// CentOS Stream, which calls itself `centos` as CentOS Linux did.
const CENTOS_STREAM: &str = "centos-stream";

/// What is read of a product; the rest is skipped.
#[derive(Deserialize)]
struct Product {
    releases: Vec<Release>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Release {
    release_cycle: String,
    #[serde(default)]
    eol: Option<LastDay>,
}

impl EndOfLife {
    /// Reads a document of all products, `{PRODUCT: {releases: [{releaseCycle, eol}]}}`, as it was at `date`, and keeps the
    /// distributions. An error where it is no such document, or knows none of them. A product or a last day that cannot be
    /// read is as good as not there.
    pub fn read(document: &[u8], date: TableDate) -> Result<Self, EndOfLifeError> {
        let mut products: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(document).map_err(|error| EndOfLifeError { reason: error.to_string() })?;
        let mut distributions = BTreeMap::new();
        for (product, ids) in PRODUCTS {
            let Some(product) = products.remove(*product) else { continue };
            let Ok(product) = serde_json::from_value::<Product>(product) else { continue };
            let releases: BTreeMap<String, LastDay> = product
                .releases
                .into_iter()
                .filter_map(|release| Some((release.release_cycle, release.eol?)))
                .collect();
            distributions.extend(ids.iter().map(|id| ((*id).to_owned(), releases.clone())));
        }
        if distributions.is_empty() {
            return Err(EndOfLifeError { reason: "there is no distribution in it".to_owned() });
        }
        Ok(Self { date, distributions })
    }

    /// How the release of `distribution` is supported; `None` where the table does not know it, or the image does not name
    /// it. What is rolling has no releases that end.
    pub fn support(&self, distribution: &Distribution) -> Option<Support> {
        if distribution.is_rolling() {
            return Some(Support::Endless);
        }
        let is_stream = distribution.id == "centos" && distribution.pretty_name.contains("Stream");
        let id = if is_stream { CENTOS_STREAM } else { &distribution.id };
        let releases = self.distributions.get(id)?;
        let mut release = distribution.version_id.as_deref()?;
        // 3.19.1 is of 3.19, and 12.5 of 12.
        let last_day = loop {
            match releases.get(release) {
                Some(last_day) => break *last_day,
                None => release = release.rsplit_once('.')?.0,
            }
        };
        Some(match last_day {
            LastDay::Known(day) => Support::Until(end_of(day)),
            LastDay::Passed(true) => Support::Ended,
            LastDay::Passed(false) => Support::Endless,
        })
    }

    /// All that it says, whenever that was.
    pub(super) fn releases(&self) -> impl Serialize + use<'_> {
        &self.distributions
    }
}

/// The end of a day in UTC: the first point in time after it.
pub(crate) fn end_of(day: Date) -> Timestamp {
    let next = day.tomorrow().and_then(|next| next.to_zoned(jiff::tz::TimeZone::UTC));
    next.map_or(Timestamp::MAX, |next| next.timestamp())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn table() -> EndOfLife {
        let document = json!({
            "alpine-linux": {"category": "os", "releases": [
                {"releaseCycle": "3.20", "eol": "2026-04-01"},
                {"releaseCycle": "3.19", "eol": "2025-11-01", "latest": "3.19.9"},
            ]},
            "centos": {"releases": [{"releaseCycle": "8", "eol": "2021-12-31"}]},
            "centos-stream": {"releases": [{"releaseCycle": "8", "eol": "2024-05-31"}]},
            "debian": {"releases": [{"releaseCycle": "12", "eol": "2026-07-11", "eoes": "2028-06-30"}]},
            "nextjs": {"releases": [{"releaseCycle": "16", "eol": false}]},
            "sles": {"releases": [{"releaseCycle": "15.5", "eol": "2024-12-31"}, {"releaseCycle": "10", "eol": true}]},
            "vmware-photon": {"releases": [{"releaseCycle": "5.0", "eol": false}]},
        });
        EndOfLife::read(document.to_string().as_bytes(), TableDate(at("2026-06-01T00:00:00Z"))).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn support(id: &str, version_id: Option<&str>, pretty_name: &str) -> Option<Support> {
        let distribution = Distribution {
            id: id.to_owned(),
            version_id: version_id.map(str::to_owned),
            pretty_name: pretty_name.to_owned(),
        };
        table().support(&distribution)
    }

    #[test]
    fn a_release_is_supported_to_the_end_of_its_last_day() {
        let until = |text: &str| Some(Support::Until(at(text)));
        assert_eq!(support("debian", Some("12"), ""), until("2026-07-12T00:00:00Z"));
        assert_eq!(support("debian", Some("12.5"), ""), until("2026-07-12T00:00:00Z"));
        assert_eq!(support("alpine", Some("3.19.1"), ""), until("2025-11-02T00:00:00Z"));
        assert_eq!(support("sles", Some("15.5"), ""), until("2025-01-01T00:00:00Z"));
        assert_eq!(support("sled", Some("10"), ""), Some(Support::Ended));
        assert_eq!(support("photon", Some("5.0"), ""), Some(Support::Endless));
        let end = Support::Until(at("2026-07-12T00:00:00Z"));
        assert!(
            end.is_supported(at("2026-07-11T23:59:59Z")) && !end.is_supported(at("2026-07-12T00:00:00Z"))
        );
    }

    #[test]
    fn centos_stream_ends_at_another_day_than_centos() {
        let linux = support("centos", Some("8"), "CentOS Linux 8");
        let stream = support("centos", Some("8"), "CentOS Stream 8");
        assert_eq!(linux, Some(Support::Until(at("2022-01-01T00:00:00Z"))));
        assert_eq!(stream, Some(Support::Until(at("2024-06-01T00:00:00Z"))));
    }

    #[test]
    fn what_the_table_does_not_know_has_no_support_that_is_known() {
        assert_eq!(support("acme", Some("1"), ""), None);
        assert_eq!(support("debian", Some("99"), ""), None);
        assert_eq!(support("ubuntu", Some("22.04"), ""), None, "the table lacks the product");
        assert_eq!(support("alpine", Some("3.1"), ""), None, "3.1 is not 3.19");
    }

    #[test]
    fn what_is_rolling_does_not_end() {
        assert_eq!(support("arch", None, ""), Some(Support::Endless));
        assert_eq!(support("wolfi", Some("20230201"), ""), Some(Support::Endless));
    }

    #[test]
    fn only_distributions_are_kept_and_read_back() {
        let stored = serde_json::to_vec(&table()).unwrap();
        assert!(!String::from_utf8_lossy(&stored).contains("nextjs"));
        assert_eq!(serde_json::from_slice::<EndOfLife>(&stored).unwrap(), table());
    }

    #[test]
    fn a_document_without_distributions_is_none() {
        let date = TableDate(at("2026-06-01T00:00:00Z"));
        for document in ["", "[]", "{}", r#"{"nextjs": {"releases": []}}"#, r#"{"debian": 7}"#] {
            assert!(EndOfLife::read(document.as_bytes(), date).is_err(), "{document:?}");
        }
    }

    #[test]
    fn the_published_table_is_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/eol/endoflife.json");
        let Ok(document) = std::fs::read(path) else {
            // Past the test runner, so that people see it.
            let _ = writeln!(std::io::stderr().lock(), "SKIPPED: there is no {path}");
            return;
        };
        let table = EndOfLife::read(&document, TableDate(at("2026-08-22T00:00:00Z"))).unwrap();
        let lacking: Vec<&str> = PRODUCTS
            .iter()
            .flat_map(|(product, ids)| ids.iter().map(move |id| (*product, *id)))
            .filter(|(_, id)| !table.distributions.contains_key(*id))
            .map(|(product, _)| product)
            .collect();
        assert!(lacking.iter().all(|product| *product == "azure-linux"), "{lacking:?}");
        let debian = Distribution {
            id: "debian".to_owned(),
            version_id: Some("12".to_owned()),
            ..Distribution::default()
        };
        assert_eq!(table.support(&debian), Some(Support::Until(at("2026-07-12T00:00:00Z"))));
        assert!(serde_json::to_vec(&table).unwrap().len() < 32 << 10);
    }
}
