//! The cap of a run, applied to the previews of all of its repositories.

use std::collections::{BTreeMap, BTreeSet};

use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::Tag;
use tidewatch_core::rule::{Decision, Wanting, Wants, admitted, order, wants};
use tidewatch_core::work::Priority;

use super::{PreviewedTag, RepositoryPreview, Verdict};

/// Applies the cap of `rule`, which takes only so many images in one run, to what is said of all of its repositories: the tags
/// whose turn comes in another run are left out.
pub fn apply_cap(rule: &RuleConfig, previews: &mut [RepositoryPreview]) {
    let Some(max_images) = rule.max_images else { return };
    previews.sort_unstable_by(|one, other| {
        (&one.registry, &one.repository).cmp(&(&other.registry, &other.repository))
    });
    let wanted: Vec<(Vec<usize>, Vec<Wants>)> = previews.iter().map(RepositoryPreview::wanted).collect();
    let all: Vec<Vec<Wants>> = wanted.iter().map(|(_, wants)| wants.clone()).collect();
    let admitted = admitted(max_images.get(), &all);
    for ((preview, (order, _)), admitted) in previews.iter_mut().zip(wanted).zip(admitted) {
        let mut over = BTreeSet::new();
        for position in order.into_iter().skip(admitted) {
            let decision = Decision::OverCap { max_images: max_images.get() };
            preview.tags[position].verdict = Verdict::LeftOut(decision);
            over.insert(preview.tags[position].tag.clone());
        }
        preview.to_scan.retain(|image| !over.contains(&image.tag));
    }
}

impl RepositoryPreview {
    /// The positions of the tags that need work, in the order in which a run takes them, and what they want.
    fn wanted(&self) -> (Vec<usize>, Vec<Wants>) {
        let mut wants_of: BTreeMap<&Tag, (Priority, u32)> = BTreeMap::new();
        for image in self.to_scan.iter().filter(|image| !image.is_queued) {
            let (priority, images) = wants_of.entry(&image.tag).or_insert((image.priority, 0));
            *priority = (*priority).min(image.priority);
            *images += 1;
        }
        let wanting_of = |(position, tag): (usize, &PreviewedTag)| {
            let (priority, images) = wants_of.get(&tag.tag).copied()?;
            Some((position, Wanting { tag: tag.tag.clone(), priority, born_at: tag.born_at, images }))
        };
        let (positions, wanting): (Vec<usize>, Vec<Wanting>) =
            self.tags.iter().enumerate().filter_map(wanting_of).unzip();
        let order = order(&wanting);
        let wants = wants(order.iter().map(|position| &wanting[*position]));
        (order.into_iter().map(|position| positions[position]).collect(), wants)
    }
}
