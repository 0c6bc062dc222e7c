//! Entries of environments that are pinned: what is sent for after that.

use serde_json::{Value, json};
use tidewatch_core::environment::{EnvironmentEntry, EnvironmentTarget};
use tidewatch_core::names::StreamName;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{HintMessage, RematchMessage, RematchTask};

use crate::world::{World, acme};

/// A world with these exceptions, in which an image is pushed, listed and scanned, and then pinned in `production`. Gives
/// what was sent for it to be judged there.
async fn pinned(exceptions: Value, is_scanned: bool) -> (World, Vec<Option<RematchTask>>) {
    let world = World::with_rule(json!({"schedule": "manual"})).await;
    world.apply(json!({"exceptions": exceptions})).await;
    world.push("team/web", "1.0", "web");
    if is_scanned {
        world.list("team/web").await;
        world.scan_due().await;
    }
    let stream: StreamName = "production".parse().unwrap();
    let entry = EnvironmentEntry::new("reg/team/web:1.0".parse().unwrap(), world.clock.now());
    world.records.note_environment(&acme(), &stream, true).await.unwrap();
    world.records.put_entry(&acme(), &stream, &entry).await.unwrap();
    let target = EnvironmentTarget { stream, entry: entry.id() };
    let hint = HintMessage { target: Some(target), ..world.hint("team/web", "1.0") };
    world.deliver_hint(hint).await.unwrap();
    let messages: Vec<RematchMessage> = world.queue.messages(QueueName::Rematches);
    (world, messages.into_iter().map(|message| message.task).collect())
}

fn of_stream() -> Value {
    json!([{"vulnerability": "CVE-2099-0001", "type": "accepted_risk", "stream": "production"}])
}

#[tokio::test]
async fn an_image_that_is_known_is_judged_where_it_is_pinned_when_exceptions_can_be_limited_to_that() {
    let (world, sent) = pinned(of_stream(), true).await;
    let entries = world.records.environment_entries(&acme(), &"production".parse().unwrap()).await.unwrap();
    let image = entries[0].image().expect("it is pinned").id();
    assert_eq!(sent, [Some(RematchTask::Slots(vec![image]))]);
}

#[tokio::test]
async fn without_such_exceptions_or_without_a_result_nothing_is_sent_for() {
    let whole = json!([{"vulnerability": "CVE-2099-0001", "type": "accepted_risk"}]);
    assert_eq!(pinned(whole, true).await.1, []);
    let (world, sent) = pinned(of_stream(), false).await;
    assert_eq!(sent, [], "its scan judges it where it is");
    assert_eq!(world.sent_pushed().len(), 1);
}
