//! A search of Artifactory for the manifests of an image, in its query language (AQL), and the tags that it tells.
//!
//! Specification: <https://jfrog.com/help/r/jfrog-rest-apis/artifactory-query-language>,
//! <https://jfrog.com/help/r/jfrog-artifactory-documentation/display-limits-and-pagination>

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;
use tidewatch_core::manifest::media_type;
use tidewatch_core::names::Tag;
use tidewatch_core::ports::registry::{ListedTag, TagState};
use tidewatch_core::rule::ImageTimes;

use crate::answer::Subject;
use crate::listed_time::rfc3339;
use crate::pages;

/// The most that is asked for on a page of a plain search.
pub(crate) const PAGE: usize = 10_000;

/// How much a search asks for. A server sorts and divides into pages only what is told of the files alone; of everything else
/// it counts rows of its database, and leaves out tags without a word.
#[derive(Clone, Copy)]
pub(crate) enum Search {
    /// With downloads and properties, all at once.
    Full,
    /// The files alone, from here on.
    Plain(usize),
}

impl Search {
    /// The search for the manifests of `image` in the repository `key`. What a remote repository holds is in its cache.
    pub(crate) fn query(self, key: &str, image: &str) -> String {
        let criteria = json!({"$and": [
            {"$or": [{"repo": key}, {"repo": cache(key)}]},
            {"path": {"$match": format!("{image}/*")}},
            {"path": {"$nmatch": format!("{image}/*/*")}},
            {"path": {"$nmatch": format!("{image}/sha256:*")}},
            {"$or": [{"name": MANIFEST}, {"name": LIST}]},
        ]});
        let fields = r#""repo","path","name","sha256","modified""#;
        match self {
            Self::Full => format!(r#"items.find({criteria}).include({fields},"stat.downloaded","property")"#),
            // Backwards, so that of the two manifests of a tag the one that counts comes last, on whichever page.
            Self::Plain(offset) => format!(
                r#"items.find({criteria}).include({fields}).sort({{"$desc":["path","name"]}}).offset({offset}).limit({PAGE})"#
            ),
        }
    }
}

/// The manifest of an image.
const MANIFEST: &str = "manifest.json";
/// The index of an image of several platforms. It counts where a tag has both.
const LIST: &str = "list.manifest.json";

fn cache(key: &str) -> String {
    format!("{key}-cache")
}

/// What a search found.
#[derive(Deserialize)]
pub(crate) struct Found {
    #[serde(deserialize_with = "crate::pages::list")]
    results: Vec<Item>,
    #[serde(default)]
    range: Range,
}

#[derive(Default, Deserialize)]
struct Range {
    total: Option<usize>,
    /// Says that there is more than what the server gives to anybody at once.
    notification: Option<String>,
}

/// A file.
#[derive(Deserialize)]
struct Item {
    repo: Option<String>,
    path: Option<String>,
    name: Option<String>,
    sha256: Option<String>,
    modified: Option<String>,
    stats: Option<Vec<Stat>>,
    properties: Option<Vec<Property>>,
}

#[derive(Deserialize)]
struct Stat {
    downloaded: Option<String>,
}

#[derive(Deserialize)]
struct Property {
    key: Option<String>,
    value: Option<String>,
}

impl Found {
    /// What the answer to a search says; the reason when it is none.
    pub(crate) fn read(answer: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(answer).map_err(|error| format!("it is not as documented: {error}"))
    }

    /// How many files it tells.
    pub(crate) fn count(&self) -> usize {
        self.results.len()
    }

    /// Whether there is more than what it tells, which begins at `offset`. Of itself `total` counts the files of the page, so
    /// that it says so of no server that is known.
    pub(crate) fn is_cut(&self, offset: usize) -> bool {
        self.range.notification.is_some() || self.range.total > Some(offset + self.count())
    }

    /// The tags of `image` in the repository `key`.
    pub(crate) fn tags(self, key: &str, image: &str, subject: &Subject) -> Vec<ListedTag> {
        listed(self.results, key, image, subject)
    }
}

/// The tags of `image` whose manifests are among `items`.
fn listed(items: Vec<Item>, key: &str, image: &str, subject: &Subject) -> Vec<ListedTag> {
    let cache = cache(key);
    // Another repository can have the name of a cache.
    let is_own = items.iter().any(|item| item.repo.as_deref() == Some(key));
    let mut tags: Vec<(ListedTag, Item)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for item in items {
        let Some(tag) = item.tag_of(image) else { continue };
        if is_own && item.repo.as_deref() == Some(&cache) {
            continue;
        }
        let Some(name) = pages::name(subject, tag) else { continue };
        match places.get(tag).map(|place| &mut tags[*place]) {
            None => {
                places.insert(tag.to_owned(), tags.len());
                tags.push((item.listed(name), item));
            }
            Some((_, other)) if other.is_list() && !item.is_list() => {}
            // Which of several repositories a virtual one takes it from is not told.
            Some((known, other))
                if other.name == item.name && other.repo != item.repo && other.sha256 != item.sha256 =>
            {
                *known = ListedTag::named(name);
            }
            Some(known) => *known = (item.listed(name), item),
        }
    }
    tags.into_iter().map(|(tag, _)| tag).collect()
}

impl Item {
    /// The tag that it is the manifest of, as a text: exactly one part of its path is below `image`.
    fn tag_of(&self, image: &str) -> Option<&str> {
        let tag = self.path.as_deref()?.strip_prefix(image)?.strip_prefix('/')?;
        let is_tag = !tag.contains('/') && !tag.starts_with("sha256:");
        (is_tag && matches!(self.name.as_deref(), Some(MANIFEST | LIST))).then_some(tag)
    }

    fn is_list(&self) -> bool {
        self.name.as_deref() == Some(LIST)
    }

    fn listed(&self, tag: Tag) -> ListedTag {
        let file = self.sha256.as_ref().map(|sha256| format!("sha256:{sha256}"));
        let told = || self.property("manifest.digest").map(str::to_owned);
        let downloads = self.stats.iter().flatten().map(|stat| rfc3339(stat.downloaded.as_deref()));
        let pulled_at = downloads.flatten().max();
        let pushed_at = rfc3339(self.modified.as_deref());
        ListedTag {
            digest: file.or_else(told).and_then(|digest| digest.parse().ok()),
            times: ImageTimes { created_at: None, pushed_at, pulled_at },
            state: if self.is_image() { TagState::Available } else { TagState::NotAnImage },
            ..ListedTag::named(tag)
        }
    }

    /// The property `docker.ENDING`, `oci.ENDING`.
    fn property(&self, ending: &str) -> Option<&str> {
        let mut properties = self.properties.iter().flatten();
        let is_it = |key: &str| key.split_once('.').is_some_and(|(_, rest)| rest == ending);
        let found = properties.find(|property| property.key.as_deref().is_some_and(is_it));
        found?.value.as_deref()
    }

    /// Whether nothing says that it is something else.
    fn is_image(&self) -> bool {
        let is_known = |kind: &str| {
            media_type::is_image_manifest(kind) || media_type::is_index(kind) || media_type::is_schema_1(kind)
        };
        let mut values = self.properties.iter().flatten().filter_map(|property| property.value.as_deref());
        let is_chart = values.any(|value| value.starts_with("application/vnd.cncf.helm."));
        !is_chart && self.property("manifest.type").is_none_or(is_known)
    }
}
