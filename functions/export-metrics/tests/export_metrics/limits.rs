//! What a scrape costs, and how often a token may scrape.

use std::time::Duration;

use tidewatch_core::Digest;
use tidewatch_core::ports::Clock as _;

use crate::world::{METRICS, OWN, World, acme, header, show, text};

/// The operations of the table that a scrape of `path` makes.
async fn reads(world: &World, path: &str, headers: &[(&str, &str)]) -> usize {
    world.operations.recover();
    let authorization = ("authorization", &*world.bearer());
    let response = world.get(path, &[headers, &[authorization]].concat()).await;
    assert!(matches!(response.status_code, 200 | 304), "{response:?}");
    world.operations.operations()
}

#[tokio::test]
async fn a_scrape_reads_the_token_and_the_head_and_the_bodies_only_when_their_number_has_changed() {
    let world = World::with_snapshot().await;
    assert_eq!(reads(&world, METRICS, &[]).await, 4, "token and head, then head and bodies");
    assert_eq!(reads(&world, METRICS, &[]).await, 2);
    assert_eq!(reads(&world, METRICS, &[("accept-encoding", "gzip")]).await, 2);
    assert_eq!(reads(&world, METRICS, &[("accept", "application/openmetrics-text")]).await, 2);
    assert_eq!(reads(&world, OWN, &[]).await, 2);
    let head = world.records.snapshot_head(&acme()).await.unwrap().unwrap();
    world.clock.advance(Duration::from_secs(60));
    world.records.confirm_snapshot(&acme(), &head, world.clock.now()).await.unwrap();
    assert_eq!(reads(&world, METRICS, &[]).await, 2, "the same numbers were confirmed");
    assert_eq!(reads(&world, OWN, &[]).await, 2);
    world.publish(2, &text(4)).await;
    assert_eq!(reads(&world, METRICS, &[]).await, 4);
    assert_eq!(reads(&world, OWN, &[]).await, 2, "both texts come at once");
}

#[tokio::test]
async fn what_the_client_has_already_needs_no_bodies() {
    let world = World::with_snapshot().await;
    let tag = header(&world.scrape_as(&world.bearer()).await, "etag").to_owned();
    let fresh = World { exporter: world.fresh_exporter(), ..world };
    assert_eq!(reads(&fresh, METRICS, &[("if-none-match", &tag)]).await, 2);
}

#[tokio::test]
async fn a_token_that_asks_too_often_waits_and_no_other_does() {
    let mut world = World::with_snapshot().await;
    world.exporter = world.fresh_exporter().limited(30);
    let other = world.issue("acme", 2, |_| {}).await;
    for _ in 0..30 {
        assert_eq!(world.scrape_as(&world.bearer()).await.status_code, 200);
    }
    world.operations.recover();
    let refused = world.scrape_as(&world.bearer()).await;
    insta::assert_snapshot!("too_many_requests", show(&refused));
    assert_eq!(world.operations.operations(), 0, "it costs no read");
    assert_eq!(world.get(OWN, &[("authorization", &*world.bearer())]).await.status_code, 429);
    assert_eq!(world.scrape_as(&format!("Bearer {}", other.reveal())).await.status_code, 200);
    let after: u64 = header(&refused, "retry-after").parse().unwrap();
    world.clock.advance(Duration::from_secs(after));
    assert_eq!(world.scrape_as(&world.bearer()).await.status_code, 200);
    assert_eq!(world.scrape_as(&world.bearer()).await.status_code, 429);
}

#[tokio::test]
async fn a_token_with_the_right_id_and_a_wrong_secret_is_not_counted() {
    let mut world = World::with_snapshot().await;
    world.exporter = world.fresh_exporter().limited(30);
    let wrong =
        world.issue("acme", 4, |record| record.digest = Digest::of(b"another token of this id")).await;
    for _ in 0..100 {
        assert_eq!(world.scrape_as(&format!("Bearer {}", wrong.reveal())).await.status_code, 401);
    }
    assert_eq!(world.scrape_as(&world.bearer()).await.status_code, 200);
}

#[tokio::test]
async fn a_revoked_token_that_asks_too_often_is_refused_too() {
    let mut world = World::with_snapshot().await;
    world.exporter = world.fresh_exporter().limited(2);
    for _ in 0..2 {
        assert_eq!(world.scrape_as(&world.bearer()).await.status_code, 200);
    }
    world.records.revoke_token(&acme(), world.token.id(), world.clock.now()).await.unwrap();
    assert_eq!(world.scrape_as(&world.bearer()).await.status_code, 429);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.scrape_as(&world.bearer()).await.status_code, 401);
}
