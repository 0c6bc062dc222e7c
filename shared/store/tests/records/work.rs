//! Work rows: queueing, dispatching, attempts and completion.

use std::future::Future;
use std::sync::Arc;

use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::work::{Priority, Work};
use tidewatch_store::records::Enqueued;
use tidewatch_store::{MemoryTable, Records};
use tidewatch_testkit::interleave::{Interleaving, PausingTable};
use tidewatch_testkit::ports::InstantSleeper;

use crate::world::{World, acme, at, hub, image, seen, work};

on_every_table!(
    work_is_queued_once,
    work_seen_later_replaces_what_is_queued_and_keeps_its_attempts,
    work_seen_later_replaces_what_is_queued_for_the_same_time,
    due_work_comes_by_priority_and_then_by_time_without_what_is_in_the_future,
    due_work_is_cut_off_after_the_first_ones,
    due_work_is_of_one_registry,
    attempts_are_counted_before_they_begin_and_taken_back,
    there_is_no_attempt_without_work,
    one_attempt_is_at_work_at_a_time_and_the_others_count_nothing,
    an_attempt_whose_lease_has_run_out_counts_and_loses_its_say,
    deferrals_are_counted_with_their_reason_until_an_attempt_counts,
    work_that_was_put_off_has_no_attempt_before_it_is_due,
    a_message_that_finds_an_attempt_at_work_leaves_work_that_was_put_off_where_it_is,
    work_that_waits_for_a_message_has_an_attempt_when_that_comes,
    dispatched_work_has_an_attempt_before_and_after_that_is_noted,
    work_of_which_no_due_time_is_written_has_an_attempt,
    work_that_is_counted_by_one_of_its_tags_is_counted_in_either_order,
    completing_work_leaves_what_turned_out_to_be_counted,
    postponed_work_keeps_its_attempts_and_is_due_once,
    of_two_that_postpone_the_same_work_the_first_one_decides,
    work_that_cools_down_counts_its_attempts_anew,
    completed_work_is_gone,
    completing_work_leaves_what_was_seen_later,
    noting_a_dispatch_leaves_work_that_was_moved_since,
);

async fn work_is_queued_once(world: World) {
    assert_eq!(world.enqueue(&work("1"), 0).await, Enqueued::New);
    assert_eq!(world.enqueue(&work("1"), 5).await, Enqueued::Known);
    assert_eq!(world.enqueue(&seen(&work("1"), -1), 5).await, Enqueued::Known, "seen earlier");
    assert_eq!(world.enqueue(&work("2"), 0).await, Enqueued::New);
    assert_eq!(world.due(10, 10).await.len(), 2);
}

async fn work_seen_later_replaces_what_is_queued_and_keeps_its_attempts(world: World) {
    let first = work("1");
    world.enqueue(&first, 100).await;
    world.attempt(&first, "owner", 100, 160).await.unwrap();
    let later = Work { tag: "moved".parse().unwrap(), ..seen(&first, 1) };
    assert_eq!(world.enqueue(&later, 5).await, Enqueued::New);
    assert_eq!(world.due(5, 10).await, ["moved"]);
    assert_eq!(world.due(200, 10).await, ["moved"], "the row before is gone");
    assert_eq!(world.attempts(&first).await, (1, 0));
}

async fn work_seen_later_replaces_what_is_queued_for_the_same_time(world: World) {
    let first = work("1");
    world.enqueue(&first, 5).await;
    let later = Work { tag: "moved".parse().unwrap(), ..seen(&first, 1) };
    assert_eq!(world.enqueue(&later, 5).await, Enqueued::New);
    assert_eq!(world.due(5, 10).await, ["moved"]);
    let pending = world.records.pending_work(&acme(), &first.image).await.unwrap().unwrap();
    assert_eq!(pending.work, later);
}

async fn due_work_comes_by_priority_and_then_by_time_without_what_is_in_the_future(world: World) {
    // Many images, so that every bucket has some.
    for number in 0..24_i64 {
        let priority = if number % 3 == 0 { Priority::Stale } else { Priority::New };
        let work = Work { priority, ..work(&format!("{number:02}")) };
        world.enqueue(&work, number * 7 % 24).await;
    }
    let mut expected: Vec<i64> = (0..24).filter(|number| number * 7 % 24 <= 20).collect();
    expected.sort_by_key(|number| (number % 3 == 0, number * 7 % 24));
    let expected: Vec<String> = expected.into_iter().map(|number| format!("{number:02}")).collect();
    assert_eq!(world.due(20, 100).await, expected);
}

