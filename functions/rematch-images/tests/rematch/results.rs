//! What becomes of one image: its result, its slots, and what costs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tidewatch_core::names::PolicyId;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::Objects as _;
use tidewatch_core::result::ResultState;
use tidewatch_store::records::StoredResult;
use tidewatch_testkit::policies::fixable_only;

use crate::world::{World, acme, advisories, created_at, debian, image};

#[tokio::test]
async fn new_advisories_change_result_and_slot_and_what_is_known_of_the_image_stays() {
    let world = World::new().await;
    let image = world.scanned("team/web", &[("openssl", "1"), ("zlib", "1")]).await;
    world.clock.advance(Duration::from_secs(3600));
    world.publish(&advisories()).await;
    let marks = world.marks().await;
    assert_eq!(world.rematch().await, 1);

    let StoredResult { result, revision } = world.stored(&image).await;
    assert_eq!((revision, result.severities.total(), result.packages), (2, 2, 2));
    assert_eq!((result.scanned_at, result.created_at), (world.clock.now(), Some(created_at())));
    let member = world.member(&image).await.unwrap();
    assert_eq!((member.severities, &member.policies), (result.severities, &result.policies));
    assert!(world.marks().await > marks);
}

#[tokio::test]
async fn an_image_whose_result_is_current_is_not_matched() {
    let world = World::new().await;
    let image = world.scanned("team/web", &[("openssl", "1")]).await;
    let stored = world.stored(&image).await;
    world.clock.advance(Duration::from_secs(3600));
    world.rematch().await;
    assert_eq!(world.stored(&image).await, stored);
}

#[tokio::test]
async fn another_policy_judges_the_findings_anew_and_needs_no_advisories() {
    let world = World::new().await;
    let image = world.scanned("team/web", &[("openssl", "1")]).await;
    let fixable = "fixable-vulnerabilities".parse().unwrap();
    let outcome = |policies: &BTreeMap<PolicyId, Outcome>| policies.get(&fixable).copied();
    assert_eq!(outcome(&world.stored(&image).await.result.policies), Some(Outcome::Fail));
    for key in world.objects.list("advisories/").await.unwrap() {
        world.objects.put(&key, "noise".into()).await.unwrap();
    }
    world.apply(&json!([{"id": "fixable-vulnerabilities", "config": {"severities": ["LOW"]}}])).await;
    world.rematch().await;
    let StoredResult { result, revision } = world.stored(&image).await;
    assert_eq!((revision, outcome(&result.policies)), (2, Some(Outcome::Pass)));
    let judging =
        world.records.in_force(&acme(), None).await.unwrap().unwrap().basis(world.clock.now()).judging;
    let progress = world.records.switch_progress(&acme(), &judging).await.unwrap().expect("a switch");
    assert_eq!((progress.done, progress.parts), (1, 1), "who waits for all images is told");
    assert_eq!(outcome(&world.member(&image).await.unwrap().policies), Some(Outcome::Pass));
}

#[tokio::test]
async fn an_exception_takes_its_findings_out_of_the_numbers_and_leaves_them_in_the_report() {
    let world = World::new().await;
    let image = world.scanned("team/web", &[("openssl", "1")]).await;
    let before = world.stored(&image).await.result;
    assert!(before.severities.total() > 0);
    let key = before.report.unwrap();
    let findings = world.records.report(&key).await.unwrap().unwrap().findings;
    let known: Vec<&str> = findings.iter().map(|finding| finding.vulnerability.as_str()).collect();
    let exceptions =
        json!([{"id": "x", "vulnerability": known, "type": "accepted_risk", "digest": image.digest}]);
    let policies = fixable_only(&json!([]));
    world.configure(json!({"org": "acme", "policies": policies, "exceptions": exceptions})).await;
    world.rematch().await;

    let StoredResult { result, .. } = world.stored(&image).await;
    assert_eq!((result.severities.total(), result.suppressed), (0, before.severities));
    assert_eq!(result.policies.into_values().collect::<Vec<_>>(), [Outcome::Pass]);
    let report = world.records.report(&result.report.unwrap()).await.unwrap().unwrap();
    assert_eq!((report.suppressed.len(), report.findings), (findings.len(), findings));
    assert_eq!(world.member(&image).await.unwrap().severities.total(), 0);
}

#[tokio::test]
async fn every_repository_that_holds_the_image_gets_the_new_numbers_once() {
    let world = World::new().await;
    let inventory = debian(&[("openssl", "1"), ("zlib", "1")]);
    let images = ["team/a", "team/b", "team/c"].map(|repository| image(repository, "1"));
    for image in &images {
        world.tag(image, "latest").await;
        world.scan(image, &inventory).await;
    }
    let before = world.stored(&images[0]).await.revision;
    world.publish(&advisories()).await;
    assert_eq!(world.rematch().await, 1);
    assert_eq!(world.stored(&images[0]).await.revision, before + 1, "it is one image");
    for image in &images {
        assert_eq!(world.member(image).await.unwrap().severities.total(), 2, "{image}");
    }
}

