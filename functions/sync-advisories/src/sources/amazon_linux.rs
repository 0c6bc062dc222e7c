//! The repositories of Amazon Linux, whose `updateinfo.xml` has its advisories: OSV has none. The mirror list of each
//! repository leads to its index, and that to the file. In a folder or bucket, an archive or records as OSV would have
//! them, or else the files themselves: `<place>/<release>/updateinfo.xml`, as they are or packed with gzip.
//!
//! Repositories: <https://docs.aws.amazon.com/linux/al2023/ug/deterministic-upgrades.html>

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write as _};

use async_trait::async_trait;
use flate2::read::MultiGzDecoder;
use tidewatch_advisories::record::Record;
use tidewatch_advisories::{archive, updateinfo};
use url::Url;

use super::repomd::Updateinfo;
use super::{Ask, Kind, mark_of, osv};
use crate::archive::hash_of;
use crate::fetch::{Download, Entry, FetchError, Fetched, Validators};
use crate::place::Place;
use crate::settings::Settings;

/// The name of the ecosystem.
pub(crate) const NAME: &str = "Amazon Linux";
/// The variable that says where the repositories are.
pub const VARIABLE: &str = "TIDEWATCH_AMAZON_LINUX_URL";
/// The distribution's own repositories.
pub(crate) const PUBLISHER: &str = "https://cdn.amazonlinux.com";

/// The releases, and where the mirror lists of their core repositories are. The repositories of Amazon Linux 2 beside the
/// core (`amazon-linux-extras`) are left out: neither an installed package nor an advisory says which of them it is of,
/// and several have another version of the same package.
const RELEASES: &[(&str, &[&str])] =
    &[("2", &["2", "core", "latest"]), ("2023", &["al2023", "core", "mirrors", "latest"])];
const ARCHITECTURES: &[&str] = &["x86_64", "aarch64"];

/// Bytes of a mirror list and of an index, at most.
const LIST_LIMIT: u64 = 64 << 10;
const INDEX_LIMIT: u64 = 1 << 20;
/// How many mirrors are asked at most.
const MIRRORS: usize = 3;

pub(super) struct AmazonLinux;

#[async_trait]
impl Kind for AmazonLinux {
    fn holds(&self, name: &str) -> bool {
        name == NAME
    }

    fn variable(&self) -> &'static str {
        VARIABLE
    }

    fn place_of(&self, _: &str, settings: &Settings) -> Option<Place> {
        settings.amazon_linux.clone()
    }

    async fn fetch(&self, mut ask: Ask<'_, '_>) -> Result<Fetched, FetchError> {
        if let Place::Web(prefix) = ask.place {
            return of_repositories(prefix, ask).await;
        }
        match osv::of_folder(&mut ask).await {
            Err(FetchError::Absent { .. }) => of_files(ask).await,
            fetched => fetched,
        }
    }
}

/// A repository, and where its advisories are.
struct Found {
    release: &'static str,
    file: Place,
    updateinfo: Updateinfo,
}

async fn of_repositories(prefix: &Url, mut ask: Ask<'_, '_>) -> Result<Fetched, FetchError> {
    let mut repositories = Vec::new();
    for (release, folder) in RELEASES {
        for architecture in ARCHITECTURES {
            let list = ask.place.join(folder).join(&[architecture, "mirror.list"]);
            repositories.push(find(release, prefix, &list, &ask).await?);
        }
    }
    let marks: Vec<_> = repositories
        .iter()
        .map(|found| Entry { name: found.release.to_owned(), mark: found.updateinfo.mark().to_owned() })
        .collect();
    let validators = Validators::mark(mark_of(&marks));
    if *ask.known == validators {
        return Ok(Fetched::Unchanged);
    }
    let mut files = Vec::new();
    for Found { release, file, updateinfo } in repositories {
        let download = whole(&file, &mut ask).await?;
        let name = updateinfo.file_name().to_owned();
        let mut opened = download.file.reopen()?;
        let verified = tokio::task::spawn_blocking(move || updateinfo.is(&mut opened));
        if !verified.await.map_err(std::io::Error::other)?? {
            return Err(unusable(&file, "it has not the checksum that the index of its repository names"));
        }
        files.push(Feed { release: release.to_owned(), name, place: file, download });
    }
    archive_of(files, validators, &ask).await
}

