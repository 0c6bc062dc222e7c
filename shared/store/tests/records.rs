//! What records promise, on the table in memory and on an embedded DynamoDB.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tidewatch_core::config::Config;
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::names::{OrgName, RegistryId, StreamName};
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::result::{ImageResult, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::stream::{Member, Totals, shard_of};
use tidewatch_core::token::{Scope, Token, TokenRecord};
use tidewatch_core::work::{Priority, RunId, Work};
use tidewatch_core::{Digest, Retry, Retryable as _, Timestamp};
use tidewatch_store::records::{Enqueued, Lease, LeaseOutcome, RecordError, Snapshot};
use tidewatch_store::{EmbeddedDynamoDb, MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::contract::table::ConflictingTable;
use tidewatch_testkit::interleave::{Interleaving, PausingTable};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness};

/// Makes one test for each promise on each table: `promise` takes a fresh [`World`].
macro_rules! on_every_table {
    ($($promise:ident),+ $(,)?) => {
        mod on_memory {
            $(#[tokio::test] async fn $promise() { super::$promise(super::World::on_memory()).await; })+
        }
        mod on_memory_with_conflicts {
            $(#[tokio::test] async fn $promise() { super::$promise(super::World::with_conflicts()).await; })+
        }
        mod on_embedded_dynamodb {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() { super::$promise(super::World::on_embedded_dynamodb().await).await; }
            )+
        }
    };
}

on_every_table!(
    a_free_layer_is_leased_and_a_leased_one_is_not,
    a_lease_ends_at_its_time_and_the_next_one_has_a_greater_fence,
    a_renewed_lease_lasts_longer_and_a_lost_one_is_not_renewed,
    a_released_lease_is_free_at_once_and_a_lost_one_releases_nothing,
    only_the_holder_of_a_lease_stores_the_inventory,
    an_inventory_is_found_by_its_reader_version_only,
    waiters_of_a_layer_are_kept_once_each_until_they_stop,
    work_is_queued_once,
    work_seen_later_replaces_what_is_queued_and_keeps_its_attempts,
    work_seen_later_replaces_what_is_queued_for_the_same_time,
    due_work_comes_by_priority_and_then_by_time_without_what_is_in_the_future,
    due_work_is_cut_off_after_the_first_ones,
    due_work_is_of_one_registry,
    attempts_are_counted_before_they_begin_and_taken_back,
    there_is_no_attempt_without_work,
    postponed_work_keeps_its_attempts_and_is_due_once,
    of_two_that_postpone_the_same_work_the_first_one_decides,
    work_that_cools_down_counts_its_attempts_anew,
    completed_work_is_gone,
    completing_work_leaves_what_was_seen_later,
    noting_a_dispatch_leaves_work_that_was_moved_since,
    a_configuration_is_applied_on_the_version_that_it_was_planned_against,
    organisations_are_listed_sorted,
    a_result_is_stored_on_the_revision_that_it_was_computed_from,
    a_token_is_found_by_its_id_and_listed_by_its_organisation,
    a_revoked_token_stays_revoked_since_the_first_time,
    a_token_is_revoked_by_its_own_organisation_only,
    a_slot_holds_the_newest_member,
    totals_are_written_only_over_those_that_were_read,
    a_snapshot_is_published_only_over_an_older_one,
    a_snapshot_is_confirmed_forward_only_and_only_when_it_is_still_published,
    items_of_a_newer_schema_are_refused,
);

struct World {
    table: Arc<dyn Table>,
    records: Records,
    objects: Arc<ObjectStorage>,
}

impl World {
    fn new(table: Arc<dyn Table>) -> Self {
        let objects = Arc::new(ObjectStorage::in_memory());
        let records =
            Records::new(Arc::clone(&table), Arc::clone(&objects) as _, Arc::new(InstantSleeper::new()));
        Self { table, records, objects }
    }

    fn on_memory() -> Self {
        Self::new(Arc::new(MemoryTable::new()))
    }

    fn with_conflicts() -> Self {
        Self::new(Arc::new(ConflictingTable::new(Arc::new(MemoryTable::new()))))
    }

    async fn on_embedded_dynamodb() -> Self {
        Self::new(Arc::new(EmbeddedDynamoDb::in_memory().unwrap().table("tidewatch").await.unwrap()))
    }

    async fn lease(&self, owner: &str, now: i64, until: i64) -> Option<Lease> {
        match self.records.lease_layer(&acme(), &layer(), owner, at(now), at(until)).await.unwrap() {
            LeaseOutcome::Granted(lease) => Some(lease),
            LeaseOutcome::Held => None,
        }
    }

    async fn enqueue(&self, work: &Work, due: i64) -> Enqueued {
        self.records.enqueue(&acme(), work, at(due)).await.unwrap()
    }

    /// The tags of the work that is due, which tell it apart.
    async fn due(&self, now: i64, most: usize) -> Vec<String> {
        let due = self.records.due_work(&acme(), &hub(), at(now), most).await.unwrap();
        due.into_iter().map(|due| due.work.tag.to_string()).collect()
    }

    async fn attempts(&self, work: &Work) -> (u32, u32) {
        let pending = self.records.pending_work(&acme(), &work.image).await.unwrap().expect("work");
        (pending.attempts, pending.cooldowns)
    }
}

fn acme() -> OrgName {
    "acme".parse().unwrap()
}

fn hub() -> RegistryId {
    "hub".parse().unwrap()
}

fn latest() -> StreamName {
    StreamName::latest_indexed()
}

fn layer() -> Digest {
    Digest::of(b"layer")
}

/// So many seconds after the start of the test.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + seconds).unwrap()
}

fn image(content: &str) -> Image {
    Image {
        registry: hub(),
        repository: "team/web".parse().unwrap(),
        digest: Digest::of(content.as_bytes()),
        platform: Platform::linux_amd64(),
    }
}

/// Work on the image with the content `tag`.
fn work(tag: &str) -> Work {
    Work {
        image: image(tag),
        tag: tag.parse().unwrap(),
        seen_at: at(0),
        counted: true,
        priority: Priority::New,
        run: RunId { rule: "nightly".parse().unwrap(), run: "1".to_owned() },
    }
}

fn seen(work: &Work, seconds: i64) -> Work {
    Work { seen_at: at(seconds), ..work.clone() }
}

fn config(org: &str, url: &str) -> Config {
    serde_json::from_value(json!({"org": org, "registries": [{"id": "hub", "kind": "oci", "url": url}]}))
        .unwrap()
}

fn result(packages: u64) -> ImageResult {
    ImageResult {
        state: ResultState::Scanned,
        reason: None,
        distribution: None,
        packages,
        severities: SeverityCounts::default(),
        policies: [].into(),
        created_at: None,
        scanned_at: at(0),
        next_change_at: None,
        reader_version: 1,
        indexes: [].into(),
        judged_under: Digest::of(b""),
        report: None,
    }
}

fn member(content: &str, seen: i64) -> Member {
    Member {
        image: image(content),
        tag: "latest".parse().unwrap(),
        seen_at: at(seen),
        created_at: None,
        state: ResultState::Scanned,
        severities: SeverityCounts::default(),
        policies: [].into(),
        next_change_at: None,
    }
}

fn token(seed: u64, org: &str, created: i64) -> TokenRecord {
    let token = Token::generate(&SeededRandomness::new(seed));
    TokenRecord {
        id: token.id().to_owned(),
        digest: token.digest(),
        org: org.parse().unwrap(),
        scopes: [Scope::MetricsRead].into(),
        created_at: at(created),
        expires_at: None,
        revoked_at: None,
    }
}

fn snapshot(config_version: i64, number: i64) -> Snapshot {
    let digest = Digest::of(b"text");
    let body = b"compressed".to_vec();
    Snapshot { config_version, number, body, length: 4, digest, made_at: at(0), checked_at: at(0) }
}

#[track_caller]
fn assert_changed<T: std::fmt::Debug>(outcome: Result<T, RecordError>) {
    match outcome {
        Err(error @ RecordError::Changed { .. }) => assert_eq!(error.retry(), Retry::Again),
        other => panic!("changed, not {other:?}"),
    }
}

// Layers.

async fn a_free_layer_is_leased_and_a_leased_one_is_not(world: World) {
    assert!(world.lease("a", 0, 60).await.is_some());
    assert_eq!(world.lease("b", 59, 120).await, None);
    let other = Digest::of(b"another layer");
    let outcome = world.records.lease_layer(&acme(), &other, "b", at(0), at(60)).await.unwrap();
    assert!(matches!(outcome, LeaseOutcome::Granted(lease) if *lease.layer() == other));
    let zebra = "zebra".parse().unwrap();
    let outcome = world.records.lease_layer(&zebra, &layer(), "b", at(0), at(60)).await.unwrap();
    assert!(matches!(outcome, LeaseOutcome::Granted(_)), "organisations share no layers");
}

async fn a_lease_ends_at_its_time_and_the_next_one_has_a_greater_fence(world: World) {
    let mut fences = Vec::new();
    for turn in 0..3 {
        world.lease("a", turn * 60, turn * 60 + 60).await.expect("the lease before has ended");
        let key = Key::new(format!("LAYER#acme#{}", layer().hex()), "LEASE");
        fences.push(world.table.get(&key).await.unwrap().unwrap().number("fence").unwrap());
    }
    assert!(fences.is_sorted_by(|before, after| before < after), "{fences:?}");
}

async fn a_renewed_lease_lasts_longer_and_a_lost_one_is_not_renewed(world: World) {
    let first = world.lease("a", 0, 60).await.unwrap();
    assert!(world.records.renew_lease(&first, at(80)).await.unwrap());
    assert_eq!(world.lease("b", 79, 140).await, None);
    world.lease("b", 80, 140).await.expect("the first has ended");
    assert!(!world.records.renew_lease(&first, at(200)).await.unwrap());
    assert!(world.lease("c", 140, 200).await.is_some(), "the lost lease has not made the second longer");
}

async fn a_released_lease_is_free_at_once_and_a_lost_one_releases_nothing(world: World) {
    let first = world.lease("a", 0, 60).await.unwrap();
    world.records.release_lease(&first).await.unwrap();
    world.lease("b", 1, 60).await.expect("it was given back");
    world.records.release_lease(&first).await.unwrap();
    assert_eq!(world.lease("c", 2, 60).await, None);
}

async fn only_the_holder_of_a_lease_stores_the_inventory(world: World) {
    let lost = world.lease("a", 0, 60).await.unwrap();
    let held = world.lease("b", 60, 120).await.unwrap();
    assert_changed(world.records.put_layer_inventory(&lost, 1, Bytes::from_static(b"{}")).await);
    assert_eq!(world.records.layer_inventory(&acme(), &layer(), 1).await.unwrap(), None);
    world.records.put_layer_inventory(&held, 1, Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(
        world.records.layer_inventory(&acme(), &layer(), 1).await.unwrap().as_deref(),
        Some(&b"{}"[..])
    );
}

async fn an_inventory_is_found_by_its_reader_version_only(world: World) {
    let lease = world.lease("a", 0, 60).await.unwrap();
    world.records.put_layer_inventory(&lease, 1, Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(world.records.layer_inventory(&acme(), &layer(), 2).await.unwrap(), None);
    world.records.put_layer_inventory(&lease, 2, Bytes::from_static(b"two")).await.unwrap();
    for (version, content) in [(1, "one"), (2, "two")] {
        let inventory = world.records.layer_inventory(&acme(), &layer(), version).await.unwrap();
        assert_eq!(inventory, Some(Bytes::from(content)));
    }
}

async fn waiters_of_a_layer_are_kept_once_each_until_they_stop(world: World) {
    let (one, two) = (work("1"), work("2"));
    for work in [&one, &two, &one] {
        world.records.wait_for_layer(&acme(), &layer(), work, at(0)).await.unwrap();
    }
    let mut waiters = world.records.layer_waiters(&acme(), &layer()).await.unwrap();
    waiters.sort_by(|left, right| left.tag.cmp(&right.tag));
    assert_eq!(waiters, [one.clone(), two.clone()]);
    for _ in 0..2 {
        world.records.stop_waiting(&acme(), &layer(), &one.image).await.unwrap();
    }
    assert_eq!(world.records.layer_waiters(&acme(), &layer()).await.unwrap(), [two]);
}

// Work.

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
    world.records.begin_attempt(&acme(), &first.image).await.unwrap();
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
        let begun = world.records.begin_attempt(&acme(), &work.image).await.unwrap().unwrap();
        assert_eq!((begun.attempts, begun.work), (attempts, work.clone()));
    }
    world.records.forget_attempt(&acme(), &work.image).await.unwrap();
    assert_eq!(world.attempts(&work).await, (2, 0));
}

async fn there_is_no_attempt_without_work(world: World) {
    assert_eq!(world.records.begin_attempt(&acme(), &image("1")).await.unwrap(), None);
    world.records.forget_attempt(&acme(), &image("1")).await.unwrap();
    assert_eq!(world.records.pending_work(&acme(), &image("1")).await.unwrap(), None);
}

async fn postponed_work_keeps_its_attempts_and_is_due_once(world: World) {
    let work = work("1");
    world.enqueue(&work, 0).await;
    let begun = world.records.begin_attempt(&acme(), &work.image).await.unwrap().unwrap();
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
    for cooldowns in 1..=2 {
        let begun = world.records.begin_attempt(&acme(), &work.image).await.unwrap().unwrap();
        world.records.cool_down(&acme(), &begun, at(1000)).await.unwrap();
        assert_eq!(world.attempts(&work).await, (0, cooldowns));
    }
    assert_eq!(world.due(999, 10).await, [""; 0]);
    assert_eq!(world.due(1000, 10).await, ["1"]);
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
            assert_eq!(pending.map(|pending| pending.work), Some(later), "after {operations} operations");
            assert_eq!(world.due(10_000, 10).await, ["1"]);
        }
    }
    check(|records| async move { records.complete(&acme(), &work("1")).await.unwrap() }).await;
    check(|records| async move {
        let due = records.due_work(&acme(), &hub(), at(0), 1).await.unwrap();
        for due in due {
            records.note_dispatched(&acme(), &due, at(1200)).await.unwrap();
        }
    })
    .await;
}

