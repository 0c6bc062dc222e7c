//! Numbers that change with time alone: grace periods end, and nobody writes.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tidewatch_core::basis::MATCHING;
use tidewatch_core::finding::Finding;
use tidewatch_core::judgement::{Criteria, Judgement, Judging, Scope, Subject, judge};
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::package::PackageType;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::result::{ImageResult, Inventory, Report, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::stream::Member;
use tidewatch_core::tables::Tables;
use tidewatch_core::{Severity, Timestamp};
use tidewatch_roll_up_streams::RollUpStreams;
use tidewatch_store::Records;
use tidewatch_store::records::RecordError;
use tidewatch_testkit::interleave::Interleaving;

use crate::naive::{self, Counted, Series};
use crate::world::{START, World, config, image, member};

const PLACES: [&str; 2] = ["hub/team/web", "hub/team/app-72"];
const GRACE_DAYS: u32 = 7;
const DAY: Duration = Duration::from_secs(86_400);

/// An image to scan, and the advisories that it is matched against: which severities, published on which days.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    place: usize,
    push: u8,
    advisories: Vec<(Severity, i8)>,
}

#[derive(Clone, Debug)]
enum Turn {
    Step(prop::sample::Index, u8),
    Die(prop::sample::Index),
    Day,
}

#[derive(Clone, Copy)]
enum Task {
    Writer(usize),
    RollUp,
}

fn days_from_start(days: i64) -> Timestamp {
    let start: Timestamp = START.parse().unwrap();
    Timestamp::from_second(start.as_second() + days * 86_400).unwrap()
}

fn findings(advisories: &[(Severity, i8)]) -> Vec<Finding> {
    advisories
        .iter()
        .enumerate()
        .map(|(number, (severity, published))| Finding {
            vulnerability: format!("CVE-2099-{number:04}"),
            advisories: Vec::new(),
            aliases: Vec::new(),
            package_type: PackageType::Deb,
            package: "openssl".to_owned(),
            version: "1".to_owned(),
            purl: "pkg:deb/debian/openssl@1".to_owned(),
            severity: *severity,
            fixed_version: Some("2".to_owned()),
            fix_published_at: None,
            published_at: Some(days_from_start((*published).into())),
            known_exploited: None,
        })
        .collect()
}

impl Scan {
    /// The first push into one of the places.
    pub(crate) fn of(place: usize, advisories: Vec<(Severity, i8)>) -> Self {
        Self { place, push: 0, advisories }
    }

    pub(crate) fn member(&self) -> Member {
        let image = image(PLACES[self.place], &format!("push {} of {}", self.push, self.place));
        member(image, i64::from(self.push), &[], Outcome::NoData)
    }

    /// Scans as a worker does: result by revision, then row, then mark; all of it again when the result has changed in
    /// the meantime.
    pub(crate) async fn record(&self, world: &World, records: &Records) {
        while let Err(error) = self.try_record(world, records).await {
            assert!(matches!(error, RecordError::Changed { .. }), "{error}");
        }
    }

    async fn try_record(&self, world: &World, records: &Records) -> Result<(), RecordError> {
        let mut member = self.member();
        let (digest, platform) = (member.image.digest, member.image.platform.clone());
        let config = records.config(&world.org).await?.expect("a configuration").config;
        let stored = records.result(&world.org, &digest, &platform).await?;
        let now = world.clock.now();
        let findings = findings(&self.advisories);
        let subject = Subject {
            findings: &findings,
            packages: &[],
            distribution: None,
            metadata: &ImageMetadata::default(),
            families: &[],
            state: ResultState::Scanned,
        };
        let (criteria, tables) = (Criteria::new(&config, Vec::new()), Tables::default());
        let judging = Judging { criteria: &criteria, tables: &tables, now };
        let scope = Scope { digest: Some(&digest), ..Scope::default() };
        let Judgement { severities, policies, next_change_at, .. } = judge(subject, scope, judging);
        member.state = ResultState::Scanned;
        member.severities = severities;
        member.policies = policies.iter().map(|(id, evaluation)| (id.clone(), evaluation.outcome)).collect();
        member.next_change_at = next_change_at;
        let report = Report { version: Report::VERSION, findings, policies, ..Report::default() };
        let inventory = records.put_inventory(&world.org, &Inventory::default(), None).await?;
        let result = ImageResult {
            state: member.state,
            reason: None,
            distribution: None,
            packages: 1,
            severities: member.severities,
            suppressed: SeverityCounts::default(),
            policies: member.policies.clone(),
            created_at: None,
            scanned_at: now,
            next_change_at: member.next_change_at,
            reader_version: 1,
            matching: MATCHING,
            indexes: BTreeMap::new(),
            judged_under: judging.fingerprint(),
            matched: None,
            inventory: Some(inventory),
            metadata: None,
            report: Some(records.put_report(&world.org, &report, None).await?),
            is_limited: false,
        };
        let revision = records.put_result(&world.org, &digest, &platform, &result, stored.as_ref()).await?;
        records.put_member(&world.org, &world.stream, &member, revision).await?;
        records.mark_member(&world.org, &world.stream, &member).await
    }
}

