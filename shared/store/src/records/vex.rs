//! VEX documents that an organisation has uploaded: immutable objects, by the hash of what they say, and an item that tells
//! of each. Which of them are in force stands in the pointer to the configuration: so they are read with it, and each change
//! of them is a version of what is in force, as that of a configuration is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::exception::names_repositories;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Query, Write};
use tidewatch_core::vex::VexDocument;
use tidewatch_core::{Digest, Retry, Retryable};

use super::configuration::Pointer;
use super::{RecordError, Records, corrupt, decode, encode, keys, unless_condition_failed};

/// The most documents of an organisation.
const MOST_DOCUMENTS: usize = 64;

/// The most bytes of one document, and of all of an organisation.
pub const MOST_DOCUMENT_BYTES: usize = 1 << 20;
const MOST_BYTES: u64 = 8 << 20;

/// How often a change is tried again when somebody else has changed what is in force meanwhile.
const TRIES: usize = 6;

/// A document in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedVex {
    /// [`VexDocument::digest`].
    pub digest: Digest,
    /// Whether it names images by their repositories.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_limited: bool,
}

/// A document that is to be put in force.
#[derive(Clone, Debug)]
pub struct NewVex {
    /// What it says.
    pub document: VexDocument,
    /// The text that says it, as it was uploaded.
    pub text: String,
    /// The name of its file.
    pub file: String,
}

/// What is told of a document in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VexEntry {
    /// Names it: [`VexDocument::digest`].
    pub digest: Digest,
    /// The IRI that it gives itself; empty where it has none.
    pub document: String,
    /// Its author, as it says; nothing proves it.
    pub author: String,
    /// When it was issued, as it says.
    pub issued_at: Option<Timestamp>,
    /// Number of its statements.
    pub statements: u64,
    /// Number of bytes of its text.
    pub bytes: u64,
    /// The name of the file that it was uploaded from.
    pub file: String,
    /// When it was uploaded.
    pub added_at: Timestamp,
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredVex {
    /// What it says.
    pub document: VexDocument,
    /// The text that says it, as it was uploaded.
    pub text: String,
}

/// VEX documents could not be put in force.
#[derive(Debug, thiserror::Error)]
pub enum VexError {
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is no configuration that they could be in force beside.
    #[error("there is no configuration of {0}")]
    Organisation(OrgName),
    /// There would be too many.
    #[error("there would be {0} documents: at most {MOST_DOCUMENTS} can be in force")]
    TooMany(usize),
    /// They would be too large.
    #[error("the documents in force would have {0} bytes: at most {MOST_BYTES}")]
    TooLarge(u64),
}

impl Retryable for VexError {
    fn retry(&self) -> Retry {
        match self {
            Self::Record(error) => error.retry(),
            Self::Organisation(_) | Self::TooMany(_) | Self::TooLarge(_) => Retry::Never,
        }
    }
}

impl NewVex {
    fn entry(&self, digest: Digest, added_at: Timestamp) -> VexEntry {
        let Self { document, text, file } = self;
        VexEntry {
            digest,
            document: document.id.clone(),
            author: document.author.clone(),
            issued_at: document.timestamp,
            statements: document.statements.len() as u64,
            bytes: text.len() as u64,
            file: file.clone(),
            added_at,
        }
    }
}

