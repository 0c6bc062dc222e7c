//! Listing the tags of a repository: which images get a work row, and what an unchanged tag costs.

use std::time::Duration;

use serde_json::json;
use tidewatch_core::image::Platform;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::work::Priority;
use tidewatch_store::records::ListingState;
use tidewatch_testkit::image::IndexBuilder;

use crate::world::{World, image, time};

#[tokio::test]
async fn every_tag_on_every_page_is_queued() {
    let world = World::new().await;
    for number in 0..7 {
        world.push("team/web", &format!("1.{number}"), &format!("content {number}"));
    }
    world.registry.set_page_size(3);
    let progress = world.list("team/web").await;
    assert_eq!((progress.state, progress.error), (ListingState::Done, None));
    assert_eq!((progress.listed, progress.selected, progress.skipped, progress.queued), (7, 7, 0, 7));
    let tags: Vec<String> = (0..7).map(|number| format!("team/web:1.{number}")).collect();
    assert_eq!(world.due_tags().await, tags);
    world.registry.assert_no_violations();
}

#[tokio::test]
async fn an_image_is_queued_as_it_was_found() {
    let world = World::new().await;
    let image = world.push("team/web", "1.0", "web");
    world.list("team/web").await;
    let due = world.due().await;
    assert_eq!(due.len(), 1);
    let work = &due[0];
    assert_eq!((work.image.to_string().contains("team/web"), work.image.digest), (true, image.digest));
    assert_eq!((work.image.platform.clone(), work.tag.as_str()), (Platform::linux_amd64(), "1.0"));
    assert_eq!((work.seen_at, work.counted, work.priority), (world.clock.now(), true, Priority::New));
    assert_eq!(world.tags("team/web").await[0].seen_at, work.seen_at);
}

#[tokio::test]
async fn only_tags_that_the_rule_includes_and_does_not_exclude_are_asked_for() {
    let world = World::with_rule(json!({"include": [":1.*", ":latest"], "exclude": [":*-beta"]})).await;
    for tag in ["1.0", "1.1-beta", "2.0", "latest"] {
        world.push("team/web", tag, tag);
    }
    let progress = world.list("team/web").await;
    assert_eq!((progress.listed, progress.selected, progress.queued), (4, 2, 2));
    assert_eq!(world.due_tags().await, ["team/web:1.0", "team/web:latest"]);
    let asked = world.requests();
    assert!(!asked.iter().any(|request| request.contains("2.0") || request.contains("beta")), "{asked:?}");
}

#[tokio::test]
async fn tags_of_signatures_and_attestations_are_not_selected() {
    let world = World::new().await;
    let hex = world.push("team/web", "1.0", "web").digest.hex();
    for suffix in ["", ".sig", ".att", ".sbom"] {
        world.push("team/web", &format!("sha256-{hex}{suffix}"), suffix);
    }
    let progress = world.list("team/web").await;
    assert_eq!((progress.listed, progress.selected, progress.queued), (5, 1, 1));
    assert_eq!(world.due_tags().await, ["team/web:1.0"]);
}

#[tokio::test]
async fn what_is_no_image_is_skipped_with_its_reason_and_not_asked_for_again() {
    let world = World::new().await;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": tidewatch_core::Digest::of(b"{}").to_string(), "size": 2},
        "layers": [],
    });
    let digest = world.registry.push_manifest(
        "team/chart",
        "1.0",
        "application/vnd.oci.image.manifest.v1+json",
        manifest.to_string(),
    );
    world.push_image("team/chart", "s390x", &image("mainframe", &"linux/s390x".parse().unwrap()));
    let progress = world.list("team/chart").await;
    assert_eq!((progress.state, progress.selected), (ListingState::Done, 2));
    assert_eq!((progress.skipped, progress.queued), (2, 0));
    let tags = world.tags("team/chart").await;
    assert!(tags[0].skipped.is_some() && tags[0].digest == digest, "{tags:?}");
    assert!(tags[1].skipped.as_ref().unwrap().contains("linux/s390x"), "{tags:?}");

    world.requests();
    assert_eq!(world.list("team/chart").await.skipped, 2);
    let heads = world.requests().iter().filter(|request| request.starts_with("HEAD")).count();
    assert_eq!(heads, 2);
}

