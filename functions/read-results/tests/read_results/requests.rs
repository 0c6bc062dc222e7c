//! Requests, as API Gateway hands them over, and their answers.

use std::io::Read as _;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tidewatch_core::Severity;
use tidewatch_core::token::Scope;
use tidewatch_testkit::api;

use crate::scans::Scan;
use crate::world::World;

/// Where the series of a number is asked for.
pub(crate) const EXPLAIN: &str = "/v1/org/acme/explain?series=scout_stream_vulnerabilities%7BstreamName%3D%22latest-indexed%22%2Cseverity%3D%22CRITICAL%22%7D";

/// A GET, or another method, of a path with its query.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> ApiGatewayV2httpRequest {
    serde_json::from_value(api::request(method, path, headers, None)).unwrap()
}

/// The answer as JSON, whatever its encoding.
pub(crate) fn body(response: &ApiGatewayV2httpResponse) -> Value {
    let text = match response.body.as_ref().expect("a body") {
        Body::Text(text) => text.clone(),
        body => {
            assert!(response.is_base64_encoded, "bytes are sent in Base64");
            let mut text = String::new();
            GzDecoder::new(body.as_ref()).read_to_string(&mut text).unwrap();
            text
        }
    };
    serde_json::from_str(&text).unwrap()
}

/// One image in `latest-indexed`.
pub(crate) async fn world() -> World {
    let world = World::plain().await;
    let web = Scan::of("hub/team/web").with("CVE-2026-0001", "openssl", Severity::Critical);
    world.scan("latest-indexed", &web).await;
    world.roll_up().await;
    world
}

/// What there is to ask for.
pub(crate) const PATHS: [&str; 6] = [
    "/v1/org/acme/images?state=scanned&repository=team/**&with=CVE-2026-0001&limit=10",
    "/v1/org/acme/image?ref=hub/team/web:1.0",
    "/v1/org/acme/policies/fixable-vulnerabilities?failing=true",
    EXPLAIN,
    "/v1/org/acme/streams",
    "/v1/org/acme/vulnerabilities/CVE-2026-0001",
];

async fn ask(world: &World, authorization: &str, path: &str) -> (i64, Value) {
    let response = world.function().handle(&request("GET", path, &[("authorization", authorization)])).await;
    (response.status_code, body(&response))
}

#[tokio::test]
async fn who_has_a_good_token_gets_what_is_asked_for() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.issue("acme", 1, |_| {}).await.reveal());
    for path in PATHS {
        let (status, body) = ask(&world, &bearer, path).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
    let (_, images) = ask(&world, &bearer, PATHS[0]).await;
    assert_eq!(images["images"][0]["repository"], "team/web");
    let (_, explanation) = ask(&world, &bearer, EXPLAIN).await;
    assert_eq!((&explanation["value"], &explanation["rows"][0]["package"]), (&json!(1), &json!("openssl")));
}

#[tokio::test]
async fn without_a_good_token_of_the_organisation_nothing_is_told() {
    let world = world().await;
    let good = world.issue("acme", 1, |_| {}).await;
    let revoked = world.issue("acme", 2, |record| record.revoked_at = Some(record.created_at)).await;
    let expired = world.issue("acme", 3, |record| record.expires_at = Some(record.created_at)).await;
    let other = world.issue("other", 4, |_| {}).await;
    let metrics = world.issue("acme", 5, |record| record.scopes = [Scope::MetricsRead].into()).await;
    let operator = world.issue("acme", 6, |record| record.scopes = [Scope::Operator].into()).await;
    let cases = [
        (String::new(), 401, "unauthorized"),
        (format!("Basic {}", good.reveal()), 401, "unauthorized"),
        ("Bearer twd_x".to_owned(), 401, "unauthorized"),
        (format!("Bearer {}", revoked.reveal()), 401, "unauthorized"),
        (format!("Bearer {}", expired.reveal()), 401, "unauthorized"),
        (format!("Bearer {}", other.reveal()), 403, "forbidden"),
        (format!("Bearer {}", metrics.reveal()), 403, "forbidden"),
        (format!("Bearer {}", operator.reveal()), 403, "forbidden"),
    ];
    for path in PATHS {
        for (authorization, status, code) in &cases {
            let (found, body) = ask(&world, authorization, path).await;
            assert_eq!((found, body["code"].as_str().unwrap()), (*status, *code), "{path} {authorization}");
            assert!(body["message"].is_string());
        }
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_with_what_is_wrong() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.issue("acme", 1, |_| {}).await.reveal());
    let cases = [
        ("/v1/org/acme/images?state=good", 400, "\"good\""),
        ("/v1/org/acme/images?limit=0", 400, "from 1 to 1000"),
        ("/v1/org/acme/images?next=x", 400, "\"next\""),
        ("/v1/org/acme/images?page=2", 400, "there is no parameter \"page\""),
        ("/v1/org/acme/images?stream=staging", 404, "latest-indexed"),
        ("/v1/org/acme/image", 400, "\"ref\" is missing"),
        ("/v1/org/acme/image?ref=web", 400, "REGISTRY/REPOSITORY"),
        ("/v1/org/acme/image?ref=hub/none", 404, "hub/none:latest"),
        ("/v1/org/acme/policies/none", 404, "fixable-vulnerabilities"),
        ("/v1/org/acme/explain?series=up", 400, "\"up\""),
        ("/v1/org/acme/policies", 404, "nothing at this path"),
        ("/v1/org/acme", 404, "nothing at this path"),
        ("/", 404, "nothing at this path"),
    ];
    for (path, status, said) in cases {
        let (found, body) = ask(&world, &bearer, path).await;
        assert_eq!(found, status, "{path}: {body}");
        assert!(body["message"].as_str().unwrap().contains(said), "{path}: {body}");
    }
}

#[tokio::test]
async fn only_get_is_taken() {
    let world = world().await;
    for method in ["HEAD", "POST", "DELETE"] {
        let response = world.function().handle(&request(method, PATHS[0], &[])).await;
        assert_eq!(
            (response.status_code, &response.headers["allow"]),
            (405, &"GET".parse().unwrap()),
            "{method}"
        );
    }
}

#[tokio::test]
async fn an_answer_is_compressed_for_who_takes_that() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.issue("acme", 1, |_| {}).await.reveal());
    let headers = [("authorization", bearer.as_str()), ("accept-encoding", "gzip")];
    let response = world.function().handle(&request("GET", PATHS[1], &headers)).await;
    assert_eq!(response.headers["content-encoding"], "gzip");
    let plain = world.function().handle(&request("GET", PATHS[1], &headers[..1])).await;
    assert!(!plain.headers.contains_key("content-encoding") && !plain.is_base64_encoded);
    assert_eq!(body(&response), body(&plain));
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_no_empty_list() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.issue("acme", 1, |_| {}).await.reveal());
    world.outages.fail_after(0);
    let (status, body) = ask(&world, &bearer, PATHS[0]).await;
    assert_eq!((status, &body["code"]), (503, &json!("unavailable")));
}
