//! Work of images that were pushed.

use std::sync::Arc;

use tidewatch_core::ports::Table;
use tidewatch_core::work::{Priority, Work};
use tidewatch_store::{MemoryTable, Records};
use tidewatch_testkit::interleave::{Interleaving, PausingTable};
use tidewatch_testkit::ports::InstantSleeper;

use crate::world::{World, acme, at, seen, work};

on_every_table!(
    pushed_work_is_to_be_sent_and_due_in_case_that_is_lost,
    pushed_work_is_sent_again_until_a_worker_has_put_it_off,
    work_that_waits_is_raised_as_it_is_and_keeps_its_attempts,
    a_push_that_is_newer_replaces_the_work_also_when_it_was_put_off,
    work_that_was_pushed_is_not_lowered_by_newer_work,
    a_push_that_is_counted_makes_pushed_work_counted,
    a_worker_that_was_at_it_when_it_was_raised_puts_it_off,
);

impl World {
    async fn push(&self, work: &Work, due: i64) -> Option<Work> {
        self.records.enqueue_pushed(&acme(), work, at(due)).await.unwrap()
    }

    async fn put_off(&self, work: &Work, due: i64) {
        let pending = self.records.pending_work(&acme(), &work.image).await.unwrap().unwrap();
        self.records.postpone(&acme(), &pending, at(due)).await.unwrap();
    }
}

fn pushed(work: &Work) -> Work {
    Work { priority: Priority::Pushed, ..work.clone() }
}

async fn pushed_work_is_to_be_sent_and_due_in_case_that_is_lost(world: World) {
    assert_eq!(world.push(&work("1"), 1200).await, Some(pushed(&work("1"))));
    assert_eq!(world.due(1199, 10).await, [""; 0]);
    assert_eq!(world.due(1200, 10).await, ["1"]);
}

async fn pushed_work_is_sent_again_until_a_worker_has_put_it_off(world: World) {
    let work = work("1");
    for due in [1200, 1300] {
        assert_eq!(world.push(&work, due).await, Some(pushed(&work)));
        assert_eq!(world.due(1200, 10).await, ["1"], "it stays due when it was");
    }
    world.put_off(&work, 30).await;
    assert_eq!(world.push(&work, 1400).await, None);
    assert_eq!(world.due(30, 10).await, ["1"]);
}

async fn work_that_waits_is_raised_as_it_is_and_keeps_its_attempts(world: World) {
    let waiting = Work { priority: Priority::Stale, ..work("1") };
    world.enqueue(&waiting, 0).await;
    world.attempt(&waiting, "owner", 0, 60).await.unwrap();
    let earlier = Work { tag: "other".parse().unwrap(), run: None, ..seen(&waiting, -5) };
    assert_eq!(world.push(&earlier, 1200).await, Some(pushed(&waiting)));
    assert_eq!(world.due(1199, 10).await, [""; 0], "the row before is gone");
    assert_eq!(world.due(1200, 10).await, ["1"]);
    assert_eq!(world.attempts(&waiting).await, (1, 0));
}

async fn a_push_that_is_newer_replaces_the_work_also_when_it_was_put_off(world: World) {
    let first = work("1");
    world.push(&first, 1200).await;
    world.put_off(&first, 30).await;
    let later = Work { tag: "later".parse().unwrap(), ..seen(&first, 5) };
    assert_eq!(world.push(&later, 1300).await, Some(pushed(&later)));
    assert_eq!(world.due(1299, 10).await, [""; 0]);
    assert_eq!(world.due(1300, 10).await, ["later"]);
}

async fn work_that_was_pushed_is_not_lowered_by_newer_work(world: World) {
    world.push(&work("1"), 1200).await;
    let later = seen(&work("1"), 5);
    world.enqueue(&later, 10).await;
    let pending = world.records.pending_work(&acme(), &later.image).await.unwrap().unwrap();
    assert_eq!(pending.work, pushed(&later));
}

async fn a_push_that_is_counted_makes_pushed_work_counted(world: World) {
    let uncounted = Work { counted: false, ..work("1") };
    world.push(&uncounted, 1200).await;
    world.put_off(&uncounted, 30).await;
    assert_eq!(world.push(&work("1"), 1300).await, Some(pushed(&work("1"))));
}

async fn a_worker_that_was_at_it_when_it_was_raised_puts_it_off(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let attempt = world.attempt(&work, "owner", 0, 60).await.unwrap();
    world.push(&work, 1200).await.unwrap();
    world.records.postpone(&acme(), &attempt, at(30)).await.unwrap();
    assert_eq!(world.due(30, 10).await, ["1"]);
    let pending = world.records.pending_work(&acme(), &work.image).await.unwrap().unwrap();
    assert_eq!(pending.work.priority, Priority::Pushed);
}

/// Whatever is done to the work of the image between any two operations, it stands as pushed in one row in the end.
#[tokio::test]
async fn pushed_work_stands_whatever_happens_to_what_was_queued_while_it_is_raised() {
    for done in [false, true] {
        for operations in 0..6 {
            let table: Arc<dyn Table> = Arc::new(MemoryTable::new());
            let world = World::new(Arc::clone(&table));
            let pausing = Arc::new(PausingTable::new(table));
            let pausing =
                Records::new(pausing, Arc::clone(&world.objects) as _, Arc::new(InstantSleeper::new()));
            world.enqueue(&work("1"), 0).await;
            let (org, push, mut tasks) = (acme(), seen(&work("1"), 9), Interleaving::new());
            let raising = tasks.start(pausing.enqueue_pushed(&org, &push, at(1200)));
            let ended = (0..operations).find_map(|_| tasks.step(raising));
            if done {
                world.records.complete(&org, &work("1")).await.unwrap();
            } else if let Some(pending) = world.records.pending_work(&org, &push.image).await.unwrap() {
                world.records.postpone(&org, &pending, at(30)).await.unwrap();
            }
            let sent = ended.or_else(|| tasks.finish(raising)).unwrap().unwrap();
            assert_eq!(sent, Some(pushed(&push)), "after {operations} operations");
            assert_eq!(world.due(10_000, 10).await, ["1"]);
            let pending = world.records.pending_work(&org, &push.image).await.unwrap().unwrap();
            assert_eq!(pending.work, pushed(&push));
        }
    }
}
