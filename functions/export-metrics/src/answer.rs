//! The answers: metrics, and refusals.

use std::io::Read as _;
use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use flate2::read::GzDecoder;
use http::header::{
    ACCEPT_ENCODING, AGE, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;
use tidewatch_store::records::{RecordError, Snapshot};

/// The media type of the Prometheus text format; Prometheus 3 refuses a scrape without it.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why a request gets no metrics.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such path.
    NoSuchPath,
    /// The method is neither GET nor HEAD.
    Method,
    /// There is no token, or none that is good.
    Unauthorized,
    /// The token is for something else.
    Forbidden,
    /// No roll-up has published a snapshot yet.
    NoSnapshot,
    /// No roll-up has found the snapshot right for too long.
    Stale,
    /// A record could not be read.
    Broken(RecordError),
    /// The snapshot cannot be inflated.
    Damaged,
}

impl Refusal {
    pub(crate) fn response(&self) -> ApiGatewayV2httpResponse {
        let (status, code, message) = match self {
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "use GET or HEAD"),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "a valid token is needed: Authorization: Bearer twd_…",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "the token does not allow metrics:read on this organisation",
            ),
            Self::NoSnapshot => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "there are no metrics yet"),
            Self::Stale => (
                StatusCode::SERVICE_UNAVAILABLE,
                "stale",
                "the metrics have not been brought up to date for 24 hours",
            ),
            Self::Broken(_) | Self::Damaged => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the metrics cannot be read now")
            }
        };
        let mut headers = headers([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "private, no-store")]);
        match self {
            Self::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidewatch\""));
            }
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            _ => {}
        }
        let body = Body::Text(json!({"code": code, "message": message}).to_string());
        response(status, headers, Some(body))
    }
}

/// The snapshot as an answer to `request`: compressed when the client takes that, 304 when it has it already.
pub(crate) fn metrics(
    request: &ApiGatewayV2httpRequest,
    snapshot: &Snapshot,
    age_seconds: i64,
    text: impl FnOnce() -> Result<Arc<str>, Refusal>,
) -> Result<ApiGatewayV2httpResponse, Refusal> {
    let gzip = accepts_gzip(&request.headers);
    // Weak, since the compressed and the plain text have the same tag.
    let tag = format!("W/\"{}\"", snapshot.digest.hex());
    let mut headers =
        headers([(CACHE_CONTROL, "private, no-cache"), (VARY, "Accept-Encoding, Authorization")]);
    insert(&mut headers, ETAG, &tag);
    insert(&mut headers, AGE, &age_seconds.to_string());
    if matches_tag(&request.headers, &tag) {
        return Ok(response(StatusCode::NOT_MODIFIED, headers, None));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let body = match (request.request_context.http.method.as_str(), gzip) {
        ("HEAD", gzip) => {
            let length = if gzip { snapshot.body.len() as u64 } else { snapshot.length };
            insert(&mut headers, CONTENT_LENGTH, &length.to_string());
            None
        }
        (_, true) => Some(Body::Binary(snapshot.body.clone())),
        (_, false) => Some(Body::Text(text()?.to_string())),
    };
    Ok(response(StatusCode::OK, headers, body))
}

/// The text of a snapshot.
pub(crate) fn inflate(snapshot: &Snapshot) -> Result<String, Refusal> {
    let mut text = String::new();
    // The length is stored beside the body, so that a damaged body cannot inflate without end.
    let limit = snapshot.length.saturating_add(1);
    GzDecoder::new(snapshot.body.as_slice())
        .take(limit)
        .read_to_string(&mut text)
        .map_err(|_| Refusal::Damaged)?;
    if text.len() as u64 == snapshot.length { Ok(text) } else { Err(Refusal::Damaged) }
}

/// Whether gzip is among the encodings that the client takes, with a weight that is not 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|encoding| {
        let mut parts = encoding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|weight| {
            weight
                .strip_prefix("q=")
                .and_then(|weight| weight.parse::<f32>().ok())
                .is_some_and(|weight| weight <= 0.0)
        });
        name.eq_ignore_ascii_case("gzip") && !refused
    })
}

fn matches_tag(headers: &HeaderMap, tag: &str) -> bool {
    let strong = tag.trim_start_matches("W/");
    let wanted = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    wanted
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|wanted| wanted == "*" || wanted.trim_start_matches("W/") == strong)
}

fn headers<const N: usize>(pairs: [(HeaderName, &'static str); N]) -> HeaderMap {
    pairs.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: Option<Body>) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(status.as_u16());
    response.headers = headers;
    response.is_base64_encoded = matches!(body, Some(Body::Binary(_)));
    response.body = body;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(value: &'static str) -> bool {
        accepts_gzip(&headers([(ACCEPT_ENCODING, value)]))
    }

    #[test]
    fn gzip_is_used_only_where_it_is_asked_for() {
        assert!(accepting("gzip"));
        assert!(accepting("deflate, GZIP;q=0.5"));
        assert!(!accepting("deflate"));
        assert!(!accepting("gzip;q=0"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn an_entity_tag_matches_weakly_and_in_lists() {
        let has = |value: &'static str| matches_tag(&headers([(IF_NONE_MATCH, value)]), "W/\"abc\"");
        assert!(has("W/\"abc\"") && has("\"abc\"") && has("\"x\", W/\"abc\"") && has("*"));
        assert!(!has("\"x\""));
    }
}
