//! What leaves `latest-indexed`: images that have vanished, that nobody uses, and that no rule chooses any more.

use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_core::environment::{EnvironmentEntry, EnvironmentTarget, ImageReference};
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::names::StreamName;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::stream::Slot;
use tidewatch_store::records::{EnvironmentPlace, ListingState};
use tidewatch_testkit::image::BuiltImage;
use tidewatch_testkit::registry::Fault;

use crate::world::{World, acme, reg, repositories, tags_of};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl World {
    /// The tag of what stands for `team/web`.
    async fn stands(&self) -> Option<String> {
        let slot = Slot::of_repository(reg(), "team/web".parse().unwrap());
        let slot = self.records.slot(&acme(), &StreamName::latest_indexed(), &slot).await.unwrap();
        slot.and_then(|slot| slot.member).map(|member| member.tag.to_string())
    }

    /// An hour later, the tags of `team/web` are listed.
    async fn list_later(&self) {
        self.clock.advance(HOUR);
        assert_eq!(self.list("team/web").await.state, ListingState::Done);
    }

    /// `old` and, pushed an hour after it, `new`: both scanned.
    async fn with_two_tags(rule: Value) -> (Self, [BuiltImage; 2]) {
        let world = Self::with_rule(rule).await;
        let old = world.push("team/web", "old", "1");
        world.list_later().await;
        let new = world.push("team/web", "new", "2");
        world.list_later().await;
        world.scan_into_slots().await;
        assert_eq!(world.stands().await.as_deref(), Some("new"));
        (world, [old, new])
    }

    async fn recorded(&self) -> Vec<String> {
        self.tags("team/web").await.into_iter().map(|record| record.tag.to_string()).collect()
    }
}

fn image(built: &BuiltImage) -> Image {
    Image {
        registry: reg(),
        repository: "team/web".parse().unwrap(),
        digest: built.digest,
        platform: Platform::linux_amd64(),
    }
}

#[tokio::test]
async fn what_two_complete_listings_in_a_row_do_not_find_leaves_and_the_newest_that_is_left_takes_its_place()
{
    let (world, [_, new]) = World::with_two_tags(json!({})).await;
    world.registry.delete_tag("team/web", "new");
    world.list_later().await;
    assert_eq!(world.stands().await.as_deref(), Some("new"), "one listing can be wrong");
    world.list_later().await;
    assert_eq!(world.stands().await.as_deref(), Some("old"));
    assert_eq!(world.recorded().await, ["old"]);
    assert_eq!(world.records.place(&acme(), &image(&new)).await.unwrap(), None);

    world.registry.delete_tag("team/web", "old");
    world.list_later().await;
    world.list_later().await;
    assert_eq!((world.stands().await, world.recorded().await), (None, vec![]));
}

#[tokio::test]
async fn a_tag_that_is_found_again_has_not_vanished() {
    let (world, [_, new]) = World::with_two_tags(json!({})).await;
    for _ in 0..3 {
        world.registry.delete_tag("team/web", "new");
        world.list_later().await;
        world.registry.tag("team/web", "new", new.digest);
        world.list_later().await;
    }
    assert_eq!(world.stands().await.as_deref(), Some("new"));
    // And one that comes back after it has left stands where it stood, without another scan.
    world.registry.delete_tag("team/web", "new");
    world.list_later().await;
    world.list_later().await;
    assert_eq!(world.stands().await.as_deref(), Some("old"));
    world.registry.tag("team/web", "new", new.digest);
    world.list_later().await;
    world.scan_into_slots().await;
    assert_eq!(world.stands().await.as_deref(), Some("new"));
}

#[tokio::test]
async fn the_same_listing_twice_is_one() {
    let (world, _) = World::with_two_tags(json!({})).await;
    world.registry.delete_tag("team/web", "new");
    world.clock.advance(HOUR);
    // The second begins before the first has ended, as far as the clock tells.
    for _ in 0..2 {
        let begun = world.clock.now();
        world.deliver(tags_of("team/web")).await.unwrap();
        world.clock.set(begun.checked_sub(Duration::from_millis(1)).unwrap());
    }
    assert_eq!(world.stands().await.as_deref(), Some("new"));
}

