//! Our own stores failing under a worker: nothing is lost, and it is not the image's fault.

use tidewatch_core::result::ResultState;
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_testkit::registry::Fault;

use crate::images::{advisories, debian, file, image};
use crate::world::{OVER_A_LEASE, World};

/// Number of table operations of one scan.
async fn operations_of_a_scan() -> usize {
    let world = World::new().await;
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")]), &file("app")]));
    world.enqueue(&work).await;
    world.table_outages.recover();
    world.deliver(&work).await.unwrap();
    world.table_outages.operations()
}

#[tokio::test]
async fn a_crash_before_any_table_operation_loses_nothing_and_counts_nothing_twice() {
    for crash in 0..operations_of_a_scan().await {
        let world = World::new().await;
        let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")]), &file("app")]));
        world.enqueue(&work).await;
        world.table_outages.fail_after(crash);
        let outcome = world.deliver(&work).await;
        assert_eq!(outcome.unwrap_err().retry(), Retry::Again, "crash before operation {crash}");

        world.table_outages.recover();
        world.clock.advance(OVER_A_LEASE);
        world.deliver(&work).await.unwrap();
        let stored = world.stored(&work).await.unwrap();
        assert_eq!((stored.revision, stored.result.state), (1, ResultState::Scanned), "crash before {crash}");
        let members = world.members().await;
        assert_eq!((members.len(), members[0].severities), (1, stored.result.severities));
        assert!(world.marks().await >= 1, "crash before operation {crash}");
        assert_eq!(world.due_rows().await, 0, "crash before operation {crash}");
    }
}

#[tokio::test]
async fn a_table_that_fails_once_is_no_attempt() {
    // The first operation counts the attempt, and nothing happens without it.
    for failing in 1..operations_of_a_scan().await {
        let world = World::new().await;
        let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")]), &file("app")]));
        world.enqueue(&work).await;
        world.table_outages.fail_once_after(failing);
        match world.deliver(&work).await {
            Ok(()) => {
                let attempts = world.pending(&work).await.map(|pending| pending.attempts);
                assert_eq!(attempts, Some(0), "failure of operation {failing}");
                assert_eq!(world.due_in(&work).await, 30);
            }
            // Everything but the end of the work is recorded; the message comes again.
            Err(error) => {
                assert_eq!(error.retry(), Retry::Again);
                assert_eq!(world.members().await.len(), 1, "failure of operation {failing}");
            }
        }
        world.clock.advance(OVER_A_LEASE);
        world.deliver(&work).await.unwrap();
        assert_eq!((world.result(&work).await.state, world.due_rows().await), (ResultState::Scanned, 0));
    }
}

#[tokio::test]
async fn object_storage_that_fails_is_no_attempt_however_often() {
    let world = World::new().await;
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    world.enqueue(&work).await;
    world.object_outages.fail_after(0);
    for pause in [30, 60, 120, 240, 480, 900, 900] {
        world.deliver_when_due(&work).await.unwrap();
        assert_eq!(world.pending(&work).await.map(|pending| pending.attempts), Some(0));
        assert_eq!(world.due_in(&work).await, pause);
    }
    world.object_outages.recover();
    world.deliver_when_due(&work).await.unwrap();
    assert_eq!((world.result(&work).await.state, world.due_rows().await), (ResultState::Scanned, 0));
}

#[tokio::test]
async fn an_advisory_index_that_cannot_be_opened_is_not_the_images_fault() {
    let world = World::new().await;
    world.put_index(b"no index").await;
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    world.enqueue(&work).await;
    for _ in 0..6 {
        world.deliver_when_due(&work).await.unwrap();
    }
    let pending = world.pending(&work).await.unwrap();
    assert_eq!((pending.attempts, pending.deferrals), (0, 6));
    assert!(pending.deferred_because.unwrap().contains("advisory index"));
    assert_eq!((world.stored(&work).await, world.due_in(&work).await), (None, 900));

    world.publish(&advisories()).await;
    world.deliver_when_due(&work).await.unwrap();
    assert_eq!(world.result(&work).await.state, ResultState::Scanned);
}

#[tokio::test]
async fn a_spoilt_file_of_an_advisory_index_is_fetched_again_and_older_ones_are_removed() {
    let world = World::new().await;
    let hash = world.records.current_advisories().await.unwrap().hash("debian").unwrap();
    let name = format!("debian-{}.redb", hash.hex());
    let older = format!("debian-{}.redb", tidewatch_core::Digest::of(b"older").hex());
    let alpine = format!("alpine-{}.redb", hash.hex());
    for name in [name.as_str(), &older, &alpine, "debian-notes.redb"] {
        std::fs::write(world.index_folder().join(name), "no index").unwrap();
    }
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    world.scan(&work).await;
    assert_eq!(world.result(&work).await.severities.total(), 1);
    let entries = std::fs::read_dir(world.index_folder()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [alpine, name, "debian-notes.redb".to_owned()]);
}

#[tokio::test]
async fn a_registry_that_is_out_or_refuses_us_defers_its_images_and_fails_none() {
    for fault in [Some(503), Some(401), Some(403), None] {
        let world = World::new().await;
        let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
        world.enqueue(&work).await;
        match fault {
            Some(status) => world.registry.inject(Fault::Status { requests: 1000, status }),
            None => world.configure_registry("another").await,
        }
        for (deferrals, pause) in [30, 60, 120, 240, 480, 900, 900].into_iter().enumerate() {
            assert_eq!(world.pending(&work).await.unwrap().deferrals as usize, deferrals);
            world.deliver_when_due(&work).await.unwrap();
            assert_eq!(world.due_in(&work).await, pause, "{fault:?}");
        }
        let pending = world.pending(&work).await.unwrap();
        assert_eq!((pending.attempts, world.stored(&work).await), (0, None), "{fault:?}");
        let reason = pending.deferred_because.unwrap();
        assert!(reason.contains("registry reg"), "{reason}");

        world.registry.clear_faults();
        world.configure_registry("reg").await;
        world.deliver_when_due(&work).await.unwrap();
        assert_eq!((world.result(&work).await.state, world.due_rows().await), (ResultState::Scanned, 0));
    }
}

#[tokio::test]
async fn what_was_kept_of_a_manifest_and_cannot_be_read_is_asked_for_again() {
    let world = World::new().await;
    let built = image(&[&debian(&[("openssl", "1")])]);
    let work = world.push_work("team/web", &built);
    world.scan(&work).await;
    world.spoil_objects("images/").await;
    world.publish(&advisories()[1..]).await;
    world.scan(&work).await;
    assert_eq!((world.stored(&work).await.unwrap().revision, world.due_rows().await), (2, 0));
    assert_eq!(world.registry.manifest_pulls(&built.digest), 2);
}

#[tokio::test]
async fn an_image_without_advisories_is_pending_until_they_come_and_then_needs_no_registry() {
    let world = World::without_advisories().await;
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    world.scan(&work).await;
    let result = world.result(&work).await;
    assert_eq!((result.state, result.packages), (ResultState::Pending, 1));
    assert!(result.reason.unwrap().contains("debian"));
    assert_eq!((world.members().await, world.due_rows().await), (vec![], 0));

    world.publish(&advisories()).await;
    world.registry.clear_requests();
    world.scan(&work).await;
    let stored = world.stored(&work).await.unwrap();
    assert_eq!((stored.revision, stored.result.state), (2, ResultState::Scanned));
    assert_eq!((stored.result.severities.total(), world.members().await.len()), (1, 1));
    assert_eq!(world.registry.requests(), []);
}
