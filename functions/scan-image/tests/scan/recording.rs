//! What a scan records, what a second one of the same image changes, and which of two writers wins.

use std::time::Duration;

use serde_json::json;
use tidewatch_core::Severity;
use tidewatch_core::names::StreamName;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::Sleeper as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::result::ResultState;
use tidewatch_core::stream::Member;
use tidewatch_core::work::{Priority, RollUpMessage, Work};
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_runtime::{Deadline, MessageHandler as _};

use tidewatch_testkit::image::ImageBuilder;
use tidewatch_testkit::interleave::Interleaving;

use crate::gate::Behind;
use crate::images::{advisories, debian, distribution, file, image};
use crate::world::{World, acme, fixable, message};

#[tokio::test]
async fn a_scanned_image_has_a_result_a_report_a_member_and_no_work() {
    let world = World::new().await;
    let work =
        world.push_work("team/web", &image(&[&debian(&[("openssl", "1"), ("zlib", "1")]), &file("app")]));
    world.scan(&work).await;

    let stored = world.stored(&work).await.unwrap();
    let result = &stored.result;
    assert_eq!((stored.revision, result.state, &result.reason), (1, ResultState::Scanned, &None));
    assert_eq!((result.packages, result.distribution.as_deref()), (2, Some("debian 13")));
    assert_eq!(
        (
            result.severities.of(Severity::Critical),
            result.severities.of(Severity::Medium),
            result.severities.total()
        ),
        (1, 1, 2)
    );
    assert_eq!(result.created_at, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(fixable(result), Some(Outcome::Fail));

    let report = world.report(&work).await;
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| (finding.vulnerability.as_str(), finding.package.as_str()))
        .collect();
    assert_eq!(findings, [("CVE-2099-0001", "openssl"), ("CVE-2099-0002", "zlib")]);
    let inventory = world.inventory(&work).await;
    assert_eq!((inventory.packages.len(), inventory.problems, report.unmatched), (2, vec![], vec![]));

    let members = world.members().await;
    assert_eq!(members.len(), 1);
    assert_eq!((&members[0].image, &members[0].tag), (&work.image, &work.tag));
    assert_eq!((members[0].seen_at, members[0].state), (work.seen_at, result.state));
    assert_eq!((members[0].severities, &members[0].policies), (result.severities, &result.policies));
    assert_eq!(world.marks().await, 1);
    assert_eq!((world.pending(&work).await, world.due_rows().await), (None, 0));
    world.registry.assert_no_violations();
}

#[tokio::test]
async fn a_message_that_is_delivered_again_after_the_scan_does_nothing() {
    let world = World::new().await;
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    world.scan(&work).await;
    let before = (world.stored(&work).await, world.members().await, world.marks().await);
    world.registry.clear_requests();

    world.deliver(&work).await.unwrap();

    assert_eq!((world.stored(&work).await, world.members().await, world.marks().await), before);
    assert_eq!((world.registry.requests(), world.pending(&work).await), (vec![], None));
}

#[tokio::test]
async fn an_image_that_is_queued_again_without_need_is_only_marked_again() {
    let world = World::new().await;
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    world.scan(&work).await;
    let before = (world.stored(&work).await, world.members().await);
    world.registry.clear_requests();

    world.scan(&work).await;

    assert_eq!((world.stored(&work).await, world.members().await), before);
    assert_eq!((world.marks().await, world.due_rows().await), (2, 0));
    assert_eq!(world.registry.requests(), []);
}

#[tokio::test]
async fn the_same_image_in_two_repositories_is_pulled_once_and_is_a_member_twice() {
    let world = World::new().await;
    let layer = debian(&[("openssl", "1")]);
    let image = image(&[&layer]);
    let (web, copy) = (world.push_work("team/web", &image), world.push_work("team/copy", &image));
    world.scan(&web).await;
    world.scan(&copy).await;

    assert_eq!(
        (world.registry.blob_pulls(&layer.digest), world.registry.manifest_pulls(&image.digest)),
        (1, 1)
    );
    let members: Vec<_> = world.members().await.into_iter().map(|member| member.image).collect();
    assert_eq!(members, [copy.image.clone(), web.image.clone()]);
    assert!(world.is_marked(&web).await && world.is_marked(&copy).await);
    assert_eq!((world.stored(&web).await.unwrap().revision, world.due_rows().await), (1, 0));
}