impl Records {
    /// Puts documents in force beside those that are; what is there already stays as it is. Gives the version of what is in
    /// force then.
    pub async fn add_vex(&self, org: &OrgName, new: &[NewVex], now: Timestamp) -> Result<i64, VexError> {
        for _ in 0..TRIES {
            let mut pointer = self.vex_pointer(org).await?;
            let mut bytes: u64 = self.vex_entries(org).await?.iter().map(|entry| entry.bytes).sum();
            let mut entries: Vec<VexEntry> = Vec::new();
            for vex in new {
                let digest = vex.document.digest();
                if pointer.vex.iter().any(|vex| vex.digest == digest) {
                    continue;
                }
                let entry = vex.entry(digest, now);
                bytes += entry.bytes;
                pointer.vex.push(UploadedVex { digest, is_limited: names_repositories(&vex.document) });
                entries.push(entry);
            }
            if entries.is_empty() {
                return Ok(pointer.version);
            }
            if pointer.vex.len() > MOST_DOCUMENTS {
                return Err(VexError::TooMany(pointer.vex.len()));
            }
            if bytes > MOST_BYTES {
                return Err(VexError::TooLarge(bytes));
            }
            // First the objects, so that nothing is in force that is not there.
            for NewVex { document, text, .. } in new {
                let stored = StoredVex { document: document.clone(), text: text.clone() };
                self.put_object(&keys::object::vex(org, &document.digest()), &stored).await?;
            }
            let write = |entry: &VexEntry| {
                Ok(Write::Put(encode(keys::vex(org, &entry.digest), entry)?, Condition::Always))
            };
            let writes = entries.iter().map(write).collect::<Result<_, RecordError>>()?;
            if let Some(version) = self.change_vex(org, pointer, writes, now).await? {
                return Ok(version);
            }
        }
        Err(changed(org).into())
    }

    /// Takes a document out of force; its object stays. Gives the version of what is in force then, `None` when the document
    /// was not in force.
    pub async fn remove_vex(
        &self,
        org: &OrgName,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<Option<i64>, VexError> {
        for _ in 0..TRIES {
            let mut pointer = self.vex_pointer(org).await?;
            if !pointer.vex.iter().any(|vex| vex.digest == *digest) {
                return Ok(None);
            }
            pointer.vex.retain(|vex| vex.digest != *digest);
            let writes = vec![Write::Delete(keys::vex(org, digest), Condition::Always)];
            if let Some(version) = self.change_vex(org, pointer, writes, now).await? {
                return Ok(Some(version));
            }
        }
        Err(changed(org).into())
    }

    /// What is told of the documents in force, in the order in which they were uploaded.
    pub async fn vex_entries(&self, org: &OrgName) -> Result<Vec<VexEntry>, RecordError> {
        let items = self.all(Query::prefix(keys::org(org), keys::VEX)).await?;
        let mut entries: Vec<VexEntry> = items.iter().map(decode).collect::<Result<_, _>>()?;
        entries.sort_by_key(|entry| (entry.added_at, entry.digest));
        Ok(entries)
    }

    /// A document that is or was in force; `None` when there is none.
    pub async fn vex(&self, org: &OrgName, digest: &Digest) -> Result<Option<StoredVex>, RecordError> {
        self.object(&keys::object::vex(org, digest)).await
    }

    /// The documents that are named, in their order. One that is not there, or is another, is none.
    pub(super) async fn vex_documents(
        &self,
        org: &OrgName,
        uploaded: &[UploadedVex],
    ) -> Result<Vec<VexDocument>, RecordError> {
        let mut documents = Vec::with_capacity(uploaded.len());
        for UploadedVex { digest, .. } in uploaded {
            let stored = self.vex(org, digest).await?.filter(|stored| stored.document.digest() == *digest);
            let place = || keys::object::vex(org, digest);
            let stored = stored.ok_or_else(|| corrupt(place(), "it is not there, or spoilt"))?;
            documents.push(stored.document);
        }
        Ok(documents)
    }

    async fn vex_pointer(&self, org: &OrgName) -> Result<Pointer, VexError> {
        let pointer = self.record::<Pointer>(&keys::configuration(org)).await?;
        pointer.ok_or_else(|| VexError::Organisation(org.clone()))
    }

    /// Writes `changed` in place of the pointer that it was made from, as its next version; `None` when that is not in force
    /// any more.
    async fn change_vex(
        &self,
        org: &OrgName,
        changed: Pointer,
        mut writes: Vec<Write>,
        now: Timestamp,
    ) -> Result<Option<i64>, RecordError> {
        let read = changed.version;
        let version = read + 1;
        let pointer = Pointer { version, applied_at: now, ..changed };
        let item = encode(keys::configuration(org), &pointer)?.with("version", version);
        writes.push(Write::Put(item, Condition::Equal("version".to_owned(), read.into())));
        Ok(unless_condition_failed(self.transact(writes).await)?.map(|()| version))
    }
}

fn changed(org: &OrgName) -> RecordError {
    RecordError::Changed { what: format!("the VEX documents of {org}") }
}
