//! A crash before any operation on the table or on objects is repaired by the same message, or by the next schedule.

use std::collections::BTreeMap;

use serde_json::Value;
use tidewatch_core::work::AdvisoriesMessage;

use crate::world::{CRITICAL, MEDIUM, World, alpine, debian, score};

/// More operations than the handling of one message has.
const MOST_OPERATIONS: usize = 60;

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
