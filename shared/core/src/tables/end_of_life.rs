//! Until when the releases of distributions are supported, as endoflife.date knows it: <https://endoflife.date>.

mod document;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{TableDate, TableVersion};
use crate::package::Distribution;
use crate::{Date, Digest, Timestamp};

use document::Document;

/// Until when the releases of distributions are supported by those who make them, without what is sold beside that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndOfLife {
    /// Of when the table is.
    pub date: TableDate,
    /// Hash of its content.
    hash: Digest,
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

impl EndOfLife {
    /// Reads a document of all products, `{result: [{name, releases: [{name, isEol, eolFrom}]}]}` as its publisher gives it
    /// (<https://endoflife.date/docs/api/v1/>) or `{PRODUCT: {releases: [{releaseCycle, eol}]}}`, and keeps the
    /// distributions. It is of the time that stands in it, else of `date`. An error where it is no such document, or knows
    /// none of them. A product or a last day that cannot be read is as good as not there.
    pub fn read(document: &[u8], date: TableDate) -> Result<Self, EndOfLifeError> {
        let document: Document =
            serde_json::from_slice(document).map_err(|error| EndOfLifeError { reason: error.to_string() })?;
        let date = document.generated_at().unwrap_or(date);
        let mut products = document.products();
        let mut distributions = BTreeMap::new();
        for (product, ids) in PRODUCTS {
            let Some(releases) = products.remove(*product) else { continue };
            distributions.extend(ids.iter().map(|id| ((*id).to_owned(), releases.clone())));
        }
        if distributions.is_empty() {
            return Err(EndOfLifeError { reason: "there is no distribution in it".to_owned() });
        }
        Ok(Self::new(date, distributions))
    }

    fn new(date: TableDate, distributions: BTreeMap<String, BTreeMap<String, LastDay>>) -> Self {
        let mut table = Self { date, hash: Digest::of(b""), distributions };
        table.hash = Digest::of(&table.content());
        table
    }

    /// All that it says, whenever that was, as JSON: what is stored of it, by its hash.
    pub fn content(&self) -> Vec<u8> {
        serde_json::to_vec(&self.distributions).unwrap_or_default()
    }

    /// The table whose [`content`](Self::content) it is, of `date`.
    pub fn from_content(content: &[u8], date: TableDate) -> Result<Self, EndOfLifeError> {
        let distributions =
            serde_json::from_slice(content).map_err(|error| EndOfLifeError { reason: error.to_string() })?;
        Ok(Self::new(date, distributions))
    }

    /// Which table it is.
    pub const fn version(&self) -> TableVersion {
        TableVersion { content: self.hash, date: self.date }
    }

    /// How many releases it knows.
    pub fn releases(&self) -> usize {
        self.distributions.values().map(BTreeMap::len).sum()
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
}

/// The end of a day in UTC: the first point in time after it.
pub(crate) fn end_of(day: Date) -> Timestamp {
    let next = day.tomorrow().and_then(|next| next.to_zoned(jiff::tz::TimeZone::UTC));
    next.map_or(Timestamp::MAX, |next| next.timestamp())
}