// Configurations, results, tokens.

async fn a_configuration_is_applied_on_the_version_that_it_was_planned_against(world: World) {
    let (one, two) = (config("acme", "https://one.example.com"), config("acme", "https://two.example.com"));
    assert_eq!(world.records.config(&acme()).await.unwrap(), None);
    assert_changed(world.records.apply_config(&one, Some(1), at(0)).await);
    assert_eq!(world.records.apply_config(&one, None, at(0)).await.unwrap(), 1);
    assert_changed(world.records.apply_config(&two, None, at(1)).await);
    assert_eq!(world.records.apply_config(&two, Some(1), at(2)).await.unwrap(), 2);
    assert_changed(world.records.apply_config(&one, Some(1), at(3)).await);
    let applied = world.records.config(&acme()).await.unwrap().unwrap();
    assert_eq!((applied.config, applied.version, applied.applied_at), (two, 2, at(2)));
}

async fn organisations_are_listed_sorted(world: World) {
    for org in ["zebra", "acme", "m-1"] {
        world.records.apply_config(&config(org, "https://one.example.com"), None, at(0)).await.unwrap();
    }
    let orgs: Vec<String> = world.records.orgs().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(orgs, ["acme", "m-1", "zebra"]);
}

async fn a_result_is_stored_on_the_revision_that_it_was_computed_from(world: World) {
    let (org, image) = (acme(), image("1"));
    let put = |packages, revision| {
        let (records, result) = (&world.records, result(packages));
        let (org, image) = (&org, &image);
        async move { records.put_result(org, &image.digest, &image.platform, &result, revision).await }
    };
    assert_changed(put(1, 1).await);
    assert_eq!(put(1, 0).await.unwrap(), 1);
    assert_changed(put(2, 0).await);
    assert_eq!(put(3, 1).await.unwrap(), 2);
    assert_changed(put(4, 1).await);
    let stored = world.records.result(&org, &image.digest, &image.platform).await.unwrap().unwrap();
    assert_eq!((stored.result.packages, stored.revision), (3, 2));
    let arm = world.records.result(&org, &image.digest, &Platform::linux_arm64()).await.unwrap();
    assert_eq!(arm, None, "each platform has its own");
}

