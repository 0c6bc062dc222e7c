//! What a registry answered, and the error that it is when it is no success.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::fmt::rfc2822;
use serde::Deserialize;
use tidewatch_core::Timestamp;
use tidewatch_core::names::RegistryId;
use tidewatch_core::ports::registry::{RegistryError, Throttling};

use crate::resolver::RefusedName;
use crate::secrets::REDACTED;
use crate::server::Content;

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

    pub(crate) fn misconfigured(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::Misconfigured { registry: self.registry.clone(), reason: reason.into() }
    }

    pub(crate) fn not_found(&self) -> RegistryError {
        RegistryError::NotFound { registry: self.registry.clone(), what: self.what.clone() }
    }

    /// The error behind a request that was not answered, or whose answer broke off. The URL is left out: after a
    /// redirect it can hold a signature.
    pub(crate) fn transport(&self, error: reqwest::Error) -> RegistryError {
        if let Some(refused) = refused_name(&error) {
            return self.invalid(refused);
        }
        if error.is_redirect() {
            let source = std::error::Error::source(&error);
            return self.invalid(source.map_or_else(|| "too many redirects".to_owned(), ToString::to_string));
        }
        self.unavailable(error.without_url())
    }
}

/// Why a name was not connected to, when that is why there is no answer.
fn refused_name(error: &reqwest::Error) -> Option<String> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(refused) = error.downcast_ref::<RefusedName>() {
            return Some(refused.to_string());
        }
        source = error.source();
    }
    None
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    sent: Sent,
}

/// What of a request is secret, kept with its answer, which may repeat it.
#[derive(Clone, Default)]
pub(crate) struct Sent(Vec<String>);

impl Sent {
    /// What is secret of the header `Authorization` and of what was sent.
    pub(crate) fn of(authorization: Option<&HeaderValue>, content: Option<&Content>) -> Self {
        let header = authorization.and_then(|value| value.to_str().ok()?.split_once(' '));
        let mut secrets: Vec<String> = header.iter().map(|(_, secret)| (*secret).to_owned()).collect();
        let password = header.filter(|(scheme, _)| *scheme == "Basic").and_then(|(_, encoded)| {
            let decoded = String::from_utf8(BASE64.decode(encoded.as_bytes()).ok()?).ok()?;
            Some(decoded.split_once(':')?.1.to_owned())
        });
        secrets.extend(password);
        match content {
            Some(Content::Form(form)) => secrets.extend(form.iter().map(|(_, value)| value.clone())),
            Some(Content::Json(serde_json::Value::Object(object))) => {
                secrets.extend(object.values().filter_map(|value| value.as_str().map(str::to_owned)));
            }
            _ => {}
        }
        // What is so short stands in any text.
        secrets.retain(|secret| secret.len() >= 4);
        Self(secrets)
    }
}

// Nothing secret is shown.
impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sent").field(&self.0.len()).finish()
    }
}

impl Answer {
    /// Reads an answer. A success may have at most `limit` bytes; of a refusal as much is kept as explains it.
    pub(crate) async fn read(
        mut response: reqwest::Response,
        limit: usize,
        subject: &Subject,
    ) -> Result<Self, RegistryError> {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let sent = response.extensions_mut().remove::<Sent>().unwrap_or_default();
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
        Ok(Self { status, headers, body: body.freeze(), sent })
    }

    /// The answer when it is a success, else the error that it means.
    pub(crate) fn success(self, subject: &Subject, now: Timestamp) -> Result<Self, RegistryError> {
        match self.status {
            status if status.is_success() => Ok(self),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(subject.denied(self.reason())),
            StatusCode::NOT_FOUND => Err(subject.not_found()),
            StatusCode::TOO_MANY_REQUESTS => {
                Err(subject.throttled(retry_after(&self.headers, now), Throttling::Answer))
            }
            // One that says when it is back is not tried before.
            StatusCode::SERVICE_UNAVAILABLE if self.headers.contains_key(RETRY_AFTER) => {
                Err(subject.throttled(retry_after(&self.headers, now), Throttling::Answer))
            }
            status if is_transient(status) => Err(subject.unavailable(self.reason())),
            _ => Err(subject.invalid(self.reason())),
        }
    }

