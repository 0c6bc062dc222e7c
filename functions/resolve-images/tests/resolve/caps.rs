//! Runs that may queue only so many images: which they take, and that a preview says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tidewatch_core::names::Tag;
use tidewatch_core::rule::LeftOut;
use tidewatch_evaluate_rules::EvaluateRules;
use tidewatch_resolve_images::{Measure, RepositoryPreview, Verdict, apply_cap};
use tidewatch_store::records::{ListingState, Run};

use crate::world::{World, acme, reg};

impl World {
    fn evaluate(&self) -> EvaluateRules {
        EvaluateRules::new(self.records.clone(), Arc::clone(&self.queue) as _, Arc::clone(&self.clock) as _)
    }

    /// Starts the rule by hand, and delivers what is sent to be listed, each message `times`, until nothing is left.
    async fn run_by_hand(&self, times: usize) -> Run {
        let evaluate = self.evaluate();
        self.clock.advance(Duration::from_secs(60));
        self.sent();
        let id = evaluate.run_now(&acme(), &"nightly".parse().unwrap()).await.unwrap();
        for _ in 0..20 {
            for (message, _) in self.sent() {
                for _ in 0..times {
                    self.deliver(message.clone()).await.unwrap();
                }
            }
            evaluate.apply_caps(&acme()).await.unwrap();
        }
        let run = self.records.runs(&acme(), &id.rule, 1).await.unwrap().remove(0);
        assert!(!self.records.has_queued_listings(&acme(), &run.id).await.unwrap());
        run
    }

    async fn preview_all(&self) -> Vec<RepositoryPreview> {
        let applied = self.records.config(&acme()).await.unwrap().unwrap();
        let rule = &applied.config.rules[0];
        let (resolver, registry) = (self.resolver(), reg());
        let mut previews = Vec::new();
        let asked = resolver.preview_repositories(&acme(), &applied, rule, &registry).await;
        for repository in asked.unwrap().0 {
            let (place, measure) = ((&registry, &repository), Measure::Known);
            previews.push(resolver.preview(&acme(), &applied, rule, place, measure).await.unwrap());
        }
        apply_cap(rule, &mut previews);
        previews
    }
}

#[tokio::test]
async fn a_run_takes_so_many_images_and_the_next_ones_go_on() {
    let world = World::with_rule(json!({"max_images": 3})).await;
    for (repository, tags) in [("a", 3), ("b", 1), ("c", 2)] {
        for tag in 0..tags {
            world.push(repository, &tag.to_string(), &format!("{repository}{tag}"));
        }
    }
    let mut taken = Vec::new();
    for _ in 0..3 {
        world.run_by_hand(1).await;
        taken.push(world.due_tags().await);
        world.scan_due().await;
    }
    assert_eq!(taken, [vec!["a:0", "b:0", "c:0"], vec!["a:1", "a:2", "c:1"], vec![]]);
}

#[tokio::test]
async fn what_is_left_for_another_run_is_counted_as_such() {
    let world = World::with_rule(json!({"max_images": 2})).await;
    for tag in ["1", "2", "3"] {
        world.push("team/web", tag, tag);
    }
    let run = world.run_by_hand(1).await;
    let listings = world.records.listings(&acme(), &run.id).await.unwrap();
    let progress = listings.iter().find(|listing| listing.repository.is_some()).unwrap();
    assert_eq!((progress.state, progress.selected, progress.queued), (ListingState::Done, 2, 2));
    assert_eq!(progress.left_out, [(LeftOut::OverCap, 1)].into());
    assert_eq!((run.is_capped, world.staged().await), (true, vec![]));
}

#[tokio::test]
async fn messages_that_come_twice_take_no_more_images() {
    let world = World::with_rule(json!({"max_images": 2})).await;
    for repository in ["a", "b", "c"] {
        world.push(repository, "1", repository);
    }
    world.run_by_hand(2).await;
    assert_eq!(world.due_tags().await, ["a:1", "b:1"]);
}

/// Which tags have which contents, by repository.
type Pushes = Vec<(u8, u8, u8)>;

fn pushes() -> impl Strategy<Value = Pushes> {
    prop::collection::vec((0..4_u8, 0..4_u8, 0..9_u8), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_capped_run_takes_what_its_preview_says(
        first in pushes(), second in pushes(), most in 1..6_u64, is_scanned: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(&[first, second], most, is_scanned))?;
    }
}