async fn a_token_is_found_by_its_id_and_listed_by_its_organisation(world: World) {
    let tokens = [token(1, "acme", 2), token(2, "acme", 1), token(3, "zebra", 0)];
    for token in &tokens {
        world.records.put_token(token).await.unwrap();
    }
    let [newer, older, _] = &tokens;
    assert_eq!(world.records.token(&newer.id).await.unwrap().as_ref(), Some(newer));
    assert_eq!(world.records.token("aaaaaaaaaaaaaaaa").await.unwrap(), None);
    assert_eq!(world.records.tokens(&acme()).await.unwrap(), [older.clone(), newer.clone()], "oldest first");
    assert!(world.records.put_token(newer).await.is_err(), "an id is given once");
}

async fn a_revoked_token_stays_revoked_since_the_first_time(world: World) {
    let token = token(1, "acme", 0);
    world.records.put_token(&token).await.unwrap();
    for now in [5, 9] {
        let revoked = world.records.revoke_token(&acme(), &token.id, at(now)).await.unwrap().unwrap();
        assert_eq!(revoked.revoked_at, Some(at(5)));
        assert_eq!(world.records.token(&token.id).await.unwrap(), Some(revoked));
    }
}

async fn a_token_is_revoked_by_its_own_organisation_only(world: World) {
    let token = token(1, "acme", 0);
    world.records.put_token(&token).await.unwrap();
    assert_eq!(world.records.revoke_token(&"zebra".parse().unwrap(), &token.id, at(5)).await.unwrap(), None);
    assert_eq!(world.records.token(&token.id).await.unwrap(), Some(token));
}