    /// The same of an answer about a token: there, 400 says that the credentials are not taken.
    pub(crate) fn granted(self, subject: &Subject, now: Timestamp) -> Result<Self, RegistryError> {
        if self.status == StatusCode::BAD_REQUEST {
            return Err(subject.denied(self.reason()));
        }
        self.success(subject, now)
    }

    /// The status and what the registry said, without anything secret: `status 403 Forbidden: DENIED: no access`.
    fn reason(&self) -> String {
        let said = said(&self.body).unwrap_or_default();
        let said = self.sent.0.iter().fold(said, |said, secret| said.replace(secret, REDACTED));
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

/// How long the registry says to wait: seconds, or until a date; where it does not say that, until its count begins anew, in
/// seconds since 1970, as Docker Hub says it.
///
/// Specification: <https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>,
/// <https://docs.docker.com/reference/api/hub/latest/#tag/rate-limiting>
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let Some(value) = headers.get(RETRY_AFTER) else {
        let reset = headers.get("x-ratelimit-reset")?.to_str().ok()?.trim().parse().ok()?;
        return Duration::try_from(Timestamp::from_second(reset).ok()?.duration_since(now)).ok();
    };
    let value = value.to_str().ok()?.trim();
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
    /// What the API of Quay says.
    error_message: Option<String>,
    error: Option<RefusalCause>,
}

/// The errors of Google's APIs: <https://google.aip.dev/193>. Those of OAuth are a word.
#[derive(Deserialize)]
#[serde(untagged)]
enum RefusalCause {
    Google { message: String },
    Other(serde::de::IgnoredAny),
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
        let cause = match refusal.error {
            Some(RefusalCause::Google { message }) => Some(message),
            Some(RefusalCause::Other(_)) | None => None,
        };
        return Some(
            errors
                .chain(refusal.details.or(refusal.error_message))
                .chain(cause)
                .collect::<Vec<_>>()
                .join("; "),
        );
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
            sent: Sent::of(offered.map(HeaderValue::from_static).as_ref(), None),
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
            (
                r#"{"detail":"no scope","error_message":"no scope","error_type":"insufficient_scope","status":403}"#,
                "status 403 Forbidden: no scope",
            ),
            (
                r#"{"error":{"code":403,"message":"Permission 'x' denied","status":"PERMISSION_DENIED"}}"#,
                "status 403 Forbidden: Permission 'x' denied",
            ),
            (
                r#"{"error":"invalid_client","error_description":"it has expired"}"#,
                "status 403 Forbidden: it has expired",
            ),
            ("no\r\naccess\n", "status 403 Forbidden: no  access"),
            ("<html>nginx</html>", "status 403 Forbidden"),
            ("", "status 403 Forbidden"),
        ] {
            assert_eq!(answer(403, body, None).reason(), expected);
        }
    }

    #[test]
    fn a_refusal_that_repeats_a_secret_does_not_bring_it_into_the_error() {
        for (echoed, offered, expected) in [
            ("bad: t0ken", "Bearer t0ken", "bad: [redacted]"),
            (
                "bad: hunter2 and cm9ib3Q6aHVudGVyMg==",
                "Basic cm9ib3Q6aHVudGVyMg==",
                "bad: [redacted] and [redacted]",
            ),
        ] {
            let echo = answer(401, echoed, Some(offered));
            assert_eq!(echo.reason(), format!("status 401 Unauthorized: {expected}"));
        }
        let form = Content::Form(vec![("refresh_token", "s3cret".to_owned())]);
        let echo = Answer { sent: Sent::of(None, Some(&form)), ..answer(400, "not s3cret", None) };
        assert_eq!(echo.reason(), "status 400 Bad Request: not [redacted]");
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
        let reset = |value: &'static str| {
            let header = ("x-ratelimit-reset".parse().unwrap(), HeaderValue::from_static(value));
            retry_after(&HeaderMap::from_iter([header]), now)
        };
        assert_eq!(reset("1704067210"), Some(Duration::from_secs(10)));
        assert_eq!((reset("1704067190"), reset("x")), (None, None));
    }
}