async fn run(rounds: &[Pushes], most: u64, is_scanned: bool) -> Result<(), TestCaseError> {
    let world = World::with_rule(json!({"max_images": most})).await;
    for pushes in rounds {
        for (repository, tag, content) in pushes {
            world.push(&format!("team/{repository}"), &tag.to_string(), &format!("{repository} {content}"));
        }
        let before: BTreeSet<_> = world.due().await.into_iter().map(|work| work.image).collect();
        let previews = world.preview_all().await;
        let mut wanted = BTreeSet::new();
        let mut images = 0;
        for preview in &previews {
            for tag in &preview.tags {
                if let Verdict::Chosen { new, stale, .. } = tag.verdict
                    && new + stale > 0
                {
                    images += new + stale;
                    wanted.insert((preview.repository.clone(), tag.digest.unwrap()));
                }
            }
        }
        let mut taken: BTreeMap<&Tag, u64> = BTreeMap::new();
        for image in previews.iter().flat_map(|preview| &preview.to_scan).filter(|image| !image.is_queued) {
            *taken.entry(&image.tag).or_default() += 1;
        }
        prop_assert!(taken.values().sum::<u64>() <= most);
        let to_scan: usize = previews.iter().map(|preview| preview.to_scan.len()).sum();
        prop_assert_eq!(to_scan, images);
        world.run_by_hand(1).await;
        let due: BTreeSet<_> = world.due().await.into_iter().map(|work| work.image).collect();
        let place = |image: &tidewatch_core::image::Image| (image.repository.clone(), image.digest);
        let new: BTreeSet<_> = due.difference(&before).map(place).collect();
        prop_assert!(new.is_subset(&wanted), "{new:?} {wanted:?}");
        let all: BTreeSet<_> = due.iter().map(place).collect();
        prop_assert!(wanted.is_subset(&all), "{wanted:?} {all:?}");
        if is_scanned {
            world.scan_due().await;
        }
        world.clock.advance(Duration::from_secs(60));
    }
    Ok(())
}

#[tokio::test]
async fn images_that_are_queued_already_do_not_use_the_cap_up() {
    let world = World::with_rule(json!({"max_images": 2})).await;
    for tag in ["1", "2", "3", "4", "5"] {
        world.push("team/web", tag, tag);
    }
    for due in [2, 4, 5] {
        world.run_by_hand(1).await;
        assert_eq!(world.due().await.len(), due);
    }
}

#[tokio::test]
async fn listings_that_wait_go_on_when_their_rule_has_lost_its_cap() {
    let world = World::with_rule(json!({"max_images": 1})).await;
    for tag in ["1", "2", "3"] {
        world.push("team/web", tag, tag);
    }
    let evaluate = world.evaluate();
    evaluate.run_now(&acme(), &"nightly".parse().unwrap()).await.unwrap();
    for _ in 0..2 {
        for (message, _) in world.sent() {
            world.deliver(message).await.unwrap();
        }
    }
    assert_eq!(world.due().await.len(), 0, "it waits");
    world.apply(json!({"rules": [{"id": "nightly", "registries": ["reg"]}]})).await;
    evaluate.apply_caps(&acme()).await.unwrap();
    for (message, _) in world.sent() {
        world.deliver(message).await.unwrap();
    }
    assert_eq!(world.due().await.len(), 3);
}

#[tokio::test]
async fn what_was_admitted_and_is_delivered_twice_queues_no_more() {
    let world = World::with_rule(json!({"max_images": 2})).await;
    for tag in ["1", "2", "3"] {
        world.push("team/web", tag, tag);
    }
    let evaluate = world.evaluate();
    evaluate.run_now(&acme(), &"nightly".parse().unwrap()).await.unwrap();
    let (of_registry, _) = world.sent().remove(0);
    world.deliver(of_registry).await.unwrap();
    let (of_tags, _) = world.sent().remove(0);
    world.deliver(of_tags).await.unwrap();
    evaluate.apply_caps(&acme()).await.unwrap();
    // Two ticks at once send what was admitted twice.
    for (message, _) in world.sent() {
        world.deliver(message.clone()).await.unwrap();
        world.deliver(message).await.unwrap();
    }
    for _ in 0..4 {
        evaluate.apply_caps(&acme()).await.unwrap();
        for (message, _) in world.sent() {
            world.deliver(message).await.unwrap();
        }
    }
    assert_eq!(world.due().await.len(), 2);
}

#[tokio::test]
async fn a_crash_while_listings_are_told_what_they_get_takes_nothing_from_any() {
    for crash in 0..40 {
        let world = World::with_rule(json!({"max_images": 3})).await;
        for repository in ["a", "b", "c", "d"] {
            world.push(repository, "1", repository);
        }
        let (evaluate, failing) = (world.evaluate(), world.failing_evaluator());
        evaluate.run_now(&acme(), &"nightly".parse().unwrap()).await.unwrap();
        for _ in 0..2 {
            for (message, _) in world.sent() {
                world.deliver(message).await.unwrap();
            }
        }
        world.outages.fail_after(crash);
        let outcome = failing.apply_caps(&acme()).await;
        world.outages.recover();
        // What was sent before the crash comes after what is sent then.
        let early = world.sent();
        evaluate.apply_caps(&acme()).await.unwrap();
        for (message, _) in world.sent().into_iter().chain(early) {
            world.deliver(message).await.unwrap();
        }
        assert_eq!(world.due_tags().await, ["a:1", "b:1", "c:1"], "crash before operation {crash}");
        if outcome.is_ok() {
            return;
        }
    }
    panic!("it takes more than 40 operations");
}
