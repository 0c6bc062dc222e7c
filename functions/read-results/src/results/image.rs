//! All that is known of one image.

use std::collections::{BTreeMap, BTreeSet};

use tidewatch_core::environment::ImageReference;
use tidewatch_core::image::ImageId;
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::names::{StreamName, Tag};
use tidewatch_core::result::{ImageResult, Inventory, Report, ResultState};
use tidewatch_core::{Digest, Retry, Retryable as _};
use tidewatch_store::records::{ImagePlace, StoredResult, TagRecord, TaggedImage};

use super::{ImageIdentity, ReadError, Results};
use crate::documents::{Base, FindingRow, ImageDetail, Images, Membership, PlaceRow, PolicyAnswer};

/// Why the base of an image is not known of which nobody has said more.
const NOT_LOOKED_FOR: &str = "nobody has looked for it";

/// How many tags are read at once in search of a digest.
const TAGS_AT_ONCE: usize = 200;

impl Results {
    /// The images that are meant: of each platform the one behind the tag or the index, or the one with the digest.
    /// [`ReadError::Image`] when there is none.
    pub async fn image_detail(&self, identity: &ImageIdentity) -> Result<Images, ReadError> {
        let found = match identity {
            ImageIdentity::Digest(digest) => self.images_by_digest(digest).await?,
            ImageIdentity::Reference(reference) => self.images_by_reference(reference).await?,
        };
        if found.is_empty() {
            return Err(ReadError::Image(identity.to_string()));
        }
        let mut images = Vec::with_capacity(found.len());
        for image in found {
            images.push(self.detail(&image).await?);
        }
        Ok(Images { reference: identity.to_string(), images })
    }

    async fn images_by_reference(&self, reference: &ImageReference) -> Result<Vec<ImageId>, ReadError> {
        let ImageReference { registry, repository, tag, digest } = reference;
        let mut found = match (digest, tag) {
            (None, tag) => {
                let tag = tag.clone().unwrap_or_else(Tag::latest);
                let known = self.records.tag(&self.org, registry, repository, &tag).await?;
                known.map(|record| record.images).unwrap_or_default()
            }
            (Some(digest), _) => self.images_behind(reference, digest).await?,
        };
        found.sort_by_key(|image| !image.counted);
        let mut images: Vec<ImageId> = found.into_iter().map(image_id).collect();
        if let Some(digest) = digest.filter(|_| images.is_empty()) {
            // No tag leads to it any more, or only an environment has it.
            for image in self.images_by_digest(&digest).await? {
                let places = self.records.places(&self.org, &image.digest, &image.platform).await?;
                let is_there = |place: &ImagePlace| {
                    (&place.image.registry, &place.image.repository) == (registry, repository)
                };
                images.extend(places.iter().any(is_there).then_some(image));
            }
        }
        Ok(images)
    }

