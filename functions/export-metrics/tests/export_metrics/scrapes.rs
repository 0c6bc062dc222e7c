//! Full answers as golden files, and who gets none.

use std::time::Duration;

use tidewatch_core::Digest;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::token::Token;
use tidewatch_store::records::{Snapshot, SnapshotHead, TextHead};
use tidewatch_testkit::ports::SeededRandomness;

use crate::world::{HOUR, METRICS, World, acme, body, header, inflate, request, show, text};

#[tokio::test]
async fn a_scrape_gets_the_text_of_the_snapshot() {
    let world = World::with_snapshot().await;
    world.clock.advance(Duration::from_secs(42));
    let response = world.scrape_as(&world.bearer()).await;
    insta::assert_snapshot!("ok_text", show(&response));
    assert_eq!(body(&response).as_ref(), text(3).as_bytes());
}

#[tokio::test]
async fn a_scrape_that_takes_gzip_gets_the_same_compressed() {
    let world = World::with_snapshot().await;
    let headers = [("authorization", &*world.bearer()), ("accept-encoding", "gzip")];
    let response = world.get(METRICS, &headers).await;
    insta::assert_snapshot!("ok_gzip", show(&response));
    assert_eq!(inflate(body(&response)), text(3));
}

#[tokio::test]
async fn a_head_request_gets_the_headers_alone() {
    let world = World::with_snapshot().await;
    let headers = [("authorization", &*world.bearer())];
    let response = world.exporter.handle(&request("HEAD", METRICS, &headers)).await;
    insta::assert_snapshot!("head", show(&response));
    let get = world.get(METRICS, &headers).await;
    // Nothing but the length that a server adds to an answer with a body.
    let mut headers = response.headers;
    let length = headers.remove("content-length").unwrap();
    assert_eq!(length.to_str().unwrap(), body(&get).len().to_string());
    assert_eq!((response.status_code, headers), (get.status_code, get.headers));
}

#[tokio::test]
async fn what_the_client_has_already_is_not_sent_again() {
    let world = World::with_snapshot().await;
    let tag = header(&world.scrape_as(&world.bearer()).await, "etag").to_owned();
    let headers =
        [("authorization", &*world.bearer()), ("if-none-match", &*tag), ("accept-encoding", "gzip")];
    insta::assert_snapshot!("not_modified", show(&world.get(METRICS, &headers).await));
    world.publish(2, &text(4)).await;
    let changed = world.get(METRICS, &headers).await;
    assert_eq!((changed.status_code, inflate(body(&changed))), (200, text(4)));
}

#[tokio::test]
async fn a_new_snapshot_is_served_at_once() {
    let world = World::with_snapshot().await;
    for critical in 4..7 {
        let number = i64::try_from(critical).unwrap();
        world.publish(number, &text(critical)).await;
        assert_eq!(body(&world.scrape_as(&world.bearer()).await).as_ref(), text(critical).as_bytes());
    }
}

#[tokio::test]
async fn the_older_path_gives_the_same() {
    let world = World::with_snapshot().await;
    let headers = [("authorization", &*world.bearer())];
    let older = world.get("/v1/exporter/org/acme", &headers).await;
    assert_eq!(show(&older), show(&world.get(METRICS, &headers).await));
}

#[tokio::test]
async fn the_age_is_the_time_since_a_roll_up_found_the_snapshot_right() {
    let world = World::with_snapshot().await;
    let published = world.records.snapshot_head(&acme()).await.unwrap().unwrap();
    world.clock.advance(HOUR);
    assert_eq!(header(&world.scrape_as(&world.bearer()).await, "age"), "3600");
    world.records.confirm_snapshot(&acme(), &published, world.clock.now()).await.unwrap();
    world.clock.advance(Duration::from_secs(7));
    assert_eq!(header(&world.scrape_as(&world.bearer()).await, "age"), "7");
}

#[tokio::test]
async fn a_snapshot_that_was_found_right_a_little_in_the_future_has_age_0() {
    let world = World::with_snapshot().await;
    world.clock.set("2026-06-14T23:59:58Z".parse().unwrap());
    assert_eq!(header(&world.scrape_as(&world.bearer()).await, "age"), "0");
}

#[tokio::test]
async fn without_a_snapshot_there_are_no_metrics_yet() {
    let world = World::new().await;
    insta::assert_snapshot!("no_snapshot", show(&world.scrape_as(&world.bearer()).await));
}

#[tokio::test]
async fn numbers_older_than_a_day_are_refused() {
    let world = World::with_snapshot().await;
    world.clock.advance(HOUR * 24);
    assert_eq!(world.scrape_as(&world.bearer()).await.status_code, 200);
    world.clock.advance(Duration::from_secs(1));
    insta::assert_snapshot!("stale", show(&world.scrape_as(&world.bearer()).await));
}

#[tokio::test]
async fn a_damaged_snapshot_is_refused_as_text() {
    let world = World::new().await;
    let whole = world.publish(1, &text(3)).await;
    let length = whole.head.metrics.length;
    for (number, length) in [(2, length - 1), (3, length + 1)] {
        let metrics = TextHead { length, ..whole.head.metrics };
        let damaged = Snapshot { head: SnapshotHead { number, metrics, ..whole.head }, ..whole.clone() };
        assert!(world.records.publish_snapshot(&acme(), &damaged).await.unwrap());
        insta::assert_snapshot!("damaged", show(&world.scrape_as(&world.bearer()).await));
    }
}