async fn due_work_is_cut_off_after_the_first_ones(world: World) {
    for number in 0..12 {
        world.enqueue(&work(&format!("{number:02}")), 20 - number).await;
    }
    let stale = Work { priority: Priority::Stale, ..work("stale") };
    world.enqueue(&stale, 0).await;
    assert_eq!(world.due(100, 3).await, ["11", "10", "09"]);
    assert_eq!(world.due(100, 0).await, [""; 0]);
    assert_eq!(world.due(100, 13).await.last().map(String::as_str), Some("stale"));
}

async fn due_work_is_of_one_registry(world: World) {
    let mut elsewhere = work("1");
    elsewhere.image.registry = "quay".parse().unwrap();
    world.enqueue(&elsewhere, 0).await;
    assert_eq!(world.due(10, 10).await, [""; 0]);
}

async fn attempts_are_counted_before_they_begin_and_taken_back(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    for attempts in 1..=3 {
        let begun = world.attempt(&work, "owner", 0, 0).await.unwrap();
        assert_eq!((begun.attempts, &begun.work), (attempts, &work));
    }
    let begun = world.attempt(&work, "last", 0, 60).await.unwrap();
    world.records.defer_attempt(&acme(), &begun, at(7), None).await.unwrap();
    assert_eq!(world.attempts(&work).await, (3, 0));
}

async fn one_attempt_is_at_work_at_a_time_and_the_others_count_nothing(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let begun = world.attempt(&work, "first", 0, 60).await.unwrap();
    assert_eq!(world.attempt(&work, "second", 30, 90).await, None);
    assert_eq!(world.attempts(&work).await, (1, 0));
    assert_eq!(world.due(59, 10).await, [""; 0], "it is due when the lease has run out");
    assert_eq!(world.due(60, 10).await, ["1"]);
    assert!(world.records.renew_attempt(&acme(), &begun, at(90)).await.unwrap());
    assert_eq!(world.attempt(&work, "second", 89, 150).await, None);

    world.records.end_attempt(&acme(), &begun).await.unwrap();
    assert_eq!(world.attempt(&work, "second", 89, 150).await.map(|begun| begun.attempts), Some(2));
}

async fn an_attempt_whose_lease_has_run_out_counts_and_loses_its_say(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let lost = world.attempt(&work, "first", 0, 60).await.unwrap();
    assert_eq!(world.attempt(&work, "second", 60, 120).await.map(|begun| begun.attempts), Some(2));
    assert!(!world.records.renew_attempt(&acme(), &lost, at(500)).await.unwrap());
    world.records.defer_attempt(&acme(), &lost, at(7), Some("too late")).await.unwrap();
    world.records.end_attempt(&acme(), &lost).await.unwrap();
    assert_eq!(world.attempts(&work).await, (2, 0));
    assert_eq!(world.attempt(&work, "third", 119, 180).await, None, "the second is still at work");
}

async fn deferrals_are_counted_with_their_reason_until_an_attempt_counts(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let mut due = 0;
    for deferrals in 1..=3 {
        let begun = world.attempt(&work, "owner", due, due + 60).await.unwrap();
        due += 7;
        world.records.defer_attempt(&acme(), &begun, at(due), Some("the registry is gone")).await.unwrap();
        let pending = world.records.pending_work(&acme(), &work.image).await.unwrap().unwrap();
        assert_eq!((pending.attempts, pending.deferrals), (0, deferrals));
        assert_eq!(pending.deferred_because.as_deref(), Some("the registry is gone"));
    }
    let begun = world.attempt(&work, "owner", due, due + 60).await.unwrap();
    world.records.postpone(&acme(), &begun, at(30)).await.unwrap();
    let pending = world.records.pending_work(&acme(), &work.image).await.unwrap().unwrap();
    assert_eq!((pending.attempts, pending.deferrals, pending.deferred_because), (1, 0, None));
}

async fn work_that_was_put_off_has_no_attempt_before_it_is_due(world: World) {
    for (name, how) in [("1", "deferred"), ("2", "postponed"), ("3", "cools down")] {
        let (work, records) = (work(name), &world.records);
        world.enqueue(&work, 0).await;
        let begun = world.attempt(&work, "first", 0, 60).await.unwrap();
        match how {
            "deferred" => records.defer_attempt(&acme(), &begun, at(90), Some("throttled")).await.unwrap(),
            "postponed" => records.postpone(&acme(), &begun, at(90)).await.unwrap(),
            _ => records.cool_down(&acme(), &begun, at(90)).await.unwrap(),
        }
        records.end_attempt(&acme(), &begun).await.unwrap();
        let before = records.pending_work(&acme(), &work.image).await.unwrap();
        assert_eq!(world.attempt(&work, "second", 89, 150).await, None, "{how}");
        assert_eq!(records.pending_work(&acme(), &work.image).await.unwrap(), before, "{how}");
        assert!(world.attempt(&work, "third", 90, 150).await.is_some(), "{how}");
    }
}

