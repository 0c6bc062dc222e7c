//! The archives of the OSV service, or of a mirror of it: `<place>/<Ecosystem>/all.zip`. In a folder or a bucket without
//! that, the records themselves: `<place>/<Ecosystem>/*.json`.
//!
//! Layout: <https://google.github.io/osv.dev/data/#data-dumps>

use std::path::Path;

use async_trait::async_trait;

use super::{Ask, Kind, mark_of};
use crate::archive::ArchiveWriter;
use crate::fetch::{Entry, FetchError, Fetched, Validators};
use crate::place::Place;
use crate::settings::Settings;

/// The variable that says where the archives are.
pub const VARIABLE: &str = "TIDEWATCH_ADVISORIES_URL";
/// The bucket of the OSV service.
pub(crate) const PUBLISHER: &str = "https://storage.googleapis.com/osv-vulnerabilities";
/// The folder of CVEs, which belong to no ecosystem; it is read for their scores.
pub(crate) const SCORES: &str = "GIT";

const ARCHIVE: &str = "all.zip";
/// Bytes of one record at most, as in an archive.
const RECORD_LIMIT: u64 = 16 << 20;
/// How many records of a folder or bucket are fetched at the same time.
const AT_ONCE: usize = 32;

pub(super) struct Osv;

#[async_trait]
impl Kind for Osv {
    fn holds(&self, _: &str) -> bool {
        true
    }

    fn variable(&self) -> &'static str {
        VARIABLE
    }

    fn place_of(&self, name: &str, settings: &Settings) -> Option<Place> {
        let folder = settings.osv.as_ref()?.join(&[name]);
        Some(if folder.is_listable() { folder } else { folder.join(&[ARCHIVE]) })
    }

    async fn fetch(&self, mut ask: Ask<'_, '_>) -> Result<Fetched, FetchError> {
        if ask.place.is_listable() { of_folder(&mut ask).await } else { ask.get(ask.place).await }
    }
}

/// The archive in a folder or bucket, or one of the records that lie there.
pub(super) async fn of_folder(ask: &mut Ask<'_, '_>) -> Result<Fetched, FetchError> {
    match ask.get(&ask.place.join(&[ARCHIVE])).await {
        Err(FetchError::Absent { .. }) => records(ask).await,
        fetched => fetched,
    }
}

/// An archive of the records that lie in a folder or bucket.
async fn records(ask: &mut Ask<'_, '_>) -> Result<Fetched, FetchError> {
    let mut entries = ask.fetcher.list(ask.place, ask.until).await?;
    let is_record = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "json");
    entries.retain(|entry| is_record(&entry.name) && !entry.name.contains('/'));
    if entries.is_empty() {
        return Err(FetchError::Absent { place: ask.place.join(&[ARCHIVE]).to_string() });
    }
    let validators = Validators::mark(mark_of(&entries));
    if *ask.known == validators {
        return Ok(Fetched::Unchanged);
    }
    let mut archive = ArchiveWriter::new(ask.fetcher.folder(), ask.inflated_limit)?;
    for some in entries.chunks(AT_ONCE) {
        let fetched = futures::future::try_join_all(some.iter().map(|entry| bytes_of(ask, entry))).await?;
        ask.progress.add(fetched.iter().map(|(_, json)| json.len() as u64).sum()).await;
        let adding = tokio::task::spawn_blocking(move || {
            let added = fetched.iter().try_for_each(|(name, json)| archive.add(name, json));
            added.map(|()| archive)
        });
        archive = adding.await.map_err(std::io::Error::other)??;
    }
    let archive = tokio::task::spawn_blocking(move || archive.finish(validators));
    Ok(Fetched::Changed(archive.await.map_err(std::io::Error::other)??))
}

/// A record by its name. One that is too large is replaced by what is no record: a problem of the archive, and no
/// failure of it.
async fn bytes_of(ask: &Ask<'_, '_>, entry: &Entry) -> Result<(String, Vec<u8>), FetchError> {
    let place = ask.place.join(&[&entry.name]);
    let json = match ask.fetcher.read(&place, RECORD_LIMIT, ask.until).await {
        Err(FetchError::TooLarge { limit, .. }) => format!("\"larger than {limit} bytes\"").into_bytes(),
        read => read?,
    };
    Ok((entry.name.clone(), json))
}
