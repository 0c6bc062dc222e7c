//! Scrapes, as API Gateway hands them over: full answers as golden files, and who gets none.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::stream::{StreamTotals, Totals, render};
use tidewatch_core::token::{Scope, Token, TokenRecord};
use tidewatch_core::{Digest, Severity};
use tidewatch_export_metrics::ExportMetrics;
use tidewatch_store::records::Snapshot;
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};

const METRICS: &str = "/v1/exporter/org/acme/metrics";
const HOUR: Duration = Duration::from_secs(3600);

/// An exporter, and the organisation `acme` with its token.
struct World {
    records: Records,
    clock: Arc<SettableClock>,
    exporter: ExportMetrics,
    token: Token,
}

impl World {
    /// No snapshot yet.
    async fn new() -> Self {
        let clock = Arc::new(SettableClock::at("2026-06-15T00:00:00Z"));
        let (table, objects) = (Arc::new(MemoryTable::new()), Arc::new(ObjectStorage::in_memory()));
        let records = Records::new(table, objects, Arc::new(InstantSleeper::new()));
        let exporter = ExportMetrics::new(records.clone(), Arc::clone(&clock) as _);
        let mut world = Self { records, clock, exporter, token: Token::generate(&SeededRandomness::new(1)) };
        world.token = world.issue("acme", 1, |_| {}).await;
        world
    }

    /// A snapshot that a roll-up found right now.
    async fn with_snapshot() -> Self {
        let world = Self::new().await;
        world.publish(1, &text(3)).await;
        world
    }

    async fn publish(&self, number: i64, text: &str) -> Snapshot {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        let now = self.clock.now();
        let snapshot = Snapshot {
            config_version: 1,
            number,
            body: encoder.finish().unwrap(),
            length: text.len() as u64,
            digest: Digest::of(text.as_bytes()),
            made_at: now,
            checked_at: now,
        };
        assert!(self.records.publish_snapshot(&acme(), &snapshot).await.unwrap());
        snapshot
    }

    /// Stores a token for an organisation, with `change` to what is kept of it.
    async fn issue(&self, org: &str, seed: u64, change: impl FnOnce(&mut TokenRecord)) -> Token {
        let token = Token::generate(&SeededRandomness::new(seed));
        let mut record = TokenRecord {
            id: token.id().to_owned(),
            digest: token.digest(),
            org: org.parse().unwrap(),
            scopes: [Scope::MetricsRead].into(),
            created_at: self.clock.now(),
            expires_at: None,
            revoked_at: None,
        };
        change(&mut record);
        self.records.put_token(&record).await.unwrap();
        token
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token.reveal())
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> ApiGatewayV2httpResponse {
        self.exporter.handle(&request("GET", path, headers)).await
    }

    /// A scrape with this header `Authorization`.
    async fn scrape_as(&self, authorization: &str) -> ApiGatewayV2httpResponse {
        self.get(METRICS, &[("authorization", authorization)]).await
    }
}

fn acme() -> OrgName {
    "acme".parse().unwrap()
}

/// The text for an organisation with so many critical vulnerabilities.
fn text(critical: usize) -> String {
    let mut totals = Totals::default();
    (0..critical).for_each(|_| totals.vulnerabilities.add(Severity::Critical));
    let streams = [StreamTotals { name: StreamName::latest_indexed(), totals }];
    render(&streams, &[("fixable-vulnerabilities".parse().unwrap(), "No fixable ones".to_owned())])
}

/// A request as API Gateway sends it (HTTP API, payload version 2).
fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> ApiGatewayV2httpRequest {
    let headers: Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    serde_json::from_value(json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "Prometheus"},
            "requestId": "1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "15/Jun/2026:00:00:00 +0000",
            "timeEpoch": 1_781_481_600_000_i64,
        },
        "isBase64Encoded": false,
    }))
    .unwrap()
}

/// Everything of an answer, for a golden file: status, headers in the order of their names, a blank line, the body.
fn show(response: &ApiGatewayV2httpResponse) -> String {
    let mut headers: Vec<_> =
        response.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    headers.sort_unstable();
    assert!(response.multi_value_headers.is_empty() && response.cookies.is_empty());
    let mut shown = format!("{}\n{}\n\n", response.status_code, headers.join("\n"));
    match &response.body {
        None => shown.push_str("(no body)\n"),
        Some(Body::Text(text)) => shown.push_str(text),
        Some(body) => {
            assert!(response.is_base64_encoded, "bytes are sent in Base64");
            write!(shown, "(gzip of)\n{}", inflate(body)).unwrap();
        }
    }
    shown
}

fn inflate(body: &Body) -> String {
    let mut text = String::new();
    GzDecoder::new(body.as_ref()).read_to_string(&mut text).unwrap();
    text
}

fn body(response: &ApiGatewayV2httpResponse) -> &Body {
    response.body.as_ref().expect("a body")
}

fn header<'a>(response: &'a ApiGatewayV2httpResponse, name: &str) -> &'a str {
    response.headers.get(name).unwrap_or_else(|| panic!("there is no {name}")).to_str().unwrap()
}

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
    let published = world.records.snapshot(&acme()).await.unwrap().unwrap();
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
    for (number, length) in [(2, whole.length - 1), (3, whole.length + 1)] {
        let damaged = Snapshot { number, length, ..whole.clone() };
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