#[tokio::test]
async fn an_index_is_expanded_to_the_configured_platforms_of_which_one_is_counted() {
    let world = World::new().await;
    let platforms: [Platform; 3] =
        ["linux/s390x", "linux/arm64", "linux/amd64"].map(|text| text.parse().unwrap());
    let [s390x, arm64, amd64] = platforms.clone().map(|platform| image("web", &platform));
    let index = IndexBuilder::new().image(&s390x).image(&arm64).image(&amd64).build();
    world.push_image("team/web", "1.0", &index);
    let progress = world.list("team/web").await;
    assert_eq!((progress.selected, progress.queued), (1, 2));
    let mut due: Vec<_> = world
        .due()
        .await
        .into_iter()
        .map(|work| (work.image.platform.to_string(), work.image.digest, work.counted))
        .collect();
    due.sort();
    assert_eq!(
        due,
        [("linux/amd64".to_owned(), amd64.digest, true), ("linux/arm64".to_owned(), arm64.digest, false)]
    );

    // Another platform is wanted: the tag is looked into again, though it has not moved.
    world.scan_due().await;
    world.apply(json!({"platforms": ["linux/s390x", "linux/arm64"]})).await;
    let seen_at = world.clock.now();
    world.clock.advance(Duration::from_secs(60));
    world.list("team/web").await;
    let tags = world.tags("team/web").await;
    let images: Vec<_> = tags[0].images.iter().map(|image| (image.platform.clone(), image.counted)).collect();
    assert_eq!(images, [(platforms[0].clone(), true), (platforms[1].clone(), false)]);
    assert_eq!(tags[0].seen_at, seen_at, "it has not moved");
    assert!(world.due().await.iter().any(|work| work.image.digest == s390x.digest));
}

#[tokio::test]
async fn a_tag_that_has_not_moved_costs_one_head_and_nothing_else() {
    let world = World::new().await;
    for tag in ["1.0", "1.1", "latest"] {
        world.push("team/web", tag, tag);
    }
    world.list("team/web").await;
    world.scan_due().await;
    world.requests();
    let before = world.tags("team/web").await;

    world.clock.advance(Duration::from_secs(3600));
    let progress = world.list("team/web").await;
    let mut requests = world.requests();
    requests.sort();
    assert_eq!(
        requests,
        [
            "GET /v2/team/web/tags/list",
            "HEAD /v2/team/web/manifests/1.0",
            "HEAD /v2/team/web/manifests/1.1",
            "HEAD /v2/team/web/manifests/latest"
        ]
    );
    assert_eq!((progress.selected, progress.queued, world.due().await), (3, 0, vec![]));
    assert_eq!(world.tags("team/web").await, before);
}

#[tokio::test]
async fn a_tag_that_has_moved_is_queued_again_as_seen_now() {
    let world = World::new().await;
    let old = world.push("team/web", "latest", "old");
    world.list("team/web").await;
    world.scan_due().await;
    world.clock.advance(Duration::from_secs(3600));
    let new = world.push("team/web", "latest", "new");
    assert_eq!(world.list("team/web").await.queued, 1);
    let due = world.due().await;
    assert_eq!((due.len(), due[0].image.digest, due[0].priority), (1, new.digest, Priority::New));
    assert_eq!(due[0].seen_at, time("2026-06-15T01:00:00Z"));
    world.scan_due().await;

    // Back to an image that has a current result: it is queued, because its stream has another now.
    world.clock.advance(Duration::from_secs(3600));
    world.registry.tag("team/web", "latest", old.digest);
    assert_eq!(world.list("team/web").await.queued, 1);
    let due = world.due().await;
    assert_eq!((due[0].image.digest, due[0].seen_at), (old.digest, time("2026-06-15T02:00:00Z")));
}