#[tokio::test]
async fn a_new_result_reaches_every_repository_that_holds_the_image() {
    let world = World::new().await;
    let image = image(&[&debian(&[("openssl", "1"), ("zlib", "1")])]);
    let (web, copy) = (world.push_work("team/web", &image), world.push_work("team/copy", &image));
    world.scan(&web).await;
    world.scan(&copy).await;
    world.publish(&advisories()[1..]).await;
    world.scan(&web).await;
    let counted: Vec<_> = world.members().await.iter().map(|member| member.severities.total()).collect();
    assert_eq!(counted, [1, 1]);
}

#[tokio::test]
async fn a_platform_that_is_not_counted_has_a_result_but_is_no_member() {
    let world = World::new().await;
    let mut work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    work.counted = false;
    world.scan(&work).await;
    assert_eq!(world.result(&work).await.state, ResultState::Scanned);
    assert_eq!((world.members().await, world.marks().await, world.due_rows().await), (vec![], 0, 0));
}

#[tokio::test]
async fn an_image_that_was_seen_earlier_does_not_replace_the_one_that_was_seen_later() {
    let world = World::new().await;
    let old = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    world.clock.advance(Duration::from_secs(60));
    let new = world.push_work("team/web", &image(&[&debian(&[("openssl", "2")])]));
    world.scan(&new).await;
    world.scan(&old).await;

    let members = world.members().await;
    assert_eq!((members.len(), members[0].image.digest), (1, new.image.digest));
    assert_eq!(world.result(&old).await.state, ResultState::Scanned);
    assert_eq!(world.marks().await, 2, "the shard is marked whatever became of the row");
}

#[tokio::test]
async fn a_tag_that_moves_back_to_a_scanned_image_brings_it_back_without_a_scan() {
    let world = World::new().await;
    let (first, second) = (image(&[&debian(&[("openssl", "1")])]), image(&[&debian(&[("openssl", "2")])]));
    world.scan(&world.push_work("team/web", &first)).await;
    world.clock.advance(Duration::from_secs(60));
    world.scan(&world.push_work("team/web", &second)).await;
    world.clock.advance(Duration::from_secs(60));
    let back = world.push_work("team/web", &first);
    world.registry.clear_requests();
    world.scan(&back).await;

    let members = world.members().await;
    assert_eq!((members.len(), members[0].image.digest, members[0].seen_at), (1, first.digest, back.seen_at));
    assert_eq!((world.stored(&back).await.unwrap().revision, world.registry.requests()), (1, vec![]));
}

#[tokio::test]
async fn new_advisories_are_matched_and_changed_policies_judged_without_any_request() {
    let world = World::new().await;
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1"), ("zlib", "1")])]));
    world.scan(&work).await;
    world.registry.clear_requests();

    world.publish(&advisories()[1..]).await;
    world.scan(&work).await;
    let stored = world.stored(&work).await.unwrap();
    assert_eq!((stored.revision, stored.result.severities.total()), (2, 1));
    assert_eq!(fixable(&stored.result), Some(Outcome::Pass));

    let strict = json!({"severities": ["MEDIUM"], "fixable_only": false});
    world.apply(&json!([{"id": "fixable-vulnerabilities", "config": strict}])).await;
    world.scan(&work).await;
    let stored = world.stored(&work).await.unwrap();
    assert_eq!(stored.revision, 3);
    assert_eq!(fixable(&stored.result), Some(Outcome::Fail));
    assert_eq!(world.members().await[0].policies, stored.result.policies);
    assert_eq!(world.registry.requests(), []);
}

#[tokio::test]
async fn a_result_that_was_computed_from_an_older_one_is_refused() {
    let world = World::new().await;
    let image = image(&[&debian(&[("openssl", "1")])]);
    let (late, early) = (world.push_work("team/late", &image), world.push_work("team/early", &image));
    world.enqueue(&late).await;
    let (worker, gate) = world.gated_worker(Behind::Manifests);
    let request = message(&late);
    let scan = tokio::spawn(async move { worker.handle(request, Deadline::NONE).await });
    gate.arrival().await;
    // The late one has seen no result; meanwhile there comes one, and then another.
    world.scan(&early).await;
    world.publish(&advisories()[1..]).await;
    world.scan(&early).await;
    let before = world.stored(&early).await;
    assert_eq!(before.as_ref().map(|stored| stored.revision), Some(2));
    gate.open();

    scan.await.unwrap().unwrap();
    assert_eq!(world.stored(&early).await, before);
    assert_eq!(world.pending(&late).await.map(|pending| pending.attempts), Some(0));
    world.deliver_when_due(&late).await.unwrap();
    assert_eq!((world.stored(&early).await, world.members().await.len()), (before, 2));
}

