//! Plans, and that no order of taking and using exceeds them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn rate(requests: u32, per: &str, burst: Option<u32>) -> RateConfig {
    serde_json::from_value(json!({"requests": requests, "per": per, "burst": burst})).unwrap()
}

fn registry(url: &str, credentials: Option<&serde_json::Value>) -> RegistryConfig {
    serde_json::from_value(json!({"id": "hub", "kind": "oci", "url": url, "credentials": credentials}))
        .unwrap()
}

#[test]
fn an_account_is_a_host_with_the_place_of_its_credential() {
    for (url, credentials, expected) in [
        ("https://Registry.Example.com/", None, ("registry.example.com", "anonymous")),
        ("https://registry.example.com:443", None, ("registry.example.com", "anonymous")),
        ("http://registry.example.com:80", None, ("registry.example.com", "anonymous")),
        ("http://127.0.0.1:5000", Some(json!({"env": "LOGIN"})), ("127.0.0.1:5000", "env:LOGIN")),
        ("https://a", Some(json!({"file": "/run/login"})), ("a", "file:/run/login")),
        ("https://a", Some(json!({"secret": "team/login"})), ("a", "secret:team/login")),
    ] {
        let Account { host, credential } = Account::of(&registry(url, credentials.as_ref()));
        assert_eq!((host.as_str(), credential.as_str()), expected);
    }
    let long = Account::of(&registry("https://a", Some(&json!({"file": "/x".repeat(2000)}))));
    assert_eq!(long.credential.len(), 64);
}

/// By hand: 50 a second are one every 20 ms; half of the burst is the bucket, and the other half flows in within the
/// validity of a block.
#[test]
fn a_plan_is_worked_out_by_hand() {
    for (requests, per, burst, (buckets, interval, capacity, validity)) in [
        (50, "1s", None, (1, 20_000, 50, 1_000_000)),
        (50, "1s", Some(25), (1, 20_000, 12, 260_000)),
        // 10 s are enough for a block: what is not needed for them is in the bucket.
        (50, "1s", Some(2000), (1, 20_000, 1500, 10_000_000)),
        (1000, "1m", None, (1, 60_000, 17, 1_020_000)),
        (100, "6h", None, (1, 216_000_000, 19, 10_000_000)),
        (100, "6h", Some(50), (1, 216_000_000, 49, 10_000_000)),
        // 1,000 a second are five buckets of 200.
        (60_000, "1m", None, (5, 5_000, 200, 1_000_000)),
        (201, "1s", None, (2, 9_951, 100, 1_005_051)),
    ] {
        let plan = Plan::of(&rate(requests, per, burst));
        let expected = Plan { buckets, interval, capacity, validity };
        assert_eq!(plan, expected, "{requests} per {per}");
    }
}

#[test]
fn who_finds_others_takes_an_eighth_of_the_bucket_or_what_brings_something_to_its_end() {
    for (requests, first, shares) in [(50, 8, [8, 2]), (1000, 8, [25, 2]), (1, 8, [8, 2])] {
        let plan = Plan::of(&rate(requests, "1s", None));
        assert_eq!((plan.first_block(), [50, 2].map(|wanted| plan.share(wanted))), (first, shares));
    }
}

/// One step of a worker: how much later it comes, how many it wants, whether it knows the level, and when within the block
/// each request is made.
type Step = (i64, u32, u32, u8);

/// What the store does with a wish, on one bucket.
fn take(plan: &Plan, level: &mut Level, wanted: u32, now: Timestamp) -> Option<Block> {
    if *level < Level(now.as_microsecond()) {
        *level = plan.taken_from_full(wanted, now);
        return Some(plan.block(wanted, *level, now));
    }
    let requests = plan.share(wanted);
    (*level <= plan.highest_level(requests, now)).then(|| {
        level.0 += plan.cost(requests);
        plan.block(requests, *level, now)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whoever takes, in whatever order and by clocks that do not go the same way, and whenever in its block each request
    /// is made: in no stretch of time are there more than the rate gives in it and the burst.
    #[test]
    fn no_stretch_of_time_has_more_requests_than_the_rate_and_the_burst(
        requests in 1_u32..2000,
        per in prop_oneof![Just("1s"), Just("10s"), Just("1m"), Just("6h")],
        more_burst in 0_u32..400,
        steps in prop::collection::vec((-50_000_i64..400_000, 1_u32..24, any::<u32>(), any::<u8>()), 1..80),
    ) {
        let least = rate(requests, per, None).least_burst();
        let rate = rate(requests, per, Some(least + more_burst));
        let plan = Plan::of(&rate);
        let mut levels = vec![Level::FULL; plan.buckets() as usize];
        let mut now = 1_700_000_000_000_000_i64;
        let mut made = Vec::new();
        let steps: Vec<Step> = steps;
        for (later, wanted, bucket, when) in steps {
            // The time that a clock of one of the workers shows: it may be behind another's.
            now += later;
            let wanted = wanted.min(plan.largest_block());
            let level = &mut levels[(bucket % plan.buckets()) as usize];
            let Some(block) = take(&plan, level, wanted, time(now)) else { continue };
            prop_assert!(block.from >= time(now) && block.from <= time(now + micros(PATIENCE)));
            let (from, until) = (block.from.as_microsecond(), block.until.as_microsecond());
            for request in 0..i64::from(block.requests) {
                // Many at the end of their block come together with many at the beginning of the next.
                let moment = match when % 4 {
                    0 => from,
                    1 => until - 1,
                    2 => i64::midpoint(from, until),
                    _ => from + (until - 1 - from) * request / i64::from(block.requests),
                };
                made.push(moment);
            }
        }
        made.sort_unstable();
        let (per, burst) = (rate.per.duration().as_micros().cast_signed(), i128::from(rate.burst().get()));
        for (first, from) in made.iter().enumerate() {
            for (last, to) in made.iter().enumerate().skip(first) {
                let over = i128::try_from(last - first + 1).unwrap() - burst;
                prop_assert!(
                    over * per <= i128::from(to - from) * i128::from(requests),
                    "{} requests within {} µs", last - first + 1, to - from
                );
            }
        }
    }

    /// A budget is no brake where there is enough: whoever takes all the time gets the whole rate.
    #[test]
    fn who_takes_all_the_time_gets_the_whole_rate(requests in 1_u32..200, seconds in 5_i64..60) {
        let plan = Plan::of(&rate(requests, "1s", None));
        let (start, mut level, mut taken) = (1_700_000_000_000_000_i64, Level::FULL, 0_i64);
        for now in (0..seconds * 1_000_000).step_by(50_000) {
            while let Some(block) = take(&plan, &mut level, 1, time(start + now)) {
                taken += i64::from(block.requests);
            }
        }
        prop_assert!(taken >= i64::from(requests) * seconds * 98 / 100, "{taken} of {}", i64::from(requests) * seconds);
    }
}

#[test]
fn a_bucket_that_was_never_used_is_full() {
    let plan = Plan::of(&rate(100, "6h", Some(50)));
    let now = time(1_700_000_000_000_000);
    assert_eq!(plan.wait(1, Level::FULL, now), Duration::ZERO);
    let mut level = Level::FULL;
    assert_eq!(take(&plan, &mut level, 49, now).map(|block| block.requests), Some(49));
    // One every 216 s.
    assert_eq!(plan.wait(1, level, now), Duration::from_secs(216));
    assert_eq!(plan.wait(8, level, now), Duration::from_secs(8 * 216));
    assert_eq!(take(&plan, &mut level, 1, now), None);
}
