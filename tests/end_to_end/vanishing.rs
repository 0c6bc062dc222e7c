//! Images that are not in their registry any more leave the metrics.

use serde_json::Value;
use tidewatch_testkit::registry::TestRegistry;

use crate::images::{FIXED_LIBC, OLD_LIBC, ZLIB, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, ORG, settle};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_two_runs_do_not_find_leaves_the_metrics() {
    let registry = TestRegistry::start().await.unwrap();
    let (gone, stays) = ([OLD_LIBC], [FIXED_LIBC, ZLIB]);
    push(&registry, "team/gone", "1", &debian_image(&gone));
    push(&registry, "team/stays", "1", &debian_image(&stays));
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    installation.run_rule();
    let token = installation.token(ORG);
    let both = numbers(&[&gone, &stays]);
    settle(&local, ORG, &token, &both).await;
    assert_eq!(installation.image("team/gone")["missing_at"], Value::Null);

    registry.delete_repository("team/gone");
    installation.run_rule();
    let image = installation.image("team/gone");
    assert!(image["missing_at"].is_string(), "{image}");
    assert_eq!(image["schedule"], "active");
    settle(&local, ORG, &token, &both).await;

    installation.run_rule();
    settle(&local, ORG, &token, &numbers(&[&stays])).await;
    assert_eq!(installation.images().len(), 1);
    registry.assert_no_violations();
}
