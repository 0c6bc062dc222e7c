//! The results of images, and the rows behind a result.
//!
//! Whoever stores a result that rests on something new notes in the same transaction that the image is unposted (see
//! [`Unposted`]): so no image is missed by those who look for the ones that hold a package.

use bytes::Bytes;
use tidewatch_core::Digest;
use tidewatch_core::basis::{Basis, Footing};
use tidewatch_core::image::{ImageId, Platform};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Item, Write};
use tidewatch_core::result::{ImageResult, Report};

use super::{
    Alongside, RecordError, Records, Unposted, corrupt, decode, encode, keys, unless_condition_failed,
};

/// A result as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResult {
    /// The result.
    pub result: ImageResult,
    /// Counts the results of the image, from 1.
    pub revision: i64,
}

impl Records {
    /// The result of an image.
    pub async fn result(
        &self,
        org: &OrgName,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<Option<StoredResult>, RecordError> {
        let item = self.table.get(&keys::result(org, digest, platform)).await?;
        item.as_ref().map(read_result).transpose()
    }

    /// The results of `images`, none of which repeats, in their order; each by itself, so that one that cannot be read does not hide the others.
    pub async fn results(
        &self,
        org: &OrgName,
        images: &[ImageId],
    ) -> Result<Vec<Result<Option<StoredResult>, RecordError>>, RecordError> {
        let keys = images.iter().map(|image| keys::result(org, &image.digest, &image.platform));
        let items = self.items(keys.collect()).await?;
        Ok(items.iter().map(|item| item.as_ref().map(read_result).transpose()).collect())
    }

    /// Stores a result that was computed from `read`, the stored one (or none, where there was none). Gives the new
    /// revision, or [`RecordError::Changed`] when another has been stored since.
    pub async fn put_result(
        &self,
        org: &OrgName,
        digest: &Digest,
        platform: &Platform,
        result: &ImageResult,
        read: Option<&StoredResult>,
    ) -> Result<i64, RecordError> {
        self.put_result_with(org, digest, platform, result, read, Alongside::default()).await
    }

    /// The same, with what is written beside it.
    pub async fn put_result_with(
        &self,
        org: &OrgName,
        digest: &Digest,
        platform: &Platform,
        result: &ImageResult,
        read: Option<&StoredResult>,
        alongside: Alongside<'_>,
    ) -> Result<i64, RecordError> {
        let image = ImageId { digest: *digest, platform: platform.clone() };
        let revision = read.map_or(0, |read| read.revision);
        let unchanged = match revision {
            0 => Condition::ItemAbsent,
            revision => Condition::Equal("revision".to_owned(), revision.into()),
        };
        let item = encode(keys::result(org, digest, platform), result)?.with("revision", revision + 1);
        let before = read.map(|read| &read.result);
        let news = (revision + 1, result.scanned_at);
        let mut noted = self.announcing(org, &image, news, alongside).await?;
        if let Some(unposted) = self.unposted_by(org, &image, result, before, alongside.covered).await? {
            let unposted = Unposted { revision: revision + 1, ..unposted };
            noted.push(Write::Put(unposted.item(org)?, Condition::Always));
        }
        let stored = if noted.is_empty() {
            self.table.put(item, unchanged).await
        } else {
            noted.insert(0, Write::Put(item, unchanged));
            self.transact(noted).await
        };
        unless_condition_failed(stored)?
            .map(|()| revision + 1)
            .ok_or_else(|| RecordError::Changed { what: format!("the result of {image}") })
    }

    /// What is to be noted with the `result` of an image that had the result `before`, but for its revision; `None` where
    /// that leaves everything as it is.
    async fn unposted_by(
        &self,
        org: &OrgName,
        image: &ImageId,
        result: &ImageResult,
        before: Option<&ImageResult>,
        covered: Option<&Basis>,
    ) -> Result<Option<Unposted>, RecordError> {
        let Some(inventory) = result.inventory else { return Ok(None) };
        let posted_alike = before
            .filter(|before| (before.inventory, before.matching) == (result.inventory, result.matching));
        let (footing, before) = (result.footing(), posted_alike.map(ImageResult::footing));
        if before.as_ref() == Some(&footing) {
            return Ok(None);
        }
        // Read after the result: as long as that stays, so does what it has noted, or it is posted. Where the inventory is
        // another one, what was noted of the one before does not matter.
        let noted = match before {
            Some(_) => self.unposted_image(org, image).await?.map(|stored| stored.row),
            None => None,
        };
        let is_posted = posted_alike.is_some() && noted.as_ref().is_none_or(|noted| noted.is_posted);
        if is_posted && noted.is_none() && covered.is_some_and(|covered| footing.is_of(covered)) {
            return Ok(None);
        }
        let is_judged_only = before.is_some_and(|before| before.indexes == footing.indexes);
        let footing = if is_judged_only { self.judged_footing(org, footing, noted).await? } else { footing };
        Ok(Some(Unposted {
            image: image.clone(),
            revision: 0,
            inventory,
            footing,
            is_posted,
            is_left: false,
            noted_at: result.scanned_at,
        }))
    }

    /// The footing of a result that was only judged again: its indexes may be older than those by which the image is
    /// settled.
    async fn judged_footing(
        &self,
        org: &OrgName,
        judged: Footing,
        noted: Option<Unposted>,
    ) -> Result<Footing, RecordError> {
        if let Some(noted) = noted {
            return Ok(Footing { indexes: noted.footing.indexes, ..judged });
        }
        let covered = self.postings(org).await?.and_then(|stored| stored.postings.covered);
        let Some(covered) = covered else { return Ok(judged) };
        let by = |family: &String| (family.clone(), covered.indexes.get(family).copied());
        Ok(Footing { indexes: judged.indexes.keys().map(by).collect(), ..judged })
    }

    /// Stores the rows behind a result, unless they stand under `known` already, and gives the object key.
    pub async fn put_report(
        &self,
        org: &OrgName,
        report: &Report,
        known: Option<&str>,
    ) -> Result<String, RecordError> {
        let content = report_content(report)?;
        let key = keys::object::report(org, &Digest::of(&content));
        if known != Some(key.as_str()) {
            self.put_content(&key, content).await?;
        }
        Ok(key)
    }

    /// The object key that the rows behind a result would get.
    pub fn report_key(&self, org: &OrgName, report: &Report) -> Result<String, RecordError> {
        Ok(keys::object::report(org, &Digest::of(&report_content(report)?)))
    }

    /// The rows behind a result, by the key that the result holds.
    pub async fn report(&self, key: &str) -> Result<Option<Report>, RecordError> {
        let report: Option<Report> = self.object(key).await?;
        match &report {
            Some(Report { version, .. }) if *version > Report::VERSION => {
                let reason = format!("version {version} is not one this version reads");
                Err(corrupt(key.to_owned(), reason))
            }
            _ => Ok(report),
        }
    }
}

fn report_content(report: &Report) -> Result<Bytes, RecordError> {
    let content = serde_json::to_vec(report).map_err(|error| corrupt("report".to_owned(), error))?;
    Ok(Bytes::from(content))
}

fn read_result(item: &Item) -> Result<StoredResult, RecordError> {
    Ok(StoredResult { result: decode(item)?, revision: item.number("revision").unwrap_or(0) })
}
