//! The laws of the roll-up protocol, for any order of table operations.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use tidewatch_core::Severity;
use tidewatch_core::config::Config;
use tidewatch_core::names::StreamName;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Table as _;
use tidewatch_core::ports::table::{Query, Update};
use tidewatch_core::stream::{Layout, Member, group_of};
use tidewatch_roll_up_streams::RollUpStreams;
use tidewatch_store::records::Part;
use tidewatch_testkit::interleave::Interleaving;

use crate::naive::{self, Counted, Series};
use crate::world::{World, config, image, member};

/// The first two share a shard, and the third is in another one of their group; the last belongs to the registry that goes away.
const PLACES: [&str; 4] = ["hub/team/web", "hub/team/app-102", "hub/team/api-36", "quay/team/web"];

/// What one scan found: which image of a repository, and the how manieth result of that image it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scan {
    place: usize,
    push: u8,
    content: u8,
    revision: u8,
}

/// Somebody at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// A delivery of the message for a scan.
    Writer(usize),
    RollUp,
    /// Removes the registry `quay`, or adds it again.
    Apply {
        with_quay: bool,
    },
}

/// Which of the tasks that have not ended goes on, for how many operations, and whether it dies then.
#[derive(Clone, Debug)]
struct Turn {
    task: prop::sample::Index,
    operations: u8,
    dies: bool,
}

impl Scan {
    /// What it found: the same for the same scan, and different numbers for different ones.
    fn counted(&self) -> Counted {
        let at = |weight: u8, severity| std::iter::repeat_n(severity, usize::from(weight));
        let severities: Vec<Severity> = at(self.content, Severity::Critical)
            .chain(at(self.revision, Severity::Low))
            .chain(at(self.push, Severity::Unspecified))
            .collect();
        let fixable = match (self.content + self.revision) % 3 {
            0 => Outcome::Pass,
            1 => Outcome::Fail,
            _ => Outcome::NoData,
        };
        Counted { severities, fixable }
    }

    fn member(&self) -> Member {
        let Counted { severities, fixable } = self.counted();
        let image = image(PLACES[self.place], &format!("content {}", self.content));
        member(image, i64::from(self.push), &severities, fixable)
    }

    fn revision(&self) -> i64 {
        i64::from(self.revision)
    }

    /// Which scan of a repository stands for it: the later push, then by digest, then the later result.
    fn rank(&self) -> impl Ord + use<> {
        (self.push, self.member().image.digest, self.revision)
    }
}

fn scan() -> impl Strategy<Value = Scan> {
    (0..PLACES.len(), 0..3_u8, 0..3_u8, 1..4_u8).prop_map(|(place, push, content, revision)| Scan {
        place,
        push,
        content,
        revision,
    })
}

/// Tasks on `scans` scans, each of which is delivered once or twice.
fn tasks(scans: usize) -> impl Strategy<Value = Vec<Task>> {
    let writers = (0..scans).map(Task::Writer).collect::<Vec<_>>();
    let others = prop_oneof![
        3 => (0..scans).prop_map(Task::Writer),
        4 => Just(Task::RollUp),
        1 => any::<bool>().prop_map(|with_quay| Task::Apply { with_quay }),
    ];
    vec(others, 1..7).prop_map(move |others| [others, writers.clone()].concat()).prop_shuffle()
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = (any::<prop::sample::Index>(), 1..5_u8, prop::bool::weighted(0.08));
    vec(turn.prop_map(|(task, operations, dies)| Turn { task, operations, dies }), 0..80)
}

fn configuration(with_quay: bool) -> Config {
    if with_quay { config(&["hub", "quay"], 0) } else { config(&["hub"], 0) }
}

/// The tasks of one run, and what they work on.
struct Run<'a> {
    world: &'a World,
    roll_up: &'a RollUpStreams,
    scans: &'a [Scan],
    started: Vec<Task>,
    tasks: Interleaving<'a, ()>,
}

impl Run<'_> {
    fn start(&mut self, task: Task) {
        self.started.push(task);
        let (world, roll_up) = (self.world, self.roll_up);
        match task {
            Task::Writer(scan) => self.tasks.start(write(world, &self.scans[scan])),
            Task::RollUp => self.tasks.start(async {
                roll_up.roll_up(&world.org).await.unwrap();
            }),
            Task::Apply { with_quay } => self.tasks.start(apply(world, with_quay)),
        };
    }

    /// Ends a task where it stands. The message of a writer is delivered again; a roll-up comes again by itself; nobody
    /// repeats a change of the configuration.
    fn kill(&mut self, task: usize) {
        let killed = self.started[task];
        self.tasks.kill(task);
        if matches!(killed, Task::Writer(_)) {
            self.start(killed);
        }
    }
}

