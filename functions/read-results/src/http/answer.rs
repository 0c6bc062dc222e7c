//! The answers: documents, and refusals.

use std::io::Write as _;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ALLOW, CONTENT_ENCODING, VARY, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use tidewatch_runtime::http::{CHALLENGE, document, refusal, takes_gzip};
use tidewatch_store::RecordError;

/// The most bytes of a body: what Lambda passes on, less what Base64 and headers add.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Why a request gets no document.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such path.
    NoSuchPath,
    /// The method is not GET.
    Method,
    /// There is no token, or none that is good.
    Unauthorized,
    /// The token is for something else.
    Forbidden,
    /// A parameter is wrong, for this reason.
    BadRequest(String),
    /// What is asked for is not there.
    NotFound(String),
    /// A record could not be read.
    Broken(RecordError),
    /// The document cannot be written as JSON.
    Unwritable,
    /// The document is larger than an answer can be.
    TooLarge,
}

impl Refusal {
    pub(crate) fn response(&self) -> ApiGatewayV2httpResponse {
        let (status, code, message) = match self {
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "use GET"),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "a valid token is needed: Authorization: Bearer twd_…",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "the token does not allow results:read on this organisation",
            ),
            Self::BadRequest(message) => (StatusCode::BAD_REQUEST, "bad_request", message.as_str()),
            Self::NotFound(message) => (StatusCode::NOT_FOUND, "not_found", message.as_str()),
            Self::Broken(_) | Self::Unwritable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the results cannot be read now")
            }
            Self::TooLarge => (
                StatusCode::NOT_ACCEPTABLE,
                "too_large",
                "the answer is too large: take gzip (Accept-Encoding), or ask for less by limit",
            ),
        };
        let mut response = refusal(status, code, message);
        let extra = match self {
            Self::Unauthorized => Some((WWW_AUTHENTICATE, CHALLENGE)),
            Self::Method => Some((ALLOW, "GET")),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response.headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A document as the answer to `request`: compressed when the client takes that.
pub(crate) fn answer(request: &ApiGatewayV2httpRequest, content: &Value) -> ApiGatewayV2httpResponse {
    let mut answer = document(StatusCode::OK, content);
    answer.headers.insert(VARY, HeaderValue::from_static("Accept-Encoding, Authorization"));
    if takes_gzip(&request.headers) {
        answer.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let body = answer.body.as_ref().map(|body| compress(body.as_ref())).unwrap_or_default();
        answer.body = Some(Body::Binary(body));
        answer.is_base64_encoded = true;
    }
    if answer.body.as_ref().is_some_and(|body| body.len() > MOST_BYTES) {
        return Refusal::TooLarge.response();
    }
    answer
}

fn compress(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a vector does not fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}
