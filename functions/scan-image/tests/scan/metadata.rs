//! What is known of an image beside its packages: read once with the manifest, and kept with the result.

use serde_json::json;
use tidewatch_core::metadata::{BaseEvidence, BaseImage, ConfigMetadata, ImageMetadata};
use tidewatch_core::policy::Outcome;
use tidewatch_core::result::ImageResult;
use tidewatch_store::records::ImageManifest;
use tidewatch_testkit::image::ImageBuilder;

use crate::images::{advisories, debian};
use crate::world::{World, acme};

const BASE: &str = "docker.io/library/debian:13";

fn image() -> ImageBuilder {
    ImageBuilder::new().layer(debian(&[("openssl", "1")]))
}

/// One in which the policy about users is judged.
async fn world() -> World {
    let world = World::new().await;
    world.apply(&json!([{"id": "default-non-root-user"}])).await;
    world
}

fn outcome(result: &ImageResult, policy: &str) -> Option<Outcome> {
    result.policies.get(&policy.parse().unwrap()).copied()
}

async fn metadata(world: &World, result: &ImageResult) -> ImageMetadata {
    world.records.image_metadata(&acme(), result.metadata).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_user_and_the_base_that_an_image_names_are_judged_and_kept() {
    let world = world().await;
    let built = image()
        .user("app")
        .label("org.opencontainers.image.base.name", BASE)
        .label("org.opencontainers.image.base.digest", "no digest")
        .build();
    let work = world.push_work("team/web", &built);
    world.scan(&work).await;
    let result = world.result(&work).await;
    let known = metadata(&world, &result).await;
    assert_eq!(known.config, Some(ConfigMetadata { user: Some("app".to_owned()) }));
    let reference = BASE.to_owned();
    let evidence = BaseEvidence::Annotation;
    assert_eq!(known.base, Some(BaseImage { reference, digest: None, evidence, current: None }));
    assert_eq!(known.attestations, None, "nobody has looked");
    assert_eq!(outcome(&result, "default-non-root-user"), Some(Outcome::Pass));
}

#[tokio::test]
async fn an_image_without_a_user_runs_as_root() {
    let world = world().await;
    let work = world.push_work("team/web", &image().build());
    world.scan(&work).await;
    let result = world.result(&work).await;
    assert_eq!(outcome(&result, "default-non-root-user"), Some(Outcome::Fail));
    let known = metadata(&world, &result).await;
    assert_eq!((known.base, known.base_unknown_because.as_deref()), (None, Some("the image names none")));
}

#[tokio::test]
async fn what_an_earlier_version_has_kept_of_a_manifest_is_asked_again_at_the_next_scan() {
    let world = world().await;
    let work = world.push_work("team/web", &image().user("app").build());
    world.scan(&work).await;
    let digest = work.image.digest;
    let kept = world.records.image_manifest(&acme(), &digest).await.unwrap().unwrap();
    let of_before = ImageManifest { said: None, ..kept.clone() };
    world.records.put_image_manifest(&acme(), &digest, &of_before).await.unwrap();

    world.publish(&advisories()[..1]).await;
    world.apply(&json!([{"id": "default-non-root-user", "display_name": "No root"}])).await;
    world.scan(&work).await;
    assert_eq!(world.records.image_manifest(&acme(), &digest).await.unwrap(), Some(kept));
    let result = world.result(&work).await;
    assert_eq!(outcome(&result, "default-non-root-user"), Some(Outcome::Pass));
}
