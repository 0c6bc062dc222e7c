//! Which text a client gets: the format that it insists on, and the families that it asks for.

use std::collections::BTreeSet;

use tidewatch_core::ports::Clock as _;

use crate::world::{METRICS, OWN, World, acme, body, header, inflate, own, request, show, text};

const OPEN_METRICS: &str =
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1";
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

#[tokio::test]
async fn a_client_that_insists_on_open_metrics_gets_the_same_numbers_with_an_end() {
    let world = World::with_snapshot().await;
    let headers = [("authorization", &*world.bearer()), ("accept", OPEN_METRICS)];
    let response = world.get(METRICS, &headers).await;
    insta::assert_snapshot!("open_metrics", show(&response));
    assert_eq!(body(&response).as_ref(), format!("{}# EOF\n", text(3)).as_bytes());
    let gzip = world.get(METRICS, &[headers[0], headers[1], ("accept-encoding", "gzip")]).await;
    assert_eq!(inflate(body(&gzip)), format!("{}# EOF\n", text(3)));
    assert_eq!(header(&gzip, "content-type"), header(&response, "content-type"));
}

#[tokio::test]
async fn a_client_that_takes_text_too_gets_text() {
    let world = World::with_snapshot().await;
    let plain = world.scrape_as(&world.bearer()).await;
    let headers = [("authorization", &*world.bearer()), ("accept", PROMETHEUS)];
    assert_eq!(show(&world.get(METRICS, &headers).await), show(&plain));
}

#[tokio::test]
async fn the_entity_tag_of_one_text_is_none_of_another() {
    let world = World::with_snapshot().await;
    let authorization = ("authorization", &*world.bearer());
    let forms = [(METRICS, "text/plain"), (METRICS, OPEN_METRICS), (OWN, "text/plain"), (OWN, OPEN_METRICS)];
    let mut tags = Vec::new();
    for (path, accept) in forms {
        let response = world.get(path, &[authorization, ("accept", accept)]).await;
        assert_eq!(header(&response, "vary"), "Accept, Accept-Encoding, Authorization");
        tags.push(header(&response, "etag").to_owned());
    }
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), forms.len(), "{tags:?}");
    for (number, (path, accept)) in forms.into_iter().enumerate() {
        for (other, tag) in tags.iter().enumerate() {
            let headers = [authorization, ("accept", accept), ("if-none-match", tag)];
            let status = world.get(path, &headers).await.status_code;
            assert_eq!(status, if number == other { 304 } else { 200 }, "{path} {accept} {tag}");
        }
    }
}

#[tokio::test]
async fn a_head_request_tells_the_length_of_each_text() {
    let world = World::with_snapshot().await;
    for path in [METRICS, OWN] {
        for accept in ["*/*", OPEN_METRICS] {
            for encoding in ["identity", "gzip"] {
                let headers =
                    [("authorization", &*world.bearer()), ("accept", accept), ("accept-encoding", encoding)];
                let head = world.exporter.handle(&request("HEAD", path, &headers)).await;
                let get = world.get(path, &headers).await;
                assert!(head.body.is_none());
                assert_eq!(
                    header(&head, "content-length"),
                    body(&get).len().to_string(),
                    "{path} {accept} {encoding}"
                );
            }
        }
    }
}

#[tokio::test]
async fn families_of_our_own_end_with_the_times_of_the_snapshot() {
    let world = World::with_snapshot().await;
    let headers = [("authorization", &*world.bearer())];
    let response = world.get(OWN, &headers).await;
    insta::assert_snapshot!("own", show(&response));
    let gzip = world.get(OWN, &[headers[0], ("accept-encoding", "gzip")]).await;
    assert_eq!(inflate(body(&gzip)).as_bytes(), body(&response).as_ref());
    assert!(inflate(body(&gzip)).starts_with(&own(1)));

    let tag = header(&response, "etag").to_owned();
    world.clock.advance(std::time::Duration::from_secs(60));
    let head = world.records.snapshot_head(&acme()).await.unwrap().unwrap();
    world.records.confirm_snapshot(&acme(), &head, world.clock.now()).await.unwrap();
    let later = world.get(OWN, &[headers[0], ("if-none-match", &tag)]).await;
    assert_eq!(later.status_code, 200, "the time when it was found right has moved on");
    let (scout, own) = (text(3), String::from_utf8(body(&later).as_ref().to_vec()).unwrap());
    assert!(own.contains("tidewatch_snapshot_checked_timestamp_seconds 1781481660\n"), "{own}");
    assert!(own.contains("tidewatch_snapshot_made_timestamp_seconds 1781481600\n"), "{own}");
    let same = world.get(METRICS, &headers).await;
    assert_eq!(body(&same).as_ref(), scout.as_bytes());
}

#[tokio::test]
async fn families_of_our_own_are_refused_like_the_others() {
    let world = World::with_snapshot().await;
    assert_eq!(world.get(OWN, &[]).await.status_code, 401);
    let zebra = world.issue("zebra", 2, |_| {}).await;
    let authorization = format!("Bearer {}", zebra.reveal());
    assert_eq!(world.get(OWN, &[("authorization", &authorization)]).await.status_code, 403);
    let headers = [("authorization", &*world.bearer())];
    assert_eq!(world.exporter.handle(&request("POST", OWN, &headers)).await.status_code, 405);
    world.clock.advance(crate::world::HOUR * 25);
    assert_eq!(world.get(OWN, &headers).await.status_code, 503);
}
