//! HTTP requests: whatever happens inside, the client gets an answer of HTTP, and no details of what went wrong.

use std::panic::AssertUnwindSafe;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use futures::FutureExt as _;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::json;

use super::Http;

/// The answer of `handler`, or a 500 when it panics.
pub(super) async fn answer(handler: &Http, request: ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
    // Handlers share only what a panic leaves whole: records behind conditions, and caches behind locks.
    let answer = AssertUnwindSafe(async { handler(request).await }).catch_unwind().await;
    answer.unwrap_or_else(|_| internal_error())
}

/// The answer to a request that could not be handled: 500 with `{"code","message"}`.
pub(super) fn internal_error() -> ApiGatewayV2httpResponse {
    let body = json!({"code": "internal", "message": "the request cannot be answered now"}).to_string();
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = 500;
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response.body = Some(Body::Text(body));
    response
}
