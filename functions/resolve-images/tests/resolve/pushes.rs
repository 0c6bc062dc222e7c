//! Tags that a registry says were pushed: what is sent to be scanned at once, what is not, and what a crash loses.

use std::time::Duration;

use serde_json::json;
use tidewatch_core::Digest;
use tidewatch_core::image::Platform;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{HintMessage, Priority, Work};
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_testkit::image::IndexBuilder;
use tidewatch_testkit::registry::Fault;

use crate::world::{PAUSE, World, acme, image, reg, time};

const MINUTE: Duration = Duration::from_secs(60);

/// Delivers a hint and each retry that is sent for it; gives the pauses before them.
async fn deliver_with_retries(world: &World, message: HintMessage) -> Vec<Duration> {
    let mut pauses = Vec::new();
    let mut next = Some(message);
    while let Some(message) = next {
        let failures = message.failures;
        world.deliver_hint(message.clone()).await.unwrap();
        let delays = world.queue.sent(QueueName::Hints).into_iter().map(|sent| sent.delay);
        let mut sent: Vec<(HintMessage, Duration)> =
            world.queue.messages(QueueName::Hints).into_iter().zip(delays).collect();
        world.queue.clear();
        assert!(sent.len() <= 1, "{sent:?}");
        next = sent.pop().map(|(retry, pause)| {
            assert_eq!(retry, HintMessage { failures: failures + 1, ..message });
            pauses.push(pause);
            retry
        });
    }
    pauses
}

/// Repository and tag of work.
fn names(work: &[Work]) -> Vec<String> {
    work.iter().map(|work| format!("{}:{}", work.image.repository, work.tag)).collect()
}

#[tokio::test]
async fn a_pushed_tag_of_an_unknown_repository_is_sent_at_once_whatever_the_schedule() {
    let world = World::with_rule(json!({"schedule": "manual"})).await;
    let image = world.push("team/web", "1.0", "web");
    let hint = world.hint("team/web", "1.0");
    world.clock.advance(MINUTE);
    world.deliver_hint(hint.clone()).await.unwrap();

    let sent = world.sent_pushed();
    assert_eq!(names(&sent), ["team/web:1.0"]);
    let work = &sent[0];
    assert_eq!((work.image.digest, &work.image.platform), (image.digest, &Platform::linux_amd64()));
    assert_eq!((work.priority, work.seen_at, work.counted), (Priority::Pushed, hint.received_at, true));
    assert_eq!(work.run, None);
    assert_eq!(world.tags("team/web").await[0].seen_at, hint.received_at);
    let repositories = world.records.repositories(&acme()).await.unwrap();
    assert_eq!(repositories, [(reg(), "team/web".parse().unwrap())]);
    world.registry.assert_no_violations();

    assert_eq!(world.due().await, [], "it was sent");
    world.clock.advance(MINUTE * 20);
    assert_eq!(world.due().await, sent, "in case the message was lost");
}

#[tokio::test]
async fn a_tag_that_no_rule_of_the_registry_chooses_is_not_even_asked_for() {
    let world = World::with_rule(json!({"include": ["team/**:1.*"], "exclude": [":*-beta"]})).await;
    let signature = format!("sha256-{}.sig", "a".repeat(64));
    for (repository, tag) in
        [("team/web", "2.0"), ("other/web", "1.0"), ("team/web", "1.0-beta"), ("team/web", &signature)]
    {
        world.push(repository, tag, "content");
        world.deliver_hint(world.hint(repository, tag)).await.unwrap();
    }
    let other = json!({"id": "other", "kind": "oci", "url": "https://other.example.com"});
    let rule = json!({"id": "all-of-other", "registries": ["other"]});
    world.apply(json!({"registries": [world.registry.config("reg"), other], "rules": [rule]})).await;
    world.push("team/web", "1.0", "content");
    world.deliver_hint(world.hint("team/web", "1.0")).await.unwrap();
    assert_eq!((world.requests(), world.sent_pushed()), (vec![], vec![]));
    assert_eq!(world.records.repositories(&acme()).await.unwrap(), []);
}

