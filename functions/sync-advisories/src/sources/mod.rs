//! The table of kinds of sources: where each one's advisories are, how they are fetched, and how they are read. A new
//! kind is one file here and one line in [`KINDS`].

use std::fs::File;
use std::io::BufReader;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use tidewatch_advisories::{ArchiveError, ReadOptions, Reading};
use tidewatch_core::Digest;

use crate::fetch::{Entry, FetchError, Fetched, Fetcher, Until, Validators};
use crate::place::Place;
use crate::progress::Progress;
use crate::settings::Settings;

pub(crate) mod amazon_linux;
pub(crate) mod eol;
pub(crate) mod kev;
pub(crate) mod nvd;
pub(crate) mod osv;
mod repomd;

/// Every kind of source; the first that holds a name is that of the source. OSV has everything else.
const KINDS: &[&dyn Kind] = &[&amazon_linux::AmazonLinux, &eol::Eol, &kev::Kev, &nvd::Nvd, &osv::Osv];

/// The kind of the source of this name.
pub(crate) fn of(name: &str) -> &'static dyn Kind {
    let mut kinds = KINDS.iter().copied();
    kinds.find(|kind| kind.holds(name)).unwrap_or(&osv::Osv)
}

/// What is asked of a source.
pub(crate) struct Ask<'a, 'b> {
    /// Where it is.
    pub(crate) place: &'a Place,
    /// What the last answer gave to ask with.
    pub(crate) known: &'a Validators,
    pub(crate) fetcher: &'a Fetcher,
    /// How many bytes records may have together.
    pub(crate) inflated_limit: u64,
    pub(crate) until: Until,
    pub(crate) progress: &'a mut Progress<'b>,
}

impl Ask<'_, '_> {
    /// The file at `place`, unless it is the one that is known.
    pub(crate) async fn get(&mut self, place: &Place) -> Result<Fetched, FetchError> {
        self.fetcher.get(place, self.known, self.until, self.progress).await
    }
}

/// A kind of source.
#[async_trait]
pub(crate) trait Kind: Send + Sync {
    /// Whether the source of this name is of this kind.
    fn holds(&self, name: &str) -> bool;

    /// The variable that says where sources of this kind are.
    fn variable(&self) -> &'static str;

    /// Where the source of this name is; `None` when nobody has said it.
    fn place_of(&self, name: &str, settings: &Settings) -> Option<Place>;

    /// Whether indexes depend on what it says of vulnerabilities.
    fn gives_scores(&self) -> bool {
        true
    }

    /// Fetches it, unless it has not changed.
    async fn fetch(&self, mut ask: Ask<'_, '_>) -> Result<Fetched, FetchError> {
        ask.get(ask.place).await
    }

    /// Reads what was fetched: unless the kind says otherwise, an archive of OSV's records.
    fn read(&self, name: &str, file: File, options: &ReadOptions) -> Result<Reading, ArchiveError> {
        Reading::of_archive(name, BufReader::new(file), options)
    }
}

/// What changes when one of these files does.
fn mark_of(entries: &[Entry]) -> String {
    let mut hasher = Sha256::new();
    for Entry { name, mark } in entries {
        for part in [name, mark] {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
    }
    Digest::from_bytes(hasher.finalize().into()).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_file() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sources");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
        files.retain(|name| !["mod.rs", "repomd.rs"].contains(&name.as_str()));
        assert_eq!(files.len(), KINDS.len(), "{files:?}");
    }

    #[test]
    fn every_name_is_of_one_kind() {
        for (name, variable) in [
            ("Debian", osv::VARIABLE),
            ("GIT", osv::VARIABLE),
            ("NVD", osv::VARIABLE),
            ("Amazon Linux", amazon_linux::VARIABLE),
            ("EOL", eol::VARIABLE),
            ("KEV", kev::VARIABLE),
            ("NVD-2024", nvd::VARIABLE),
        ] {
            assert_eq!(of(name).variable(), variable, "{name}");
        }
    }
}
