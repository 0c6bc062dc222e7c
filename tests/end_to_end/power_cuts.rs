//! Killed without warning at any moment, a run goes on where it was: nothing is lost, nothing fails, and little is
//! done twice.
#![allow(clippy::print_stdout, reason = "a test that fails says with which random numbers")]

use std::collections::BTreeMap;
use std::time::Duration;

use tidewatch_core::Digest;
use tidewatch_core::ports::{Randomness as _, Sleeper as _};
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::system::{SystemRandomness, SystemSleeper};
use tidewatch_testkit::registry::TestRegistry;

use crate::images::{FIXED_LIBC, OLD_LIBC, OLD_OPENSSL, Package, ZLIB, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, ORG, eventually, settle};

const IMAGES: usize = 40;
const KILLS: usize = 5;

/// The longest time from a start to the next kill, in milliseconds.
const LONGEST_LIFE: u64 = 1400;

/// What image number `number` holds: every combination, and a package that no other image has.
fn packages(number: usize) -> Vec<Package> {
    let mut packages = vec![if number.is_multiple_of(2) { OLD_LIBC } else { FIXED_LIBC }];
    packages.extend(number.is_multiple_of(3).then_some(OLD_OPENSSL));
    packages.extend((number % 5 < 2).then_some(ZLIB));
    let name: &'static str = Box::leak(format!("only-in-{number}").into_boxed_str());
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

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_five_times_ends_with_the_numbers_of_one_that_is_not() {
    let registry = TestRegistry::start().await.unwrap();
    let mut blobs: BTreeMap<Digest, usize> = BTreeMap::new();
    let contents: Vec<Vec<Package>> = (0..IMAGES).map(packages).collect();
    for (number, packages) in contents.iter().enumerate() {
        let image = debian_image(packages);
        push(&registry, &format!("team/image-{number}"), "1", &image);
        blobs.extend(image.blobs.keys().map(|digest| (*digest, 0)));
    }
    let expected = numbers(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>());

    let undisturbed = Installation::configured(&Configuration::of(&registry));
    let local = undisturbed.up();
    undisturbed.run_rule();
    let text = settle(&local, ORG, &undisturbed.token(ORG), &expected).await;
    for (digest, pulls) in &mut blobs {
        *pulls = registry.blob_pulls(digest);
        assert!((1..=2).contains(pulls), "{digest} was pulled {pulls} times");
    }
    drop(local);
    registry.clear_requests();

    let seed = seed();
    println!("the seed is {seed}");
    let disturbed = Installation::configured(&Configuration::of(&registry));
    let mut local = disturbed.up();
    disturbed.must(&["rules", "run", "everything"]);
    for kill in 0..KILLS {
        SystemSleeper.sleep(life(seed, kill)).await;
        local.kill().unwrap();
        let state = is_done(&disturbed);
        println!("kill {kill} after {:?}: {state:?}", life(seed, kill));
        assert!(kill > 0 || state.is_err(), "the run was over before anything was killed");
        local = disturbed.up();
    }
    eventually("the run does not come to its end", async || is_done(&disturbed)).await;
    assert_eq!(settle(&local, ORG, &disturbed.token(ORG), &expected).await, text);

    assert_eq!(disturbed.work_rows(ORG, "local").await, 0);
    let images = disturbed.images();
    assert_eq!(images.len(), IMAGES);
    assert!(images.iter().all(|image| image["state"] == "scanned"), "{images:?}");
    for (digest, undisturbed) in &blobs {
        let pulls = registry.blob_pulls(digest);
        assert!(
            pulls <= undisturbed + KILLS,
            "{digest} was pulled {pulls} times, and {undisturbed} without kills"
        );
    }
    let pulls: usize = blobs.keys().map(|digest| registry.blob_pulls(digest)).sum();
    println!("{pulls} pulls of {} blobs, {} without kills", blobs.len(), blobs.values().sum::<usize>());
    registry.assert_no_violations();
}
