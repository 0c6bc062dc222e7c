//! Configurations, results and tokens of organisations.

use tidewatch_core::image::Platform;

use crate::world::{World, acme, assert_changed, at, config, image, result, token};

on_every_table!(
    a_configuration_is_applied_on_the_version_that_it_was_planned_against,
    organisations_are_listed_sorted,
    a_result_is_stored_on_the_revision_that_it_was_computed_from,
    a_token_is_found_by_its_id_and_listed_by_its_organisation,
    a_revoked_token_stays_revoked_since_the_first_time,
    a_token_is_revoked_by_its_own_organisation_only,
);

async fn a_configuration_is_applied_on_the_version_that_it_was_planned_against(world: World) {
    let (one, two) = (config("acme", "https://one.example.com"), config("acme", "https://two.example.com"));
    assert_eq!(world.records.config(&acme()).await.unwrap(), None);
    assert_changed(world.records.apply_config(&one, Some(1), at(0)).await);
    assert_eq!(world.records.apply_config(&one, None, at(0)).await.unwrap(), 1);
    assert_changed(world.records.apply_config(&two, None, at(1)).await);
    assert_eq!(world.records.apply_config(&two, Some(1), at(2)).await.unwrap(), 2);
    assert_changed(world.records.apply_config(&one, Some(1), at(3)).await);
    let applied = world.records.config(&acme()).await.unwrap().unwrap();
    assert_eq!((applied.config, applied.version, applied.applied_at), (two, 2, at(2)));
}

async fn organisations_are_listed_sorted(world: World) {
    for org in ["zebra", "acme", "m-1"] {
        world.records.apply_config(&config(org, "https://one.example.com"), None, at(0)).await.unwrap();
    }
    let orgs: Vec<String> = world.records.orgs().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(orgs, ["acme", "m-1", "zebra"]);
}

async fn a_result_is_stored_on_the_revision_that_it_was_computed_from(world: World) {
    let (org, image) = (acme(), image("1"));
    let put = |packages, revision| {
        let (records, result) = (&world.records, result(packages));
        let (org, image) = (&org, &image);
        async move { records.put_result(org, &image.digest, &image.platform, &result, revision).await }
    };
    assert_changed(put(1, 1).await);
    assert_eq!(put(1, 0).await.unwrap(), 1);
    assert_changed(put(2, 0).await);
    assert_eq!(put(3, 1).await.unwrap(), 2);
    assert_changed(put(4, 1).await);
    let stored = world.records.result(&org, &image.digest, &image.platform).await.unwrap().unwrap();
    assert_eq!((stored.result.packages, stored.revision), (3, 2));
    let arm = world.records.result(&org, &image.digest, &Platform::linux_arm64()).await.unwrap();
    assert_eq!(arm, None, "each platform has its own");
}

async fn a_token_is_found_by_its_id_and_listed_by_its_organisation(world: World) {
    let tokens = [token(1, "acme", 2), token(2, "acme", 1), token(3, "zebra", 0)];
    for token in &tokens {
        world.records.put_token(token).await.unwrap();
    }
    let [newer, older, _] = &tokens;
    assert_eq!(world.records.token(&newer.id).await.unwrap().as_ref(), Some(newer));
    assert_eq!(world.records.token("aaaaaaaaaaaaaaaa").await.unwrap(), None);
    assert_eq!(world.records.tokens(&acme()).await.unwrap(), [older.clone(), newer.clone()], "oldest first");
    assert!(world.records.put_token(newer).await.is_err(), "an id is given once");
}

async fn a_revoked_token_stays_revoked_since_the_first_time(world: World) {
    let token = token(1, "acme", 0);
    world.records.put_token(&token).await.unwrap();
    for now in [5, 9] {
        let revoked = world.records.revoke_token(&acme(), &token.id, at(now)).await.unwrap().unwrap();
        assert_eq!(revoked.revoked_at, Some(at(5)));
        assert_eq!(world.records.token(&token.id).await.unwrap(), Some(revoked));
    }
}

async fn a_token_is_revoked_by_its_own_organisation_only(world: World) {
    let token = token(1, "acme", 0);
    world.records.put_token(&token).await.unwrap();
    assert_eq!(world.records.revoke_token(&"zebra".parse().unwrap(), &token.id, at(5)).await.unwrap(), None);
    assert_eq!(world.records.token(&token.id).await.unwrap(), Some(token));
}