async fn write(world: &World, scan: &Scan) {
    let member = scan.member();
    world.pausing.put_member(&world.org, &world.stream, &member, scan.revision()).await.unwrap();
    world.pausing.mark_member(&world.org, &world.stream, &member).await.unwrap();
}

async fn apply(world: &World, with_quay: bool) {
    let version = world.pausing.config(&world.org).await.unwrap().unwrap().version;
    let now = tidewatch_core::ports::Clock::now(&*world.clock);
    // Somebody else's configuration in between stays in force.
    let _ = world.pausing.apply_config(&configuration(with_quay), Some(version), now).await;
}

/// What only grows, as it was last seen.
#[derive(Default)]
struct Seen {
    computed: BTreeMap<Part, i64>,
    configured: BTreeMap<Part, i64>,
    snapshot: Option<(i64, i64)>,
    versions: BTreeMap<String, String>,
}

impl Seen {
    async fn check(&mut self, world: &World) -> Result<(), TestCaseError> {
        self.check_shards(world).await?;
        self.check_slots(world).await?;
        if let Some(snapshot) = world.snapshot().await {
            let number = snapshot.head.version();
            prop_assert!(Some(number) >= self.snapshot, "the snapshot went back to {number:?}");
            if self.snapshot != Some(number) {
                check_order(&world.published().await)?;
            }
            self.snapshot = Some(number);
        }
        Ok(())
    }

    async fn check_shards(&mut self, world: &World) -> Result<(), TestCaseError> {
        let mut parts = Vec::new();
        for (group, state) in
            world.records.groups(&world.org, std::slice::from_ref(&world.stream)).await.unwrap()[0]
                .iter()
                .enumerate()
                .filter(|(_, state)| state.has_members())
        {
            let group = u16::try_from(group).unwrap();
            parts.push((Part::Group(group), state.clone()));
            let shards = world.records.shards(&world.org, &world.stream, group).await.unwrap();
            parts.extend(shards.into_iter().map(|(shard, state)| (Part::Shard(shard), state)));
        }
        for (shard, state) in parts {
            let before = self.computed.insert(shard, state.computed_seq).unwrap_or(0);
            prop_assert!(
                before <= state.computed_seq && state.computed_seq <= state.dirty_seq,
                "{before} {state:?}"
            );
            let before = self.configured.insert(shard, state.config_version).unwrap_or(0);
            prop_assert!(before <= state.config_version, "{before} {state:?}");
            for policy in state.totals.policies.values() {
                let ordered = policy.compliant <= policy.evaluated && policy.evaluated <= state.totals.images;
                prop_assert!(ordered, "{:?}", state.totals);
            }
        }
        Ok(())
    }

    /// Looks at the items themselves: versions are not part of what records give.
    async fn check_slots(&mut self, world: &World) -> Result<(), TestCaseError> {
        for place in PLACES {
            let image = image(place, "");
            let shard = Layout::of(&world.stream).shard_of(&image.registry, &image.repository);
            let partition = format!("STREAM#{}#{}#{shard}", world.org, world.stream);
            let slots =
                world.table.query(Query::prefix(partition, format!("MEMBER#{place}"))).await.unwrap().items;
            for slot in slots {
                let version = slot.text("version").expect("a slot has a version").to_owned();
                let before = self.versions.insert(place.to_owned(), version.clone());
                prop_assert!(before.is_none_or(|before| before <= version), "{place} went back to {version}");
            }
        }
        Ok(())
    }
}

/// compliant ≤ evaluated ≤ images, of which there cannot be more than repositories.
fn check_order(published: &Series) -> Result<(), TestCaseError> {
    let value =
        |name: &str| *published.iter().find(|(series, _)| series.starts_with(name)).expect("a series").1;
    let (compliant, evaluated) =
        (value("scout_policy_compliant_images"), value("scout_policy_evaluated_images"));
    prop_assert!(compliant <= evaluated && evaluated <= PLACES.len() as u64, "{published:?}");
    Ok(())
}

/// What has to be published when every scan has been recorded.
fn expected(scans: &[Scan], config: &Config) -> Series {
    let enabled: BTreeSet<_> = config.registries.iter().map(|registry| registry.id.as_str()).collect();
    let images: Vec<Counted> = (0..PLACES.len())
        .filter(|place| enabled.contains(PLACES[*place].split('/').next().unwrap()))
        .filter_map(|place| scans.iter().filter(|scan| scan.place == place).max_by_key(|scan| scan.rank()))
        .map(Scan::counted)
        .collect();
    naive::series(&images)
}

