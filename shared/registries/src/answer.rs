//! What a registry answered, and the error that it is when it is no success.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::fmt::rfc2822;
use serde::Deserialize;
use tidewatch_core::Timestamp;
use tidewatch_core::names::RegistryId;
use tidewatch_core::ports::registry::{RegistryError, Throttling};

use crate::secrets::{Login, REDACTED};

/// Bytes of a refusal that are read for its reason.
const REFUSAL_LIMIT: usize = 64 << 10;
/// Characters of a reason that stand in an error.
const REASON_LIMIT: usize = 300;

/// What is asked for, and of which registry: what every error names.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) registry: RegistryId,
    /// `tags of team/web`.
    pub(crate) what: String,
}

impl Subject {
    pub(crate) fn unavailable(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> RegistryError {
        RegistryError::Unavailable {
            registry: self.registry.clone(),
            what: self.what.clone(),
            source: source.into(),
        }
    }

    pub(crate) fn denied(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::Denied {
            registry: self.registry.clone(),
            what: self.what.clone(),
            reason: reason.into(),
        }
    }

    pub(crate) fn invalid(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::Invalid {
            registry: self.registry.clone(),
            what: self.what.clone(),
            reason: reason.into(),
        }
    }

    pub(crate) fn throttled(&self, retry_after: Option<Duration>, by: Throttling) -> RegistryError {
        RegistryError::Throttled { registry: self.registry.clone(), what: self.what.clone(), retry_after, by }
    }

    pub(crate) fn not_found(&self) -> RegistryError {
        RegistryError::NotFound { registry: self.registry.clone(), what: self.what.clone() }
    }

    /// The error behind a request that was not answered, or whose answer broke off. The URL is left out: after a
    /// redirect it can hold a signature.
    pub(crate) fn transport(&self, error: reqwest::Error) -> RegistryError {
        if error.is_redirect() {
            let source = std::error::Error::source(&error);
            return self.invalid(source.map_or_else(|| "too many redirects".to_owned(), ToString::to_string));
        }
        self.unavailable(error.without_url())
    }
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The header `Authorization` that was sent.
    offered: Option<HeaderValue>,
}

/// The header `Authorization` of a request, kept with its answer.
#[derive(Clone)]
pub(crate) struct Offered(pub(crate) Option<HeaderValue>);

impl Answer {
    /// Reads an answer. A success may have at most `limit` bytes; of a refusal as much is kept as explains it.
    pub(crate) async fn read(
        mut response: reqwest::Response,
        limit: usize,
        subject: &Subject,
    ) -> Result<Self, RegistryError> {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let offered = response.extensions_mut().remove::<Offered>().and_then(|offered| offered.0);
        let limit = if status.is_success() { limit } else { REFUSAL_LIMIT };
        let mut body = BytesMut::new();
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Err(error) if status.is_success() => return Err(subject.transport(error)),
                // Of a refusal that breaks off, the status says enough.
                Ok(None) | Err(_) => break,
            };
            if body.len().saturating_add(chunk.len()) <= limit {
                body.extend_from_slice(&chunk);
            } else if status.is_success() {
                return Err(subject.invalid(format!("it is larger than {limit} bytes")));
            } else {
                break;
            }
        }
        Ok(Self { status, headers, body: body.freeze(), offered })
    }

    /// The answer when it is a success, else the error that it means. `login` is what must not stand in the error.
    pub(crate) fn success(
        self,
        subject: &Subject,
        login: Option<&Login>,
        now: Timestamp,
    ) -> Result<Self, RegistryError> {
        match self.status {
            status if status.is_success() => Ok(self),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(subject.denied(self.reason(login))),
            StatusCode::NOT_FOUND => Err(subject.not_found()),
            StatusCode::TOO_MANY_REQUESTS => {
                Err(subject.throttled(retry_after(&self.headers, now), Throttling::Answer))
            }
            // One that says when it is back is not tried before.
            StatusCode::SERVICE_UNAVAILABLE if self.headers.contains_key(RETRY_AFTER) => {
                Err(subject.throttled(retry_after(&self.headers, now), Throttling::Answer))
            }
            status if is_transient(status) => Err(subject.unavailable(self.reason(login))),
            _ => Err(subject.invalid(self.reason(login))),
        }
    }

    /// The status and what the registry said, without anything secret: `status 403 Forbidden: DENIED: no access`.
    fn reason(&self, login: Option<&Login>) -> String {
        let mut said = said(&self.body).unwrap_or_default();
        if let Some(login) = login {
            said = login.redact(&said);
        }
        let offered = self.offered.as_ref().and_then(|offered| offered.to_str().ok());
        if let Some((_, secret)) = offered.and_then(|offered| offered.split_once(' ')) {
            said = said.replace(secret, REDACTED);
        }
        let said: String =
            said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_LIMIT).collect();
        match said.trim() {
            "" => format!("status {}", self.status),
            said => format!("status {}: {said}", self.status),
        }
    }
}

/// Whether the same request can succeed in a moment.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// How long the registry says to wait: seconds, or until a date.
///
/// Specification: <https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// The errors of the distribution specification, and what token servers say instead.
///
/// Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<RefusalError>,
    #[serde(alias = "error_description", alias = "message")]
    details: Option<String>,
}

#[derive(Deserialize)]
struct RefusalError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a refusal says for people; `None` when it is neither JSON nor plain text.
fn said(body: &[u8]) -> Option<String> {
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(body) {
        let errors = refusal.errors.iter().map(|error| match (error.code.as_str(), error.message.as_str()) {
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        });
        return Some(errors.chain(refusal.details).collect::<Vec<_>>().join("; "));
    }
    let text = std::str::from_utf8(body).ok()?.trim();
    (!text.starts_with(['<', '{'])).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str, offered: Option<&'static str>) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
            offered: offered.map(HeaderValue::from_static),
        }
    }

    #[test]
    fn a_refusal_says_what_the_registry_said() {
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"no access"}]}"#,
                "status 403 Forbidden: DENIED: no access",
            ),
            (
                r#"{"details":"incorrect username or password"}"#,
                "status 403 Forbidden: incorrect username or password",
            ),
            ("no\r\naccess\n", "status 403 Forbidden: no  access"),
            ("<html>nginx</html>", "status 403 Forbidden"),
            ("", "status 403 Forbidden"),
        ] {
            assert_eq!(answer(403, body, None).reason(None), expected);
        }
    }

    #[test]
    fn a_refusal_that_repeats_a_secret_does_not_bring_it_into_the_error() {
        let login = Login::parse("robot:hunter2").unwrap();
        let echo = answer(401, "bad: hunter2 and cm9ib3Q6aHVudGVyMg== and t0ken", Some("Bearer t0ken"));
        assert_eq!(
            echo.reason(Some(&login)),
            "status 401 Unauthorized: bad: [redacted] and [redacted] and [redacted]"
        );
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let read = |value: &'static str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]), now)
        };
        assert_eq!(read("120"), Some(Duration::from_mins(2)));
        assert_eq!(read("Mon, 01 Jan 2024 00:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(read("Sun, 31 Dec 2023 00:00:30 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
