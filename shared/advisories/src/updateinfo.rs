//! The advisories of Amazon Linux, which OSV has not: the `updateinfo.xml` of its repositories as records. They are
//! records like those of OSV from there on: written to an archive, compiled, matched.
//!
//! Format: <https://github.com/openSUSE/libsolv/blob/master/ext/repo_updateinfoxml.c>, which has its grammar.

use std::collections::BTreeMap;
use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde_json::json;
use tidewatch_core::{Retry, Retryable, Timestamp};

use crate::ecosystem::Family;
use crate::record::{self, Affected, PackageName, Range, RangeKind, Record, is_cve};
use crate::updateinfo::limited::Limited;

mod limited;

/// Bytes of a whole feed at most; that of Amazon Linux 2 has some 60 MB.
const FEED_LIMIT: u64 = 1 << 30;
/// Bytes of one tag or one text at most; the longest descriptions, of the kernel, have some 100 kB.
const EVENT_LIMIT: usize = 8 << 20;
/// Elements within one another at most; the format has five.
const DEPTH_LIMIT: usize = 32;

/// A feed cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UpdateInfoError {
    /// It is no XML that can be read to its end, it is too large, or reading fails.
    #[error("failed to read the feed as XML")]
    Xml {
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It declares a document type, which could make it larger than it is.
    #[error("failed to read the feed: it declares a document type")]
    DocumentType,
    /// It is no list of updates.
    #[error("failed to read the feed: {0}")]
    Form(&'static str),
}

impl UpdateInfoError {
    fn xml(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Xml { source: error.into() }
    }
}

impl Retryable for UpdateInfoError {
    /// A broken feed stays broken until it is downloaded again.
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// The security updates of a feed of Amazon Linux `release`, `2` or `2023`, as records of `Amazon Linux:<release>`, in the
/// order of the feed.
///
/// A package is named by its binary, and fixed in `epoch:version-release`. Where that differs between architectures, the
/// highest counts: a record knows no architectures, and the lowest would call the others fixed that are not. Of a package
/// without a version no range is given, which the index reports.
pub fn records(release: &str, xml: impl BufRead) -> Result<Vec<Record>, UpdateInfoError> {
    let family = Family::of_id("amazon").ok_or(UpdateInfoError::Form("there is no family for it"))?;
    let mut reader = Reader::from_reader(Limited::new(xml.take(FEED_LIMIT), EVENT_LIMIT));
    let mut updates = Updates {
        release,
        family,
        records: Vec::new(),
        update: None,
        path: Vec::new(),
        text: String::new(),
        has_begun: false,
    };
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.get_mut().begin();
        match reader.read_event_into(&mut buffer).map_err(UpdateInfoError::xml)? {
            Event::Start(tag) => updates.start(&tag)?,
            Event::Empty(tag) => {
                updates.start(&tag)?;
                updates.end()?;
            }
            Event::End(_) => updates.end()?,
            Event::Text(text) => updates.text(&text.decode().map_err(UpdateInfoError::xml)?),
            Event::CData(text) => updates.text(&text.decode().map_err(UpdateInfoError::xml)?),
            Event::GeneralRef(reference) => updates.text(&resolved(&reference)),
            Event::DocType(_) => return Err(UpdateInfoError::DocumentType),
            Event::Eof => return updates.finish(),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
}

/// The character that a reference stands for; nothing for one of a declared entity.
fn resolved(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return character.to_string();
    }
    match reference.decode().as_deref() {
        Ok("amp") => "&",
        Ok("lt") => "<",
        Ok("gt") => ">",
        Ok("apos") => "'",
        Ok("quot") => "\"",
        _ => "",
    }
    .to_owned()
}

/// An update that is being read.
#[derive(Debug, Default)]
struct Update {
    is_security: bool,
    id: String,
    title: String,
    issued: Option<String>,
    updated: Option<String>,
    severity: String,
    cves: Vec<String>,
    /// Name → the version that fixes it, where one is given.
    packages: BTreeMap<String, Option<String>>,
}

/// The place in a feed, and what was read until there.
struct Updates<'a> {
    release: &'a str,
    family: &'static Family,
    records: Vec<Record>,
    update: Option<Update>,
    /// Names of the elements around the place.
    path: Vec<String>,
    /// Text of the element that is open.
    text: String,
    /// Whether the list has begun.
    has_begun: bool,
}

impl Updates<'_> {
    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), UpdateInfoError> {
        let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
        if self.path.is_empty() && name != "updates" {
            return Err(UpdateInfoError::Form("it is no list of updates"));
        }
        if self.path.len() >= DEPTH_LIMIT {
            return Err(UpdateInfoError::Form("its elements are nested too deep"));
        }
        self.has_begun = true;
        self.text.clear();
        match (self.update.as_mut(), name.as_str()) {
            (None, "update") => {
                let is_security = attribute(tag, "type")?.as_deref() == Some("security");
                self.update = Some(Update { is_security, ..Update::default() });
            }
            (Some(update), "issued") => update.issued = attribute(tag, "date")?,
            (Some(update), "updated") => update.updated = attribute(tag, "date")?,
            (Some(update), "reference") => {
                let id = attribute(tag, "id")?.map(|id| id.to_uppercase());
                let is_new = |id: &String| is_cve(id) && !update.cves.contains(id);
                if let Some(id) = id.filter(is_new) {
                    update.cves.push(id);
                }
            }
            (Some(update), "package") => package(self.family, update, tag)?,
            _ => {}
        }
        self.path.push(name);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        // Descriptions are not wanted, and no other text is long.
        if matches!(self.path.last().map(String::as_str), Some("id" | "title" | "severity")) {
            self.text.push_str(text);
        }
    }

    fn end(&mut self) -> Result<(), UpdateInfoError> {
        let name = self.path.pop().unwrap_or_default();
        let text = std::mem::take(&mut self.text);
        let text = || text.trim().to_owned();
        match (self.update.as_mut(), name.as_str(), self.path.len()) {
            (Some(update), "id", 2) => update.id = text(),
            (Some(update), "title", 2) => update.title = text(),
            (Some(update), "severity", 2) => update.severity = text(),
            (_, "update", 1) => {
                if let Some(update) = self.update.take().filter(|update| update.is_security) {
                    if update.id.is_empty() {
                        return Err(UpdateInfoError::Form("an update has no id"));
                    }
                    self.records.push(record(self.release, update));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Record>, UpdateInfoError> {
        // A feed that is cut off would make what it does not name look fixed.
        if !self.has_begun {
            Err(UpdateInfoError::Form("it is empty"))
        } else if self.path.is_empty() && self.update.is_none() {
            Ok(self.records)
        } else {
            Err(UpdateInfoError::Form("it ends before its end"))
        }
    }
}

/// Takes in a package of the update.
fn package(family: &Family, update: &mut Update, tag: &BytesStart<'_>) -> Result<(), UpdateInfoError> {
    let Some(name) = attribute(tag, "name")?.filter(|name| !name.is_empty()) else {
        return Err(UpdateInfoError::Form("a package has no name"));
    };
    if attribute(tag, "arch")?.as_deref() == Some("src") {
        return Ok(());
    }
    let [epoch, version, release] = ["epoch", "version", "release"].map(|part| attribute(tag, part));
    let (epoch, version, release) = (epoch?, version?, release?);
    let epoch = epoch.as_deref().filter(|epoch| !epoch.is_empty()).unwrap_or("0");
    let fix = version.zip(release).map(|(version, release)| format!("{epoch}:{version}-{release}"));
    let known = update.packages.entry(name).or_default();
    let is_higher = match (known.as_deref(), fix.as_deref()) {
        (Some(known), Some(fix)) => (family.compare)(fix, known).is_ok_and(std::cmp::Ordering::is_gt),
        (None, fix) => fix.is_some(),
        (Some(_), None) => false,
    };
    if is_higher {
        *known = fix;
    }
    Ok(())
}

fn record(release: &str, update: Update) -> Record {
    let affected = |(name, fix): (String, Option<String>)| {
        let event = |introduced: Option<&str>, fixed| record::Event {
            introduced: introduced.map(str::to_owned),
            fixed,
            ..record::Event::default()
        };
        let range = |fix| Range {
            kind: RangeKind::Ecosystem,
            events: vec![event(Some("0"), None), event(None, Some(fix))],
        };
        Affected {
            package: Some(PackageName { ecosystem: format!("Amazon Linux:{release}"), name }),
            ranges: fix.map(range).into_iter().collect(),
            ..Affected::default()
        }
    };
    Record {
        id: update.id,
        summary: update.title,
        upstream: update.cves,
        published: update.issued.as_deref().and_then(time),
        modified: update.updated.as_deref().or(update.issued.as_deref()).and_then(time),
        affected: update.packages.into_iter().map(affected).collect(),
        database_specific: json!({"severity": update.severity}),
        ..Record::default()
    }
}

/// `2023-02-17 20:41:00`, `2023-02-17 20:41` and `2023-02-17`, which are in UTC, as RFC 3339.
fn time(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('Z');
    let parse = |text: String| text.parse::<Timestamp>().ok();
    let time = match text.len() {
        10 => parse(format!("{text}T00:00:00Z")),
        16 => parse(format!("{text}:00Z")),
        _ => parse(format!("{text}Z")),
    };
    time.map(|time| time.to_string())
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, UpdateInfoError> {
    let Some(attribute) = tag.try_get_attribute(name).map_err(UpdateInfoError::xml)? else { return Ok(None) };
    let value = attribute.decoded_and_normalized_value(quick_xml::XmlVersion::Implicit1_0, tag.decoder());
    value.map(|value| Some(value.into_owned())).map_err(UpdateInfoError::xml)
}

#[cfg(test)]
mod tests;