// Streams and snapshots.

async fn a_slot_holds_the_newest_member(world: World) {
    let puts = [("a", 1, 1), ("b", 3, 1), ("a", 2, 9), ("b", 3, 2), ("b", 3, 1)];
    let mut held = Vec::new();
    for (content, seen, revision) in puts {
        let tag = format!("{content}{seen}{revision}").parse().unwrap();
        let member = Member { tag, ..member(content, seen) };
        world.records.put_member(&acme(), &latest(), &member, revision).await.unwrap();
        let shard = shard_of(&member.image.registry, &member.image.repository);
        let members = world.records.members(&acme(), &latest(), shard).await.unwrap();
        held.extend(members.iter().map(|member| member.tag.to_string()));
    }
    assert_eq!(held, ["a11", "b31", "b31", "b32", "b32"]);
}

async fn totals_are_written_only_over_those_that_were_read(world: World) {
    let (org, stream, member) = (acme(), latest(), member("a", 1));
    let shard = shard_of(&member.image.registry, &member.image.repository);
    let read = world.records.shard(&org, &stream, shard).await.unwrap();
    assert!(!read.is_dirty(at(0)));
    world.records.mark_member(&org, &stream, &member).await.unwrap();
    let marked = world.records.shard(&org, &stream, shard).await.unwrap();
    assert!(marked.is_dirty(at(0)));

    let totals = Totals { images: 1, next_change_at: Some(at(50)), ..Totals::default() };
    assert!(world.records.put_totals(&org, &stream, shard, &marked, &totals).await.unwrap());
    assert!(!world.records.put_totals(&org, &stream, shard, &read, &Totals::default()).await.unwrap());
    let written = world.records.shard(&org, &stream, shard).await.unwrap();
    assert_eq!((written.dirty_seq, written.computed_seq, written.revision), (1, 1, 1));
    assert_eq!(written.totals, totals);
    assert!(!written.is_dirty(at(49)) && written.is_dirty(at(50)), "time alone makes it dirty");

    world.records.mark_stream(&org, &stream).await.unwrap();
    let shards = world.records.shards(&org, &stream).await.unwrap();
    assert!(shards.iter().all(|state| state.is_dirty(at(0))));
}

