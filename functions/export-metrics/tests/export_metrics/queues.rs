//! What operators see beside our own families, and nobody else: how much is in the queues.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::queue_depths::QueueDepth;
use tidewatch_core::token::Scope;

use crate::world::{HOUR, METRICS, OWN, World, acme, body, header, inflate, request, show, text};

const OPEN_METRICS: &str = "application/openmetrics-text";

/// How long an answer of the queues is kept.
const KEPT: Duration = Duration::from_secs(10);

/// How many queues there are to ask.
const ALL: usize = QueueName::ALL.len();

fn depth(visible: u64, dead_letters: u64) -> QueueDepth {
    QueueDepth { visible, in_flight: 3, delayed: 2, dead_letters, longest_wait_seconds: Some(90) }
}

/// A snapshot, messages in a queue, and the header of an operator.
async fn world() -> (World, String) {
    let world = World::with_snapshot().await;
    world.queues.set(QueueName::Scans, depth(41, 1));
    let operator = world.bearer_with(9, &[Scope::Operator]).await;
    (world, operator)
}

fn text_of(response: &ApiGatewayV2httpResponse) -> String {
    String::from_utf8(body(response).as_ref().to_vec()).unwrap()
}

/// The text that an operator gets of our own families.
async fn own(world: &World, operator: &str) -> String {
    let response = world.get(OWN, &[("authorization", operator)]).await;
    assert_eq!(response.status_code, 200);
    text_of(&response)
}

#[tokio::test]
async fn an_operator_gets_the_queues_behind_what_everybody_gets() {
    let (world, operator) = world().await;
    let response = world.get(OWN, &[("authorization", &operator)]).await;
    insta::assert_snapshot!("operator", show(&response));
    let everybody = text_of(&world.get(OWN, &[("authorization", &world.bearer())]).await);
    assert!(text_of(&response).starts_with(&everybody));

    // One scope of several does.
    let both = world.bearer_with(10, &[Scope::MetricsRead, Scope::ResultsRead, Scope::Operator]).await;
    assert_eq!(show(&world.get(OWN, &[("authorization", &both)]).await), show(&response));
}

#[tokio::test]
async fn who_is_no_operator_gets_the_same_bytes_for_the_same_reads_and_asks_no_queue() {
    let (world, operator) = world().await;
    let authorization = ("authorization", &*world.bearer());
    let mut seen = Vec::new();
    for round in 0..2 {
        for path in [OWN, METRICS] {
            for headers in [&[][..], &[("accept", OPEN_METRICS)], &[("accept-encoding", "gzip")]] {
                world.operations.recover();
                let response = world.get(path, &[headers, &[authorization]].concat()).await;
                let reads = if seen.is_empty() { 4 } else { 2 };
                assert_eq!(world.operations.operations(), reads, "{path} {headers:?}");
                let shown = show(&response);
                assert!(!shown.contains("tidewatch_queue"), "{shown}");
                seen.push(shown);
            }
        }
        assert_eq!(world.queues.asked(), round * ALL);
        if round == 0 {
            // Nor does it see what an operator has had told since.
            own(&world, &operator).await;
        }
    }
    assert_eq!(seen[..6], seen[6..]);
}

#[tokio::test]
async fn an_operator_reads_of_the_table_what_everybody_does() {
    let (world, operator) = world().await;
    own(&world, &operator).await;
    for path in [OWN, METRICS] {
        world.operations.recover();
        assert_eq!(world.get(path, &[("authorization", &operator)]).await.status_code, 200);
        assert_eq!(world.operations.operations(), 2, "{path}");
    }
}

#[tokio::test]
async fn docker_scouts_families_are_those_of_everybody_and_ask_no_queue() {
    let (world, operator) = world().await;
    let response = world.get(METRICS, &[("authorization", &operator)]).await;
    assert_eq!(show(&response), show(&world.scrape_as(&world.bearer()).await));
    assert_eq!(text_of(&response), text(3));
    assert_eq!(world.queues.asked(), 0);
}

#[tokio::test]
async fn a_token_without_metrics_in_its_scopes_is_refused_and_asks_no_queue() {
    let (world, _) = world().await;
    let results = world.bearer_with(11, &[Scope::ResultsRead]).await;
    assert_eq!(world.get(OWN, &[("authorization", &results)]).await.status_code, 403);
    let zebra = world.issue("zebra", 12, |record| record.scopes = [Scope::Operator].into()).await;
    let zebra = format!("Bearer {}", zebra.reveal());
    assert_eq!(
        world.get(OWN, &[("authorization", &zebra)]).await.status_code,
        403,
        "of another organisation"
    );
    let (revoked, operator) = self::world().await;
    let id = operator.split('_').nth(1).unwrap();
    revoked.records.revoke_token(&acme(), id, revoked.clock.now()).await.unwrap();
    assert_eq!(revoked.get(OWN, &[("authorization", &operator)]).await.status_code, 401);
    assert_eq!(world.queues.asked() + revoked.queues.asked(), 0);
}

