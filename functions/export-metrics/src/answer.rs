//! The answers: metrics, and refusals.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use http::header::{
    AGE, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tidewatch_runtime::http::{CHALLENGE, refusal, takes_gzip};
use tidewatch_store::records::RecordError;

use crate::negotiation::Format;
use crate::texts::{Damaged, Representation};

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
    /// The token has asked too often.
    TooMany {
        /// After how many seconds it may ask again.
        after_seconds: u64,
    },
    /// No roll-up has published a snapshot yet.
    NoSnapshot,
    /// No roll-up has found the snapshot right for too long.
    Stale,
    /// A record could not be read.
    Broken(RecordError),
    /// The snapshot cannot be inflated.
    Damaged,
}

impl From<Damaged> for Refusal {
    fn from(Damaged: Damaged) -> Self {
        Self::Damaged
    }
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
            Self::TooMany { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "this token has asked too often; the header Retry-After says when it may again",
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
        let mut response = refusal(status, code, message);
        match self {
            Self::Unauthorized => insert(&mut response.headers, WWW_AUTHENTICATE, CHALLENGE),
            Self::Method => insert(&mut response.headers, ALLOW, "GET, HEAD"),
            Self::TooMany { after_seconds } => {
                insert(&mut response.headers, RETRY_AFTER, &after_seconds.to_string());
            }
            _ => {}
        }
        response
    }
}

/// The headers that every answer about a snapshot has, and whether the client has the text with this entity tag already.
pub(crate) struct Standing {
    headers: HeaderMap,
    is_known: bool,
}

impl Standing {
    /// What stands for the text with this entity tag, `age_seconds` after it was found right.
    pub(crate) fn new(request: &HeaderMap, tag: &str, age_seconds: i64) -> Self {
        let mut headers =
            headers([(CACHE_CONTROL, "private, no-cache"), (VARY, "Accept, Accept-Encoding, Authorization")]);
        insert(&mut headers, ETAG, tag);
        insert(&mut headers, AGE, &age_seconds.to_string());
        Self { headers, is_known: matches_tag(request, tag) }
    }

    /// The answer 304, when the client has the text already.
    pub(crate) fn not_modified(&self) -> Option<ApiGatewayV2httpResponse> {
        self.is_known.then(|| response(StatusCode::NOT_MODIFIED, self.headers.clone(), None))
    }

    /// The text as an answer to `request`: compressed when the client takes that, without a body for HEAD.
    pub(crate) fn answer(
        mut self,
        request: &ApiGatewayV2httpRequest,
        format: Format,
        text: &Representation,
    ) -> ApiGatewayV2httpResponse {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
        let gzip = takes_gzip(&request.headers);
        if gzip {
            self.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let body = match (request.request_context.http.method.as_str(), gzip) {
            ("HEAD", gzip) => {
                let length = if gzip { text.gzip().len() } else { text.text().len() };
                insert(&mut self.headers, CONTENT_LENGTH, &length.to_string());
                None
            }
            (_, true) => Some(Body::Binary(text.gzip().to_vec())),
            (_, false) => Some(Body::Text(text.text().to_owned())),
        };
        response(StatusCode::OK, self.headers, body)
    }
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

    #[test]
    fn an_entity_tag_matches_weakly_and_in_lists() {
        let has = |value: &'static str| matches_tag(&headers([(IF_NONE_MATCH, value)]), "W/\"abc\"");
        assert!(has("W/\"abc\"") && has("\"abc\"") && has("\"x\", W/\"abc\"") && has("*"));
        assert!(!has("\"x\"") && !has("W/\"abc-openmetrics\""));
    }
}
