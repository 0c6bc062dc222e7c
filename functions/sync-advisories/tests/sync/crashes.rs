//! A crash before any operation on the table or on objects is repaired by the same message, or by the next schedule.

use std::collections::BTreeMap;

use serde_json::Value;
use tidewatch_core::Digest;
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_testkit::advisory::write_archive;

use crate::world::{CRITICAL, KEV, MEDIUM, World, alpine, catalogue, debian, score};

/// More operations than the handling of one message or two has.
const MOST_OPERATIONS: usize = 100;

async fn changed_world() -> (World, BTreeMap<String, Vec<Value>>) {
    let world = World::of(&["Alpine", "Debian"]).await;
    world.server.put("Alpine", &[alpine("CVE-2024-1", "pkg")]);
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg"), score("CVE-2024-1", MEDIUM)]);
    world.tick().await;
    let records = vec![debian("DSA-1-1", "CVE-2024-1", "other"), score("CVE-2024-1", CRITICAL)];
    world.server.put("Debian", &records);
    let archives = [("Alpine".to_owned(), vec![alpine("CVE-2024-1", "pkg")]), ("Debian".to_owned(), records)];
    (world, archives.into())
}

/// The same, in which what has changed is the catalogue, and the index of Debian depends on it.
async fn world_with_another_catalogue() -> World {
    let world = World::of_every_kind(&["Debian"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.server.put_file(KEV, catalogue(&["CVE-2024-2"]).to_string());
    world.tick().await;
    world.server.put_file(KEV, catalogue(&["CVE-2024-1"]).to_string());
    world
}

/// What a build gives when that catalogue is in force.
fn expected(world: &World) -> BTreeMap<String, Digest> {
    let folder = tempfile::TempDir::new().unwrap();
    write_archive(folder.path(), "Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    std::fs::create_dir(folder.path().join("KEV")).unwrap();
    let text = catalogue(&["CVE-2024-1"]).to_string();
    std::fs::write(folder.path().join(format!("KEV{KEV}")), text).unwrap();
    world.built(folder.path())
}

/// Crashes in the message for the catalogue, and then, when that is repaired, in the one that it leads to.
#[tokio::test]
async fn a_crash_on_the_way_of_a_score_into_an_index_is_repaired_by_the_next_schedule() {
    for operations in 0..MOST_OPERATIONS {
        let world = world_with_another_catalogue().await;
        world.outages.fail_after(operations);
        let mut crashed = world.handle("KEV").await.is_err();
        let sent = world.take();
        for message in sent {
            crashed |= world.handle_message(message).await.is_err();
        }
        world.outages.recover();
        let _ = world.take();
        world.tick().await;
        assert_eq!(world.in_force().await, expected(&world), "after {operations} operations");
        if !crashed {
            assert!(operations > 20, "two messages take more than {operations} operations");
            return;
        }
    }
    panic!("two messages take more than {MOST_OPERATIONS} operations");
}

/// Crashes after each number of operations in turn, lets `repair` follow, and looks at what is in force.
async fn repaired_by(repair: impl AsyncFn(&World)) {
    for operations in 0..MOST_OPERATIONS {
        let (world, archives) = changed_world().await;
        world.outages.fail_after(operations);
        let crashed = world.handle("Debian").await.is_err();
        let sent = world.take();
        world.outages.recover();
        // What was sent before the crash comes, too; what was not, does not.
        world.settle(sent, |_| 0).await;
        repair(&world).await;
        assert_eq!(world.in_force().await, world.expected(&archives), "after {operations} operations");
        if !crashed {
            assert!(operations > 10, "a message takes more than {operations} operations");
            return;
        }
    }
    panic!("a message takes more than {MOST_OPERATIONS} operations");
}

#[tokio::test]
async fn the_message_that_comes_again_repairs_a_crash() {
    repaired_by(async |world| {
        let again = AdvisoriesMessage::of("Debian");
        world.settle(vec![again], |_| 0).await;
    })
    .await;
}

#[tokio::test]
async fn the_next_schedule_repairs_a_crash() {
    repaired_by(async |world| world.tick().await).await;
}