#[tokio::test]
async fn a_listing_that_fails_takes_nothing_out() {
    let (world, _) = World::with_two_tags(json!({})).await;
    world.registry.delete_tag("team/web", "new");
    world.list_later().await;
    // The registry answers wrongly about another tag, so the listing fails at its end.
    let poison = world.push("team/web", "poison", "poison");
    world.registry.inject(Fault::CorruptManifest { digest: poison.digest });
    for _ in 0..3 {
        world.clock.advance(HOUR);
        world.deliver(tags_of("team/web")).await.unwrap();
    }
    assert_eq!(world.stands().await.as_deref(), Some("new"));
}

#[tokio::test]
async fn a_repository_that_the_registry_does_not_name_any_more_leaves() {
    let (world, _) = World::with_two_tags(json!({})).await;
    world.push("team/api", "1", "api");
    world.deliver(repositories()).await.unwrap();
    world.registry.delete_repository("team/web");
    for remaining in [2, 0] {
        world.clock.advance(HOUR);
        world.sent();
        world.deliver(repositories()).await.unwrap();
        let sent = world.sent();
        let of_web = sent.iter().find(|(message, _)| message.repository == "team/web".parse().ok());
        let (message, _) = of_web.expect("it is asked for");
        assert!(message.unlisted);
        world.deliver(message.clone()).await.unwrap();
        assert_eq!(world.recorded().await.len(), remaining);
    }
    assert_eq!(world.stands().await, None);
    let known = world.records.repositories_of(&acme(), &reg()).await.unwrap();
    assert_eq!(known.into_iter().map(|name| name.to_string()).collect::<Vec<_>>(), ["team/api"]);
}

#[tokio::test]
async fn a_registry_that_names_no_repository_at_all_takes_nothing_out() {
    let (world, _) = World::with_two_tags(json!({})).await;
    world.deliver(repositories()).await.unwrap();
    world.registry.delete_repository("team/web");
    world.sent();
    world.deliver(repositories()).await.unwrap();
    assert_eq!(world.sent(), []);
}

#[tokio::test]
async fn what_is_pushed_while_a_listing_does_not_see_it_stays() {
    let (world, [old, _]) = World::with_two_tags(json!({})).await;
    world.registry.delete_tag("team/web", "new");
    world.list_later().await;
    // It comes back with another image, as a webhook says, just after the listing has begun.
    let begun = world.clock.now();
    world.clock.advance(HOUR);
    world.registry.tag("team/web", "new", old.digest);
    world.deliver_hint(world.hint("team/web", "new")).await.unwrap();
    world.registry.delete_tag("team/web", "new");
    world.clock.set(begun);
    world.deliver(tags_of("team/web")).await.unwrap();
    assert!(world.recorded().await.contains(&"new".to_owned()));
}

#[tokio::test]
async fn an_image_that_nobody_uses_is_not_scanned_any_more_and_stays_or_is_forgotten_as_the_rule_says() {
    for (then, stands) in [("stop", Some("old")), ("forget", None)] {
        let world = World::with_rule(json!({"unused": {"after": "90d", "then": then}})).await;
        world.push("team/web", "old", "1");
        world.list_later().await;
        world.scan_into_slots().await;
        world.clock.advance(HOUR * (90 * 24 - 1));
        world.list_later().await;
        assert_eq!(world.listing(Some("team/web")).await.selected, 1, "the boundary is inclusive");
        world.list_later().await;
        let progress = world.listing(Some("team/web")).await;
        assert_eq!((progress.selected, progress.left_out.len()), (0, 1));
        assert_eq!(world.stands().await.as_deref(), stands, "{then}");
        let config = world.records.config(&acme()).await.unwrap().unwrap().config;
        let record = world.tags("team/web").await.remove(0);
        assert!(record.is_idle(&config, &reg(), &"team/web".parse().unwrap()));
        // A push makes it used again.
        world.deliver_hint(world.hint("team/web", "old")).await.unwrap();
        world.list_later().await;
        assert_eq!(world.listing(Some("team/web")).await.selected, 1);
        assert!(!world.tags("team/web").await.remove(0).forgotten);
    }
}