#[tokio::test]
async fn work_that_waits_is_not_queued_twice() {
    let world = World::new().await;
    world.push("team/web", "latest", "web");
    assert_eq!(world.list("team/web").await.queued, 1);
    world.clock.advance(Duration::from_secs(3600));
    let progress = world.list("team/web").await;
    assert_eq!((progress.queued, world.due().await.len()), (0, 1));
}

#[tokio::test]
async fn two_tags_of_one_image_are_one_piece_of_work() {
    let world = World::new().await;
    let image = world.push("team/web", "1.0", "web");
    world.registry.tag("team/web", "latest", image.digest);
    let progress = world.list("team/web").await;
    assert_eq!((progress.selected, progress.queued, world.due().await.len()), (2, 1, 1));
    assert_eq!(world.tags("team/web").await.len(), 2);
}

#[tokio::test]
async fn a_tag_that_leads_to_nothing_is_skipped() {
    let world = World::new().await;
    world.push("team/web", "1.0", "kept");
    let deleted = world.push("team/web", "2.0", "deleted");
    let unreadable = world.push("team/web", "3.0", "without configuration");
    world.registry.delete_manifest("team/web", deleted.digest);
    for blob in unreadable.blobs.keys() {
        world.registry.delete_blob("team/web", *blob);
    }
    let progress = world.list("team/web").await;
    assert_eq!((progress.state, progress.selected), (ListingState::Done, 3));
    assert_eq!((progress.skipped, progress.queued), (2, 1));
    assert_eq!(world.due_tags().await, ["team/web:1.0"]);
}

#[tokio::test]
async fn a_result_that_newer_advisories_or_other_policies_have_outdated_is_queued_as_stale() {
    let world = World::new().await;
    world.publish_debian("first").await;
    world.push("team/web", "latest", "web");
    world.list("team/web").await;
    world.scan_due().await;
    assert_eq!(world.list("team/web").await.queued, 0);

    world.publish_debian("second").await;
    assert_eq!(world.list("team/web").await.queued, 1);
    assert_eq!(world.due().await[0].priority, Priority::Stale);
    world.scan_due().await;
    assert_eq!(world.list("team/web").await.queued, 0);

    world
        .apply(json!({"policies": [{"id": "fixable-vulnerabilities", "config": {"grace_period_days": 7}}]}))
        .await;
    assert_eq!(world.list("team/web").await.queued, 1);
    assert_eq!(world.due().await[0].priority, Priority::Stale);
    world.scan_due().await;
    assert_eq!(world.list("team/web").await.queued, 0);
}

#[tokio::test]
async fn a_rule_that_never_rescans_queues_no_image_that_has_a_result() {
    let world = World::with_rule(json!({"rescan": "never"})).await;
    world.publish_debian("first").await;
    world.push("team/web", "latest", "web");
    assert_eq!(world.list("team/web").await.queued, 1);
    world.scan_due().await;
    world.publish_debian("second").await;
    assert_eq!(world.list("team/web").await.queued, 0);
    // A digest that has moved to the tag is another image, and one that has moved back needs its place.
    world.push("team/web", "latest", "newer");
    assert_eq!(world.list("team/web").await.queued, 1);
    world.scan_due().await;
    world.push("team/web", "latest", "web");
    assert_eq!(world.list("team/web").await.queued, 1);
}

#[tokio::test]
async fn an_image_that_earlier_readers_have_read_is_read_again_once_its_result_is_so_old() {
    for (rescan, queued) in [(json!({"every": "7d"}), 1), (json!("on-advisory"), 0)] {
        let world = World::with_rule(json!({"rescan": rescan})).await;
        world.push("team/web", "latest", "web");
        world.list("team/web").await;
        world.scan_due().await;
        world.clock.advance(Duration::from_secs(7 * 86_400 - 1));
        assert_eq!(world.list("team/web").await.queued, 0);
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.list("team/web").await.queued, queued, "{rescan}");
        let due = world.due().await;
        assert!(due.iter().all(|work| work.read_again && work.priority == Priority::Stale));
    }
}

