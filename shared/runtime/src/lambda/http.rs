//! HTTP requests: whatever happens inside, the client gets an answer of HTTP, and no details of what went wrong.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use futures::FutureExt as _;
use http::StatusCode;
use tidewatch_core::ports::Clock as _;

use super::Http;
use crate::http::refusal;
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
            refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the request cannot be answered now; try again",
            )
        }
    }
}

/// The answer to a request that could not be handled: 500 with `{"code","message"}`.
pub(super) fn internal_error() -> ApiGatewayV2httpResponse {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request cannot be answered now")
}