#[tokio::test]
async fn an_image_in_an_environment_is_used() {
    let world = World::with_rule(json!({"unused": {"after": "90d", "then": "forget"}})).await;
    let old = world.push("team/web", "old", "1");
    world.list_later().await;
    world.scan_into_slots().await;
    let reference: ImageReference = "reg/team/web:old".parse().unwrap();
    let entry = EnvironmentEntry::new(reference, world.clock.now()).id();
    let target = EnvironmentTarget { stream: "production".parse().unwrap(), entry };
    let (tag, at) = ("old".parse().unwrap(), world.clock.now());
    let place = EnvironmentPlace { target, image: image(&old), tag, at, kept: false };
    world.records.enter_environment(&acme(), &place).await.unwrap();
    world.clock.advance(DAY * 365);
    world.list_later().await;
    assert_eq!(world.listing(Some("team/web")).await.selected, 1);
    assert_eq!(world.stands().await.as_deref(), Some("old"));
}

#[tokio::test]
async fn what_no_rule_chooses_any_more_is_idle_and_stays_unless_the_rule_forgets_it() {
    for (unselected, stands) in [("stop", "new"), ("forget", "old")] {
        let (world, _) = World::with_two_tags(json!({})).await;
        let rule =
            json!({"id": "nightly", "registries": ["reg"], "exclude": [":new"], "unselected": unselected});
        world.apply(json!({"rules": [rule]})).await;
        world.list_later().await;
        assert_eq!(world.stands().await.as_deref(), Some(stands), "{unselected}");
        let config = world.records.config(&acme()).await.unwrap().unwrap().config;
        let idle: Vec<bool> = world
            .tags("team/web")
            .await
            .iter()
            .map(|record| record.is_idle(&config, &reg(), &"team/web".parse().unwrap()))
            .collect();
        assert_eq!(idle, [true, false], "new, old");
        // It is chosen again, and stands where it stood.
        world.apply(json!({"rules": [{"id": "nightly", "registries": ["reg"]}]})).await;
        world.list_later().await;
        assert_eq!(world.due().await, [], "nothing is scanned for that");
        assert_eq!(world.stands().await.as_deref(), Some("new"));
    }
}

#[tokio::test]
async fn what_another_rule_chooses_is_not_forgotten() {
    let (world, _) = World::with_two_tags(json!({})).await;
    let nightly =
        json!({"id": "nightly", "registries": ["reg"], "exclude": [":new"], "unselected": "forget"});
    let other = json!({"id": "other", "registries": ["reg"], "include": [":new"]});
    world.apply(json!({"rules": [nightly, other]})).await;
    let mut of_other = tags_of("team/web");
    of_other.run.rule = "other".parse().unwrap();
    world.clock.advance(HOUR);
    world.deliver(of_other).await.unwrap();
    world.list_later().await;
    assert_eq!(world.stands().await.as_deref(), Some("new"));
}

#[tokio::test]
async fn a_rule_that_forgets_looks_at_repositories_that_its_patterns_do_not_match_any_more() {
    let (world, _) = World::with_two_tags(json!({})).await;
    world.deliver(repositories()).await.unwrap();
    let rule = |unselected| json!({"id": "nightly", "registries": ["reg"], "include": ["shop"], "unselected": unselected});
    for (unselected, sent) in [("stop", 0), ("forget", 1)] {
        world.apply(json!({"rules": [rule(unselected)]})).await;
        world.clock.advance(HOUR);
        world.sent();
        world.deliver(repositories()).await.unwrap();
        assert_eq!(world.sent().len(), sent, "{unselected}");
    }
    world.list_later().await;
    assert_eq!(world.stands().await, None);
    world.clock.advance(HOUR);
    world.deliver(repositories()).await.unwrap();
    assert_eq!(world.sent(), [], "there is nothing left to forget");
}