/// One step of a worker, after a moment for threads that it waits for: a step without that would be one for nothing.
async fn step<T>(interleaving: &mut Interleaving<'_, T>, task: usize) -> Option<T> {
    SystemSleeper.sleep(Duration::from_millis(2)).await;
    interleaving.step(task)
}

#[tokio::test]
async fn a_worker_that_is_overtaken_at_any_point_leaves_the_newest_result() {
    for steps in 1.. {
        let world = World::new().await;
        let image = image(&[&debian(&[("openssl", "1"), ("zlib", "1")])]);
        let (slow, fast) = (world.push_work("team/slow", &image), world.push_work("team/fast", &image));
        world.scan(&slow).await;
        world.publish(&advisories()[..1]).await;
        world.enqueue(&slow).await;
        let worker = world.pausing_worker();
        let mut overtaken = Interleaving::new();
        let task = overtaken.start(worker.handle(message(&slow), Deadline::NONE));
        let mut finished = false;
        for _ in 0..steps {
            finished = finished || step(&mut overtaken, task).await.is_some();
        }
        // The other judges it by the same advisories, and then by newer ones.
        world.scan(&fast).await;
        world.publish(&advisories()[1..]).await;
        world.scan(&fast).await;
        let newest = world.stored(&fast).await;
        if !finished {
            let outcome = loop {
                if let Some(outcome) = step(&mut overtaken, task).await {
                    break outcome;
                }
            };
            outcome.unwrap();
        }

        assert_eq!(world.stored(&fast).await, newest, "overtaken after {steps} steps");
        if world.pending(&slow).await.is_some() {
            world.deliver_when_due(&slow).await.unwrap();
        }
        assert_eq!((world.stored(&fast).await, world.due_rows().await), (newest.clone(), 0));
        let severities = newest.unwrap().result.severities;
        let members = world.members().await;
        assert!(members.len() == 2 && members.iter().all(|member| member.severities == severities));
        if finished {
            return;
        }
    }
}

#[tokio::test]
async fn a_repository_that_gets_an_image_while_it_is_judged_anew_has_the_newest_numbers() {
    for steps in 1.. {
        let world = World::new().await;
        let image = image(&[&debian(&[("openssl", "1"), ("zlib", "1")])]);
        let (slow, fast) = (world.push_work("team/slow", &image), world.push_work("team/fast", &image));
        world.publish(&advisories()[..1]).await;
        world.scan(&fast).await;
        world.enqueue(&slow).await;
        let worker = world.pausing_worker();
        let mut overtaken = Interleaving::new();
        let task = overtaken.start(worker.handle(message(&slow), Deadline::NONE));
        let mut outcome = None;
        for _ in 0..steps {
            if outcome.is_none() {
                outcome = step(&mut overtaken, task).await;
            }
        }
        let finished = outcome.is_some();
        world.publish(&advisories()[1..]).await;
        world.scan(&fast).await;
        while outcome.is_none() {
            outcome = step(&mut overtaken, task).await;
        }
        outcome.unwrap().unwrap();
        if world.pending(&slow).await.is_some() {
            world.deliver_when_due(&slow).await.unwrap();
        }

        let newest = world.result(&fast).await.severities;
        let members = world.members().await;
        let is_newest = |member: &Member| member.severities == newest;
        assert!(
            members.len() == 2 && members.iter().all(is_newest),
            "overtaken after {steps} steps: {members:#?}"
        );
        if finished {
            return;
        }
    }
}

