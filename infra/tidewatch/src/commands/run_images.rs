//! What has become of the images of a run.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tidewatch_core::Digest;
use tidewatch_core::config::RuleConfig;
use tidewatch_core::image::Platform;
use tidewatch_core::names::OrgName;
use tidewatch_core::result::ResultState;
use tidewatch_core::rule::select;
use tidewatch_core::work::RunId;
use tidewatch_store::Records;
use tidewatch_store::records::TagRecord;

use crate::failure::Failure;

/// How long a run may stand still before it is not waited for any more.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// The images of a run by state: those behind the tags that its rule chooses in the repositories that it listed. An
/// image behind several tags counts once.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct RunImages {
    scanned: u64,
    partial: u64,
    unsupported: u64,
    eol: u64,
    failed: u64,
    pending: u64,
    /// Each failed image, with why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<FailedImage>,
}

#[derive(Clone, Debug, Serialize)]
struct FailedImage {
    registry: String,
    repository: String,
    tag: String,
    digest: Digest,
    platform: Platform,
    reason: Option<String>,
}

impl RunImages {
    /// Counts the images of `run` by their results now.
    pub(super) async fn count(
        records: &Records,
        org: &OrgName,
        rule: &RuleConfig,
        run: &RunId,
    ) -> Result<Self, Failure> {
        let (mut images, mut seen) = (Self::default(), BTreeSet::new());
        for listing in records.listings(org, run).await? {
            let Some(repository) = &listing.repository else { continue };
            let tags = records.tags(org, &listing.registry, repository).await?;
            let is_chosen = |tag: &&TagRecord| match &tag.chosen_by {
                Some(rules) => rules.contains(&rule.id),
                // What does not note it was stored before Docker Hub was a kind.
                None => select(rule, &repository.clone().into(), &tag.tag).is_selected(),
            };
            for tag in tags.iter().filter(is_chosen) {
                for image in &tag.images {
                    if !seen.insert((image.digest, image.platform.clone())) {
                        continue;
                    }
                    let stored = records.result(org, &image.digest, &image.platform).await?;
                    let result = stored.map(|stored| stored.result);
                    let state = result.as_ref().map_or(ResultState::Pending, |result| result.state);
                    *images.of(state) += 1;
                    if state == ResultState::Failed {
                        images.failures.push(FailedImage {
                            registry: listing.registry.to_string(),
                            repository: repository.to_string(),
                            tag: tag.tag.to_string(),
                            digest: image.digest,
                            platform: image.platform.clone(),
                            reason: result.and_then(|result| result.reason),
                        });
                    }
                }
            }
        }
        Ok(images)
    }

    const fn of(&mut self, state: ResultState) -> &mut u64 {
        match state {
            ResultState::Scanned => &mut self.scanned,
            ResultState::Partial => &mut self.partial,
            ResultState::Unsupported => &mut self.unsupported,
            ResultState::Eol => &mut self.eol,
            ResultState::Failed => &mut self.failed,
            ResultState::Pending => &mut self.pending,
        }
    }

    /// How many failed.
    pub(super) const fn failed(&self) -> u64 {
        self.failed
    }

    /// The numbers for people: `3 scanned, 1 failed`. States that no image has are left out.
    pub(super) fn numbers(&self) -> String {
        let states = [
            (self.scanned, ResultState::Scanned),
            (self.partial, ResultState::Partial),
            (self.unsupported, ResultState::Unsupported),
            (self.eol, ResultState::Eol),
            (self.failed, ResultState::Failed),
            (self.pending, ResultState::Pending),
        ];
        let numbers: Vec<String> = states
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, state)| format!("{count} {state}"))
            .collect();
        if numbers.is_empty() { "no images".to_owned() } else { numbers.join(", ") }
    }

    /// A line for each of up to `most` failed images, and one for how many more there are.
    pub(super) fn failures(&self, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = self.failures.iter().take(most).map(FailedImage::line).collect();
        if let more @ 1.. = self.failures.len().saturating_sub(most) {
            lines.push(format!("{more} more failed (tidewatch images lists them)"));
        }
        lines
    }
}

impl FailedImage {
    fn line(&self) -> String {
        let Self { registry, repository, tag, platform, reason, .. } = self;
        let reason = reason.as_deref().unwrap_or("the reason is not known");
        format!("{registry}/{repository}:{tag} ({platform}) failed: {reason}")
    }
}

/// Notices when something that is looked at again and again stands still.
#[derive(Debug)]
pub(super) struct Stillness<T> {
    seen: T,
    since: Timestamp,
}

impl<T: PartialEq> Stillness<T> {
    /// Begins with what is `seen` at `now`.
    pub(super) const fn new(seen: T, now: Timestamp) -> Self {
        Self { seen, since: now }
    }

    /// Takes what is seen at `now`, and says whether it has been the same for ten minutes.
    pub(super) fn lasts(&mut self, seen: T, now: Timestamp) -> bool {
        if seen != self.seen {
            *self = Self::new(seen, now);
        }
        now.duration_since(self.since) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stands_still_when_nothing_has_changed_for_ten_minutes() {
        let at = |minutes: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let mut stillness = Stillness::new(1, at(0));
        assert!(!stillness.lasts(1, at(9)));
        assert!(!stillness.lasts(2, at(10)), "it has moved");
        assert!(!stillness.lasts(2, at(19)));
        assert!(stillness.lasts(2, at(20)));
    }

    #[test]
    fn at_most_so_many_failed_images_are_named() {
        let failed = |tag: &str| FailedImage {
            registry: "main".to_owned(),
            repository: "team/web".to_owned(),
            tag: tag.to_owned(),
            digest: Digest::of(tag.as_bytes()),
            platform: "linux/amd64".parse().unwrap(),
            reason: Some("no route".to_owned()),
        };
        let failures = vec![failed("1"), failed("2"), failed("3")];
        let images = RunImages { scanned: 2, failed: 3, failures, ..RunImages::default() };
        assert_eq!(images.numbers(), "2 scanned, 3 failed");
        let lines = images.failures(2);
        assert_eq!(lines[0], "main/team/web:1 (linux/amd64) failed: no route");
        assert_eq!(lines[2], "1 more failed (tidewatch images lists them)");
        assert_eq!(images.failures(3).len(), 3);
    }
}
