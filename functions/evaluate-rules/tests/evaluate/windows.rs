//! Rules whose windows end: what is dispatched in them, and what waits for the next one.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{Priority, RunId, ScanMessage, Work};
use tidewatch_evaluate_rules::{EvaluateRules, Tick};
use tidewatch_store::Records;
use tidewatch_testkit::failing::{FailingTable, Outages};
use tidewatch_testkit::interleave::Interleaving;
use tidewatch_testkit::ports::InstantSleeper;

use crate::world::{MINUTE, World, acme, config, digests, work};

const HOUR: Duration = Duration::from_secs(3600);

/// From two until six, UTC.
fn night() -> Value {
    json!({"cron": "0 2 * * *", "until": "06:00"})
}

/// From four until eight, UTC.
fn morning() -> Value {
    json!({"cron": "0 4 * * *", "until": "08:00"})
}

fn rules(schedules: &[(&str, Value)]) -> Config {
    let rule =
        |(id, schedule): &(&str, Value)| json!({"id": id, "registries": ["hub"], "schedule": schedule});
    let mut config = serde_json::to_value(config("acme", &json!("manual"))).unwrap();
    config["rules"] = schedules.iter().map(rule).collect();
    serde_json::from_value(config).unwrap()
}

/// Rules with these schedules, at noon.
async fn at_noon(schedules: &[(&str, Value)]) -> World {
    let world = World::empty();
    world.clock.advance(12 * HOUR);
    world.apply(&rules(schedules)).await;
    world
}

