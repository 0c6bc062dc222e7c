//! Work that waits for a window, and the rules that work belongs to.

use tidewatch_core::names::RuleId;
use tidewatch_core::work::{Priority, RunId, Work};
use tidewatch_store::records::{DueWork, Enqueued};

use crate::world::{World, acme, at, hub, seen, work};

on_every_table!(
    held_work_is_due_when_its_window_opens_and_has_no_attempt_before,
    an_attempt_at_work_that_is_held_comes_to_its_end,
    an_attempt_that_fails_after_its_work_was_held_says_what_follows,
    work_that_was_moved_since_it_was_read_is_not_held,
    held_work_that_another_run_finds_is_due_at_once,
    work_that_was_put_off_is_not_due_at_once_when_another_run_finds_it,
    held_work_that_is_pushed_does_not_wait,
    work_belongs_to_every_rule_that_has_found_it,
    held_work_is_listed_and_released,
);

fn found_by(rule: &str, tag: &str) -> Work {
    Work { run: Some(RunId { rule: rule.parse().unwrap(), run: "1".to_owned() }), ..work(tag) }
}

impl World {
    async fn due_rows(&self, now: i64) -> Vec<DueWork> {
        self.records.due_work(&acme(), &hub(), at(now), 100).await.unwrap()
    }

    /// Makes all that is due at `now` wait until `opens_at`.
    async fn hold(&self, now: i64, opens_at: i64) {
        for due in self.due_rows(now).await {
            self.records.hold(&acme(), &due, at(opens_at)).await.unwrap();
        }
    }

    async fn rules(&self, now: i64) -> Vec<String> {
        self.due_rows(now).await.remove(0).rules.iter().map(RuleId::to_string).collect()
    }
}

async fn held_work_is_due_when_its_window_opens_and_has_no_attempt_before(world: World) {
    world.enqueue(&work("1"), 0).await;
    let due = world.due_rows(0).await.remove(0);
    world.records.note_dispatched(&acme(), &due, at(20)).await.unwrap();
    world.hold(20, 100).await;
    assert_eq!(world.due(99, 10).await, [""; 0]);
    assert_eq!(world.attempt(&work("1"), "late message", 50, 110).await, None);
    assert_eq!(world.due(100, 10).await, ["1"]);
    assert_eq!(world.attempt(&work("1"), "owner", 100, 160).await.map(|begun| begun.attempts), Some(1));
}

async fn an_attempt_at_work_that_is_held_comes_to_its_end(world: World) {
    world.enqueue(&work("1"), 0).await;
    let begun = world.attempt(&work("1"), "owner", 0, 60).await.unwrap();
    world.hold(20, 100).await;
    assert!(world.records.renew_attempt(&acme(), &begun, at(120)).await.unwrap());
    assert_eq!(world.records.complete(&acme(), &begun.work).await.unwrap(), None);
    assert_eq!(world.due(1000, 10).await, [""; 0]);
}

async fn an_attempt_that_fails_after_its_work_was_held_says_what_follows(world: World) {
    world.enqueue(&work("1"), 0).await;
    let begun = world.attempt(&work("1"), "owner", 0, 60).await.unwrap();
    world.hold(20, 100).await;
    world.records.cool_down(&acme(), &begun, at(500)).await.unwrap();
    assert_eq!(world.attempts(&work("1")).await, (0, 1), "they are counted anew");
    assert_eq!((world.due(499, 10).await, world.due(500, 10).await), (vec![], vec!["1".to_owned()]));
}

async fn work_that_was_moved_since_it_was_read_is_not_held(world: World) {
    world.enqueue(&work("1"), 0).await;
    let due = world.due_rows(0).await.remove(0);
    let begun = world.attempt(&work("1"), "owner", 0, 0).await.unwrap();
    world.records.postpone(&acme(), &begun, at(30)).await.unwrap();
    world.records.hold(&acme(), &due, at(100)).await.unwrap();
    assert_eq!(world.due(30, 10).await, ["1"]);
}