#[tokio::test]
async fn the_image_that_stands_for_a_repository_is_matched_also_when_no_tag_names_it() {
    let world = World::new().await;
    let old = world.scanned("team/web", &[("openssl", "1"), ("zlib", "1")]).await;
    // The tag moves to an image that is not scanned yet.
    let new = image("team/web", "new");
    world.tag(&new, "latest").await;
    world.publish(&advisories()).await;
    world.rematch().await;
    assert_eq!(world.vulnerabilities(&old).await, 2);
    assert_eq!(
        world.member(&old).await.map(|member| (member.image, member.severities.total())),
        Some((old, 2))
    );
    assert_eq!(world.records.result(&acme(), &new.digest, &new.platform).await.unwrap(), None);
}

#[tokio::test]
async fn a_pending_image_is_scanned_when_its_advisories_come() {
    let world = World::without_advisories().await;
    let image = world.scanned("team/web", &[("openssl", "1")]).await;
    assert_eq!(world.stored(&image).await.result.state, ResultState::Pending);
    assert_eq!(world.member(&image).await, None);
    world.publish(&advisories()).await;
    world.rematch().await;
    assert_eq!(world.stored(&image).await.result.state, ResultState::Scanned);
    assert_eq!(world.member(&image).await.unwrap().severities.total(), 1);
}

#[tokio::test]
async fn an_image_that_the_gauges_do_not_count_is_matched_and_enters_no_slot() {
    let world = World::new().await;
    let image = image("team/web", "1");
    world.tag(&image, "latest").await;
    world.place(&image, false).await;
    let assessment = world.assess(&debian(&[("openssl", "1"), ("zlib", "1")])).await;
    let in_force = world.records.in_force(&acme(), None).await.unwrap().unwrap();
    let (records, id) = (&world.records, image.id());
    tidewatch_assessment::record(records, &acme(), (&id, None), assessment, None, None, &in_force)
        .await
        .unwrap();
    world.publish(&advisories()).await;
    world.rematch().await;
    assert_eq!((world.vulnerabilities(&image).await, world.member(&image).await), (2, None));
}

#[tokio::test]
async fn an_image_that_older_readers_have_read_is_matched_and_stays_known_as_theirs() {
    let world = World::new().await;
    let image = world.scanned("team/web", &[("openssl", "1"), ("zlib", "1")]).await;
    let stored = world.stored(&image).await;
    let mut result = stored.result.clone();
    result.reader_version = 1;
    world.records.put_result(&acme(), &image.digest, &image.platform, &result, Some(&stored)).await.unwrap();
    world.publish(&advisories()).await;
    world.rematch().await;
    let result = world.stored(&image).await.result;
    assert_eq!((result.reader_version, result.severities.total()), (1, 2));
}

#[tokio::test]
async fn an_image_for_which_the_same_is_found_is_not_written() {
    let world = World::new().await;
    let image = world.scanned("team/web", &[("openssl", "1")]).await;
    let (stored, marks) = (world.stored(&image).await, world.marks().await);
    let written = world.objects.list("").await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    // About a package that the image has not.
    world.publish(&advisories()).await;
    world.rematch().await;
    assert_eq!((world.stored(&image).await, world.marks().await), (stored, marks));
    let mut now = world.objects.list("").await.unwrap();
    now.retain(|key| !written.contains(key));
    assert!(now.iter().all(|key| key.starts_with("advisories/")), "{now:?}");
}

#[tokio::test]
async fn policies_that_change_no_answer_write_nothing() {
    let world = World::new().await;
    let image = world.scanned("team/web", &[("zlib", "1")]).await;
    let stored = world.stored(&image).await;
    world.clock.advance(Duration::from_secs(3600));
    world.apply(&json!([{"id": "fixable-vulnerabilities", "config": {"grace_period_days": 3}}])).await;
    assert_eq!(world.rematch().await, 1);
    assert_eq!(world.stored(&image).await, stored);
    assert!(world.is_current(&image).await);
}

#[tokio::test]
async fn another_table_of_ends_of_life_judges_images_again_and_the_same_of_another_day_does_not() {
    let world = World::new().await;
    let image = world.scanned("team/web", &[("openssl", "1")]).await;
    assert_eq!(world.stored(&image).await.result.state, ResultState::Scanned);
    world.publish_end_of_life("2026-06-01", "2026-06-14T00:00:00Z").await;
    world.rematch().await;
    let StoredResult { result, revision } = world.stored(&image).await;
    assert_eq!((revision, result.state, result.severities.total()), (2, ResultState::Eol, 1));
    assert_eq!(result.reason.as_deref(), Some("its distribution gets no more support since 2026-06-02"));
    assert_eq!(world.member(&image).await.unwrap().state, ResultState::Eol);

    world.publish_end_of_life("2026-06-01", "2026-06-15T00:00:00Z").await;
    world.rematch().await;
    assert_eq!(world.stored(&image).await.revision, 2, "it says the same");

    world.publish_end_of_life("2027-06-01", "2026-06-15T00:00:00Z").await;
    world.rematch().await;
    let StoredResult { result, revision } = world.stored(&image).await;
    let judged_under = result.judged_under;
    assert_eq!((revision, result.state, result.reason), (3, ResultState::Scanned, None));
    assert_eq!(judged_under, world.basis().await.judging, "it is judged by what is in force");
}
