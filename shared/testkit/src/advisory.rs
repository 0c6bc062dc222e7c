//! OSV records as the OSV service publishes them, built field by field, and the folders and archives that hold them.
//!
//! Specification: <https://ossf.github.io/osv-schema/>

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Builds one OSV record.
///
/// ```
/// # use tidewatch_testkit::advisory::AdvisoryBuilder;
/// let record = AdvisoryBuilder::new("DSA-1-1")
///     .upstream(["CVE-2024-1"])
///     .fixed("Debian:12", "openssl", "3.0.11-1")
///     .build();
/// assert_eq!(record["affected"][0]["package"]["name"], "openssl");
/// ```
#[derive(Clone, Debug)]
pub struct AdvisoryBuilder {
    record: Value,
}

impl AdvisoryBuilder {
    /// A record with this id that affects nothing yet, last changed at the beginning of 2024.
    pub fn new(id: &str) -> Self {
        Self {
            record: json!({"schema_version": "1.6.0", "id": id, "modified": "2024-01-01T00:00:00Z", "affected": []}),
        }
    }

    /// Sets any field of the record.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.record[name] = value;
        self
    }

    /// The ids of the vulnerabilities that it is about.
    #[must_use]
    pub fn upstream<const N: usize>(self, ids: [&str; N]) -> Self {
        self.field("upstream", ids.as_slice().into())
    }

    /// Other ids of the same vulnerability.
    #[must_use]
    pub fn aliases<const N: usize>(self, ids: [&str; N]) -> Self {
        self.field("aliases", ids.as_slice().into())
    }

    /// When it was published, RFC 3339.
    #[must_use]
    pub fn published(self, time: &str) -> Self {
        self.field("published", json!(time))
    }

    /// When it was last changed, RFC 3339.
    #[must_use]
    pub fn modified(self, time: &str) -> Self {
        self.field("modified", json!(time))
    }

    /// Since when it is no longer valid, RFC 3339.
    #[must_use]
    pub fn withdrawn(self, time: &str) -> Self {
        self.field("withdrawn", json!(time))
    }

    /// Adds a rating of the record, such as `CVSS_V3` and a vector.
    #[must_use]
    pub fn severity(mut self, kind: &str, score: &str) -> Self {
        push(&mut self.record["severity"], json!({"type": kind, "score": score}));
        self
    }

    /// Adds an affected package as it is given.
    #[must_use]
    pub fn affected(mut self, affected: Value) -> Self {
        push(&mut self.record["affected"], affected);
        self
    }

    /// Adds a package with one range of these events: `[("introduced", "0"), ("fixed", "1.2")]`.
    #[must_use]
    pub fn range<const N: usize>(self, ecosystem: &str, name: &str, events: [(&str, &str); N]) -> Self {
        let events: Vec<Value> = events.into_iter().map(|(event, version)| json!({event: version})).collect();
        self.affected(json!({
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }))
    }

    /// Adds a package of which every version before `version` is affected.
    #[must_use]
    pub fn fixed(self, ecosystem: &str, name: &str, version: &str) -> Self {
        self.range(ecosystem, name, [("introduced", "0"), ("fixed", version)])
    }

    /// Adds a package of which every version up to and with `version` is affected.
    #[must_use]
    pub fn last_affected(self, ecosystem: &str, name: &str, version: &str) -> Self {
        self.range(ecosystem, name, [("introduced", "0"), ("last_affected", version)])
    }

    /// Adds a package of which every version is affected.
    #[must_use]
    pub fn affects_all(self, ecosystem: &str, name: &str) -> Self {
        self.range(ecosystem, name, [("introduced", "0")])
    }

    /// The record.
    pub fn build(self) -> Value {
        self.record
    }
}

fn push(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = json!([item]),
    }
}

/// A zip archive of `records`, as the OSV service makes them.
pub fn archive(records: &[Value]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for record in records {
        archive.start_file(file_name(record).as_str(), SimpleFileOptions::default()).unwrap();
        archive.write_all(record.to_string().as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Writes `records` to `<folder>/<ecosystem>/all.zip`, as the OSV service lays them out. Gives the archive's path.
pub fn write_archive(folder: &Path, ecosystem: &str, records: &[Value]) -> PathBuf {
    let folder = folder.join(ecosystem);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("all.zip");
    fs::write(&path, archive(records)).unwrap();
    path
}

/// Writes `records` to `<folder>/<ecosystem>/<id>.json`. Gives the ecosystem's folder.
pub fn write_folder(folder: &Path, ecosystem: &str, records: &[Value]) -> PathBuf {
    let folder = folder.join(ecosystem);
    fs::create_dir_all(&folder).unwrap();
    for record in records {
        fs::write(folder.join(file_name(record)), record.to_string()).unwrap();
    }
    folder
}

fn file_name(record: &Value) -> String {
    format!("{}.json", record["id"].as_str().unwrap_or("without-id"))
}