    /// The images behind a digest, of an index or of an image, that some tag of its repository leads to.
    async fn images_behind(
        &self,
        reference: &ImageReference,
        digest: &Digest,
    ) -> Result<Vec<TaggedImage>, ReadError> {
        let ImageReference { registry, repository, .. } = reference;
        let mut after: Option<Tag> = None;
        loop {
            let page =
                self.records.tags_page(&self.org, registry, repository, after.as_ref(), TAGS_AT_ONCE).await?;
            for record in page.tags {
                let record = match record {
                    Err(error) if error.retry() == Retry::Never => continue,
                    record => record?,
                };
                let images = behind(record, digest);
                if !images.is_empty() {
                    return Ok(images);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(Vec::new()),
            }
        }
    }

    /// The images with this digest: those of the configured platforms that have a result.
    async fn images_by_digest(&self, digest: &Digest) -> Result<Vec<ImageId>, ReadError> {
        let platforms: BTreeSet<_> = self.in_force.applied.config.platforms.iter().collect();
        let images: Vec<ImageId> = platforms
            .into_iter()
            .map(|platform| ImageId { digest: *digest, platform: platform.clone() })
            .collect();
        let results = self.records.results(&self.org, &images).await?;
        let known = images.into_iter().zip(results).filter(|(_, stored)| !matches!(stored, Ok(None)));
        Ok(known.map(|(image, _)| image).collect())
    }

    async fn detail(&self, image: &ImageId) -> Result<ImageDetail, ReadError> {
        let stored = self.records.result(&self.org, &image.digest, &image.platform).await?;
        let result = stored.map(|StoredResult { result, .. }| result);
        let places = self.records.places(&self.org, &image.digest, &image.platform).await?;
        let streams = self.memberships(image, &places).await?;
        let places = places.into_iter().map(place_row).collect();
        let mut detail = ImageDetail { places, streams, ..without_result(image) };
        let Some(result) = result else { return Ok(detail) };
        // Without an object nothing is known, as before a scan.
        if let Some(metadata) = self.records.image_metadata(&self.org, result.metadata).await? {
            add_metadata(&mut detail, metadata);
        }
        let report = self.report_of(&result).await?;
        let inventory = match &report {
            Some(report) => self.inventory_of(&result, report).await?,
            None => None,
        };
        add_result(&mut detail, &result);
        if let Some(report) = report {
            self.add_report(&mut detail, report, inventory);
        }
        Ok(detail)
    }

    fn add_report(&self, detail: &mut ImageDetail, report: Report, inventory: Option<Inventory>) {
        let mut suppressed: BTreeMap<usize, _> =
            report.suppressed.into_iter().map(|suppression| (suppression.finding, suppression)).collect();
        let findings = report.findings.into_iter().enumerate();
        let rows = findings.map(|(position, finding)| FindingRow::new(finding, suppressed.remove(&position)));
        detail.findings = Some(rows.collect());
        let names: BTreeMap<_, _> = self.in_force.criteria.policies().names().collect();
        let answers = report.policies.into_iter().map(|(id, evaluation)| {
            let name = names.get(&id).map(|name| (*name).to_owned());
            (id, PolicyAnswer::new(name, evaluation))
        });
        detail.policies = Some(answers.collect());
        // Of an older report, the problems of reading may stand in it.
        detail.problems = inventory.map_or(report.problems, |inventory| inventory.problems);
        detail.problems.extend(report.unmatched);
    }

    /// The streams that an image stands in.
    async fn memberships(
        &self,
        image: &ImageId,
        places: &[ImagePlace],
    ) -> Result<Vec<Membership>, ReadError> {
        let (latest, counting) = (StreamName::latest_indexed(), &self.in_force.applied.counting);
        let mut found = BTreeSet::new();
        for ImagePlace { image: at, seen_at, counted, .. } in places {
            let Some(slot) = counting.slot_of(at, *counted, *seen_at) else { continue };
            let member = self.records.member(&self.org, &latest, &slot).await?;
            if let Some(member) = member.filter(|member| member.image.id() == *image) {
                found.insert(Membership {
                    stream: latest.clone(),
                    registry: at.registry.clone(),
                    repository: at.repository.clone(),
                    tag: member.tag,
                });
            }
        }
        for place in self.records.environments_of(&self.org, image).await? {
            found.insert(Membership {
                stream: place.target.stream,
                registry: place.image.registry,
                repository: place.image.repository,
                tag: place.tag,
            });
        }
        Ok(found.into_iter().collect())
    }
}

/// The images that a digest means where it stands behind a tag.
fn behind(record: TagRecord, digest: &Digest) -> Vec<TaggedImage> {
    if record.digest == *digest {
        return record.images;
    }
    record.images.into_iter().filter(|image| image.digest == *digest).collect()
}

fn image_id(image: TaggedImage) -> ImageId {
    ImageId { digest: image.digest, platform: image.platform }
}

fn place_row(place: ImagePlace) -> PlaceRow {
    let ImagePlace { image, tag, seen_at, counted: _ } = place;
    PlaceRow { registry: image.registry, repository: image.repository, tag, seen_at }
}

fn without_result(image: &ImageId) -> ImageDetail {
    ImageDetail {
        digest: image.digest.to_string(),
        platform: image.platform.to_string(),
        state: ResultState::Pending,
        reason: None,
        distribution: None,
        packages: 0,
        created_at: None,
        scanned_at: None,
        vulnerabilities: tidewatch_core::severity::SeverityCounts::default(),
        suppressed: tidewatch_core::severity::SeverityCounts::default(),
        findings: None,
        policies: None,
        problems: Vec::new(),
        base: None,
        base_unknown_because: Some(NOT_LOOKED_FOR.to_owned()),
        places: Vec::new(),
        streams: Vec::new(),
    }
}

fn add_metadata(detail: &mut ImageDetail, metadata: ImageMetadata) {
    let ImageMetadata { base, base_unknown_because, .. } = metadata;
    let unknown = base_unknown_because.unwrap_or_else(|| NOT_LOOKED_FOR.to_owned());
    detail.base_unknown_because = base.is_none().then_some(unknown);
    detail.base = base.map(Base::from);
}

fn add_result(detail: &mut ImageDetail, result: &ImageResult) {
    detail.state = result.state;
    detail.reason.clone_from(&result.reason);
    detail.distribution.clone_from(&result.distribution);
    detail.packages = result.packages;
    detail.created_at = result.created_at;
    detail.scanned_at = Some(result.scanned_at);
    detail.vulnerabilities = result.severities;
    detail.suppressed = result.suppressed;
}
