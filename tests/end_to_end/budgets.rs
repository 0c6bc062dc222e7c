//! Registries that throttle, and rates that are configured: they are kept, and no other registry waits for them.

use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_testkit::registry::{Fault, TestRegistry};

use crate::images::{FIXED_LIBC, OLD_LIBC, OLD_OPENSSL, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, ORG, eventually, settle};

/// The one run of the rule.
fn run_of(installation: &Installation) -> Value {
    installation.json(&["rules", "status"])["runs"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_throttles_for_ever_holds_up_no_other() {
    let (hard, well) = (TestRegistry::start().await.unwrap(), TestRegistry::start().await.unwrap());
    // More than there are workers.
    for number in 0..40 {
        push(&hard, &format!("team/hard-{number}"), "1", &debian_image(&[OLD_LIBC]));
    }
    push(&well, "team/web", "1", &debian_image(&[OLD_OPENSSL]));
    push(&well, "team/api", "1", &debian_image(&[FIXED_LIBC]));
    let configuration = Configuration::new(ORG).registry("hard", &hard.url()).registry("well", &well.url());
    let installation = Installation::configured(&configuration);
    let _local = installation.up();
    // It answers the list of its repositories, and after that it throttles.
    installation.must(&["rules", "run", "everything"]);
    eventually("the repositories are not listed", async || {
        let listings = run_of(&installation)["listings"].as_u64().unwrap();
        if listings >= 44 { Ok(()) } else { Err(format!("{listings} listings")) }
    })
    .await;
    hard.inject(Fault::Throttle { requests: usize::MAX, retry_after: Some(Duration::from_secs(3600)) });
    push(&well, "team/new", "1", &debian_image(&[OLD_LIBC]));
    installation.must(&["rules", "run", "everything"]);
    eventually("what the well registry has is not scanned", async || {
        let images = installation.images();
        let of_well =
            images.iter().filter(|image| image["registry"] == "well" && image["state"] == "scanned");
        let of_well = of_well.count();
        if of_well == 3 { Ok(()) } else { Err(format!("{of_well} images: {images:?}")) }
    })
    .await;

    let status = installation.json(&["status"]);
    assert!(status["registries"]["hard"]["not_before"].is_string(), "{status}");
    assert_eq!(status["registries"]["well"]["not_before"], Value::Null);
    let run = run_of(&installation);
    assert_eq!(run["errors"], json!([]), "it is no failure");
    let because = run["put_off"]["because"].as_str().unwrap();
    assert!(because.contains("registry hard"), "{because}");
    let text = installation.must(&["rules", "status"]);
    assert!(text.contains("put off, the next one goes on in"), "{text}");
    let text = installation.must(&["status"]);
    assert!(text.contains("registry hard: has asked for a pause, which ends in"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_and_everything_is_scanned_within_it() {
    let (slow, well) = (TestRegistry::start().await.unwrap(), TestRegistry::start().await.unwrap());
    for number in 0..6 {
        push(&slow, &format!("team/slow-{number}"), "1", &debian_image(&[OLD_LIBC]));
    }
    push(&well, "team/web", "1", &debian_image(&[OLD_OPENSSL]));
    let configuration = Configuration::new(ORG)
        .registry_with_rate("slow", &slow.url(), "{requests: 5, per: 1s, burst: 16}")
        .registry("well", &well.url());
    let installation = Installation::configured(&configuration);
    let local = installation.up();
    let token = installation.token(ORG);
    let begun = std::time::Instant::now();
    let run = installation.run_rule();
    assert_eq!((&run["errors"], &run["queued"], &run["put_off"]), (&json!([]), &json!(7), &Value::Null));
    let passed = begun.elapsed().as_millis();
    let requests = slow.requests().len() as u128;
    assert!(requests * 1000 <= 16_000 + 5 * passed, "{requests} requests in {passed} ms");
    let slow_ones = vec![&[OLD_LIBC][..]; 6];
    settle(&local, ORG, &token, &numbers(&[slow_ones, vec![&[OLD_OPENSSL]]].concat())).await;
    // Asked again, nothing has changed, and the rate is kept all the same.
    let (begun, before) = (std::time::Instant::now(), slow.requests().len());
    installation.run_rule();
    let again = (slow.requests().len() - before) as u128;
    assert!(again * 1000 <= 16_000 + 5 * begun.elapsed().as_millis(), "{again} requests");
    slow.assert_no_violations();
}