async fn a_message_that_finds_an_attempt_at_work_leaves_work_that_was_put_off_where_it_is(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let begun = world.attempt(&work, "first", 0, 60).await.unwrap();
    world.records.cool_down(&acme(), &begun, at(1000)).await.unwrap();
    assert_eq!(world.attempt(&work, "second", 30, 90).await, None);
    world.records.end_attempt(&acme(), &begun).await.unwrap();
    assert_eq!(world.attempt(&work, "third", 60, 120).await, None);
    assert_eq!(world.due(999, 10).await, [""; 0]);
    assert_eq!(world.due(1000, 10).await, ["1"]);
}

async fn work_that_waits_for_a_message_has_an_attempt_when_that_comes(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let begun = world.attempt(&work, "first", 0, 60).await.unwrap();
    world.records.defer_attempt(&acme(), &begun, at(90), None).await.unwrap();
    assert_eq!((world.due(89, 10).await, world.due(90, 10).await), (vec![], vec!["1".to_owned()]));
    let woken = world.attempt(&work, "second", 5, 65).await.unwrap();
    assert_eq!(woken.attempts, 1, "waiting is none");
    world.records.defer_attempt(&acme(), &woken, at(300), Some("throttled")).await.unwrap();
    assert_eq!(world.attempt(&work, "third", 6, 66).await, None, "it waits for the time now");
}

async fn dispatched_work_has_an_attempt_before_and_after_that_is_noted(world: World) {
    for (name, noted) in [("1", false), ("2", true)] {
        let work = work(name);
        world.enqueue(&work, 0).await;
        let due = world.records.due_work(&acme(), &hub(), at(0), 10).await.unwrap();
        let due = due.iter().find(|due| due.work == work).unwrap();
        if noted {
            world.records.note_dispatched(&acme(), due, at(1200)).await.unwrap();
        }
        assert!(world.attempt(&work, "killed", 0, 60).await.is_some(), "{name}");
        world.records.note_dispatched(&acme(), due, at(1200)).await.unwrap();
        assert!(world.attempt(&work, "again", 60, 120).await.is_some(), "{name}");
    }
}

async fn work_of_which_no_due_time_is_written_has_an_attempt(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let key = Key::new(format!("IMAGE#acme#{}#linux/amd64", work.image.digest.hex()), "WORK#hub/team/web");
    let older = Update::default().remove("due_at");
    world.table.update(&key, older, Condition::ItemPresent).await.unwrap();
    assert!(world.attempt(&work, "owner", 0, 60).await.is_some());
    assert_eq!(world.attempt(&work, "another", 30, 90).await, None);
    assert_eq!(world.due(60, 10).await, ["1"]);
}

async fn work_that_is_counted_by_one_of_its_tags_is_counted_in_either_order(world: World) {
    for (name, first, second) in [("1", true, false), ("2", false, true)] {
        for (round, seen_later) in [(0, 0), (1, 9)] {
            let name = format!("{name}-{round}");
            let counted = |counted, seen_at| Work { counted, ..seen(&work(&name), seen_at) };
            world.enqueue(&counted(first, 0), 5).await;
            world.enqueue(&counted(second, seen_later), 5).await;
            let pending =
                world.records.pending_work(&acme(), &image(&name)).await.unwrap().expect("there is work");
            assert_eq!(pending.work, counted(true, seen_later), "{name}");
        }
    }
    assert_eq!(world.due(5, 10).await.len(), 4, "each has one due row");
}

async fn completing_work_leaves_what_turned_out_to_be_counted(world: World) {
    let done = Work { counted: false, ..work("1") };
    world.enqueue(&done, 0).await;
    assert_eq!(world.enqueue(&work("1"), 0).await, Enqueued::Known);
    assert_eq!(world.records.complete(&acme(), &done).await.unwrap(), Some(work("1")));
    assert_eq!(world.records.complete(&acme(), &work("1")).await.unwrap(), None);
    assert_eq!(world.due(10, 10).await, [""; 0]);
}

async fn there_is_no_attempt_without_work(world: World) {
    assert_eq!(world.attempt(&work("1"), "owner", 0, 60).await, None);
    world.enqueue(&work("1"), 0).await;
    let begun = world.attempt(&work("1"), "owner", 0, 60).await.unwrap();
    world.records.complete(&acme(), &work("1")).await.unwrap();
    world.records.defer_attempt(&acme(), &begun, at(7), Some("gone")).await.unwrap();
    assert_eq!(world.records.pending_work(&acme(), &image("1")).await.unwrap(), None);
}

