//! Rules that look at the age of images: what they choose, and that no registry is asked twice when an image was made.

use std::time::Duration;

use serde_json::json;
use tidewatch_core::Timestamp;
use tidewatch_core::image::Platform;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::rule::LeftOut;
use tidewatch_core::work::ListingMessage;
use tidewatch_store::records::ListingState;
use tidewatch_testkit::image::{BuiltImage, ImageBuilder, IndexBuilder};
use tidewatch_testkit::layer::LayerBuilder;

use crate::deadlines::deliver_all_parts;
use crate::world::{World, tags_of};

const DAY: i64 = 86_400;

/// An image that was made so many days ago; none for one that does not say when.
fn made(world: &World, content: &str, days: Option<i64>) -> BuiltImage {
    let layer = LayerBuilder::new().file("content", content).build();
    let builder = ImageBuilder::new().layer(layer).platform(&Platform::linux_amd64());
    let Some(days) = days else { return builder.build() };
    builder.created(Timestamp::from_second(world.clock.now().as_second() - days * DAY).unwrap()).build()
}

fn push(world: &World, tag: &str, days: Option<i64>) -> BuiltImage {
    let image = made(world, tag, days);
    world.push_image("team/web", tag, &image);
    image
}

#[tokio::test]
async fn images_that_are_too_old_are_left_out_and_cost_one_head_from_then_on() {
    let world = World::with_rule(json!({"created_within": "30d", "always": [":*-kept"]})).await;
    for (tag, days) in
        [("new", Some(1)), ("limit", Some(30)), ("old", Some(31)), ("old-kept", Some(400)), ("unknown", None)]
    {
        push(&world, tag, days);
    }
    let progress = world.list("team/web").await;
    assert_eq!((progress.listed, progress.selected, progress.queued), (5, 4, 4));
    assert_eq!(progress.left_out, [(LeftOut::TooOld, 1)].into());
    let chosen = ["team/web:limit", "team/web:new", "team/web:old-kept", "team/web:unknown"];
    assert_eq!(world.due_tags().await, chosen);
    assert_eq!(world.tags("team/web").await.len(), 4, "what is left out is recorded nowhere");

    world.scan_due().await;
    world.requests();
    let again = world.list("team/web").await;
    assert_eq!((again.selected, again.queued, again.left_out), (4, 0, progress.left_out));
    let requests = world.requests();
    let heads = requests.iter().filter(|request| request.starts_with("HEAD")).count();
    assert_eq!((heads, requests.len()), (5, 6), "one for each tag, and the list: {requests:?}");

    // A day later another one is too old, and the one at its age is asked nothing but that.
    world.clock.advance(Duration::from_secs(86_400));
    let later = world.list("team/web").await;
    assert_eq!((later.selected, later.left_out), (3, [(LeftOut::TooOld, 2)].into()));
    assert!(world.requests().iter().all(|request| !request.contains("blobs")));
}

#[tokio::test]
async fn an_index_is_as_old_as_its_image_that_the_gauges_count() {
    let world = World::with_rule(json!({"created_within": "30d"})).await;
    let arm64 = "linux/arm64".parse().unwrap();
    let of = |content: &str, days: i64| {
        let layer = LayerBuilder::new().file("content", content).build();
        let created = Timestamp::from_second(world.clock.now().as_second() - days * DAY).unwrap();
        ImageBuilder::new().layer(layer).created(created)
    };
    for (tag, amd64_days, arm64_days) in [("new", 1, 400), ("old", 400, 1)] {
        let counted = of(tag, amd64_days).platform(&Platform::linux_amd64()).build();
        let other = of(tag, arm64_days).platform(&arm64).build();
        let index = IndexBuilder::new().image(&counted).image(&other).build();
        world.push_image("team/web", tag, &index);
    }
    let progress = world.list("team/web").await;
    assert_eq!((progress.selected, progress.queued), (1, 2));
    assert!(world.due_tags().await.iter().all(|tag| tag == "team/web:new"));
}