#[tokio::test]
async fn work_that_nobody_wants_any_more_is_taken_back() {
    let world = World::with_rule(json!({})).await;
    world.push("team/web", "1", "1");
    world.list_later().await;
    assert_eq!(world.due_tags().await, ["team/web:1"]);
    world.apply(json!({"rules": [{"id": "nightly", "registries": ["reg"], "exclude": ["team/web"]}]})).await;
    world.list_later().await;
    assert_eq!(world.due_tags().await, [""; 0]);
}

#[tokio::test]
async fn a_crash_before_any_table_operation_leaves_nothing_half_gone() {
    for crash in 0..60 {
        let (world, [_, new]) = World::with_two_tags(json!({})).await;
        world.registry.delete_tag("team/web", "new");
        world.list_later().await;
        world.clock.advance(HOUR);
        world.outages.fail_after(crash);
        let outcome = world.deliver(tags_of("team/web")).await;
        world.outages.recover();
        if outcome.is_err() {
            world.deliver(tags_of("team/web")).await.unwrap();
        }
        assert_eq!(world.stands().await.as_deref(), Some("old"), "crash before operation {crash}");
        assert_eq!(world.recorded().await, ["old"]);
        assert_eq!(world.records.place(&acme(), &image(&new)).await.unwrap(), None);
        if outcome.is_ok() {
            return;
        }
    }
    panic!("it takes more than 60 operations");
}

#[tokio::test]
async fn what_is_pushed_while_a_listing_drops_what_was_there_before_is_scanned() {
    let world = World::with_rule(json!({"exclude": [":old"]})).await;
    let old = world.push("team/web", "stable", "1");
    world.list_later().await;
    world.scan_into_slots().await;
    // The listing that begins now does not choose it; before that takes effect, it is pushed.
    let begun = world.clock.now();
    world.clock.advance(HOUR);
    let new = world.push("team/web", "stable", "2");
    world.deliver_hint(world.hint("team/web", "stable")).await.unwrap();
    assert_ne!(old.digest, new.digest);
    world.apply(json!({"rules": [{"id": "nightly", "registries": ["reg"], "exclude": [":stable"]}]})).await;
    world.clock.set(begun);
    world.deliver(tags_of("team/web")).await.unwrap();
    let pending = world.records.pending_work(&acme(), &image(&new)).await.unwrap();
    assert!(pending.is_some(), "its work is not taken back");
}

#[tokio::test]
async fn an_image_that_another_tag_holds_keeps_its_work_when_one_is_dropped() {
    let world = World::with_rule(json!({})).await;
    let built = world.push("team/web", "1.2.3", "1");
    world.registry.tag("team/web", "latest", built.digest);
    world.list_later().await;
    assert_eq!(world.due().await.len(), 1);
    world.apply(json!({"rules": [{"id": "nightly", "registries": ["reg"], "exclude": [":1.*"]}]})).await;
    world.list_later().await;
    assert_eq!(world.due().await.len(), 1, "latest is still chosen");
}

#[tokio::test]
async fn a_rule_that_has_never_chosen_a_tag_does_not_forget_it() {
    let (world, _) = World::with_two_tags(json!({})).await;
    let stopping = json!({"id": "nightly", "registries": ["reg"], "exclude": [":new"]});
    let other = json!({"id": "other", "registries": ["reg"], "include": [":else"], "unselected": "forget"});
    world.apply(json!({"rules": [stopping, other]})).await;
    world.list_later().await;
    let mut of_other = tags_of("team/web");
    of_other.run.rule = "other".parse().unwrap();
    world.clock.advance(HOUR);
    world.deliver(of_other).await.unwrap();
    assert_eq!(world.stands().await.as_deref(), Some("new"));
}

#[tokio::test]
async fn an_image_that_took_the_place_of_another_leaves_no_place_behind_when_it_vanishes() {
    let (world, [old, _]) = World::with_two_tags(json!({})).await;
    for tag in ["new", "old"] {
        world.registry.delete_tag("team/web", tag);
        world.list_later().await;
        world.list_later().await;
    }
    assert_eq!(world.stands().await, None);
    assert_eq!(world.records.place(&acme(), &image(&old)).await.unwrap(), None);
}
