//! What clients of the HTTP functions send: requests as API Gateway passes them on, and tokens that are stored already.

use serde_json::{Map, Value, json};
use tidewatch_core::Timestamp;
use tidewatch_core::token::{Scope, Token, TokenRecord};

use crate::ports::SeededRandomness;

/// A request as API Gateway sends it (HTTP API, payload version 2); `path` may have a query. It is read by
/// `serde_json::from_value`.
///
/// Specification: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Value {
    let headers: Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut request = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "Go"},
            "requestId": "1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "15/Jun/2026:00:00:00 +0000",
            "timeEpoch": 1_781_481_600_000_i64,
        },
        "isBase64Encoded": false,
    });
    if let Some(body) = body {
        request["body"] = body.into();
    }
    request
}

/// A token that was made at `now` for `scope` on an organisation, and what is stored of it.
pub fn token(org: &str, scope: Scope, seed: u64, now: Timestamp) -> (Token, TokenRecord) {
    let token = Token::generate(&SeededRandomness::new(seed));
    let record = TokenRecord {
        id: token.id().to_owned(),
        digest: token.digest(),
        org: org.parse().expect("the name of an organisation"),
        scopes: [scope].into(),
        created_at: now,
        expires_at: None,
        revoked_at: None,
    };
    (token, record)
}
