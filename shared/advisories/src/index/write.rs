//! Collects what advisories say and writes it as an index file. The same advisories give the same bytes, in whatever
//! order they come: everything is numbered and written in order, in one transaction.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use redb::Database;
use sha2::{Digest as _, Sha256};
use tidewatch_core::Digest;

use super::{
    ADVISORIES, Advisory, AffectedVersions, FORMAT, FORMAT_KEY, HASH_LENGTH, INFO_KEY, IndexInfo, META,
    PACKAGES, Vulnerability,
};
use crate::evaluate::Range;

/// What will be in an index.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// In the order in which they came.
    advisories: Vec<Advisory>,
    /// Ecosystem with release → package name → what is said about it.
    packages: BTreeMap<String, BTreeMap<String, Vec<Said>>>,
}

/// What one advisory says about one package.
#[derive(Debug)]
struct Said {
    /// Where the advisory stands in the order of arrival.
    advisory: u32,
    /// The rest of a [`super::Statement`], encoded.
    encoded: Box<[u8]>,
}

/// An index file that was written.
pub(crate) struct Written {
    pub(crate) hash: Digest,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// Why an index file could not be written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) enum WriteError {
    Io(#[from] std::io::Error),
    Redb(#[from] redb::Error),
    Encode(#[from] postcard::Error),
}

impl Writer {
    /// Takes in what `advisory` says about a package: the affected `versions` and `ranges`. What is said several times
    /// is written once.
    pub(crate) fn add(
        &mut self,
        ecosystem: &str,
        name: &str,
        advisory: Advisory,
        versions: &[String],
        ranges: &[Range],
    ) -> Result<(), postcard::Error> {
        let affected = match (versions, ranges) {
            ([], [range]) if let Some(fixed) = range.is_before() => AffectedVersions::Before(fixed),
            _ => AffectedVersions::Among(
                versions.iter().map(String::as_str).collect(),
                ranges.iter().map(Range::borrowed).collect(),
            ),
        };
        let encoded = postcard::to_allocvec(&affected)?.into();
        // A record comes with one advisory for each package; most of them are the same.
        if self.advisories.last() != Some(&advisory) {
            self.advisories.push(advisory);
        }
        let advisory = u32::try_from(self.advisories.len() - 1).unwrap_or(u32::MAX);
        let said = Said { advisory, encoded };
        // Most packages come many times: their names are copied once.
        if let Some(all) = self.packages.get_mut(ecosystem).and_then(|packages| packages.get_mut(name)) {
            all.push(said);
        } else {
            let packages = self.packages.entry(ecosystem.to_owned()).or_default();
            packages.insert(name.to_owned(), vec![said]);
        }
        Ok(())
    }

    /// For each ecosystem the number of its packages.
    pub(crate) fn releases(&self) -> BTreeMap<String, usize> {
        self.packages.iter().map(|(ecosystem, packages)| (ecosystem.clone(), packages.len())).collect()
    }

    /// Writes an index to `<folder>/<family>-<hash>.redb`, when `rate` has given each vulnerability its final rating.
    /// The file appears under that name only when it is complete.
    pub(crate) fn write(
        mut self,
        folder: &Path,
        info: &IndexInfo,
        rate: impl Fn(&mut Vulnerability),
    ) -> Result<Written, WriteError> {
        self.advisories.iter_mut().flat_map(|advisory| &mut advisory.vulnerabilities).for_each(rate);
        let numbered = Numbered::new(&self.advisories)?;
        let file = tempfile::Builder::new()
            .prefix(&info.family)
            .suffix(".partial")
            .tempfile_in(folder)?
            .into_temp_path();
        self.fill(&file, info, &numbered)?;
        let (hash, size) = hash(&file)?;
        let path = folder.join(format!("{}-{}.redb", info.family, hash.hex()));
        file.persist(&path).map_err(|error| error.error)?;
        Ok(Written { hash, path, size })
    }

    fn fill(mut self, path: &Path, info: &IndexInfo, numbered: &Numbered) -> Result<(), WriteError> {
        let mut database = Database::create(path).map_err(redb::Error::from)?;
        let transaction = database.begin_write().map_err(redb::Error::from)?;
        {
            let mut meta = transaction.open_table(META).map_err(redb::Error::from)?;
            meta.insert(FORMAT_KEY, FORMAT.to_le_bytes().as_slice()).map_err(redb::Error::from)?;
            meta.insert(INFO_KEY, postcard::to_allocvec(info)?.as_slice()).map_err(redb::Error::from)?;
            let mut table = transaction.open_table(ADVISORIES).map_err(redb::Error::from)?;
            for (number, encoded) in numbered.encoded.iter().enumerate() {
                table.insert(number_of(number), encoded.as_slice()).map_err(redb::Error::from)?;
            }
            let mut table = transaction.open_table(PACKAGES).map_err(redb::Error::from)?;
            for (ecosystem, packages) in &mut self.packages {
                for (name, said) in packages {
                    let value = numbered.value(said)?;
                    let key = (ecosystem.as_str(), name.as_str());
                    table.insert(key, value.as_slice()).map_err(redb::Error::from)?;
                }
            }
        }
        transaction.commit().map_err(redb::Error::from)?;
        // Until nothing is left to gain: each pass frees what the one before it could only mark as free.
        while database.compact().map_err(redb::Error::from)? {}
        Ok(())
    }
}

/// The advisories in the order of their ids, each once.
struct Numbered {
    /// Encoded, by number.
    encoded: Vec<Vec<u8>>,
    /// Hashes of those.
    hashes: Vec<[u8; 32]>,
    /// From the order of arrival to the number.
    numbers: Vec<u32>,
}

impl Numbered {
    fn new(advisories: &[Advisory]) -> Result<Self, postcard::Error> {
        let mut sorted = Vec::with_capacity(advisories.len());
        for (arrival, advisory) in advisories.iter().enumerate() {
            sorted.push((advisory.id.as_str(), postcard::to_allocvec(advisory)?, arrival));
        }
        sorted.sort();
        let mut encoded: Vec<Vec<u8>> = Vec::new();
        let mut numbers = vec![0; advisories.len()];
        for (_, bytes, arrival) in sorted {
            if encoded.last() != Some(&bytes) {
                encoded.push(bytes);
            }
            numbers[arrival] = number_of(encoded.len() - 1);
        }
        let hashes = encoded.iter().map(|bytes| Sha256::digest(bytes).into()).collect();
        Ok(Self { encoded, hashes, numbers })
    }

    /// What is stored of a package: the hash of all that is said, advisories included, and the statements in order.
    fn value(&self, said: &mut Vec<Said>) -> Result<Vec<u8>, postcard::Error> {
        for said in said.iter_mut() {
            said.advisory = self.numbers[said.advisory as usize];
        }
        said.sort_by(|a, b| (a.advisory, &a.encoded).cmp(&(b.advisory, &b.encoded)));
        said.dedup_by(|a, b| a.advisory == b.advisory && a.encoded == b.encoded);
        let mut hasher = Sha256::new();
        let mut statements = postcard::to_allocvec(&said.len())?;
        for said in said {
            hasher.update(self.hashes[said.advisory as usize]);
            hasher.update(&said.encoded);
            statements = postcard::to_extend(&said.advisory, statements)?;
            statements.extend_from_slice(&said.encoded);
        }
        let hash: [u8; 32] = hasher.finalize().into();
        Ok([&hash[..HASH_LENGTH], &statements].concat())
    }
}

/// No index has four billion advisories: they would not fit into the memory in which they are collected.
fn number_of(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

fn hash(path: &Path) -> Result<(Digest, u64), std::io::Error> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let (mut size, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((Digest::from_bytes(hasher.finalize().into()), size)),
            read => {
                hasher.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}
