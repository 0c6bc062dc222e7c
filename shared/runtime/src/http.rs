//! What functions that answer HTTP requests have alike: how they read tokens, lists with weights, and whether an answer may
//! be compressed; and documents and refusals as answers.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc9110>

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use aws_lambda_events::encodings::Body;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

/// `WWW-Authenticate` of an answer 401: <https://www.rfc-editor.org/rfc/rfc6750#section-3>
pub const CHALLENGE: &str = "Bearer realm=\"tidewatch\"";

/// One element of a header that is a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// What it names, in lower case.
    pub name: String,
    /// Its parameters, names and values in lower case.
    pub parameters: Vec<(String, String)>,
    /// How much it is wanted, from 0 to 1.
    pub weight: f32,
}

/// The elements of a header that is a list, also over several lines. A weight that is no number counts as none.
/// <https://www.rfc-editor.org/rfc/rfc9110#name-quality-values>
pub fn elements(headers: &HeaderMap, header: &HeaderName) -> impl Iterator<Item = Element> {
    let values = headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|element| {
        let mut parts = element.split(';').map(|part| part.trim().to_ascii_lowercase());
        let name = parts.next().filter(|name| !name.is_empty())?;
        let parameters: Vec<_> = parts
            .filter_map(|part| {
                let (name, value) = part.split_once('=')?;
                Some((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
            })
            .collect();
        let weight = parameters.iter().find(|(name, _)| name == "q").map(|(_, weight)| weight.parse());
        Some(Element { name, parameters, weight: weight.unwrap_or(Ok(1.0)).unwrap_or(1.0) })
    })
}

/// Whether the client takes gzip: it is named, or everything is, with a weight that is not 0.
/// <https://www.rfc-editor.org/rfc/rfc9110#name-accept-encoding>
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let of = |wanted: &str| {
        elements(headers, &ACCEPT_ENCODING).find(|element| element.name == wanted).map(|found| found.weight)
    };
    of("gzip").or_else(|| of("*")).is_some_and(|weight| weight > 0.0)
}

/// The token of a header `Authorization: Bearer TOKEN`; the scheme in any case.
/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// An answer with a document, which no cache keeps.
pub fn document(status: StatusCode, document: &Value) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(status.as_u16());
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response.body = Some(Body::Text(document.to_string()));
    response
}

/// An answer that says why a request got no other: `{"code","message"}`.
pub fn refusal(status: StatusCode, code: &str, message: &str) -> ApiGatewayV2httpResponse {
    document(status, &json!({"code": code, "message": message}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_used_only_where_it_is_asked_for() {
        let accepting = |value| takes_gzip(&with(ACCEPT_ENCODING, value));
        assert!(accepting("gzip"));
        assert!(accepting("deflate, GZIP;q=0.5"));
        assert!(accepting("*"));
        assert!(!accepting("deflate"));
        assert!(!accepting("gzip;q=0"));
        assert!(!accepting("gzip;q=0.000, *"));
        assert!(!accepting("*;q=0"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn the_scheme_of_a_token_is_read_in_any_case() {
        let token = |value| bearer_token(&with(AUTHORIZATION, value)).map(str::to_owned);
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("abc"), None);
    }
}
