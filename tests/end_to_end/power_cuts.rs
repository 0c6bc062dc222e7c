//! Killed without warning at any moment, sweeps go on where they were: nothing is lost, nothing fails, nothing is left
//! pending, and little is done twice.
#![allow(clippy::print_stdout, reason = "a test that fails says with which random numbers")]

use std::collections::BTreeMap;
use std::time::Duration;

use tidewatch_core::Digest;
use tidewatch_core::ports::{Randomness as _, Sleeper as _};
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::system::{SystemRandomness, SystemSleeper};
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::LocalMode;

use crate::images::{FIXED_LIBC, OLD_LIBC, OLD_OPENSSL, Package, ZLIB, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, ORG, eventually, settle};

const IMAGES: usize = 40;

/// How often the process is killed while a run is not at its end.
const KILLS: usize = 50;

/// How often in one sweep at most; then it ends undisturbed. Before each sweep but the first, half of the tags move to other
/// images.
const KILLS_OF_A_SWEEP: usize = 10;

/// More sweeps than ever are needed: a sweep that is over before the first kill, on a fast machine, counts for nothing.
const MOST_SWEEPS: usize = 40;

/// The longest time from a start to the next kill, in milliseconds.
const LONGEST_LIFE: u64 = 900;

/// What image number `number` holds after so many moves: every combination, and a package that no other image has.
fn packages(number: usize, moves: usize) -> Vec<Package> {
    let name: &'static str = Box::leak(format!("only-in-{number}-{moves}").into_boxed_str());
    let number = number + 7 * moves;
    let mut packages = vec![if number.is_multiple_of(2) { OLD_LIBC } else { FIXED_LIBC }];
    packages.extend(number.is_multiple_of(3).then_some(OLD_OPENSSL));
    packages.extend((number % 5 < 2).then_some(ZLIB));
    packages.push((name, name, "1"));
    packages
}

/// The seed: random, or as `TIDEWATCH_TEST_SEED` says, to do the same again.
fn seed() -> u64 {
    let mut random = [0; 8];
    SystemRandomness.fill(&mut random);
    variable("TIDEWATCH_TEST_SEED").map_or(u64::from_le_bytes(random), |seed| seed.parse().unwrap())
}

/// How long the process lives before kill number `kill`.
fn life(seed: u64, kill: usize) -> Duration {
    let digest = Digest::of(format!("{seed} {kill}").as_bytes());
    let random = u64::from_str_radix(&digest.hex()[..8], 16).unwrap();
    Duration::from_millis(random % LONGEST_LIFE)
}

/// Whether the only run of the rule is at its end.
fn is_done(installation: &Installation) -> Result<(), String> {
    let run = installation.json(&["rules", "status"])["runs"][0].clone();
    let done = run["listings"] != 0 && run["listings"] == run["listings_done"] && run["remaining"] == 0;
    if done { Ok(()) } else { Err(run.to_string()) }
}

/// The images of a registry, one in each repository.
struct Fleet {
    registry: TestRegistry,
    contents: Vec<Vec<Package>>,
    blobs: BTreeMap<Digest, usize>,
}

impl Fleet {
    async fn start() -> Self {
        let registry = TestRegistry::start().await.unwrap();
        let mut fleet = Self { registry, contents: vec![Vec::new(); IMAGES], blobs: BTreeMap::new() };
        (0..IMAGES).for_each(|number| fleet.push(number, 0));
        fleet
    }

    fn push(&mut self, number: usize, moves: usize) {
        self.contents[number] = packages(number, moves);
        let image = debian_image(&self.contents[number]);
        push(&self.registry, &format!("team/image-{number}"), "1", &image);
        self.blobs.extend(image.blobs.keys().map(|digest| (*digest, 0)));
    }

    fn move_half(&mut self, sweep: usize) {
        for number in (0..IMAGES).filter(|number| (number + sweep).is_multiple_of(2)) {
            self.push(number, sweep);
        }
    }
}

/// Starts the rule, and kills the process while it is at work, at most `most` times. Gives how often.
async fn sweep(
    installation: &Installation,
    local: &mut Option<LocalMode>,
    (seed, killed, most): (u64, usize, usize),
) -> usize {
    installation.must(&["rules", "run", "everything"]);
    let mut at_work = 0;
    while at_work < most {
        let life = life(seed, killed + at_work);
        SystemSleeper.sleep(life).await;
        local.take().expect("it runs").kill().unwrap();
        let state = is_done(installation);
        println!("kill {} after {life:?}: {state:?}", killed + at_work);
        *local = Some(installation.up());
        if state.is_ok() {
            break;
        }
        at_work += 1;
    }
    eventually("the run does not come to its end", async || is_done(installation)).await;
    at_work
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_that_are_killed_fifty_times_end_with_the_numbers_of_one_that_is_not() {
    let mut fleet = Fleet::start().await;
    let seed = seed();
    println!("the seed is {seed}");
    let disturbed = Installation::configured(&Configuration::of(&fleet.registry));
    let mut local = Some(disturbed.up());
    let (mut killed, mut sweeps) = (0, 0);
    while killed < KILLS {
        assert!(sweeps < MOST_SWEEPS, "{killed} of {KILLS} kills in {sweeps} sweeps: they end too soon");
        if sweeps > 0 {
            fleet.move_half(sweeps);
        }
        let most = KILLS_OF_A_SWEEP.min(KILLS - killed);
        killed += sweep(&disturbed, &mut local, (seed, killed, most)).await;
        sweeps += 1;
    }
    println!("{killed} kills while a run was not at its end, in {sweeps} sweeps");
    let expected = numbers(&fleet.contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let local = local.expect("it runs");
    let text = settle(&local, ORG, &disturbed.token(ORG), &expected).await;
    drop(local);
    for (digest, pulls) in &mut fleet.blobs {
        *pulls = fleet.registry.blob_pulls(digest);
        assert!((1..=2 + KILLS_OF_A_SWEEP).contains(pulls), "{digest} was pulled {pulls} times");
    }
    let pulls: usize = fleet.blobs.values().sum();
    println!("{pulls} pulls of {} blobs", fleet.blobs.len());

    let undisturbed = Installation::configured(&Configuration::of(&fleet.registry));
    let local = undisturbed.up();
    undisturbed.run_rule();
    assert_eq!(settle(&local, ORG, &undisturbed.token(ORG), &expected).await, text);

    assert_eq!(disturbed.work_rows(ORG, "local").await, 0);
    let (images, others) = (disturbed.images(), undisturbed.images());
    assert_eq!((images.len(), others.len()), (IMAGES, IMAGES));
    assert!(images.iter().all(|image| image["state"] == "scanned"), "{images:?}");
    fleet.registry.assert_no_violations();
}
