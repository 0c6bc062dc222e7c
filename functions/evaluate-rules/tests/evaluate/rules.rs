//! What is started and dispatched, also by two evaluators at once and after a crash between any two table operations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::image::{ImageId, Platform};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{HintMessage, Priority, RunId, ScanMessage};
use tidewatch_evaluate_rules::{EvaluateError, EvaluateRules, Tick};
use tidewatch_store::Records;
use tidewatch_store::records::{BASE_TURNS, ListingState, RunTrigger};
use tidewatch_testkit::failing::{FailingTable, Outages};
use tidewatch_testkit::interleave::Interleaving;
use tidewatch_testkit::ports::InstantSleeper;

use crate::world::{MINUTE, World, acme, config, digests, hourly, work};

#[tokio::test]
async fn a_due_rule_starts_one_run_with_one_message_for_each_registry() {
    let world = World::new(hourly()).await;
    assert_eq!(world.tick().await, Tick::default(), "its time has not come");
    world.clock.advance(MINUTE * 60);
    assert_eq!(world.tick().await, Tick { started: 1, dispatched: 0, held: 0 });
    assert_eq!(world.tick().await, Tick::default(), "it has started");

    let runs = world.records.runs(&acme(), &"nightly".parse().unwrap(), 10).await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].trigger, runs[0].started_at), (RunTrigger::Schedule, world.clock.now()));
    let sent: Vec<_> =
        world.listings().into_iter().map(|message| (message.registry.to_string(), message.run)).collect();
    assert_eq!(sent, [("hub".to_owned(), runs[0].id.clone()), ("quay".to_owned(), runs[0].id.clone())]);
    let listings = world.records.listings(&acme(), &runs[0].id).await.unwrap();
    assert!(listings.len() == 2 && listings.iter().all(|listing| listing.state == ListingState::Queued));
}

#[tokio::test]
async fn missed_times_make_one_run() {
    let world = World::new(hourly()).await;
    world.clock.advance(MINUTE * 60 * 5);
    assert_eq!(world.tick().await.started, 1);
    assert_eq!(world.listings().len(), 2);
}

#[tokio::test]
async fn a_manual_rule_never_starts_by_itself() {
    let world = World::new(json!("manual")).await;
    world.clock.advance(MINUTE * 60 * 24 * 30);
    assert_eq!(world.tick().await, Tick::default());
    assert!(world.listings().is_empty());
}

#[tokio::test]
async fn two_evaluators_at_once_start_a_due_rule_once() {
    // The second one is so many operations behind the first.
    for behind in 0..12 {
        let world = World::new(hourly()).await;
        world.clock.advance(MINUTE * 60);
        let evaluator = world.pausing_evaluator();
        let mut tasks = Interleaving::new();
        let both = [tasks.start(evaluator.tick()), tasks.start(evaluator.tick())];
        let mut started = 0;
        for step in 0.. {
            if tasks.running().is_empty() {
                break;
            }
            let tasks_now = if step < behind { &both[..1] } else { &both[..] };
            for task in tasks_now {
                started += tasks.step(*task).map_or(0, |tick| tick.unwrap().started);
            }
        }
        assert_eq!(started, 1, "{behind} operations behind");
        assert_eq!(world.records.runs(&acme(), &"nightly".parse().unwrap(), 10).await.unwrap().len(), 1);
        let runs: BTreeSet<RunId> = world.listings().into_iter().map(|message| message.run).collect();
        assert_eq!(runs.len(), 1, "all messages are of one run");
    }
}