#[tokio::test]
async fn an_image_that_is_first_scanned_while_something_else_comes_in_force_is_judged_by_that() {
    for change in ["advisories", "policies"] {
        for steps in 1.. {
            let world = World::new().await;
            world.publish(&advisories()[..1]).await;
            let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1"), ("zlib", "1")])]));
            world.enqueue(&work).await;
            let worker = world.pausing_worker();
            let mut scan = Interleaving::new();
            let task = scan.start(worker.handle(message(&work), Deadline::NONE));
            let mut outcome = None;
            for _ in 0..steps {
                if outcome.is_none() {
                    outcome = step(&mut scan, task).await;
                }
            }
            // Whoever sends images to be matched again now finds no result, or this one.
            let had_result = world.stored(&work).await.is_some();
            let is_over = outcome.is_some();
            match change {
                "advisories" => world.publish(&advisories()).await,
                _ => world.apply(&json!([{"id": "fixable-vulnerabilities", "enabled": false}])).await,
            }
            while outcome.is_none() {
                outcome = step(&mut scan, task).await;
            }
            outcome.unwrap().unwrap();
            let result = world.result(&work).await;
            let in_force = world.records.in_force(&acme(), None).await.unwrap().unwrap();
            assert!(
                had_result || result.footing().is_of(&in_force.basis(world.clock.now())),
                "{change} after {steps} steps: {result:#?}"
            );
            let members = world.members().await;
            assert_eq!((members.len(), members[0].severities), (1, result.severities));
            assert_eq!((&members[0].policies, world.due_rows().await), (&result.policies, 0));
            if is_over {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_pushed_image_hurries_the_roll_up_when_it_is_recorded_and_others_do_not() {
    let world = World::new().await;
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    world.scan(&work).await;
    assert_eq!(world.queue.sent(QueueName::Rollups), []);
    let pushed = Work { priority: Priority::Pushed, run: None, ..work };
    // Also when its result is known: the slot may be another one.
    world.scan(&pushed).await;
    assert_eq!(world.queue.messages::<RollUpMessage>(QueueName::Rollups), [RollUpMessage { org: acme() }]);
}

#[tokio::test]
async fn a_roll_up_that_cannot_be_hurried_loses_nothing_of_the_scan() {
    let world = World::new().await;
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    let pushed = Work { priority: Priority::Pushed, run: None, ..work };
    world.enqueue(&pushed).await;
    let worker = world.worker_that_cannot_send();
    worker.handle(message(&pushed), Deadline::NONE).await.unwrap();
    assert_eq!((world.result(&pushed).await.state, world.due_rows().await), (ResultState::Scanned, 0));
    assert_eq!((world.members().await.len(), world.queue.sent(QueueName::Rollups)), (1, vec![]));
}

#[tokio::test]
async fn an_image_behind_two_tags_is_a_member_when_one_of_them_is_counted_in_either_order() {
    for counted_first in [true, false] {
        let world = World::new().await;
        let first = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
        for counted in [counted_first, !counted_first] {
            world.scan(&Work { counted, ..first.clone() }).await;
        }
        let members = world.members().await;
        assert_eq!((members.len(), members[0].severities.total()), (1, 1), "{counted_first}");
    }
}

#[tokio::test]
async fn where_each_platform_counts_the_image_of_each_is_a_member() {
    let world = World::new().await;
    world.count_all().await;
    for (platform, counted) in [("linux/amd64", true), ("linux/arm64", false)] {
        let builder = ImageBuilder::new().platform(&platform.parse().unwrap());
        let image = builder.layer(debian(&[("openssl", "1")])).build();
        world.scan(&Work { counted, ..world.push_work("team/web", &image) }).await;
    }
    let members = world.members().await;
    let members: Vec<_> =
        members.iter().map(|member| (member.image.platform.to_string(), member.severities.total())).collect();
    assert_eq!(members, [("linux/amd64".to_owned(), 1), ("linux/arm64".to_owned(), 1)]);
}

#[tokio::test]
async fn a_scan_that_is_at_work_when_images_come_to_be_counted_otherwise_enters_the_new_slot() {
    for steps in 1.. {
        let world = World::new().await;
        let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
        world.enqueue(&work).await;
        let worker = world.pausing_worker();
        let mut scanning = Interleaving::new();
        let task = scanning.start(worker.handle(message(&work), Deadline::NONE));
        let mut finished = false;
        for _ in 0..steps {
            finished = finished || step(&mut scanning, task).await.is_some();
        }
        // Who sends for images that are counted otherwise finds this one, if it has a result.
        let is_found = world.stored(&work).await.is_some();
        world.count_all().await;
        while !finished {
            finished = step(&mut scanning, task).await.is_some();
        }
        let counting = world.records.config(&acme()).await.unwrap().unwrap().counting;
        let slot = counting.slot_of(&work.image, true, work.seen_at).unwrap();
        let member = world.records.member(&acme(), &StreamName::latest_indexed(), &slot).await.unwrap();
        assert!(is_found || member.is_some(), "after {steps} steps");
        if is_found {
            break;
        }
    }
}

#[tokio::test]
async fn texts_of_an_image_are_one_short_line_in_its_result() {
    let world = World::new().await;
    let name = format!("fedora\u{1b}[31m{}", "x".repeat(900));
    let work = world.push_work("team/web", &image(&[&distribution(&name, "1", &[("a", "1")])]));
    world.scan(&work).await;
    let result = world.result(&work).await;
    let (name, reason) = (result.distribution.unwrap(), result.reason.unwrap());
    assert_eq!((name.chars().count(), reason.chars().count()), (200, 500));
    assert!(!name.contains(char::is_control) && !reason.contains(char::is_control), "{name:?}: {reason:?}");
}