/// What has to be published: of each repository the last push, with what its stored rows say today.
async fn expected(world: &World, scans: &[Scan]) -> Series {
    let mut images = Vec::new();
    for place in 0..PLACES.len() {
        let last = scans.iter().filter(|scan| scan.place == place).max_by_key(|scan| scan.push);
        let Some(image) = last.map(|scan| scan.member().image) else { continue };
        let stored = world.records.result(&world.org, &image.digest, &image.platform).await.unwrap().unwrap();
        let report = world.records.report(&stored.result.report.unwrap()).await.unwrap().unwrap();
        let grace = DAY * GRACE_DAYS;
        let counts = |finding: &Finding| {
            matches!(finding.severity, Severity::Critical | Severity::High)
                && finding.published_at.unwrap() + grace <= world.clock.now()
        };
        let fixable = if report.findings.iter().any(counts) { Outcome::Fail } else { Outcome::Pass };
        images.push(Counted {
            severities: report.findings.iter().map(|finding| finding.severity).collect(),
            fixable,
        });
    }
    naive::series(&images)
}

fn scan() -> impl Strategy<Value = Scan> {
    let severity = prop::sample::select(vec![Severity::Critical, Severity::High, Severity::Low]);
    (0..PLACES.len(), 0..2_u8, vec((severity, -8..3_i8), 0..3)).prop_map(|(place, push, advisories)| Scan {
        place,
        push,
        advisories,
    })
}

fn turn() -> impl Strategy<Value = Turn> {
    let task = any::<prop::sample::Index>;
    prop_oneof![
        12 => (task(), 1..5_u8).prop_map(|(task, operations)| Turn::Step(task, operations)),
        1 => task().prop_map(Turn::Die),
        3 => Just(Turn::Day),
    ]
}

fn start<'a>(
    tasks: &mut Interleaving<'a, ()>,
    task: Task,
    world: &'a World,
    roll_up: &'a RollUpStreams,
    scans: &'a [Scan],
) {
    match task {
        Task::Writer(scan) => tasks.start(scans[scan].record(world, &world.pausing)),
        Task::RollUp => tasks.start(async {
            roll_up.roll_up(&world.org).await.unwrap();
        }),
    };
}