async fn postponed_work_keeps_its_attempts_and_is_due_once(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let begun = world.attempt(&work, "owner", 0, 0).await.unwrap();
    world.records.postpone(&acme(), &begun, at(30)).await.unwrap();
    assert_eq!(world.due(29, 10).await, [""; 0]);
    assert_eq!(world.due(30, 10).await, ["1"]);
    assert_eq!(world.attempts(&work).await, (1, 0));
}

async fn of_two_that_postpone_the_same_work_the_first_one_decides(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let read = world.records.pending_work(&acme(), &work.image).await.unwrap().unwrap();
    world.records.postpone(&acme(), &read, at(30)).await.unwrap();
    world.records.postpone(&acme(), &read, at(99)).await.unwrap();
    assert_eq!(world.due(30, 10).await, ["1"]);
    assert_eq!(world.due(200, 10).await, ["1"], "there is one row");
}

async fn work_that_cools_down_counts_its_attempts_anew(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    for cooldowns in 1..=2_u32 {
        let due = i64::from(cooldowns) * 1000;
        let begun = world.attempt(&work, "owner", due - 1000, due - 1000).await.unwrap();
        world.records.cool_down(&acme(), &begun, at(due)).await.unwrap();
        assert_eq!(world.attempts(&work).await, (0, cooldowns));
    }
    assert_eq!(world.due(1999, 10).await, [""; 0]);
    assert_eq!(world.due(2000, 10).await, ["1"]);
}

async fn completed_work_is_gone(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    for _ in 0..2 {
        world.records.complete(&acme(), &work).await.unwrap();
    }
    assert_eq!(world.due(10, 10).await, [""; 0]);
    assert_eq!(world.records.pending_work(&acme(), &work.image).await.unwrap(), None);
    assert_eq!(world.enqueue(&work, 0).await, Enqueued::New, "it can be queued again");
}

async fn completing_work_leaves_what_was_seen_later(world: World) {
    let first = work("1");
    world.enqueue(&first, 0).await;
    world.enqueue(&seen(&first, 9), 0).await;
    world.records.complete(&acme(), &first).await.unwrap();
    assert_eq!(world.due(10, 10).await, ["1"]);
}

async fn noting_a_dispatch_leaves_work_that_was_moved_since(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let due = world.records.due_work(&acme(), &hub(), at(0), 1).await.unwrap().remove(0);
    assert_eq!((&due.work, due.due_at), (&work, at(0)));
    world.records.note_dispatched(&acme(), &due, at(1200)).await.unwrap();
    assert_eq!(world.due(1199, 10).await, [""; 0]);
    let pending = world.records.pending_work(&acme(), &work.image).await.unwrap().unwrap();
    world.records.postpone(&acme(), &pending, at(60)).await.unwrap();
    world.records.note_dispatched(&acme(), &due, at(2400)).await.unwrap();
    assert_eq!(world.due(60, 10).await, ["1"]);
}

/// Whatever another one does to the work of the image between any two operations, newer work is not lost.
#[tokio::test]
async fn newer_work_stands_whatever_happens_to_the_older_while_it_is_queued() {
    async fn check<F: Future<Output = ()>>(other: impl Fn(Records) -> F) {
        for operations in 0..6 {
            let table: Arc<dyn Table> = Arc::new(MemoryTable::new());
            let world = World::new(Arc::clone(&table));
            let pausing = Arc::new(PausingTable::new(table));
            let pausing =
                Records::new(pausing, Arc::clone(&world.objects) as _, Arc::new(InstantSleeper::new()));
            world.enqueue(&work("1"), 0).await;
            let later = seen(&work("1"), 9);
            let (org, mut tasks) = (acme(), Interleaving::new());
            let queueing = tasks.start(pausing.enqueue(&org, &later, at(5)));
            let ended = (0..operations).find_map(|_| tasks.step(queueing));
            other(world.records.clone()).await;
            let outcome = ended.or_else(|| tasks.finish(queueing)).unwrap().unwrap();
            assert_eq!(outcome, Enqueued::New, "after {operations} operations");
            let pending = world.records.pending_work(&org, &later.image).await.unwrap();
            assert_eq!(
                pending.as_ref().map(|pending| &pending.work),
                Some(&later),
                "after {operations} operations"
            );
            assert_eq!(world.due(10_000, 10).await, ["1"]);
        }
    }
    check(|records| async move {
        records.complete(&acme(), &work("1")).await.unwrap();
    })
    .await;
    check(|records| async move {
        let due = records.due_work(&acme(), &hub(), at(0), 1).await.unwrap();
        for due in due {
            records.note_dispatched(&acme(), &due, at(1200)).await.unwrap();
        }
    })
    .await;
}