#[tokio::test]
async fn the_newest_of_a_repository_are_the_newest_of_all_its_pages_and_parts() {
    let world = crate::deadlines::slow_with_rule(json!({"newest": 3}), 5, 100).await;
    world.registry.set_page_size(4);
    for number in 0..20 {
        push(&world, &format!("v{number:02}"), Some(40 - number));
    }
    let (parts, others) = deliver_all_parts(&world, tags_of("team/web")).await;
    assert!(parts > 1 && others.is_empty(), "{parts} {others:?}");
    let progress = world.listing(Some("team/web")).await;
    assert_eq!((progress.state, progress.listed, progress.selected), (ListingState::Done, 20, 3));
    assert_eq!(progress.left_out, [(LeftOut::NotAmongNewest, 17)].into());
    assert_eq!(world.due_tags().await, ["team/web:v17", "team/web:v18", "team/web:v19"]);
    assert_eq!(world.staged().await, [""; 0], "nothing stays staged");

    // Another one is pushed: the oldest of the three is not chosen any more, and what it is is not asked again.
    push(&world, "v20", Some(1));
    world.requests();
    let progress = world.list("team/web").await;
    assert_eq!((progress.selected, progress.queued), (3, 1));
    let blobs = world.requests().iter().filter(|request| request.contains("blobs")).count();
    assert_eq!(blobs, 2, "the configuration of the new one, for its platform and for its age");
}

#[tokio::test]
async fn nothing_of_a_listing_takes_effect_before_it_is_complete() {
    let world = crate::deadlines::slow_with_rule(json!({}), 5, 100).await;
    world.registry.set_page_size(4);
    for number in 0..20 {
        push(&world, &format!("v{number:02}"), Some(1));
    }
    let mut next = Some(tags_of("team/web"));
    let mut parts = 0;
    while let Some(message) = next.take() {
        assert_eq!(world.due().await.len(), 0, "after {parts} parts");
        assert_eq!(world.tags("team/web").await.len(), 0);
        let sent = crate::deadlines::deliver(&world, message).await;
        next = sent.into_iter().map(|(message, _)| message).next();
        parts += 1;
        if next.as_ref().is_some_and(|next| next.position.as_ref().unwrap().applied.is_some()) {
            break;
        }
    }
    if let Some(message) = next {
        deliver_all_parts(&world, message).await;
    }
    assert_eq!((world.due().await.len(), world.tags("team/web").await.len()), (20, 20));
}

#[tokio::test]
async fn a_message_that_comes_twice_does_not_mix_what_it_stages() {
    let world = crate::deadlines::slow_with_rule(json!({"newest": 3}), 5, 100).await;
    world.registry.set_page_size(4);
    for number in 0..20 {
        push(&world, &format!("v{number:02}"), Some(40 - number));
    }
    let mut goes_on = Vec::new();
    for seconds in [900, 560] {
        let end = world.clock.now().checked_add(Duration::from_secs(seconds)).unwrap();
        world.deliver_until(tags_of("team/web"), end).await.unwrap();
        goes_on.extend(world.sent().into_iter().map(|(message, _)| message));
    }
    let [first, second] = <[ListingMessage; 2]>::try_from(goes_on).unwrap();
    assert_ne!(first.position, second.position, "they came differently far");
    for message in [first, second] {
        deliver_all_parts(&world, message).await;
        let progress = world.listing(Some("team/web")).await;
        assert_eq!((progress.state, progress.listed, progress.selected), (ListingState::Done, 20, 3));
        assert_eq!(world.due_tags().await, ["team/web:v17", "team/web:v18", "team/web:v19"]);
    }
    assert_eq!(world.staged().await, [""; 0]);
}

#[tokio::test]
async fn a_listing_whose_rule_changes_meanwhile_begins_anew() {
    let world = crate::deadlines::slow_with_rule(json!({}), 5, 100).await;
    world.registry.set_page_size(4);
    for number in 0..20 {
        push(&world, &format!("v{number:02}"), Some(40 - number));
    }
    let sent = crate::deadlines::deliver(&world, tags_of("team/web")).await;
    let [(message, _)] = <[_; 1]>::try_from(sent).unwrap();
    world
        .apply(json!({"rules": [{"id": "nightly", "registries": ["reg"], "include": [":v1*"], "newest": 1}]}))
        .await;
    deliver_all_parts(&world, message).await;
    let progress = world.listing(Some("team/web")).await;
    assert_eq!((progress.state, progress.listed, progress.selected), (ListingState::Done, 20, 1));
    assert_eq!(world.due_tags().await, ["team/web:v19"]);
}
