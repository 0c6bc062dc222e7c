//! A second run does only what is new: nothing is pulled twice, and a moved tag is a new image.

use serde_json::json;
use tidewatch_testkit::registry::TestRegistry;

use crate::images::{FIXED_LIBC, OLD_LIBC, OLD_OPENSSL, ZLIB, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, Numbers, ORG, fixture_registry, settle};

/// What was got of manifests and blobs.
fn pulled(registry: &TestRegistry) -> Vec<String> {
    let is_content = |path: &str| path.contains("/manifests/") || path.contains("/blobs/");
    let requests = registry.requests().into_iter();
    requests
        .filter(|request| request.method == "GET" && is_content(&request.path))
        .map(|request| request.path)
        .collect()
}

/// The path of the manifest that `tag` points to.
fn manifest_path(repository: &str, reference: impl std::fmt::Display) -> String {
    format!("/v2/{repository}/manifests/{reference}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_pulls_nothing_and_changes_nothing() {
    let registry = fixture_registry().await;
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();
    let text = settle(&local, ORG, &token, &Numbers::of_the_fixtures()).await;
    let images = installation.images();
    registry.clear_requests();

    let run = installation.run_rule();
    assert_eq!((run["selected"].clone(), run["queued"].clone()), (json!(6), json!(0)));
    assert_eq!(pulled(&registry), Vec::<String>::new());
    let looked_at = registry.requests().iter().filter(|request| request.method == "HEAD").count();
    assert_eq!(looked_at, 6, "one look at each tag: {:?}", registry.requests());
    assert_eq!(installation.images(), images);
    assert_eq!(local.scrape(ORG, Some(&token)).await.unwrap().body, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_tag_is_scanned_again_and_the_image_that_it_left_counts_no_more() {
    let registry = TestRegistry::start().await.unwrap();
    let (old, new) = (debian_image(&[OLD_LIBC, OLD_OPENSSL]), debian_image(&[FIXED_LIBC, ZLIB]));
    push(&registry, "team/web", "stable", &old);
    push(&registry, "team/api", "1", &debian_image(&[OLD_LIBC]));
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();
    let before = numbers(&[&[OLD_LIBC, OLD_OPENSSL], &[OLD_LIBC]]);
    settle(&local, ORG, &token, &before).await;

    registry.clear_requests();
    push(&registry, "team/web", "stable", &new);
    assert_eq!(installation.run_rule()["queued"], 1);
    settle(&local, ORG, &token, &numbers(&[&[FIXED_LIBC, ZLIB], &[OLD_LIBC]])).await;
    let web = installation.image("team/web");
    assert_eq!((&web["digest"], &web["state"]), (&json!(new.digest.to_string()), &json!("scanned")));
    let pulled_manifests: Vec<String> =
        pulled(&registry).into_iter().filter(|path| path.contains("/manifests/")).collect();
    assert!(pulled_manifests.iter().all(|path| *path == manifest_path("team/web", new.digest)));
    let base = crate::images::base_layer("base").digest;
    assert_eq!(registry.blob_pulls(&base), 0, "the layer that both share was read before");

    // Back again: all of it is known.
    registry.clear_requests();
    registry.tag("team/web", "stable", old.digest);
    installation.run_rule();
    settle(&local, ORG, &token, &before).await;
    assert_eq!(installation.image("team/web")["digest"], old.digest.to_string());
    let layers = old.blobs.keys().filter(|digest| registry.blob_pulls(digest) > 0).count();
    assert!(layers <= 1, "at most its configuration is read again");
}