#[tokio::test]
async fn a_crash_after_sending_and_before_noting_repeats_the_same_run() {
    let world = World::new(hourly()).await;
    world.clock.advance(MINUTE * 60);
    let evaluator = world.pausing_evaluator();
    let mut tasks = Interleaving::new();
    let crashing = tasks.start(evaluator.tick());
    while world.listings().is_empty() {
        assert!(tasks.step(crashing).is_none(), "it sends before it ends");
    }
    tasks.kill(crashing);
    let first = world.listings();
    assert_eq!(world.records.rule_state(&acme(), &"nightly".parse().unwrap()).await.unwrap(), None);

    world.clock.advance(MINUTE);
    assert_eq!(world.tick().await.started, 1);
    assert_eq!(world.listings(), [first.clone(), first].concat(), "the same messages, with the same run");
    assert_eq!(world.records.runs(&acme(), &"nightly".parse().unwrap(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_repeated_start_leaves_a_listing_that_is_done() {
    let world = World::new(hourly()).await;
    let id = world.evaluator().run_now(&acme(), &"nightly".parse().unwrap()).await.unwrap();
    let mut done = world.records.listings(&acme(), &id).await.unwrap().remove(0);
    done.state = ListingState::Done;
    world.records.put_listing(&acme(), &id, &done, world.clock.now()).await.unwrap();
    assert_eq!(world.evaluator().run_now(&acme(), &"nightly".parse().unwrap()).await.unwrap(), id);
    let states: Vec<_> =
        world.records.listings(&acme(), &id).await.unwrap().iter().map(|listing| listing.state).collect();
    assert_eq!(states, [ListingState::Done, ListingState::Queued]);
}

#[tokio::test]
async fn a_rule_can_be_run_at_any_time_without_moving_its_schedule() {
    let world = World::new(hourly()).await;
    world.clock.advance(MINUTE * 30);
    let manual = world.evaluator().run_now(&acme(), &"nightly".parse().unwrap()).await.unwrap();
    assert_eq!(world.tick().await.started, 0);
    world.finish_listings().await;
    world.clock.advance(MINUTE * 30);
    assert_eq!(world.tick().await.started, 1);
    let runs = world.records.runs(&acme(), &"nightly".parse().unwrap(), 10).await.unwrap();
    let triggers: Vec<_> = runs.iter().map(|run| run.trigger).collect();
    assert_eq!(triggers, [RunTrigger::Schedule, RunTrigger::Manual], "newest first");
    assert_eq!(runs[1].id, manual);
}

#[tokio::test]
async fn running_an_unknown_rule_is_an_error() {
    let world = World::new(hourly()).await;
    for (org, rule) in [("acme", "weekly"), ("nobody", "nightly")] {
        let run = world.evaluator().run_now(&org.parse().unwrap(), &rule.parse().unwrap()).await;
        assert!(matches!(&run, Err(EvaluateError::NoSuchRule { .. })), "{run:?}");
    }
    assert!(world.listings().is_empty());
}

#[tokio::test]
async fn work_is_dispatched_by_priority_and_then_by_time() {
    let world = World::new(json!("manual")).await;
    let (new, stale) = (Priority::New, Priority::Stale);
    let queued = [
        ("stale, late", stale, -10),
        ("new, third", new, -20),
        ("stale, early", stale, -90),
        ("new, first", new, -80),
        ("not yet", new, 1),
        ("new, last", new, 0),
        ("new, second", new, -50),
    ];
    for (content, priority, seconds) in queued {
        world.enqueue(&work(content, priority), seconds).await;
    }
    assert_eq!(world.tick().await, Tick { started: 0, dispatched: 6, held: 0 });
    let order = ["new, first", "new, second", "new, third", "new, last", "stale, early", "stale, late"];
    assert_eq!(world.dispatched(), digests(&order));
}

#[tokio::test]
async fn pushed_images_are_dispatched_to_a_queue_of_their_own() {
    let world = World::new(json!("manual")).await;
    for number in 0..12 {
        world.enqueue(&work(&format!("new {number}"), Priority::New), number - 100).await;
        world.enqueue(&work(&format!("pushed {number}"), Priority::Pushed), number - 50).await;
    }
    assert_eq!(world.tick().await, Tick { started: 0, dispatched: 24, held: 0 });
    let pushed: Vec<ScanMessage> = world.queue.messages(QueueName::Pushed);
    let pushed: Vec<Digest> = pushed.into_iter().map(|message| message.work.image.digest).collect();
    let named = |word: &str| -> Vec<Digest> {
        (0..12).map(|number| Digest::of(format!("{word} {number}").as_bytes())).collect()
    };
    assert_eq!((pushed, world.dispatched()), (named("pushed"), named("new")));
    assert_eq!(world.tick().await, Tick::default(), "they are noted as dispatched");
}

#[tokio::test]
async fn dispatched_work_comes_again_only_after_twenty_minutes() {
    let world = World::new(json!("manual")).await;
    world.enqueue(&work("web", Priority::New), 0).await;
    assert_eq!(world.tick().await.dispatched, 1);
    for _ in 0..19 {
        world.clock.advance(MINUTE);
        assert_eq!(world.tick().await.dispatched, 0, "{}", world.clock.now());
    }
    world.clock.advance(MINUTE);
    assert_eq!(world.tick().await.dispatched, 1, "its message may be lost");
    assert_eq!(world.dispatched(), digests(&["web", "web"]));
}

#[tokio::test]
async fn work_that_is_done_is_not_dispatched_again() {
    let world = World::new(json!("manual")).await;
    let web = work("web", Priority::New);
    world.enqueue(&web, 0).await;
    world.tick().await;
    world.records.complete(&acme(), &web).await.unwrap();
    world.clock.advance(MINUTE * 60);
    assert_eq!(world.tick().await.dispatched, 0);
}

#[tokio::test]
async fn work_that_was_postponed_between_sending_and_noting_keeps_its_time() {
    let world = World::new(json!("manual")).await;
    let web = work("web", Priority::New);
    world.enqueue(&web, 0).await;
    let evaluator = world.pausing_evaluator();
    let mut tasks = Interleaving::new();
    let dispatching = tasks.start(evaluator.tick());
    while world.dispatched().is_empty() {
        assert!(tasks.step(dispatching).is_none());
    }
    // A fast worker has it already, and puts it off by five minutes.
    let pending = world.records.pending_work(&acme(), &web.image).await.unwrap().unwrap();
    world.records.postpone(&acme(), &pending, world.clock.now() + MINUTE * 5).await.unwrap();
    tasks.finish(dispatching).unwrap().unwrap();

    world.clock.advance(MINUTE * 4 + Duration::from_millis(59_999));
    assert_eq!(world.tick().await.dispatched, 0);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.tick().await.dispatched, 1);
}

#[tokio::test]
async fn a_crash_after_sending_work_sends_it_again_and_loses_nothing() {
    let world = World::new(json!("manual")).await;
    for content in ["a", "b", "c"] {
        world.enqueue(&work(content, Priority::New), 0).await;
    }
    let evaluator = world.pausing_evaluator();
    let mut tasks = Interleaving::new();
    let crashing = tasks.start(evaluator.tick());
    while world.dispatched().is_empty() {
        assert!(tasks.step(crashing).is_none());
    }
    tasks.kill(crashing);
    world.queue.clear();
    assert_eq!(world.tick().await.dispatched, 3);
    let sent: BTreeSet<Digest> = world.dispatched().into_iter().collect();
    assert_eq!(sent, digests(&["a", "b", "c"]).into_iter().collect());
}

#[tokio::test]
async fn a_broken_organisation_does_not_stop_the_others() {
    let world = World::empty();
    for org in ["acme", "broken", "zebra"] {
        world.apply(&config(org, &hourly())).await;
    }
    world.break_item("ORG#broken", "CONFIG").await;
    world.clock.advance(MINUTE * 60);
    assert_eq!(world.tick().await.started, 2);
    let orgs: BTreeSet<String> =
        world.listings().into_iter().map(|message| message.org.to_string()).collect();
    assert_eq!(orgs, ["acme", "zebra"].map(str::to_owned).into());
}

/// Three rules that are due in an hour, and due work in two registries.
async fn with_rules_and_work() -> World {
    let world = World::empty();
    let rule = |id: &str| json!({"id": id, "registries": ["hub"], "schedule": hourly()});
    let mut config = serde_json::to_value(config("acme", &hourly())).unwrap();
    config["rules"] = json!([rule("a"), rule("b"), rule("c")]);
    world.apply(&serde_json::from_value(config).unwrap()).await;
    for registry in ["hub", "quay"] {
        let mut work = work(registry, Priority::New);
        work.image.registry = registry.parse().unwrap();
        world.enqueue(&work, 0).await;
    }
    world
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_does_not_stop_the_others_of_its_organisation() {
    let world = with_rules_and_work().await;
    world.break_item("ORG#acme", "RULE#b").await;
    world.clock.advance(MINUTE * 60);
    assert_eq!(world.tick().await, Tick { started: 2, dispatched: 2, held: 0 });
    let rules: Vec<String> =
        world.listings().into_iter().map(|message| message.run.rule.to_string()).collect();
    assert_eq!(rules, ["a", "c"]);
}

#[tokio::test]
async fn whichever_operation_fails_all_other_rules_and_registries_go_on() {
    // Without the organisations or the configuration, which are read first, nothing can go on.
    for failing in 2..1_000 {
        let world = with_rules_and_work().await;
        world.clock.advance(MINUTE * 60);
        let outages = Outages::none();
        let table = FailingTable::new(Arc::clone(&world.table) as _, Arc::clone(&outages));
        let records =
            Records::new(Arc::new(table), Arc::clone(&world.objects) as _, Arc::new(InstantSleeper::new()));
        let evaluator =
            EvaluateRules::new(records, Arc::clone(&world.queue) as _, Arc::clone(&world.clock) as _);
        outages.fail_once_after(failing);
        let tick = evaluator.tick().await.unwrap();
        if outages.operations() <= failing {
            assert_eq!(tick, Tick { started: 3, dispatched: 2, held: 0 });
            return;
        }
        // Three rules, work of two registries, and images to be matched again: one of them is done at the next tick.
        let rematches = world.queue.sent(QueueName::Rematches).len();
        let done = tick.started + tick.dispatched + rematches;
        assert!(done >= 5, "operation {failing}: {tick:?}, {rematches} to be matched again");
    }
    panic!("a tick takes more than 1000 operations");
}

#[tokio::test]
async fn a_scheduled_run_waits_for_the_listings_of_the_last_one() {
    let world = World::new(hourly()).await;
    world.clock.advance(MINUTE * 60);
    assert_eq!(world.tick().await.started, 1);
    world.clock.advance(MINUTE * 150);
    assert_eq!(world.tick().await.started, 0, "it still lists");
    world.finish_listings().await;
    assert_eq!(world.tick().await.started, 1, "what was put off is made up for");
    assert_eq!(world.tick().await.started, 0, "once");
}

#[tokio::test]
async fn a_run_whose_listings_are_lost_holds_up_the_next_one_for_six_hours_and_no_longer() {
    let world = World::new(hourly()).await;
    world.clock.advance(MINUTE * 60);
    assert_eq!(world.tick().await.started, 1);
    world.clock.advance(MINUTE * (60 * 6 - 1));
    assert_eq!(world.tick().await.started, 0);
    world.clock.advance(MINUTE);
    assert_eq!(world.tick().await.started, 1);
}

#[tokio::test]
async fn a_run_whose_registry_throttles_holds_up_the_next_one_for_as_long_as_it_is_put_off() {
    let world = World::new(hourly()).await;
    world.clock.advance(MINUTE * 60);
    assert_eq!(world.tick().await.started, 1);
    let run = world.listings()[0].run.clone();
    for _ in 0..50 {
        let (hub, until) = ("hub".parse().unwrap(), world.clock.now() + MINUTE * 15);
        let put_off = (until, "registry hub throttles");
        let (org, now) = (acme(), world.clock.now());
        let put_off = world.records.put_off_listing(&org, &run, (&hub, None), put_off, now).await;
        assert!(put_off.unwrap().is_some());
        world.clock.advance(MINUTE * 15);
        assert_eq!(world.tick().await.started, 0);
    }
    // Its message is lost.
    world.clock.advance(MINUTE * 30);
    assert_eq!(world.tick().await.started, 1);
}

#[tokio::test]
async fn a_run_or_listing_that_cannot_be_read_does_not_hold_up_its_rule() {
    for what in ["run", "listing"] {
        let world = World::new(hourly()).await;
        let id = world.evaluator().run_now(&acme(), &"nightly".parse().unwrap()).await.unwrap();
        if what == "run" {
            world.break_item("RUN#acme#nightly", &id.run).await;
        } else {
            for registry in ["hub", "quay"] {
                let partition = format!("RUN#acme#nightly#{}", id.run);
                world.break_item(&partition, &format!("LISTING#{registry}")).await;
            }
        }
        world.clock.advance(MINUTE * 60);
        assert_eq!(world.tick().await.started, 1, "{what}");
    }
}

#[tokio::test]
async fn bases_are_asked_for_in_their_turn_where_their_registry_is_configured() {
    let world = World::empty();
    let registries = json!([{"id": "hub", "kind": "oci", "url": "https://registry-1.docker.io"}]);
    world.apply(&serde_json::from_value(json!({"org": "acme", "registries": registries})).unwrap()).await;
    let built = ImageId { digest: Digest::of(b"app"), platform: Platform::linux_amd64() };
    for base in ["docker.io/library/debian:13", "quay.io/acme/base:1"] {
        world.records.put_on_base(&acme(), base, &built).await.unwrap();
    }
    let evaluator = world.evaluator();
    let mut asked = Vec::new();
    for _ in 0..BASE_TURNS {
        for _ in 0..2 {
            evaluator.tick().await.unwrap();
        }
        let hints: Vec<HintMessage> = world.queue.messages(QueueName::Hints);
        world.queue.clear();
        asked.extend(hints);
        world.clock.advance(Duration::from_secs(60));
    }
    let asked: Vec<_> = asked
        .iter()
        .map(|hint| {
            (hint.registry.as_str(), hint.repository.as_str(), hint.tag.as_str(), hint.base.as_deref())
        })
        .collect();
    assert_eq!(asked, [("hub", "library/debian", "13", Some("docker.io/library/debian:13"))]);
}

#[tokio::test]
async fn entries_that_a_late_evaluator_writes_for_an_earlier_file_are_taken_away_again() {
    let world = World::new(hourly()).await;
    let with = |images: &[&str]| {
        let mut config = serde_json::to_value(config("acme", &hourly())).unwrap();
        config["environments"] = json!([{"id": "staging", "images": images}]);
        serde_json::from_value::<Config>(config).unwrap()
    };
    let entries = async || {
        let entries = world.records.environment_entries(&acme(), &"staging".parse().unwrap()).await.unwrap();
        entries.into_iter().map(|entry| entry.reference.to_string()).collect::<Vec<_>>()
    };
    // Wherever the late one stands when the file changes, and also when it dies after that.
    for operations in 0..30 {
        for dies in [false, true] {
            world.clock.advance(MINUTE);
            world.apply(&with(&["hub/team/web:1", "hub/team/api:1"])).await;
            let late = world.pausing_evaluator();
            let mut tasks = Interleaving::new();
            let task = tasks.start(late.tick());
            for _ in 0..operations {
                tasks.step(task);
            }
            world.clock.advance(MINUTE);
            world.apply(&with(&["hub/team/web:1"])).await;
            world.tick().await;
            for _ in 0..3 {
                tasks.step(task);
            }
            if dies {
                tasks.kill(task);
            } else {
                tasks.finish(task);
            }
            world.clock.advance(MINUTE);
            world.tick().await;
            assert_eq!(entries().await, ["hub/team/web:1"], "after {operations} operations, dies: {dies}");
        }
    }
}

#[tokio::test]
async fn entries_of_the_file_that_could_not_be_pinned_are_tried_again_when_it_is_applied_again() {
    let world = World::new(hourly()).await;
    let mut with = serde_json::to_value(config("acme", &hourly())).unwrap();
    with["environments"] = json!([{"id": "staging", "images": ["hub/team/web:1"]}]);
    let with: Config = serde_json::from_value(with).unwrap();
    let mut asked = Vec::new();
    for applies in [true, false, true] {
        if applies {
            world.apply(&with).await;
        }
        world.tick().await;
        asked.push(world.queue.messages::<HintMessage>(QueueName::Hints).len());
        world.queue.clear();
        world.clock.advance(MINUTE);
    }
    assert_eq!(asked, [1, 0, 1]);
}
