//! The texts of snapshots that were served last, kept in the process: each is read and inflated once for each snapshot,
//! not for each scrape.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tidewatch_core::names::OrgName;
use tidewatch_core::stream::{open_metrics, render_snapshot_times};
use tidewatch_store::records::{Snapshot, SnapshotHead, TextHead};

use crate::negotiation::Format;
use crate::queues::QueueText;

/// Of how many organisations texts are kept: a text has a few MB at most.
const MOST_ORGANISATIONS: usize = 16;

/// Which families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Families {
    /// Docker Scout's.
    Scout,
    /// Our own.
    Own,
}

/// A body that cannot be inflated, or is not what is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// A text in one format, as it is sent.
#[derive(Debug)]
pub(crate) struct Representation {
    text: String,
    gzip: OnceLock<Vec<u8>>,
}

impl Representation {
    const fn new(text: String) -> Self {
        Self { text, gzip: OnceLock::new() }
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text, compressed.
    pub(crate) fn gzip(&self) -> &[u8] {
        self.gzip.get_or_init(|| compress(&self.text))
    }
}

/// Both formats of a text.
#[derive(Debug)]
struct Formats {
    text: Arc<Representation>,
    open_metrics: OnceLock<Arc<Representation>>,
}

impl Formats {
    fn new(text: Representation) -> Self {
        Self { text: Arc::new(text), open_metrics: OnceLock::new() }
    }

    fn get(&self, format: Format) -> Arc<Representation> {
        match format {
            Format::Text => Arc::clone(&self.text),
            Format::OpenMetrics => {
                let make = || Arc::new(Representation::new(open_metrics(self.text.text())));
                Arc::clone(self.open_metrics.get_or_init(make))
            }
        }
    }
}

/// The texts of one snapshot.
#[derive(Debug)]
pub(crate) struct Texts {
    metrics: Formats,
    own: String,
    /// The text of our own families with its end, and the times that it is of: they move on while the rest stays.
    own_at: Mutex<Option<(Timestamp, Formats)>>,
}

impl Texts {
    /// The texts of a snapshot.
    pub(crate) fn of(snapshot: &Snapshot) -> Result<Self, Damaged> {
        let text = inflate(&snapshot.metrics, &snapshot.head.metrics)?;
        let metrics = Representation { text, gzip: OnceLock::from(snapshot.metrics.clone()) };
        let own = inflate(&snapshot.own, &snapshot.head.own)?;
        Ok(Self { metrics: Formats::new(metrics), own, own_at: Mutex::default() })
    }

    /// The families in this format, when `head` is that of the snapshot now.
    pub(crate) fn get(&self, families: Families, format: Format, head: &SnapshotHead) -> Arc<Representation> {
        match families {
            Families::Scout => self.metrics.get(format),
            Families::Own => {
                let mut own_at = self.own_at.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((_, formats)) = own_at.as_ref().filter(|(at, _)| *at == head.checked_at) {
                    return formats.get(format);
                }
                let end = render_snapshot_times(head.made_at, head.checked_at);
                let formats = Formats::new(Representation::new(format!("{}{end}", self.own)));
                let wanted = formats.get(format);
                *own_at = Some((head.checked_at, formats));
                wanted
            }
        }
    }

    /// Our own families in this format, and behind them those of the queues. It is made anew each time: operators are few,
    /// and have other numbers every few seconds.
    pub(crate) fn with_queues(
        &self,
        format: Format,
        head: &SnapshotHead,
        queues: &QueueText,
    ) -> Representation {
        let own = self.get(Families::Own, Format::Text, head);
        let text = format!("{}{}", own.text(), queues.text());
        Representation::new(match format {
            Format::Text => text,
            Format::OpenMetrics => open_metrics(&text),
        })
    }
}

/// The entity tag of families in a format: a weak one, since the compressed and the plain text have the same. `queues` is
/// what follows our own families for an operator: other numbers make another tag, also while the snapshot stays.
pub(crate) fn entity_tag(
    families: Families,
    format: Format,
    head: &SnapshotHead,
    queues: Option<&QueueText>,
) -> String {
    let suffix = format.tag_suffix();
    match families {
        Families::Scout => format!("W/\"{}{suffix}\"", head.metrics.digest.hex()),
        Families::Own => {
            let (made, checked) = (head.made_at.as_millisecond(), head.checked_at.as_millisecond());
            let queues = queues.map_or_else(String::new, |queues| format!("-{}", queues.digest().hex()));
            format!("W/\"{}-{made}-{checked}{queues}{suffix}\"", head.own.digest.hex())
        }
    }
}

/// The texts of the organisations that were asked for last.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: BTreeMap<OrgName, Entry>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    version: (i64, i64),
    texts: Arc<Texts>,
    last_use: u64,
}

impl Cache {
    /// The texts of an organisation's snapshot, if they are those of this version.
    pub(crate) fn get(&mut self, org: &OrgName, version: (i64, i64)) -> Option<Arc<Texts>> {
        self.uses += 1;
        let entry = self.entries.get_mut(org).filter(|entry| entry.version == version)?;
        entry.last_use = self.uses;
        Some(Arc::clone(&entry.texts))
    }

    /// Keeps texts; those of the organisation that was not asked for longest go when there are many.
    pub(crate) fn put(&mut self, org: &OrgName, version: (i64, i64), texts: Arc<Texts>) {
        self.uses += 1;
        self.entries.insert(org.clone(), Entry { version, texts, last_use: self.uses });
        if self.entries.len() > MOST_ORGANISATIONS {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.last_use);
            if let Some(oldest) = oldest.map(|(org, _)| org.clone()) {
                self.entries.remove(&oldest);
            }
        }
    }
}

fn inflate(body: &[u8], head: &TextHead) -> Result<String, Damaged> {
    let mut text = String::new();
    // The length is stored beside the body, so that a damaged body cannot inflate without end.
    let limit = head.length.saturating_add(1);
    GzDecoder::new(body).take(limit).read_to_string(&mut text).map_err(|_| Damaged)?;
    if text.len() as u64 == head.length { Ok(text) } else { Err(Damaged) }
}

fn compress(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to a vector does not fail.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tidewatch_core::Digest;

    use super::*;

    fn texts() -> Arc<Texts> {
        let head = |text: &str| TextHead { length: text.len() as u64, digest: Digest::of(text.as_bytes()) };
        let at = Timestamp::UNIX_EPOCH;
        let (metrics, own) = ("a 1\n", "b 1\n");
        let head = SnapshotHead {
            config_version: 1,
            number: 1,
            metrics: head(metrics),
            own: head(own),
            made_at: at,
            checked_at: at,
            judging: None,
        };
        Arc::new(Texts::of(&Snapshot { head, metrics: compress(metrics), own: compress(own) }).unwrap())
    }

    #[test]
    fn the_texts_of_the_organisations_that_ask_stay_and_only_those_of_the_same_snapshot_are_given() {
        let mut cache = Cache::default();
        let org = |number: usize| -> OrgName { format!("org-{number}").parse().unwrap() };
        for number in 0..MOST_ORGANISATIONS {
            cache.put(&org(number), (1, 1), texts());
        }
        assert!(cache.get(&org(0), (1, 1)).is_some());
        assert!(cache.get(&org(0), (1, 2)).is_none(), "there is a newer one");
        cache.put(&org(99), (1, 1), texts());
        assert!(cache.get(&org(0), (1, 1)).is_some() && cache.get(&org(99), (1, 1)).is_some());
        assert!(cache.get(&org(1), (1, 1)).is_none(), "it was not asked for longest");
    }
}