async fn held_work_that_another_run_finds_is_due_at_once(world: World) {
    world.enqueue(&found_by("nightly", "1"), 0).await;
    world.hold(0, 100).await;
    assert_eq!(world.enqueue(&found_by("hourly", "1"), 10).await, Enqueued::Known);
    assert_eq!(world.due(9, 10).await, [""; 0]);
    assert_eq!(world.rules(10).await, ["nightly", "hourly"]);
    // The same rule, too: somebody has run it by hand.
    world.hold(10, 100).await;
    world.enqueue(&found_by("nightly", "1"), 20).await;
    assert_eq!((world.due(20, 10).await, world.due(1000, 10).await.len()), (vec!["1".to_owned()], 1));
    // Not later than it would be anyway.
    world.hold(20, 100).await;
    world.enqueue(&found_by("nightly", "1"), 200).await;
    assert_eq!(world.due(100, 10).await, ["1"]);
}

async fn work_that_was_put_off_is_not_due_at_once_when_another_run_finds_it(world: World) {
    world.enqueue(&found_by("nightly", "1"), 0).await;
    world.hold(0, 10).await;
    let begun = world.attempt(&work("1"), "owner", 10, 10).await.unwrap();
    world.records.postpone(&acme(), &begun, at(100)).await.unwrap();
    world.enqueue(&found_by("hourly", "1"), 20).await;
    assert_eq!(world.due(99, 10).await, [""; 0]);
    assert_eq!(world.rules(100).await, ["nightly", "hourly"]);
    assert_eq!(world.attempts(&work("1")).await, (1, 0));
}

async fn held_work_that_is_pushed_does_not_wait(world: World) {
    world.enqueue(&work("1"), 0).await;
    world.hold(0, 1000).await;
    let pushed = Work { run: None, ..work("1") };
    let sent = world.records.enqueue_pushed(&acme(), &pushed, at(30)).await.unwrap();
    assert_eq!(sent.map(|work| work.priority), Some(Priority::Pushed));
    assert_eq!(world.attempt(&work("1"), "owner", 5, 5).await.map(|begun| begun.attempts), Some(1));
    assert_eq!(world.due(30, 10).await, ["1"], "should the message be lost");
}

async fn work_belongs_to_every_rule_that_has_found_it(world: World) {
    let pushed = Work { run: None, ..work("1") };
    world.records.enqueue_pushed(&acme(), &pushed, at(0)).await.unwrap();
    assert_eq!(world.rules(0).await, [""; 0]);
    for (rule, seconds, expected) in [
        ("b", 0, vec!["b"]),
        ("a", 0, vec!["a", "b"]),
        ("b", 0, vec!["a", "b"]),
        ("c", 1, vec!["c", "a", "b"]),
        ("a", 2, vec!["a", "b", "c"]),
    ] {
        world.enqueue(&seen(&found_by(rule, "1"), seconds), 0).await;
        assert_eq!(world.rules(0).await, expected);
    }
    let due = world.due_rows(0).await.remove(0);
    world.records.note_dispatched(&acme(), &due, at(20)).await.unwrap();
    assert_eq!(world.rules(20).await, ["a", "b", "c"], "wherever it is moved");
}

async fn held_work_is_listed_and_released(world: World) {
    for number in 0..9 {
        let priority = if number % 2 == 0 { Priority::New } else { Priority::Stale };
        world.enqueue(&Work { priority, ..work(&number.to_string()) }, number).await;
    }
    world.hold(5, 100).await;
    let held = world.records.held_work(&acme(), &hub()).await.unwrap();
    assert_eq!(held.len(), 6);
    assert!(held.iter().all(|due| due.due_at == at(100)));
    for due in &held[..2] {
        world.records.release(&acme(), due, at(10)).await.unwrap();
    }
    assert_eq!(world.records.held_work(&acme(), &hub()).await.unwrap().len(), 4);
    assert_eq!(world.due(10, 10).await.len(), 5, "two that are released, three that never waited");
}