async fn interleave(scans: Vec<Scan>, roll_ups: usize, turns: Vec<Turn>) -> Result<(), TestCaseError> {
    let world = World::new(&config(&["hub"], GRACE_DAYS)).await;
    let roll_up = world.pausing_roll_up();
    let mut tasks = Interleaving::new();
    let mut started: Vec<Task> =
        (0..scans.len()).map(Task::Writer).chain(std::iter::repeat_n(Task::RollUp, roll_ups)).collect();
    for task in &started {
        start(&mut tasks, *task, &world, &roll_up, &scans);
    }
    for turn in turns {
        let running = tasks.running();
        match turn {
            Turn::Day => world.clock.advance(DAY),
            _ if running.is_empty() => break,
            Turn::Step(task, operations) => {
                let task = *task.get(&running);
                for _ in 0..operations {
                    tasks.step(task);
                }
            }
            Turn::Die(task) => {
                let task = *task.get(&running);
                tasks.kill(task);
                // Its message, or the next minute, brings another one.
                started.push(started[task]);
                start(&mut tasks, started[task], &world, &roll_up, &scans);
            }
        }
    }
    for task in tasks.running() {
        tasks.finish(task);
    }
    for day in 0..12 {
        world.roll_up().await;
        prop_assert_eq!(world.published().await, expected(&world, &scans).await, "{} days later", day);
        world.clock.advance(DAY);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_order_each_day_has_the_numbers_of_its_grace_periods(
        scans in vec(scan(), 1..5),
        roll_ups in 1..5_usize,
        turns in vec(turn(), 0..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(interleave(scans, roll_ups, turns))?;
    }
}

/// One image with one critical vulnerability that was published three days before the start.
async fn in_its_grace_period() -> (World, Scan) {
    let world = World::new(&config(&["hub"], GRACE_DAYS)).await;
    let scan = Scan { place: 0, push: 0, advisories: vec![(Severity::Critical, -3)] };
    scan.record(&world, &world.records).await;
    (world, scan)
}

fn one_image(fixable: Outcome) -> Series {
    naive::series(&[Counted { severities: vec![Severity::Critical], fixable }])
}

#[tokio::test]
async fn the_end_of_a_grace_period_changes_the_numbers_without_a_write() {
    let (world, scan) = in_its_grace_period().await;
    assert!(world.roll_up().await);
    assert_eq!(world.published().await, one_image(Outcome::Pass));

    world.clock.set(days_from_start(4) - Duration::from_millis(1));
    assert!(!world.roll_up().await, "the period has not ended");
    world.clock.set(days_from_start(4));
    assert!(world.roll_up().await);
    assert_eq!(world.published().await, one_image(Outcome::Fail));
    assert!(!world.roll_up().await, "nothing is left to do");

    let image = scan.member().image;
    let stored = world.records.result(&world.org, &image.digest, &image.platform).await.unwrap().unwrap();
    assert_eq!(stored.result.next_change_at, None);
    let report = world.records.report(&stored.result.report.unwrap()).await.unwrap().unwrap();
    let failing: Vec<_> = report.policies.values().flat_map(|evaluation| &evaluation.failing).collect();
    assert_eq!(failing, ["CVE-2099-0000 openssl"], "the rows say why");
}

#[tokio::test]
async fn two_roll_ups_at_the_end_of_a_grace_period_both_succeed() {
    let (world, _) = in_its_grace_period().await;
    world.clock.set(days_from_start(4));
    let roll_up = world.pausing_roll_up();
    let mut tasks = Interleaving::new();
    let both = [tasks.start(roll_up.roll_up(&world.org)), tasks.start(roll_up.roll_up(&world.org))];
    while !tasks.running().is_empty() {
        both.iter().filter_map(|task| tasks.step(*task)).for_each(|done| {
            done.unwrap();
        });
    }
    world.roll_up().await;
    assert_eq!(world.published().await, one_image(Outcome::Fail));
}

#[tokio::test]
async fn a_result_whose_writer_has_not_come_to_its_row_is_taken_whole_when_judged_again() {
    let (world, scan) = in_its_grace_period().await;
    let rescan = Scan { advisories: vec![(Severity::Critical, -3), (Severity::Low, 0)], ..scan.clone() };
    let mut tasks = Interleaving::new();
    let writer = tasks.start(rescan.record(&world, &world.pausing));
    // Configuration, result, new result: it stands before its row now.
    (0..4).for_each(|_| assert!(tasks.step(writer).is_none()));
    world.clock.set(days_from_start(4));
    world.roll_up().await;
    tasks.finish(writer);
    world.roll_up().await;
    assert_eq!(world.published().await, expected(&world, std::slice::from_ref(&rescan)).await);
}

#[tokio::test]
async fn an_image_whose_rows_are_gone_keeps_its_numbers() {
    let (world, scan) = in_its_grace_period().await;
    let image = scan.member().image;
    let stored = world.records.result(&world.org, &image.digest, &image.platform).await.unwrap().unwrap();
    let lost = ImageResult { report: None, ..stored.result.clone() };
    world.records.put_result(&world.org, &image.digest, &image.platform, &lost, Some(&stored)).await.unwrap();
    world.clock.set(days_from_start(4));
    world.roll_up().await;
    assert_eq!(world.published().await, one_image(Outcome::Pass));
    let snapshot = world.records.snapshot_head(&world.org).await.unwrap().unwrap();
    world.roll_up().await;
    let again = world.records.snapshot_head(&world.org).await.unwrap().unwrap();
    assert_eq!(again.number, snapshot.number, "the same numbers were published again");
}