async fn a_snapshot_is_published_only_over_an_older_one(world: World) {
    let order =
        [((1, 5), true), ((1, 5), false), ((1, 4), false), ((1, 6), true), ((2, 1), true), ((1, 9), false)];
    for ((config_version, number), published) in order {
        let snapshot = snapshot(config_version, number);
        let outcome = world.records.publish_snapshot(&acme(), &snapshot).await.unwrap();
        assert_eq!(outcome, published, "{config_version} {number}");
        if published {
            assert_eq!(world.records.snapshot(&acme()).await.unwrap(), Some(snapshot));
        }
    }
}

async fn a_snapshot_is_confirmed_forward_only_and_only_when_it_is_still_published(world: World) {
    let (old, new) = (snapshot(1, 1), snapshot(1, 2));
    for snapshot in [&old, &new] {
        world.records.publish_snapshot(&acme(), snapshot).await.unwrap();
    }
    for (confirmed, now, checked) in [(&old, 60, 0), (&new, 60, 60), (&new, 30, 60), (&new, 90, 90)] {
        world.records.confirm_snapshot(&acme(), confirmed, at(now)).await.unwrap();
        let published = world.records.snapshot(&acme()).await.unwrap().unwrap();
        assert_eq!(published, Snapshot { checked_at: at(checked), ..new.clone() });
    }
}