#[tokio::test]
async fn every_bad_token_gets_the_same_401() {
    let world = World::with_snapshot().await;
    let expired = world.issue("acme", 2, |record| record.expires_at = Some(record.created_at)).await;
    let revoked = world.issue("acme", 3, |record| record.revoked_at = Some(record.created_at)).await;
    let other_secret =
        world.issue("acme", 4, |record| record.digest = Digest::of(b"another token of this id")).await;
    let unknown = Token::generate(&SeededRandomness::new(5));
    let missing = world.get(METRICS, &[]).await;
    insta::assert_snapshot!("unauthorized", show(&missing));

    let truncated = &world.bearer()[..40];
    let basic = format!("Basic {}", world.token.reveal());
    let bare = world.token.reveal();
    let of = |token: &Token| format!("Bearer {}", token.reveal());
    let bad = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer twd_",
        truncated,
        &basic,
        bare,
        &of(&expired),
        &of(&revoked),
        &of(&unknown),
        &of(&other_secret),
    ];
    for authorization in bad {
        assert_eq!(show(&world.scrape_as(authorization).await), show(&missing), "{authorization}");
    }
}

#[tokio::test]
async fn a_token_is_good_until_it_expires() {
    let world = World::with_snapshot().await;
    let expires = world.clock.now() + HOUR;
    let token = world.issue("acme", 2, |record| record.expires_at = Some(expires)).await;
    let authorization = format!("Bearer {}", token.reveal());
    world.clock.set(expires - Duration::from_millis(1));
    assert_eq!(world.scrape_as(&authorization).await.status_code, 200);
    world.clock.set(expires);
    assert_eq!(world.scrape_as(&authorization).await.status_code, 401);
}

#[tokio::test]
async fn a_revoked_token_is_refused_from_the_next_request_on() {
    let world = World::with_snapshot().await;
    let tag = header(&world.scrape_as(&world.bearer()).await, "etag").to_owned();
    world.records.revoke_token(&acme(), world.token.id(), world.clock.now()).await.unwrap();
    assert_eq!(world.scrape_as(&world.bearer()).await.status_code, 401);
    let cached = world.get(METRICS, &[("authorization", &*world.bearer()), ("if-none-match", &*tag)]).await;
    assert_eq!(cached.status_code, 401, "also for what the client has already");
}

#[tokio::test]
async fn another_organisation_and_one_that_does_not_exist_get_the_same_403() {
    let world = World::with_snapshot().await;
    let zebra = world.issue("zebra", 2, |_| {}).await;
    let no_scope = world.issue("acme", 3, |record| record.scopes.clear()).await;
    let forbidden = world.scrape_as(&format!("Bearer {}", zebra.reveal())).await;
    insta::assert_snapshot!("forbidden", show(&forbidden));
    let headers = [("authorization", &*format!("Bearer {}", zebra.reveal()))];
    for path in
        ["/v1/exporter/org/nobody/metrics", "/v1/exporter/org/ACME/metrics", "/v1/exporter/org/%2e%2e"]
    {
        assert_eq!(show(&world.get(path, &headers).await), show(&forbidden), "{path}");
    }
    let without_scope = world.scrape_as(&format!("Bearer {}", no_scope.reveal())).await;
    assert_eq!(show(&without_scope), show(&forbidden));
}

#[tokio::test]
async fn the_scheme_in_lower_case_and_blanks_around_the_token_are_accepted() {
    let world = World::with_snapshot().await;
    let token = world.token.reveal();
    for authorization in
        [format!("bearer {token}"), format!("BEARER  {token} "), format!(" Bearer {token}\t")]
    {
        assert_eq!(world.scrape_as(&authorization).await.status_code, 200, "{authorization}");
    }
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_are_allowed() {
    let world = World::with_snapshot().await;
    let headers = [("authorization", &*world.bearer())];
    let refused = world.exporter.handle(&request("POST", METRICS, &headers)).await;
    insta::assert_snapshot!("method_not_allowed", show(&refused));
    for method in ["PUT", "DELETE", "OPTIONS", "get"] {
        assert_eq!(
            show(&world.exporter.handle(&request(method, METRICS, &headers)).await),
            show(&refused),
            "{method}"
        );
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let world = World::with_snapshot().await;
    let headers = [("authorization", &*world.bearer())];
    let missing = world.get("/metrics", &headers).await;
    insta::assert_snapshot!("not_found", show(&missing));
    for path in
        ["/", "/v1/exporter/org/", "/v1/exporter/org/acme/metrics/", "/v1/exporter/org/acme/tidewatch/x"]
    {
        assert_eq!(show(&world.get(path, &headers).await), show(&missing), "{path}");
    }
}

#[tokio::test]
async fn no_answer_repeats_anything_of_the_token() {
    let world = World::with_snapshot().await;
    let (_, secret) = world.token.reveal().rsplit_once('_').unwrap();
    let bearer = world.bearer();
    let wrong = format!("{}x", &bearer[..bearer.len() - 1]);
    for authorization in [&*bearer, &wrong, world.token.reveal(), &bearer.to_uppercase()] {
        for path in [METRICS, "/v1/exporter/org/nobody/metrics", "/nowhere"] {
            for method in ["GET", "HEAD", "POST"] {
                let response =
                    world.exporter.handle(&request(method, path, &[("authorization", authorization)])).await;
                let whole = serde_json::to_string(&response).unwrap().to_lowercase();
                assert!(!whole.contains(secret) && !whole.contains(&secret[..20]), "{method} {path}");
                assert!(!whole.contains(world.token.id()), "{method} {path}");
            }
        }
    }
}