#[tokio::test]
async fn a_registry_that_is_read_in_part_takes_no_pushes_of_the_rest() {
    let world = World::new().await;
    let mut registry = serde_json::to_value(world.registry.config("reg")).unwrap();
    registry["repositories"] = json!(["team/web"]);
    world.apply(json!({"registries": [registry]})).await;
    for repository in ["team/web", "team/api"] {
        world.push(repository, "1.0", repository);
        world.deliver_hint(world.hint(repository, "1.0")).await.unwrap();
    }
    assert_eq!(names(&world.sent_pushed()), ["team/web:1.0"]);
}

#[tokio::test]
async fn a_hint_that_is_no_newer_than_what_was_scanned_costs_one_request_and_no_work() {
    let world = World::new().await;
    world.push("team/web", "1.0", "web");
    world.list("team/web").await;
    world.scan_due().await;
    world.requests();
    world.queue.clear();
    world.deliver_hint(world.hint("team/web", "1.0")).await.unwrap();
    assert_eq!(world.requests(), ["HEAD /v2/team/web/manifests/1.0"]);
    assert_eq!(world.sent_pushed(), []);
}

#[tokio::test]
async fn pushing_again_what_was_scanned_costs_one_request_and_makes_it_newer_once() {
    let world = World::new().await;
    world.push("team/web", "1.0", "web");
    world.list("team/web").await;
    let listed = world.due().await.remove(0);
    world.scan_due().await;
    world.requests();
    world.queue.clear();
    world.clock.advance(MINUTE);
    let hint = world.hint("team/web", "1.0");
    world.deliver_hint(hint.clone()).await.unwrap();
    assert_eq!(world.requests(), ["HEAD /v2/team/web/manifests/1.0"]);
    let newer = Work { priority: Priority::Pushed, seen_at: hint.received_at, run: None, ..listed };
    assert_eq!(world.sent_pushed(), [newer]);
    let tags = world.tags("team/web").await;
    assert_eq!(tags[0].seen_at, hint.received_at);

    world.clock.advance(MINUTE * 20);
    world.scan_due().await;
    world.deliver_hint(hint).await.unwrap();
    world.list("team/web").await;
    assert_eq!((world.sent_pushed(), world.due().await), (vec![], vec![]));
    assert_eq!(world.tags("team/web").await, tags, "neither the same hint nor a listing is another push");
}

/// The tag `a` was pushed, then `b`, then `a` again; the hint of the first push came last but one. Gives the hints of
/// `a`, of which the first was delivered, and the digest of `a`.
async fn delayed_hint(world: &World) -> ([HintMessage; 2], Digest) {
    world.push("team/web", "a", "one");
    let first = world.hint("team/web", "a");
    world.clock.advance(MINUTE);
    world.push("team/web", "b", "two");
    world.deliver_hint(world.hint("team/web", "b")).await.unwrap();
    world.clock.advance(MINUTE);
    let image = world.push("team/web", "a", "three");
    let second = world.hint("team/web", "a");
    world.clock.advance(MINUTE);
    world.sent_pushed();
    world.deliver_hint(first.clone()).await.unwrap();
    let sent = world.sent_pushed();
    assert_eq!((sent[0].image.digest, sent[0].seen_at), (image.digest, first.received_at));
    ([first, second], image.digest)
}

#[tokio::test]
async fn a_delayed_hint_does_not_make_a_later_push_of_its_tag_older_than_that_of_another() {
    let world = World::new().await;
    let ([first, second], digest) = delayed_hint(&world).await;
    world.clock.advance(MINUTE * 20);
    world.scan_due().await;

    world.deliver_hint(second.clone()).await.unwrap();
    let sent = world.sent_pushed();
    assert_eq!(
        names(&sent),
        ["team/web:a"],
        "its place and member get the time, though its result is current"
    );
    assert_eq!((sent[0].image.digest, sent[0].seen_at), (digest, second.received_at));
    let tags = world.tags("team/web").await;
    assert_eq!((tags[0].digest, tags[0].seen_at), (digest, second.received_at));
    assert!(tags[0].seen_at > tags[1].seen_at);

    world.clock.advance(MINUTE * 20);
    world.scan_due().await;
    for again in [first, second] {
        world.deliver_hint(again).await.unwrap();
        assert_eq!((world.sent_pushed(), world.due().await), (vec![], vec![]));
    }
    assert_eq!(world.tags("team/web").await, tags);
}