async fn items_of_a_newer_schema_are_refused(world: World) {
    let (records, org, image) = (&world.records, acme(), image("1"));
    let member = member("1", 0);
    let shard = shard_of(&image.registry, &image.repository);
    let token = token(1, "acme", 0);
    records.apply_config(&config("acme", "https://one.example.com"), None, at(0)).await.unwrap();
    records.put_result(&org, &image.digest, &image.platform, &result(1), 0).await.unwrap();
    records.put_token(&token).await.unwrap();
    records.enqueue(&org, &work("1"), at(0)).await.unwrap();
    records.put_member(&org, &latest(), &member, 1).await.unwrap();
    records.mark_member(&org, &latest(), &member).await.unwrap();
    records.publish_snapshot(&org, &snapshot(1, 1)).await.unwrap();

    let image_partition = format!("IMAGE#acme#{}#linux/amd64", image.digest.hex());
    let stream_partition = format!("STREAM#acme#latest-indexed#{shard}");
    let keys = [
        Key::new("ORG#acme", "CONFIG"),
        Key::new("ORG#acme", "SNAPSHOT"),
        Key::new(format!("TOKEN#{}", token.id), "TOKEN"),
        Key::new(image_partition.clone(), "RESULT"),
        Key::new(image_partition, "WORK#hub/team/web"),
        Key::new(stream_partition.clone(), "MEMBER#hub/team/web"),
        Key::new(stream_partition, "TOTALS"),
    ];
    for key in keys {
        let newer = Update::default().set("v", 2);
        world.table.update(&key, newer, Condition::ItemPresent).await.unwrap();
    }

    let (digest, platform) = (&image.digest, &image.platform);
    let refused = [
        records.config(&org).await.map(drop),
        records.snapshot(&org).await.map(drop),
        records.token(&token.id).await.map(drop),
        records.result(&org, digest, platform).await.map(drop),
        records.pending_work(&org, &image).await.map(drop),
        records.members(&org, &latest(), shard).await.map(drop),
        records.shard(&org, &latest(), shard).await.map(drop),
        records.shards(&org, &latest()).await.map(drop),
    ];
    for (number, outcome) in refused.into_iter().enumerate() {
        let error = outcome.expect_err(&format!("the record {number} is of a newer schema"));
        assert!(
            matches!(&error, RecordError::Corrupt { reason, .. } if reason.contains("schema version")),
            "{error}"
        );
        assert_eq!(error.retry(), Retry::Never);
    }
}

/// A conflict with another transaction is tried again with pauses that double, and given up after a few.
#[tokio::test]
async fn a_transaction_in_conflict_is_tried_again_after_a_pause() {
    let sleeper = Arc::new(InstantSleeper::new());
    let table = Arc::new(ConflictingTable::new(Arc::new(MemoryTable::new())));
    let records = Records::new(table, Arc::new(ObjectStorage::in_memory()), Arc::clone(&sleeper) as _);
    records.put_token(&token(1, "acme", 0)).await.unwrap();
    assert_eq!(sleeper.slept(), [Duration::from_millis(20)]);
}
