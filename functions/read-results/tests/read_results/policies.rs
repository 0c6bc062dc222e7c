//! What policies say of the images of a stream.

use serde_json::json;
use tidewatch_core::Severity;
use tidewatch_core::result::ResultState;
use tidewatch_read_results::documents::PolicyPage;
use tidewatch_read_results::{PolicyQuery, ReadError};

use crate::scans::Scan;
use crate::world::{World, first};

async fn policy(world: &World, failing: bool) -> PolicyPage {
    let query = PolicyQuery {
        id: "fixable-vulnerabilities".parse().unwrap(),
        stream: "latest-indexed".parse().unwrap(),
        failing,
    };
    world.results().await.policy_page(&query, &first(100)).await.unwrap()
}

async fn world() -> World {
    let world = World::plain().await;
    let web = Scan::of("hub/web").with("CVE-2026-0001", "openssl", Severity::Critical);
    world.scan("latest-indexed", &web).await;
    world.scan("latest-indexed", &Scan::of("hub/good")).await;
    world.scan("latest-indexed", &Scan::of("hub/odd").in_state(ResultState::Partial)).await;
    let mut new = world.scan("latest-indexed", &Scan::of("hub/new")).await;
    new.policies.clear();
    world.put(&"latest-indexed".parse().unwrap(), &new).await;
    world
}

#[tokio::test]
async fn every_image_has_its_answer_with_the_rows_or_the_reason() {
    insta::assert_json_snapshot!("policy", policy(&world().await, false).await);
}

#[tokio::test]
async fn only_images_that_fail_can_be_asked_for() {
    let page = policy(&world().await, true).await;
    let [image] = &page.images[..] else { panic!("{page:?}") };
    assert_eq!(
        (image.name.repository.as_str(), &image.failing[..]),
        ("web", &["CVE-2026-0001 openssl".to_owned()][..])
    );
    let numbers = page.numbers.unwrap();
    assert_eq!((numbers.compliant, numbers.evaluated, numbers.no_data, numbers.unjudged), (1, 2, 1, 1));
}

#[tokio::test]
async fn a_policy_that_is_not_in_force_is_refused() {
    let world = World::new(json!([]), json!([{"id": "fixable-vulnerabilities", "enabled": false}])).await;
    let query = PolicyQuery {
        id: "fixable-vulnerabilities".parse().unwrap(),
        stream: "latest-indexed".parse().unwrap(),
        failing: false,
    };
    let refused = world.results().await.policy_page(&query, &first(1)).await.unwrap_err();
    assert!(matches!(refused, ReadError::Policy { .. }), "{refused}");
}