#[tokio::test]
async fn all_forms_of_the_text_say_the_same_of_the_queues() {
    let (world, operator) = world().await;
    let authorization = ("authorization", &*operator);
    let plain = own(&world, &operator).await;
    let gzip = world.get(OWN, &[authorization, ("accept-encoding", "gzip")]).await;
    assert_eq!(inflate(body(&gzip)), plain);
    let open = world.get(OWN, &[authorization, ("accept", OPEN_METRICS)]).await;
    assert_eq!(header(&open, "content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(text_of(&open), format!("{plain}# EOF\n"));
    assert_eq!(plain.matches("# EOF").count(), 0);
    let headers = [authorization, ("accept", OPEN_METRICS), ("accept-encoding", "gzip")];
    assert_eq!(inflate(body(&world.get(OWN, &headers).await)), format!("{plain}# EOF\n"));

    let head = world.exporter.handle(&request("HEAD", OWN, &[authorization])).await;
    assert!(head.body.is_none());
    assert_eq!(header(&head, "content-length"), plain.len().to_string());
    assert_eq!(world.queues.asked(), ALL, "once for all of these");
}

#[tokio::test]
async fn an_entity_tag_is_that_of_the_queues_too_and_of_one_audience() {
    let (world, operator) = world().await;
    let everybody = world.bearer();
    let forms = [
        (&operator, "text/plain"),
        (&operator, OPEN_METRICS),
        (&everybody, "text/plain"),
        (&everybody, OPEN_METRICS),
    ];
    let mut tags = Vec::new();
    for (bearer, accept) in forms {
        let response = world.get(OWN, &[("authorization", bearer), ("accept", accept)]).await;
        tags.push(header(&response, "etag").to_owned());
    }
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), forms.len(), "{tags:?}");
    for (number, (bearer, accept)) in forms.into_iter().enumerate() {
        for (other, tag) in tags.iter().enumerate() {
            let headers = [("authorization", &**bearer), ("accept", accept), ("if-none-match", tag)];
            let status = world.get(OWN, &headers).await.status_code;
            assert_eq!(status, if number == other { 304 } else { 200 }, "{accept} {tag}");
        }
    }

    // The snapshot stays, the queue does not.
    world.queues.set(QueueName::Scans, depth(42, 1));
    world.clock.advance(KEPT);
    let headers = [("authorization", &*operator), ("if-none-match", &tags[0])];
    let changed = world.get(OWN, &headers).await;
    assert_eq!(changed.status_code, 200);
    assert!(text_of(&changed).contains("tidewatch_queue_messages{queue=\"scans\",state=\"visible\"} 42\n"));
    let again = [("authorization", &*everybody), ("if-none-match", &tags[2])];
    assert_eq!(world.get(OWN, &again).await.status_code, 304, "for everybody else nothing has changed");
}

#[tokio::test]
async fn queues_are_asked_again_only_after_some_seconds_whoever_asks() {
    let (world, operator) = world().await;
    let other = world.bearer_with(13, &[Scope::Operator]).await;
    let first = own(&world, &operator).await;
    world.queues.set(QueueName::Scans, depth(1, 1));
    world.clock.advance(KEPT.saturating_sub(Duration::from_millis(1)));
    assert_eq!(own(&world, &other).await, first);
    assert_eq!(world.queues.asked(), ALL);
    world.clock.advance(Duration::from_millis(1));
    assert!(own(&world, &other).await.contains("{queue=\"scans\",state=\"visible\"} 1\n"));
    assert_eq!(world.queues.asked(), 2 * ALL);
    // A clock that is set back does not keep old numbers until it has caught up.
    world.clock.set(world.clock.now() - HOUR);
    own(&world, &operator).await;
    assert_eq!(world.queues.asked(), 3 * ALL);
}

#[tokio::test]
async fn operators_who_ask_at_the_same_time_have_the_queues_asked_once() {
    let (world, operator) = world().await;
    own(&world, &operator).await;
    world.clock.advance(KEPT);
    let texts = futures::future::join_all((0..8).map(|_| own(&world, &operator))).await;
    assert!(texts.iter().all(|text| *text == texts[0]));
    assert_eq!(world.queues.asked(), 2 * ALL);
}

#[tokio::test]
async fn a_queue_that_fails_or_does_not_answer_says_so_and_the_rest_stands() {
    let (world, operator) = world().await;
    let whole = own(&world, &operator).await;
    world.queues.fail(QueueName::Hints);
    world.queues.silence(QueueName::Pushed);
    world.clock.advance(KEPT);
    let partial = own(&world, &operator).await;
    for (queue, up) in [("hints", 0), ("pushed", 0), ("scans", 1), ("rollups", 1)] {
        assert!(partial.contains(&format!("tidewatch_queue_up{{queue=\"{queue}\"}} {up}\n")), "{partial}");
    }
    let line = |text: &str, queue: &str| {
        let label = format!("{{queue=\"{queue}\"");
        text.lines().filter(|line| line.contains(&label) && !line.contains("_up{")).count()
    };
    assert_eq!([line(&partial, "hints"), line(&partial, "pushed"), line(&partial, "scans")], [0, 0, 5]);
    assert_eq!([line(&whole, "hints"), line(&whole, "pushed"), line(&whole, "scans")], [4, 4, 5]);
    let before = |text: &str| text.split("# HELP tidewatch_queue").next().unwrap().to_owned();
    assert_eq!(before(&partial), before(&whole));

    // It is asked no sooner again than the others.
    let asked = world.queues.asked();
    own(&world, &operator).await;
    assert_eq!(world.queues.asked(), asked);
    world.queues.set(QueueName::Hints, QueueDepth::default());
    world.clock.advance(KEPT);
    assert!(own(&world, &operator).await.contains("tidewatch_queue_up{queue=\"hints\"} 1\n"));
}

#[tokio::test]
async fn without_a_snapshot_or_with_an_old_one_an_operator_is_refused_and_no_queue_is_asked() {
    let world = World::new().await;
    let operator = world.bearer_with(9, &[Scope::Operator]).await;
    let headers = [("authorization", &*operator)];
    assert_eq!(world.get(OWN, &headers).await.status_code, 503);
    world.publish(1, &text(3)).await;
    world.clock.advance(HOUR * 25);
    assert_eq!(world.get(OWN, &headers).await.status_code, 503);
    assert_eq!(world.queues.asked(), 0);
}