#[tokio::test]
async fn work_that_a_delayed_hint_left_is_replaced_by_that_of_the_later_push() {
    let world = World::new().await;
    let ([first, second], digest) = delayed_hint(&world).await;
    world.deliver_hint(second.clone()).await.unwrap();
    let sent = world.sent_pushed();
    assert_eq!((sent[0].image.digest, sent[0].seen_at), (digest, second.received_at));
    world.deliver_hint(first).await.unwrap();
    world.clock.advance(MINUTE * 20);
    let due = world.due().await;
    assert_eq!(due.iter().filter(|work| work.image.digest == digest).collect::<Vec<_>>(), [&sent[0]]);
}

#[tokio::test]
async fn a_crash_while_a_tag_is_pushed_again_loses_no_push() {
    for operations in 0.. {
        let world = World::new().await;
        world.push("team/web", "1.0", "web");
        world.list("team/web").await;
        world.scan_due().await;
        world.queue.clear();
        world.clock.advance(MINUTE);
        let hint = world.hint("team/web", "1.0");
        world.outages.fail_after(operations);
        let crashed = world.deliver_hint(hint.clone()).await.is_err();
        world.outages.recover();
        if crashed {
            world.deliver_hint(hint.clone()).await.unwrap();
        }
        let sent = world.sent_pushed();
        assert!(!sent.is_empty() && sent.iter().all(|work| work.seen_at == hint.received_at), "{sent:?}");
        assert_eq!(
            world.tags("team/web").await[0].seen_at,
            hint.received_at,
            "after {operations} operations"
        );
        if !crashed {
            assert!(operations > 4, "there is more to do than {operations} operations");
            return;
        }
    }
}

#[tokio::test]
async fn a_tag_that_moves_is_sent_again_with_its_new_image() {
    let world = World::new().await;
    world.push("team/web", "latest", "one");
    world.list("team/web").await;
    world.scan_due().await;
    let image = world.push("team/web", "latest", "two");
    // A hint that was on its way while the tag was listed.
    let early = HintMessage { received_at: time("2026-06-14T23:00:00Z"), ..world.hint("team/web", "latest") };
    let listed_at = world.tags("team/web").await[0].seen_at;
    world.deliver_hint(early).await.unwrap();
    let sent = world.sent_pushed();
    assert_eq!(sent.iter().map(|work| work.image.digest).collect::<Vec<_>>(), [image.digest]);
    assert!(sent[0].seen_at > listed_at, "a tag moves after it was seen elsewhere");
    assert_eq!(world.tags("team/web").await[0].digest, image.digest);
}

#[tokio::test]
async fn a_pushed_image_whose_result_is_out_of_date_is_sent() {
    let world = World::new().await;
    world.push("team/web", "1.0", "web");
    world.list("team/web").await;
    world.scan_due().await;
    world.publish_debian("new advisories").await;
    world.deliver_hint(world.hint("team/web", "1.0")).await.unwrap();
    let sent = world.sent_pushed();
    assert_eq!((names(&sent), sent[0].priority), (vec!["team/web:1.0".to_owned()], Priority::Pushed));
}

#[tokio::test]
async fn work_that_waits_its_turn_is_raised_when_its_tag_is_pushed() {
    let world = World::new().await;
    world.push("team/web", "1.0", "web");
    world.list("team/web").await;
    let waiting = world.due().await.remove(0);
    world.queue.clear();
    world.deliver_hint(world.hint("team/web", "1.0")).await.unwrap();
    let raised = Work { priority: Priority::Pushed, ..waiting };
    assert_eq!(world.sent_pushed(), std::slice::from_ref(&raised));
    assert_eq!(world.due().await, []);
    world.list("team/web").await;
    world.clock.advance(MINUTE * 20);
    assert_eq!(world.due().await, [raised], "a listing does not lower it again, and there is one row");
}

