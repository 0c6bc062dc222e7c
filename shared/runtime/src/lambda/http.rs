//! HTTP requests: whatever happens inside, the client gets an answer of HTTP, and no details of what went wrong.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use futures::FutureExt as _;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::json;
use tidewatch_core::ports::Clock as _;

use super::Http;
use crate::messages::Deadline;
use crate::system::SystemClock;

/// How long before the end of the function a request is given up: Lambda would end it without an answer.
const MARGIN: Duration = Duration::from_secs(1);

/// The answer of `handler`: a 500 when it panics, a 503 when it takes until a second before `deadline`.
pub(super) async fn answer(
    handler: &Http,
    request: ApiGatewayV2httpRequest,
    deadline: Deadline,
) -> ApiGatewayV2httpResponse {
    let limit = deadline.remaining(SystemClock.now(), MARGIN);
    // Handlers share only what a panic leaves whole: records behind conditions, and caches behind locks.
    let answer = AssertUnwindSafe(async { handler(request).await }).catch_unwind();
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => internal_error(),
        Err(_) => {
            tracing::error!(request.limit.seconds = limit.as_secs_f64(), "request took too long");
            error(503, "unavailable", "the request cannot be answered now; try again")
        }
    }
}

/// The answer to a request that could not be handled: 500 with `{"code","message"}`.
pub(super) fn internal_error() -> ApiGatewayV2httpResponse {
    error(500, "internal", "the request cannot be answered now")
}

fn error(status: i64, code: &str, message: &str) -> ApiGatewayV2httpResponse {
    let body = json!({"code": code, "message": message}).to_string();
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = status;
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response.body = Some(Body::Text(body));
    response
}
