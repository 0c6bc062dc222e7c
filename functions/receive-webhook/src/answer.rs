//! The answers: hints are queued, and refusals.

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use http::header::{ACCEPT, ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use tidewatch_core::ports::queue::QueueError;
use tidewatch_runtime::http::{CHALLENGE, document, refusal};
use tidewatch_store::records::RecordError;

use crate::kinds::{MediaTypes, NotificationError};

/// Why a call is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is nothing at this path")]
    NoSuchPath,
    #[error("use POST")]
    Method,
    #[error("the body is larger than 256 KiB")]
    TooLarge,
    /// The same for an unknown hook, another kind and a wrong secret.
    #[error("a hook and its secret are needed: in the path, or as Authorization: Bearer twh_…")]
    Unauthorized,
    #[error("the media type of the body must be one of {0}")]
    MediaType(MediaTypes),
    #[error(transparent)]
    Notification(#[from] NotificationError),
    #[error("the hook cannot be checked now: try again")]
    Records(#[from] RecordError),
    #[error("the notification cannot be queued now: try again")]
    Queue(#[from] QueueError),
}

impl Refusal {
    pub(crate) const fn status(&self) -> StatusCode {
        self.parts().0
    }

    const fn parts(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::TooLarge | Self::Notification(NotificationError::TooManyEvents) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_large")
            }
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::MediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::Notification(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::Records(_) | Self::Queue(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }

    pub(crate) fn response(&self) -> ApiGatewayV2httpResponse {
        let (status, code) = self.parts();
        let mut response = refusal(status, code, &self.to_string());
        let header = match self {
            Self::Method => Some((ALLOW, HeaderValue::from_static("POST"))),
            Self::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))),
            Self::MediaType(accepted) => {
                HeaderValue::from_str(&accepted.to_string()).ok().map(|value| (ACCEPT, value))
            }
            Self::Records(_) | Self::Queue(_) => Some((RETRY_AFTER, HeaderValue::from_static("10"))),
            _ => None,
        };
        response.headers.extend(header);
        response
    }
}

/// The answer when so many hints are on the queue. It is no 200, because nothing is scanned yet; every sender takes any
/// 2xx.
pub(crate) fn accepted(hints: usize) -> ApiGatewayV2httpResponse {
    document(StatusCode::ACCEPTED, &json!({"hints": hints}))
}
