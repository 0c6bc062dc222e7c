//! Images of which something cannot be read: never clean, and never in the way.

use tidewatch_core::policy::Outcome;
use tidewatch_core::result::ResultState;
use tidewatch_core::work::Work;
use tidewatch_testkit::image::BuiltImage;

use crate::images::{cut_off, debian, distribution, file, image, with_layer_type};
use crate::world::{World, fixable};

async fn scanned(image: &BuiltImage) -> (World, Work) {
    let world = World::new().await;
    let work = world.push_work("team/web", image);
    world.scan(&work).await;
    assert_eq!(world.due_rows().await, 0);
    world.registry.assert_no_violations();
    (world, work)
}

/// Checks the state, the answer of the policy on fixable vulnerabilities in the result and in the stream, and gives the reason.
async fn check(world: &World, work: &Work, state: ResultState, outcome: Outcome) -> String {
    let result = world.result(work).await;
    assert_eq!((result.state, fixable(&result)), (state, Some(outcome)));
    let members = world.members().await;
    assert_eq!((members.len(), members[0].state), (1, state));
    assert_eq!((&members[0].policies, members[0].severities), (&result.policies, result.severities));
    result.reason.expect("a reason")
}

#[tokio::test]
async fn a_layer_that_was_pushed_cut_off_makes_the_image_partial_and_never_pass() {
    let cut = cut_off(&file(&"content ".repeat(10_000)));
    let (world, work) = scanned(&image(&[&debian(&[("openssl", "2")]), &cut])).await;
    let reason = check(&world, &work, ResultState::Partial, Outcome::NoData).await;
    assert!(reason.contains(&cut.digest.to_string()), "{reason}");
    let inventory = world.inventory(&work).await;
    assert_eq!((inventory.packages.len(), inventory.problems.len()), (1, 1));
    assert_eq!(world.registry.blob_pulls(&cut.digest), 1, "what its digest confirms is not pulled again");
}

#[tokio::test]
async fn a_partial_image_fails_by_a_known_vulnerability() {
    let cut = cut_off(&file(&"content ".repeat(10_000)));
    let (world, work) = scanned(&image(&[&debian(&[("openssl", "1")]), &cut])).await;
    check(&world, &work, ResultState::Partial, Outcome::Fail).await;
    assert_eq!(world.result(&work).await.severities.total(), 1);
}

#[tokio::test]
async fn a_foreign_layer_makes_the_image_partial_and_is_not_asked_for() {
    let foreign = file("windows");
    let built = image(&[&debian(&[("openssl", "2")]), &foreign]);
    let built = with_layer_type(&built, 1, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let (world, work) = scanned(&built).await;
    let reason = check(&world, &work, ResultState::Partial, Outcome::NoData).await;
    assert!(reason.contains("the registry does not hold this layer"), "{reason}");
    assert_eq!(world.registry.blob_pulls(&foreign.digest), 0);
}

#[tokio::test]
async fn a_layer_of_an_unknown_type_makes_the_image_partial_with_the_type_as_reason() {
    let unknown = file("something");
    let built = image(&[&debian(&[("openssl", "2")]), &unknown]);
    let built = with_layer_type(&built, 1, "application/vnd.example.layer.v1.squashfs");
    let (world, work) = scanned(&built).await;
    let reason = check(&world, &work, ResultState::Partial, Outcome::NoData).await;
    assert!(reason.contains("application/vnd.example.layer.v1.squashfs"), "{reason}");
    assert_eq!(world.registry.blob_pulls(&unknown.digest), 0);
}

#[tokio::test]
async fn a_distribution_without_advisories_is_unsupported_and_never_passes() {
    for (id, version, packages) in [
        ("raspbian", "12", &[("openssl", "1")][..]),
        ("debian", "12", &[("openssl", "1")]),
        ("fedora", "44", &[]),
    ] {
        let (world, work) = scanned(&image(&[&distribution(id, version, packages)])).await;
        let reason = check(&world, &work, ResultState::Unsupported, Outcome::NoData).await;
        assert!(reason.contains(&format!("{id} {version}")), "{reason}");
        assert_eq!(world.result(&work).await.packages, packages.len() as u64);
    }
}

#[tokio::test]
async fn an_unsupported_image_of_which_something_could_not_be_read_is_partial() {
    let cut = cut_off(&file(&"content ".repeat(10_000)));
    let (world, work) = scanned(&image(&[&distribution("raspbian", "12", &[("openssl", "1")]), &cut])).await;
    let reason = check(&world, &work, ResultState::Partial, Outcome::NoData).await;
    assert!(reason.contains(&cut.digest.to_string()), "{reason}");
}

#[tokio::test]
async fn an_image_without_a_package_database_is_unsupported() {
    for built in [image(&[&debian(&[]), &file("app")]), image(&[&file("a static program")])] {
        let (world, work) = scanned(&built).await;
        check(&world, &work, ResultState::Unsupported, Outcome::NoData).await;
        assert_eq!(world.result(&work).await.packages, 0);
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_ordered_makes_the_image_partial() {
    let (world, work) = scanned(&image(&[&debian(&[("openssl", "not a version")])])).await;
    let reason = check(&world, &work, ResultState::Partial, Outcome::NoData).await;
    assert!(reason.contains("openssl"), "{reason}");
}