/// The first mirror on a list whose index can be had.
async fn find(
    release: &'static str,
    prefix: &Url,
    list: &Place,
    ask: &Ask<'_, '_>,
) -> Result<Found, FetchError> {
    let text = ask.fetcher.read(list, LIST_LIMIT, ask.until).await?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut failure = unusable(list, "it names no mirror that may be asked");
    for mirror in lines.filter_map(|line| mirror(prefix, line)).take(MIRRORS) {
        let index = mirror.join(&["repodata", "repomd.xml"]);
        let read = match ask.fetcher.read(&index, INDEX_LIMIT, ask.until).await {
            Ok(xml) => Updateinfo::of_repomd(&xml).map_err(|error| unusable(&index, &error.to_string())),
            Err(error) => Err(error),
        };
        match read {
            Ok(updateinfo) => {
                let path: Vec<&str> = updateinfo.path.iter().map(String::as_str).collect();
                return Ok(Found { release, file: mirror.join(&path), updateinfo });
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Where a line of a mirror list leads: on the server that the setting names, and nowhere else. What the publisher's own
/// lists say of its server is on a copy of them meant for the copy.
fn mirror(prefix: &Url, line: &str) -> Option<Place> {
    let url: Url = line.parse().ok()?;
    let publisher: Url = PUBLISHER.parse().ok()?;
    if url.query().is_some() || url.fragment().is_some() || !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    if url.origin() == prefix.origin() {
        return Some(Place::Web(url));
    }
    // The same server over TLS, or the place of the copy.
    let is_same_server = url.host() == prefix.host() && url.port().is_none() && prefix.port().is_none();
    if is_same_server && prefix.scheme() == "https" {
        let mut url = url;
        return url.set_scheme("https").is_ok().then_some(Place::Web(url));
    }
    let path: Vec<&str> = url.path_segments()?.filter(|segment| !segment.is_empty()).collect();
    let is_publisher = url.host() == publisher.host() && url.port().is_none();
    is_publisher.then(|| Place::Web(prefix.clone()).join(&path))
}

/// A file of advisories.
struct Feed {
    release: String,
    name: String,
    place: Place,
    download: Download,
}

async fn of_files(mut ask: Ask<'_, '_>) -> Result<Fetched, FetchError> {
    let mut entries = ask.fetcher.list(ask.place, ask.until).await?;
    let parts = |entry: &Entry| -> Option<(String, String)> {
        let (release, name) = entry.name.split_once('/')?;
        let is_feed = name.strip_prefix("updateinfo.xml").is_some_and(|rest| matches!(rest, "" | ".gz"));
        is_feed.then(|| (release.to_owned(), name.to_owned()))
    };
    entries.retain(|entry| parts(entry).is_some());
    if entries.is_empty() {
        let place = ask.place.join(&["2023", "updateinfo.xml.gz"]);
        return Err(FetchError::Absent { place: place.to_string() });
    }
    let validators = Validators::mark(mark_of(&entries));
    if *ask.known == validators {
        return Ok(Fetched::Unchanged);
    }
    let mut files = Vec::new();
    for (release, name) in entries.iter().filter_map(parts) {
        let place = ask.place.join(&[&release, &name]);
        let download = whole(&place, &mut ask).await?;
        files.push(Feed { release, name, place, download });
    }
    archive_of(files, validators, &ask).await
}

/// The file at `place`, whatever is known of it.
async fn whole(place: &Place, ask: &mut Ask<'_, '_>) -> Result<Download, FetchError> {
    let fetched = ask.fetcher.get(place, &Validators::default(), ask.until, &mut *ask.progress).await?;
    match fetched {
        Fetched::Changed(download) => Ok(download),
        Fetched::Unchanged => Err(unusable(place, "it is said to be unchanged, which nobody asked")),
    }
}

/// An archive of the records of all feeds.
async fn archive_of(
    feeds: Vec<Feed>,
    validators: Validators,
    ask: &Ask<'_, '_>,
) -> Result<Fetched, FetchError> {
    let (folder, limit) = (ask.fetcher.folder().to_owned(), ask.inflated_limit);
    let archive = tokio::task::spawn_blocking(move || {
        let mut records = Vec::new();
        for feed in &feeds {
            records.extend(read(feed, limit)?);
        }
        let file = tempfile::Builder::new().prefix("advisories-").tempfile_in(folder)?;
        let mut writer = BufWriter::new(file.reopen()?);
        archive::write(&records, &mut writer).map_err(std::io::Error::other)?;
        writer.flush()?;
        let (hash, size) = hash_of(file.reopen()?)?;
        Ok::<_, FetchError>(Download { file, size, hash, validators })
    });
    Ok(Fetched::Changed(archive.await.map_err(std::io::Error::other)??))
}

/// The records of one feed.
fn read(feed: &Feed, limit: u64) -> Result<Vec<Record>, FetchError> {
    let file: File = feed.download.file.reopen()?;
    let inflated: Box<dyn std::io::Read> = match feed.name.rsplit('.').next() {
        Some("xml") => Box::new(file),
        Some("gz") => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        Some("zst") => Box::new(zstd::Decoder::new(file)?),
        _ => return Err(unusable(&feed.place, "it is neither plain nor compressed by gzip or Zstandard")),
    };
    let records = updateinfo::records(&feed.release, BufReader::new(inflated.take(limit)));
    records.map_err(|error| unusable(&feed.place, &tidewatch_runtime::messages::describe(&error)))
}

fn unusable(place: &Place, reason: &str) -> FetchError {
    FetchError::Metadata { place: place.to_string(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_list_leads_to_no_other_server() {
        let own = "https://cdn.amazonlinux.com";
        let copy = "https://mirror.example.com/al";
        for (prefix, line, mirror_of_it) in [
            (
                own,
                "https://cdn.amazonlinux.com/2/core/2.0/x86_64/abc",
                Some("https://cdn.amazonlinux.com/2/core/2.0/x86_64/abc"),
            ),
            (own, "http://cdn.amazonlinux.com/2/core/abc/", Some("https://cdn.amazonlinux.com/2/core/abc/")),
            (
                copy,
                "https://cdn.amazonlinux.com/2/core/abc/",
                Some("https://mirror.example.com/al/2/core/abc"),
            ),
            (copy, "https://mirror.example.com/2/abc", Some("https://mirror.example.com/2/abc")),
            (own, "https://cdn.amazonlinux.com:8443/2", None),
            (own, "https://elsewhere.example.com/2/core", None),
            (own, "http://169.254.169.254/latest/meta-data", None),
            (own, "file:///etc/passwd", None),
            (own, "https://cdn.amazonlinux.com/?a=b", None),
            (own, "2/core", None),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081/2", None),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/2", Some("http://127.0.0.1:8080/2")),
        ] {
            let found = mirror(&prefix.parse().unwrap(), line).map(|place| place.to_string());
            assert_eq!(found.as_deref(), mirror_of_it, "{prefix} {line}");
        }
    }
}
