//! Matches and judges one image again, from its stored inventory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidewatch_assessment::{Assessment, Subject, record, record_members};
use tidewatch_core::basis::{Footing, MATCHING};
use tidewatch_core::image::ImageId;
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::result::{ImageResult, Inventory};
use tidewatch_core::retry::Retry;
use tidewatch_core::{Digest, Retryable as _};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{RecordError, ResultRows, StoredResult, Unposted};

use crate::images::{Pass, Standing, Step};
use crate::outcome::Rematched;
use crate::{RematchError, RematchImages};

/// How far the clocks of two functions may differ.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

/// Of how many inventories it is remembered what was found.
const MOST_FOUND: usize = 100_000;

/// What is found for an image now.
pub(crate) enum Look {
    Same,
    Anew(Box<Assessment>),
    Left(String),
}

/// What was found for whole inventories by some indexes: builds of one application have the same packages for weeks.
#[derive(Debug, Default)]
pub(crate) struct Found {
    indexes: BTreeMap<String, Digest>,
    /// Hash of the inventory to fingerprint of what was found.
    by_inventory: HashMap<Digest, Digest>,
}

impl RematchImages {
    /// Matches and judges an image again, unless its result rests on what is in force.
    pub(crate) async fn rematch(
        &self,
        pass: &Pass<'_>,
        image: &ImageId,
        stored: Option<StoredResult>,
    ) -> Result<Step, RematchError> {
        let Some(stored) = stored else { return Ok(Step::Done(Rematched::Unscanned)) };
        if stored.result.footing().is_of(&pass.basis) {
            self.enter_slots(pass, image, &stored).await?;
            self.note_standing(pass, image, &stored, stored.result.footing()).await?;
            return Ok(Step::Done(Rematched::Current));
        }
        match self.look(pass, image, &stored).await? {
            Look::Same => {
                self.enter_slots(pass, image, &stored).await?;
                let indexes = stored.result.indexes.keys();
                let indexes = indexes.map(|id| (id.clone(), pass.basis.indexes.get(id).copied())).collect();
                let (matching, judging) = (pass.basis.matching, pass.basis.judging);
                let footing = Footing { matching, indexes, judging };
                self.note_standing(pass, image, &stored, footing).await?;
                Ok(Step::Done(Rematched::Same))
            }
            Look::Left(reason) => {
                self.note_left(pass, image, &stored).await?;
                Ok(Step::Done(Rematched::Left(reason)))
            }
            Look::Anew(assessment) => {
                let covered = pass.covered.as_ref();
                let in_force = &pass.in_force;
                let recorded = record(
                    &self.records,
                    pass.org,
                    (image, None),
                    *assessment,
                    Some(&stored),
                    covered,
                    in_force,
                );
                match recorded.await {
                    Ok(_) => Ok(Step::Done(Rematched::Anew)),
                    // Another writer came first: a scan, or another of these messages.
                    Err(RecordError::Changed { .. }) => Ok(Step::Overtaken),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// A result that was made since the message was sent may be of an earlier delivery, which died before the slots. Who
    /// made an older one sees to the slots until they are written: its own message comes until then. What is limited to some
    /// places can make another slot of the same result: then they are written whatever its age.
    async fn enter_slots(
        &self,
        pass: &Pass<'_>,
        image: &ImageId,
        stored: &StoredResult,
    ) -> Result<(), RecordError> {
        let until = stored.result.scanned_at.checked_add(CLOCK_SLACK).unwrap_or(stored.result.scanned_at);
        let can_differ = pass.origin.slots || stored.result.is_limited;
        if !can_differ && pass.origin.sent_at.is_some_and(|sent_at| until < sent_at) {
            return Ok(());
        }
        let judging = (&*pass.in_force, self.clock.now());
        record_members(&self.records, pass.org, (image, None), stored, judging).await
    }

    /// Notes by what an image is settled whose result stays, where that is to be noted.
    ///
    /// An image without a row counts as settled by what the message was sent for. It has to have one when something else
    /// was in force when the message came: that may be undone before anybody sends for it again.
    async fn note_standing(
        &self,
        pass: &Pass<'_>,
        image: &ImageId,
        stored: &StoredResult,
        footing: Footing,
    ) -> Result<(), RecordError> {
        let StoredResult { result, revision } = stored;
        let Some(inventory) = result.inventory else { return Ok(()) };
        let is_row_needed = pass.origin.standing == Standing::Unknown || !pass.is_as_sent();
        if pass.origin.standing == Standing::Posted && !is_row_needed {
            return Ok(());
        }
        let noted_at = self.clock.now();
        loop {
            let noted = match pass.origin.standing {
                Standing::Unposted => self.records.unposted_image(pass.org, image).await?,
                Standing::Posted | Standing::Unknown => None,
            };
            let Some(noted) = noted else {
                if !is_row_needed {
                    return Ok(());
                }
                let (image, revision, footing) = (image.clone(), *revision, footing);
                let (is_posted, is_left) = (false, false);
                let row = Unposted { image, revision, inventory, footing, is_posted, is_left, noted_at };
                return self.records.note_unposted(pass.org, &row).await;
            };
            // That of a newer result is its writer's.
            if noted.row.revision > *revision || (noted.row.footing == footing && !noted.row.is_left) {
                return Ok(());
            }
            let row = Unposted { footing: footing.clone(), is_left: false, noted_at, ..noted.row.clone() };
            if self.records.change_unposted(pass.org, &row, &noted).await? {
                return Ok(());
            }
        }
    }

    /// Notes that an image cannot be matched from what is stored: then it does not count as settled, and the next listing
    /// has it scanned.
    async fn note_left(
        &self,
        pass: &Pass<'_>,
        image: &ImageId,
        stored: &StoredResult,
    ) -> Result<(), RecordError> {
        let StoredResult { result, revision } = stored;
        let Some(inventory) = result.inventory else { return Ok(()) };
        let noted_at = self.clock.now();
        match self.records.unposted_image(pass.org, image).await? {
            Some(noted) if noted.row.is_left || noted.row.revision > *revision => Ok(()),
            Some(noted) => {
                let row = Unposted { is_left: true, noted_at, ..noted.row.clone() };
                self.records.change_unposted(pass.org, &row, &noted).await.map(drop)
            }
            None => {
                let (image, revision, footing) = (image.clone(), *revision, result.footing());
                let (is_posted, is_left) = (true, true);
                let row = Unposted { image, revision, inventory, footing, is_posted, is_left, noted_at };
                self.records.note_unposted(pass.org, &row).await
            }
        }
    }

    /// What a scan would find today of the same inventory.
    async fn look(
        &self,
        pass: &Pass<'_>,
        image: &ImageId,
        stored: &StoredResult,
    ) -> Result<Look, RematchError> {
        let result = &stored.result;
        if result.report.is_none() {
            return Ok(Look::Left(format!("it is {}", result.state)));
        }
        let is_comparable = result.inventory.is_some() && result.matching == MATCHING;
        if is_comparable
            && result.footing().matches_by(&pass.basis)
            && let Some(look) = self.judge_again(pass, image, result, None).await?
        {
            return Ok(look);
        }
        let is_judged = is_comparable && result.judged_under == pass.basis.judging;
        let known = result.matched.filter(|_| is_judged);
        if known.is_some() && self.found(pass, result.inventory) == known {
            return Ok(Look::Same);
        }
        let read = futures::future::try_join(self.inventory(pass, result), self.metadata(pass, result));
        let (inventory, metadata) = match read.await {
            Ok((Some(inventory), Some(metadata))) => (inventory, metadata),
            Ok(_) => return Ok(Look::Left("what was read of it is missing".to_owned())),
            Err(error) if error.retry() == Retry::Never => return Ok(Look::Left(describe(&error))),
            Err(error) => return Err(error.into()),
        };
        let (in_force, now) = (Arc::clone(&pass.in_force), self.clock.now());
        let subject = Subject { digest: Some(image.digest), inventory, metadata };
        let assessed = self.advisories.assess_unless(&self.records, subject, known, in_force, now).await?;
        let Some(mut assessment) = assessed else {
            self.remember(pass, result.inventory, known);
            return Ok(Look::Same);
        };
        self.remember(pass, result.inventory, assessment.result.matched);
        let of_scan = ImageResult {
            reader_version: result.reader_version,
            created_at: result.created_at,
            inventory: result.inventory,
            metadata: result.metadata,
            ..assessment.result
        };
        assessment.result = of_scan;
        self.unless_same(pass, assessment, result, is_comparable)
    }

    /// Only the policies have changed, or what is known of the image beside its packages, which is `metadata` then: the
    /// findings stay. `None` when they cannot be read, or the packages cannot.
    pub(crate) async fn judge_again(
        &self,
        pass: &Pass<'_>,
        image: &ImageId,
        result: &ImageResult,
        metadata: Option<ImageMetadata>,
    ) -> Result<Option<Look>, RematchError> {
        let rows = match self.records.result_rows(pass.org, result).await {
            Ok(Some(rows)) => rows,
            Ok(None) => return Ok(None),
            Err(error) if error.retry() == Retry::Never => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let ResultRows { mut report, inventory, metadata: known } = rows;
        let now = self.clock.now();
        let mut judged = ImageResult { scanned_at: now, ..result.clone() };
        if metadata.is_some() {
            // It is stored with the result.
            judged.metadata = None;
        }
        let metadata = metadata.unwrap_or(known);
        let judging = pass.in_force.judging(now);
        judged.judge(&mut report, &inventory, &metadata, Some(&image.digest), judging);
        let assessment = Assessment { result: judged, report, inventory, metadata };
        self.unless_same(pass, assessment, result, true).map(Some)
    }

    /// Whether anything came out that is not recorded, however it was computed.
    fn unless_same(
        &self,
        pass: &Pass<'_>,
        assessment: Assessment,
        before: &ImageResult,
        is_comparable: bool,
    ) -> Result<Look, RematchError> {
        // To be looked at again sooner than has to be changes nothing: a source that was asked again since puts it off.
        let now = assessment.result.scanned_at;
        let next_change_at = match (before.next_change_at, assessment.result.next_change_at) {
            (Some(before), Some(next)) if now < before && before <= next => Some(before),
            (_, next) => next,
        };
        let as_before = ImageResult {
            scanned_at: before.scanned_at,
            next_change_at,
            indexes: before.indexes.clone(),
            judged_under: before.judged_under,
            report: before.report.clone(),
            ..assessment.result.clone()
        };
        let is_same = is_comparable && as_before == *before && {
            let report = self.records.report_key(pass.org, &assessment.report)?;
            Some(&report) == before.report.as_ref()
        };
        Ok(if is_same { Look::Same } else { Look::Anew(Box::new(assessment)) })
    }

    /// The inventory of a result; also that in a report of an earlier version.
    async fn inventory(
        &self,
        pass: &Pass<'_>,
        result: &ImageResult,
    ) -> Result<Option<Inventory>, RecordError> {
        if let Some(hash) = &result.inventory {
            return self.records.inventory(pass.org, hash).await;
        }
        let Some(key) = &result.report else { return Ok(None) };
        Ok(self.records.report(key).await?.and_then(|report| report.inventory()))
    }

    /// What is known of the image beside its packages; `None` when it is lost.
    pub(crate) async fn metadata(
        &self,
        pass: &Pass<'_>,
        result: &ImageResult,
    ) -> Result<Option<ImageMetadata>, RecordError> {
        self.records.image_metadata(pass.org, result.metadata).await
    }

    /// What was found for an inventory by the indexes in force, if that is remembered.
    fn found(&self, pass: &Pass<'_>, inventory: Option<Digest>) -> Option<Digest> {
        let found = self.lock_found();
        if found.indexes != pass.basis.indexes {
            return None;
        }
        found.by_inventory.get(&inventory?).copied()
    }

    fn remember(&self, pass: &Pass<'_>, inventory: Option<Digest>, fingerprint: Option<Digest>) {
        let (Some(inventory), Some(fingerprint)) = (inventory, fingerprint) else { return };
        let mut found = self.lock_found();
        if found.indexes != pass.basis.indexes || found.by_inventory.len() >= MOST_FOUND {
            found.indexes.clone_from(&pass.basis.indexes);
            found.by_inventory.clear();
        }
        found.by_inventory.insert(inventory, fingerprint);
    }

    fn lock_found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is shared by the clones of a worker.
pub(crate) type SharedFound = Arc<Mutex<Found>>;