async fn interleave(scans: Vec<Scan>, tasks: Vec<Task>, turns: Vec<Turn>) -> Result<(), TestCaseError> {
    let world = World::new(&configuration(true)).await;
    let roll_up = world.pausing_roll_up();
    let mut seen = Seen::default();
    let mut run = Run {
        world: &world,
        roll_up: &roll_up,
        scans: &scans,
        started: Vec::new(),
        tasks: Interleaving::new(),
    };
    for task in tasks {
        run.start(task);
    }
    for turn in turns {
        let running = run.tasks.running();
        if running.is_empty() {
            break;
        }
        let task = *turn.task.get(&running);
        for _ in 0..turn.operations {
            run.tasks.step(task);
            seen.check(&world).await?;
        }
        if turn.dies && run.tasks.running().contains(&task) {
            run.kill(task);
        }
    }
    for task in run.tasks.running() {
        run.tasks.finish(task);
        seen.check(&world).await?;
    }
    world.roll_up().await;
    seen.check(&world).await?;
    let config = world.records.config(&world.org).await.unwrap().unwrap().config;
    prop_assert_eq!(world.published().await, expected(&scans, &config));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_order_the_published_numbers_become_those_of_a_naive_count(
        (scans, tasks) in vec(scan(), 1..7).prop_flat_map(|scans| { let tasks = tasks(scans.len()); (Just(scans), tasks) }),
        turns in turns(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(interleave(scans, tasks, turns))?;
    }
}

fn scan_of(place: usize, push: u8, content: u8, revision: u8) -> Scan {
    Scan { place, push, content, revision }
}

#[test]
fn two_of_the_repositories_share_a_shard_and_three_a_group() {
    let layout = Layout::of(&StreamName::latest_indexed());
    let shard = |place| layout.shard_of(&image(place, "").registry, &image(place, "").repository);
    assert_eq!(shard(PLACES[0]), shard(PLACES[1]));
    assert_ne!(shard(PLACES[0]), shard(PLACES[2]));
    assert_eq!(group_of(shard(PLACES[0])), group_of(shard(PLACES[2])));
    assert_ne!(group_of(shard(PLACES[0])), group_of(shard(PLACES[3])));
}

#[tokio::test]
async fn two_roll_ups_at_once_publish_what_one_would() {
    let scans = [scan_of(0, 1, 1, 1), scan_of(1, 1, 2, 1), scan_of(2, 1, 1, 2)];
    let world = World::new(&configuration(true)).await;
    for scan in &scans {
        world.write(&scan.member(), scan.revision()).await;
    }
    let roll_up = world.pausing_roll_up();
    let mut tasks = Interleaving::new();
    let both = [tasks.start(roll_up.roll_up(&world.org)), tasks.start(roll_up.roll_up(&world.org))];
    let mut published = Vec::new();
    while !tasks.running().is_empty() {
        published.extend(both.iter().filter_map(|task| tasks.step(*task)).map(Result::unwrap));
    }
    assert_eq!(published.iter().filter(|published| **published).count(), 1, "one of them publishes");
    assert_eq!(world.published().await, expected(&scans, &configuration(true)));
    assert!(!world.roll_up().await, "nothing is left to do");
}

#[tokio::test]
async fn a_writer_that_dies_before_its_mark_is_counted_after_its_message_came_again() {
    let world = World::new(&configuration(true)).await;
    let scan = scan_of(0, 1, 2, 1);
    world.roll_up().await;
    world.records.put_member(&world.org, &world.stream, &scan.member(), scan.revision()).await.unwrap();
    assert!(!world.roll_up().await, "without its mark nobody looks");
    assert_eq!(world.published().await, expected(&[], &configuration(true)));
    world.write(&scan.member(), scan.revision()).await;
    assert!(world.roll_up().await);
    assert_eq!(world.published().await, expected(&[scan], &configuration(true)));
}

#[tokio::test]
async fn a_writer_whose_mark_comes_while_the_members_are_read_is_counted_by_the_next_roll_up() {
    let world = World::new(&configuration(true)).await;
    let (first, second) = (scan_of(0, 1, 1, 1), scan_of(1, 1, 2, 1));
    world.write(&first.member(), 1).await;
    let roll_up = world.pausing_roll_up();
    let mut tasks = Interleaving::new();
    let task = tasks.start(roll_up.roll_up(&world.org));
    // One operation after the other, until the totals are written: the writer comes at each of these places once.
    for operations in 0..5 {
        tasks.step(task);
        world
            .write(&Scan { revision: operations + 1, ..second.clone() }.member(), i64::from(operations) + 1)
            .await;
    }
    tasks.finish(task).unwrap().unwrap();
    world.roll_up().await;
    let last = Scan { revision: 5, ..second };
    assert_eq!(world.published().await, expected(&[first, last], &configuration(true)));
}

#[tokio::test]
async fn a_late_writer_does_not_bring_back_an_older_push_or_result() {
    let world = World::new(&configuration(true)).await;
    let newest = scan_of(0, 2, 1, 2);
    world.write(&newest.member(), newest.revision()).await;
    for late in [scan_of(0, 1, 2, 3), scan_of(0, 2, 1, 1)] {
        world.write(&late.member(), late.revision()).await;
    }
    world.roll_up().await;
    assert_eq!(world.published().await, expected(&[newest], &configuration(true)));
}

#[tokio::test]
async fn a_message_that_is_delivered_twice_counts_once() {
    let world = World::new(&configuration(true)).await;
    let scan = scan_of(0, 1, 2, 1);
    for _ in 0..2 {
        world.write(&scan.member(), scan.revision()).await;
        world.roll_up().await;
    }
    assert_eq!(world.published().await, expected(&[scan], &configuration(true)));
}

#[tokio::test]
async fn the_images_of_a_removed_registry_leave_and_come_back_with_it() {
    let world = World::new(&configuration(true)).await;
    let scans = [scan_of(0, 1, 1, 1), scan_of(3, 1, 2, 1)];
    for scan in &scans {
        world.write(&scan.member(), scan.revision()).await;
    }
    for with_quay in [true, false, true] {
        world.apply(&configuration(with_quay)).await;
        world.roll_up().await;
        assert_eq!(world.published().await, expected(&scans, &configuration(with_quay)), "quay: {with_quay}");
    }
}

#[tokio::test]
async fn a_change_of_the_configuration_that_is_killed_at_any_operation_is_rolled_up_whole_or_not_at_all() {
    let scans = [scan_of(0, 1, 1, 1), scan_of(3, 1, 2, 1)];
    for operations in 0.. {
        let world = World::new(&configuration(true)).await;
        for scan in &scans {
            world.write(&scan.member(), scan.revision()).await;
        }
        world.roll_up().await;
        let mut tasks = Interleaving::new();
        let task = tasks.start(apply(&world, false));
        let finished = (0..operations).any(|_| tasks.step(task).is_some());
        tasks.kill(task);
        world.roll_up().await;
        let config = world.records.config(&world.org).await.unwrap().unwrap().config;
        assert_eq!(world.published().await, expected(&scans, &config), "after {operations} operations");
        if finished {
            return assert_eq!(config, configuration(false));
        }
    }
}

#[tokio::test]
async fn a_member_that_cannot_be_read_holds_up_its_own_shard_only() {
    for damage in [Update::default().set("data", "{"), Update::default().set("v", 2)] {
        let world = World::new(&configuration(true)).await;
        let (damaged, other) = (scan_of(0, 1, 1, 1), scan_of(2, 1, 1, 1));
        for scan in [&damaged, &other] {
            world.write(&scan.member(), scan.revision()).await;
        }
        world.roll_up().await;
        world.change_member(&damaged.member().image, damage).await;
        let (neighbour, newer) = (scan_of(1, 1, 2, 1), scan_of(2, 1, 1, 2));
        for scan in [&neighbour, &newer] {
            world.write(&scan.member(), scan.revision()).await;
        }
        assert!(world.roll_up().await);
        let known = expected(&[damaged.clone(), newer.clone()], &configuration(true));
        assert_eq!(world.published().await, known, "its shard has the numbers it had");

        let repaired = serde_json::to_string(&damaged.member()).unwrap();
        let repaired = Update::default().set("v", 1).set("data", repaired);
        world.change_member(&damaged.member().image, repaired).await;
        assert!(world.roll_up().await, "the shard stayed dirty");
        assert_eq!(world.published().await, expected(&[damaged, neighbour, newer], &configuration(true)));
    }
}

#[tokio::test]
async fn a_roll_up_that_read_the_old_configuration_does_not_undo_the_new_one() {
    let world = World::new(&configuration(true)).await;
    let scan = scan_of(3, 1, 2, 1);
    world.write(&scan.member(), scan.revision()).await;
    for operations in 0..8 {
        world.apply(&configuration(true)).await;
        let roll_up = world.pausing_roll_up();
        let mut tasks = Interleaving::new();
        let late = tasks.start(roll_up.roll_up(&world.org));
        (0..operations).for_each(|_| assert!(tasks.step(late).is_none()));
        world.apply(&configuration(false)).await;
        tasks.finish(late).unwrap().unwrap();
        world.roll_up().await;
        let none = expected(&[], &configuration(false));
        assert_eq!(world.published().await, none, "after {operations} operations");
    }
}