#[tokio::test]
async fn an_image_that_is_found_when_a_change_is_about_it_is_not_queued_for_each_change() {
    let world = World::new().await;
    world.publish_debian("first").await;
    world.push("team/web", "latest", "web");
    world.list("team/web").await;
    world.scan_due().await;
    world.post_all().await;
    world.publish_debian("second").await;
    world
        .apply(json!({"policies": [{"id": "fixable-vulnerabilities", "config": {"grace_period_days": 7}}]}))
        .await;
    assert_eq!(world.list("team/web").await.queued, 0);
}

#[tokio::test]
async fn a_crash_before_any_table_operation_loses_no_image() {
    for crash in 0..40 {
        let world = World::new().await;
        for tag in ["1.0", "1.1"] {
            world.push("team/web", tag, tag);
        }
        world.outages.fail_after(crash);
        let finished = world.deliver(crate::world::tags_of("team/web")).await.is_ok();
        world.outages.recover();
        // Work may be dispatched and done before the listing is delivered again.
        world.scan_due().await;
        world.clock.advance(Duration::from_secs(60));
        if !finished {
            world.list("team/web").await;
            world.scan_due().await;
        }
        let digests: Vec<_> = world.tags("team/web").await.into_iter().map(|tag| tag.images).collect();
        assert_eq!(digests.len(), 2, "crash before operation {crash}");
        for image in digests.iter().flatten() {
            let stored =
                world.records.result(&crate::world::acme(), &image.digest, &image.platform).await.unwrap();
            assert!(stored.is_some(), "crash before operation {crash}");
        }
        if finished {
            return;
        }
    }
    panic!("a listing of two tags takes more than 40 operations");
}

#[tokio::test]
async fn a_crash_between_queueing_and_recording_the_tag_does_both_again() {
    let world = World::new().await;
    world.push("team/web", "latest", "web");
    world.outages.fail_puts_of("TAG#");
    world.deliver(crate::world::tags_of("team/web")).await.unwrap_err();
    assert_eq!(
        (world.due_tags().await, world.tags("team/web").await),
        (vec!["team/web:latest".to_owned()], vec![])
    );
    world.outages.recover();

    world.clock.advance(Duration::from_secs(60));
    let progress = world.list("team/web").await;
    assert_eq!((progress.state, progress.selected), (ListingState::Done, 1));
    assert_eq!(world.due_tags().await, ["team/web:latest"]);
    let tags = world.tags("team/web").await;
    assert_eq!((tags.len(), tags[0].seen_at), (1, world.due().await[0].seen_at));
}

#[tokio::test]
async fn a_tag_that_moves_back_is_queued_whatever_crash_comes_between() {
    for crash in 0..20 {
        let world = World::new().await;
        let old = world.push("team/web", "latest", "old");
        world.list("team/web").await;
        world.scan_due().await;
        world.push("team/web", "latest", "new");
        world.list("team/web").await;
        world.scan_due().await;
        world.clock.advance(Duration::from_secs(60));
        world.registry.tag("team/web", "latest", old.digest);

        world.outages.fail_after(crash);
        let finished = world.deliver(crate::world::tags_of("team/web")).await.is_ok();
        world.outages.recover();
        if !finished {
            world.list("team/web").await;
        }
        let due = world.due().await;
        assert_eq!(due.len(), 1, "crash before operation {crash}");
        assert_eq!((due[0].image.digest, due[0].seen_at), (old.digest, time("2026-06-15T00:01:00Z")));
        if finished {
            return;
        }
    }
    panic!("a listing of one tag takes more than 20 operations");
}