/// Work on an image that a run of this rule has found.
fn found_by(rule: &str, content: &str) -> Work {
    let run = RunId { rule: rule.parse().unwrap(), run: "1".to_owned() };
    Work { run: Some(run), ..work(content, Priority::New) }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const fn held(held: usize) -> Tick {
    Tick { started: 0, dispatched: 0, held }
}

const fn dispatched(dispatched: usize) -> Tick {
    Tick { started: 0, dispatched, held: 0 }
}

impl World {
    /// Ticks every minute up to a time, without a rule that starts. Gives how many images were dispatched, and held.
    async fn tick_until(&self, until: &str) -> (usize, usize) {
        let (mut sent, mut held) = (0, 0);
        while self.clock.now() < time(until) {
            let tick = self.tick().await;
            (sent, held) = (sent + tick.dispatched, held + tick.held);
            self.clock.advance(MINUTE);
        }
        (sent, held)
    }

    async fn complete(&self, work: &Work) {
        self.records.complete(&acme(), work).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_due_outside_of_the_window_waits_for_it_and_is_moved_once() {
    let world = at_noon(&[("nightly", night())]).await;
    for content in ["1", "2", "3"] {
        world.enqueue(&found_by("nightly", content), -60).await;
    }
    assert_eq!(world.tick_until("2026-03-02T02:00:00Z").await, (0, 3));
    assert_eq!(world.dispatched(), []);
    world.finish_listings().await;
    assert_eq!(world.tick().await, Tick { started: 1, dispatched: 3, held: 0 });
    assert_eq!(world.dispatched().len(), 3);
}

#[tokio::test]
async fn what_is_left_when_the_window_closes_is_carried_over_to_the_next_one() {
    let world = at_noon(&[("nightly", night())]).await;
    world.clock.set(time("2026-03-02T05:59:00Z"));
    let left = found_by("nightly", "left");
    world.enqueue(&found_by("nightly", "in time"), 0).await;
    world.enqueue(&left, 60).await;
    world.tick().await;
    assert_eq!(world.dispatched(), digests(&["in time"]));
    world.complete(&found_by("nightly", "in time")).await;
    // Six o'clock: it is over.
    world.clock.advance(MINUTE);
    assert_eq!(world.tick().await, held(1));
    world.queue.clear();
    assert_eq!(world.tick_until("2026-03-03T02:00:00Z").await, (0, 0));
    world.tick().await;
    assert_eq!(world.dispatched(), digests(&["left"]));
}

#[tokio::test]
async fn work_that_was_put_off_waits_for_a_window_too() {
    let world = at_noon(&[("nightly", night())]).await;
    world.clock.set(time("2026-03-02T05:00:00Z"));
    let work = found_by("nightly", "failing");
    world.enqueue(&work, 0).await;
    world.tick().await;
    // Tried, failed, and put off to a time at which the window is closed.
    let now = world.clock.now();
    let attempt = world.records.lease_attempt(&acme(), &work.image, "worker", now, now + MINUTE).await;
    let attempt = attempt.unwrap().unwrap();
    world.records.postpone(&acme(), &attempt, now + HOUR * 2).await.unwrap();
    world.records.end_attempt(&acme(), &attempt).await.unwrap();
    world.queue.clear();
    assert_eq!(world.tick_until("2026-03-03T02:00:00Z").await, (0, 1));
    world.tick().await;
    assert_eq!(world.dispatched(), digests(&["failing"]));
    let pending = world.records.pending_work(&acme(), &work.image).await.unwrap().unwrap();
    assert_eq!(pending.attempts, 1, "it keeps them");
}

#[tokio::test]
async fn what_was_pushed_is_dispatched_at_any_time() {
    let world = at_noon(&[("nightly", night())]).await;
    let pushed = |content: &str| Work { run: None, ..work(content, Priority::Pushed) };
    // One of them waits already; both are found by the rule later on.
    let both = [found_by("nightly", "waits"), found_by("nightly", "new")];
    world.enqueue(&both[0], 0).await;
    assert_eq!(world.tick().await, held(1));
    let fallback = world.clock.now() + MINUTE * 20;
    for content in ["waits", "new"] {
        let sent = world.records.enqueue_pushed(&acme(), &pushed(content), fallback).await.unwrap();
        assert_eq!(sent.map(|work| work.priority), Some(Priority::Pushed), "it is sent at once");
    }
    for work in &both {
        let later = Work { seen_at: work.seen_at + MINUTE, ..work.clone() };
        world.enqueue(&later, 0).await;
    }
    world.clock.advance(MINUTE * 20);
    assert_eq!(world.tick().await, dispatched(2), "should the message be lost");
    let sent: Vec<ScanMessage> = world.queue.messages(QueueName::Pushed);
    assert_eq!(sent.len(), 2);
}

#[tokio::test]
async fn work_of_a_rule_without_an_end_or_that_is_gone_is_dispatched_at_any_time() {
    let schedules = [
        ("manual", json!("manual")),
        ("often", json!({"every": "52w"})),
        ("endless", json!({"cron": "0 2 * * *"})),
        ("never-again", json!({"cron": "0 2 31 2 *", "until": "06:00"})),
    ];
    let world = at_noon(&schedules).await;
    for rule in ["manual", "often", "endless", "never-again", "gone"] {
        world.enqueue(&found_by(rule, rule), 0).await;
    }
    let tick = world.tick().await;
    assert_eq!((tick.dispatched, tick.held), (5, 0));
}

#[tokio::test]
async fn an_image_of_two_rules_is_dispatched_when_either_is_open() {
    for others_first in [false, true] {
        let world = at_noon(&[("nightly", night()), ("by-hand", json!("manual"))]).await;
        let mut both = [found_by("nightly", "both"), found_by("by-hand", "both")];
        if others_first {
            both.reverse();
        }
        world.enqueue(&both[0], 0).await;
        if !others_first {
            assert_eq!(world.tick().await, held(1));
        }
        world.enqueue(&both[1], 0).await;
        assert_eq!(world.tick().await, dispatched(1), "others first: {others_first}");
    }
}

#[tokio::test]
async fn an_image_of_two_rules_with_windows_waits_for_the_first_of_them() {
    let later = |work: Work| Work { seen_at: work.seen_at + MINUTE, tag: "moved".parse().unwrap(), ..work };
    for is_later in [false, true] {
        let world = at_noon(&[("morning", morning()), ("nightly", night())]).await;
        world.enqueue(&found_by("morning", "both"), 0).await;
        assert_eq!(world.tick().await, held(1));
        let again = found_by("nightly", "both");
        world.enqueue(&if is_later { later(again) } else { again }, 0).await;
        assert_eq!(world.tick().await, held(1), "it is moved to the earlier one");
        assert_eq!(world.tick_until("2026-03-02T02:00:00Z").await, (0, 0));
        assert_eq!(world.tick().await.dispatched, 1);
        // Nothing happens to the message. The one that is open longer decides until when it is sent again.
        world.clock.set(time("2026-03-02T07:59:00Z"));
        assert_eq!(world.tick().await.dispatched, 1);
        world.clock.set(time("2026-03-02T08:19:00Z"));
        assert_eq!((world.tick().await.held, world.tick_until("2026-03-03T02:00:00Z").await), (1, (0, 0)));
    }
}

#[tokio::test]
async fn a_rule_that_is_gone_does_not_open_the_window_of_another() {
    let world = at_noon(&[("nightly", night())]).await;
    world.enqueue(&found_by("gone", "both"), 0).await;
    world.enqueue(&found_by("nightly", "both"), 0).await;
    assert_eq!(world.tick().await, held(1));
}

#[tokio::test]
async fn what_waits_is_looked_at_again_when_the_windows_are_others() {
    let weekly = || json!({"cron": "0 2 * * SUN", "until": "06:00"});
    let elsewhere = || json!({"cron": "0 11 * * *", "until": "13:00"});
    for (becomes, at_once, in_the_night) in [
        (vec![("nightly", json!("manual"))], dispatched(1), 1),
        (vec![("nightly", json!({"cron": "0 2 * * *"}))], dispatched(1), 1),
        (vec![], dispatched(1), 1),
        (vec![("nightly", elsewhere())], dispatched(1), 0),
        (vec![("nightly", night())], held(0), 1),
        (vec![("nightly", weekly()), ("other", elsewhere())], held(0), 0),
    ] {
        let world = at_noon(&[("nightly", weekly())]).await;
        world.clock.advance(MINUTE);
        world.enqueue(&found_by("nightly", "waits"), 0).await;
        assert_eq!(world.tick().await, held(1));
        world.apply(&rules(&becomes)).await;
        assert_eq!(world.tick().await, at_once, "{becomes:?}");
        world.clock.set(time("2026-03-02T02:00:00Z"));
        assert_eq!(world.tick().await.dispatched, in_the_night, "{becomes:?}");
    }
}

#[tokio::test]
async fn what_an_evaluator_that_is_late_makes_wait_for_earlier_windows_is_found() {
    // Wherever it stands when the file changes.
    let mut held_late = 0;
    for operations in 0..40 {
        let world = at_noon(&[("nightly", night())]).await;
        world.tick().await;
        let late = world.pausing_evaluator();
        let mut tasks = Interleaving::new();
        let task = tasks.start(late.tick());
        for _ in 0..operations {
            tasks.step(task);
        }
        world.apply(&rules(&[("nightly", json!("manual"))])).await;
        world.tick().await;
        world.enqueue(&found_by("nightly", "waits"), 0).await;
        tasks.finish(task);
        // Some of the late ones have begun late enough to know of it, or have looked for work already.
        let pending = world.records.pending_work(&acme(), &found_by("nightly", "waits").image).await.unwrap();
        let is_due =
            world.records.due_work(&acme(), &"hub".parse().unwrap(), world.clock.now(), 1).await.unwrap();
        held_late += usize::from(pending.is_some() && is_due.is_empty() && world.dispatched().is_empty());
        world.tick().await;
        assert_eq!(world.dispatched().len(), 1, "after {operations} operations");
    }
    assert!(held_late > 5, "{held_late} have made it wait");
}

#[tokio::test]
async fn a_run_by_hand_while_the_window_is_closed_holds_until_the_next_one_opens() {
    let world = at_noon(&[("nightly", night())]).await;
    world.enqueue(&found_by("nightly", "waits"), 0).await;
    assert_eq!(world.tick().await, held(1));
    world.clock.advance(MINUTE);
    let id = world.evaluator().run_now(&acme(), &"nightly".parse().unwrap()).await.unwrap();
    // Its listing finds the image, and another one.
    for content in ["waits", "new"] {
        world.enqueue(&Work { run: Some(id.clone()), ..found_by("nightly", content) }, 0).await;
    }
    assert_eq!(world.tick().await, dispatched(2));
    world.clock.advance(HOUR);
    assert_eq!(world.tick().await, dispatched(2), "they are sent again");
    // In the next window it is like any other, and after that.
    world.clock.set(time("2026-03-02T06:00:00Z"));
    assert_eq!(world.tick().await, held(2));
}

#[tokio::test]
async fn a_run_by_hand_in_a_window_does_not_keep_it_open() {
    let world = at_noon(&[("nightly", night())]).await;
    world.clock.set(time("2026-03-02T05:00:00Z"));
    world.evaluator().run_now(&acme(), &"nightly".parse().unwrap()).await.unwrap();
    world.enqueue(&found_by("nightly", "late"), 3600).await;
    world.clock.advance(HOUR);
    assert_eq!(world.tick().await, held(1));
}

#[tokio::test]
async fn a_start_that_was_missed_is_made_up_for_within_its_window_only() {
    let world = at_noon(&[("nightly", night())]).await;
    world.clock.set(time("2026-03-02T06:00:00Z"));
    assert_eq!(world.tick().await.started, 0, "it is over");
    world.clock.set(time("2026-03-03T05:59:00Z"));
    assert_eq!(world.tick().await.started, 1);
    assert_eq!(world.listings().len(), 1);
    assert_eq!(world.tick().await.started, 0);
}

#[tokio::test]
async fn work_that_waits_does_not_hold_up_what_is_due_behind_it() {
    let world = at_noon(&[("nightly", night()), ("by-hand", json!("manual"))]).await;
    for number in 0..2_500 {
        world.enqueue(&found_by("nightly", &number.to_string()), -100).await;
    }
    for content in ["a", "b"] {
        let stale = Work { priority: Priority::Stale, ..found_by("by-hand", content) };
        world.enqueue(&stale, -1).await;
    }
    assert_eq!(world.tick().await, Tick { started: 0, dispatched: 2, held: 2_500 });
}

#[tokio::test]
async fn a_window_that_closes_while_a_tick_is_at_work_stops_it() {
    let world = at_noon(&[("nightly", night()), ("by-hand", json!("manual"))]).await;
    world.clock.set(time("2026-03-02T05:59:00Z"));
    world.tick().await;
    for number in 0..30 {
        world.enqueue(&found_by("nightly", &number.to_string()), -100 + number).await;
    }
    world.enqueue(&found_by("by-hand", "other"), 0).await;
    let evaluator = world.pausing_evaluator();
    let mut tasks = Interleaving::new();
    let task = tasks.start(evaluator.tick());
    while world.dispatched().is_empty() {
        tasks.step(task);
    }
    world.clock.advance(MINUTE);
    let tick = tasks.finish(task).unwrap().unwrap();
    assert_eq!(
        (tick.dispatched, tick.held),
        (11, 20),
        "ten that were sent before, and the one of the other rule"
    );
    assert!(world.dispatched().contains(&Digest::of(b"other")));
}

#[tokio::test]
async fn whichever_operation_fails_nothing_goes_early_and_nothing_is_lost() {
    for failing in 1..1_000 {
        let world = at_noon(&[("nightly", night()), ("by-hand", json!("manual"))]).await;
        world.enqueue(&found_by("nightly", "waits"), 0).await;
        world.enqueue(&found_by("by-hand", "goes"), 0).await;
        let outages = Outages::none();
        let table = FailingTable::new(Arc::clone(&world.table) as _, Arc::clone(&outages));
        let records =
            Records::new(Arc::new(table), Arc::clone(&world.objects) as _, Arc::new(InstantSleeper::new()));
        let evaluator =
            EvaluateRules::new(records, Arc::clone(&world.queue) as _, Arc::clone(&world.clock) as _);
        outages.fail_once_after(failing);
        let _ = evaluator.tick().await;
        let is_last = outages.operations() <= failing;
        world.clock.advance(MINUTE * 21);
        world.tick().await;
        let sent = world.dispatched();
        assert!(!sent.contains(&Digest::of(b"waits")), "operation {failing}");
        assert!(sent.contains(&Digest::of(b"goes")), "operation {failing}");
        world.clock.set(time("2026-03-02T02:00:00Z"));
        world.tick().await;
        assert!(world.dispatched().contains(&Digest::of(b"waits")), "operation {failing}");
        if is_last {
            return;
        }
    }
    panic!("a tick takes more than 1000 operations");
}
