//! Documents of all products of endoflife.date: that of its interface, and the plain one of its data.
//!
//! Interface: <https://endoflife.date/docs/api/v1/>

use std::collections::BTreeMap;

use serde::Deserialize;

use super::LastDay;
use crate::tables::TableDate;
use crate::{Date, Timestamp};

/// A document; what is not read of it is skipped.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Document {
    /// That of the interface.
    Published(Published),
    /// Name of the product to the product.
    Plain(BTreeMap<String, serde_json::Value>),
}

#[derive(Deserialize)]
pub(super) struct Published {
    #[serde(default)]
    generated_at: Option<serde_json::Value>,
    result: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct PublishedProduct {
    name: String,
    releases: Vec<PublishedRelease>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublishedRelease {
    name: String,
    #[serde(default)]
    is_eol: Option<bool>,
    #[serde(default)]
    eol_from: Option<Date>,
}

#[derive(Deserialize)]
struct PlainProduct {
    releases: Vec<PlainRelease>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainRelease {
    release_cycle: String,
    #[serde(default)]
    eol: Option<LastDay>,
}

/// Release to last day.
type Releases = BTreeMap<String, LastDay>;

impl Document {
    /// When it was made, where that is said in it.
    pub(super) fn generated_at(&self) -> Option<TableDate> {
        match self {
            Self::Published(published) => {
                let time: Timestamp = published.generated_at.as_ref()?.as_str()?.parse().ok()?;
                Some(TableDate(time))
            }
            Self::Plain(_) => None,
        }
    }

    /// Every product that can be read.
    pub(super) fn products(self) -> BTreeMap<String, Releases> {
        match self {
            Self::Published(published) => published
                .result
                .into_iter()
                .filter_map(|product| serde_json::from_value::<PublishedProduct>(product).ok())
                .map(|product| (product.name, published_releases(product.releases)))
                .collect(),
            Self::Plain(products) => products
                .into_iter()
                .filter_map(|(name, product)| {
                    let product = serde_json::from_value::<PlainProduct>(product).ok()?;
                    Some((name, plain_releases(product.releases)))
                })
                .collect(),
        }
    }
}

fn published_releases(releases: Vec<PublishedRelease>) -> Releases {
    let last_day = |release: &PublishedRelease| {
        release.eol_from.map(LastDay::Known).or(release.is_eol.map(LastDay::Passed))
    };
    releases.into_iter().filter_map(|release| Some((release.name.clone(), last_day(&release)?))).collect()
}

fn plain_releases(releases: Vec<PlainRelease>) -> Releases {
    releases.into_iter().filter_map(|release| Some((release.release_cycle, release.eol?))).collect()
}