#[tokio::test]
async fn every_wanted_platform_of_a_pushed_index_is_sent() {
    let world = World::new().await;
    let (arm64, amd64) = (image("web", &Platform::linux_arm64()), image("web", &Platform::linux_amd64()));
    let index = IndexBuilder::new().image(&arm64).image(&amd64).build();
    world.push_image("team/web", "1.0", &index);
    world.deliver_hint(world.hint("team/web", "1.0")).await.unwrap();
    let sent: Vec<_> =
        world.sent_pushed().into_iter().map(|work| (work.image.platform.to_string(), work.counted)).collect();
    assert_eq!(sent, [("linux/amd64".to_owned(), true), ("linux/arm64".to_owned(), false)]);
}

#[tokio::test]
async fn a_tag_that_is_gone_or_was_never_there_leaves_nothing() {
    let world = World::new().await;
    world.push("team/web", "1.0", "web");
    for (repository, tag) in [("team/web", "2.0"), ("no/such", "1.0")] {
        world.deliver_hint(world.hint(repository, tag)).await.unwrap();
    }
    assert_eq!((world.sent_pushed(), world.sent()), (vec![], vec![]));
    assert_eq!(world.records.repositories(&acme()).await.unwrap(), []);
}

#[tokio::test]
async fn a_hint_of_an_organisation_or_registry_that_is_gone_is_dropped() {
    let world = World::new().await;
    world.push("team/web", "1.0", "web");
    let hint = world.hint("team/web", "1.0");
    world.deliver_hint(HintMessage { org: "nobody".parse().unwrap(), ..hint.clone() }).await.unwrap();
    world.deliver_hint(HintMessage { registry: "nowhere".parse().unwrap(), ..hint }).await.unwrap();
    assert_eq!((world.requests(), world.sent_pushed()), (vec![], vec![]));
}

#[tokio::test]
async fn a_registry_that_is_down_is_tried_five_times_and_again_when_it_is_back() {
    let world = World::new().await;
    world.push("team/web", "1.0", "web");
    world.registry.inject(Fault::Status { requests: usize::MAX, status: 503 });
    let hint = world.hint("team/web", "1.0");
    let pauses = deliver_with_retries(&world, hint.clone()).await;
    assert_eq!(pauses, [PAUSE, PAUSE * 2, PAUSE * 4, PAUSE * 8]);
    assert_eq!((world.tags("team/web").await, world.due().await), (vec![], vec![]));

    world.registry.clear_faults();
    world.deliver_hint(HintMessage { failures: 4, ..hint }).await.unwrap();
    assert_eq!(names(&world.sent_pushed()), ["team/web:1.0"]);
}

#[tokio::test]
async fn a_hint_that_meets_an_unreadable_record_is_not_tried_for_ever() {
    let world = World::new().await;
    world.push("team/web", "1.0", "web");
    world.list("team/web").await;
    world.queue.clear();
    world.corrupt("REPO#acme#reg/team/web", "TAG#1.0").await;
    assert_eq!(deliver_with_retries(&world, world.hint("team/web", "1.0")).await, Vec::<Duration>::new());
}

#[tokio::test]
async fn a_crash_between_any_two_operations_loses_no_image() {
    let (amd64, arm64) = (image("web", &Platform::linux_amd64()), image("web", &Platform::linux_arm64()));
    let index = IndexBuilder::new().image(&amd64).image(&arm64).build();
    for operations in 0.. {
        let world = World::new().await;
        world.push_image("team/web", "1.0", &index);
        let hint = world.hint("team/web", "1.0");
        world.outages.fail_after(operations);
        let crashed = world.deliver_hint(hint.clone()).await;
        world.outages.recover();
        if crashed.is_ok() {
            assert!(operations > 6, "there is more to do than {operations} operations");
            return;
        }
        assert_eq!(crashed.unwrap_err().retry(), Retry::Again);
        let before = world.sent_pushed().len();
        let rows = world.records.count_work(&acme(), &reg(), time("9999-01-01T00:00:00Z"), 10).await.unwrap();
        assert!(before <= rows, "what is sent stands in rows");

        // The message comes again.
        world.clock.advance(MINUTE);
        world.deliver_hint(hint).await.unwrap();
        assert_eq!(world.sent_pushed().len(), 2, "after {operations} operations");
        assert_eq!(world.tags("team/web").await.len(), 1);
        world.clock.advance(MINUTE * 20);
        assert_eq!(world.due().await.len(), 2, "each has one row");
    }
}
