//! The function `receive-webhook`: answers `POST /v1/hooks/{kind}/{hook}[/{secret}]`, by which a registry tells of
//! pushes.
//!
//! The call is known by the hook's secret; the body is a hint only. Each repository and tag that it names goes to the
//! queue `hints` before the answer, and is resolved with our own credentials. What tells of no push of a tag is
//! acknowledged and ignored, because senders hold up their queue for what is refused. Errors are HTTP errors with a JSON
//! body `{"code","message"}`.

mod answer;
mod authentication;
mod kinds;

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tidewatch_core::hook::{HookRecord, PATH};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::{Clock, QueueSender};
use tidewatch_core::work::HintMessage;
use tidewatch_runtime::messages::{describe, send};
use tidewatch_store::records::Records;

use answer::{Refusal, accepted};

pub use kinds::{MOST_EVENTS, MediaTypes, NotificationError, Push, kind};

/// The largest body that is taken, in bytes: 256 KiB, after Base64 is decoded.
pub const MOST_BYTES: usize = 256 * 1024;

/// Answers the calls of registries.
#[derive(Clone)]
pub struct ReceiveWebhook {
    records: Records,
    queue: Arc<dyn QueueSender>,
    clock: Arc<dyn Clock>,
}

/// Where a call goes to.
struct Target<'a> {
    kind: &'a str,
    hook: &'a str,
    secret: Option<&'a str>,
}

impl ReceiveWebhook {
    /// A receiver on these ports; it sends to the queue `hints`.
    pub fn new(records: Records, queue: Arc<dyn QueueSender>, clock: Arc<dyn Clock>) -> Self {
        Self { records, queue, clock }
    }

    /// Whether a request for this path is for a hook, and not for another function.
    pub fn takes(path: &str) -> bool {
        path.starts_with(PATH)
    }

    /// The answer to a body over [`MOST_BYTES`], for a server that does not take in more.
    pub fn too_large() -> ApiGatewayV2httpResponse {
        Refusal::TooLarge.response()
    }

    /// Answers one request of API Gateway (HTTP API, payload version 2): 202 when all that it tells of is on the queue,
    /// also when that is nothing.
    pub async fn handle(&self, request: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        match self.answer(request).await {
            Ok(hints) => accepted(hints),
            Err(refusal) => {
                // Never the path or the body: they can hold secrets.
                match &refusal {
                    Refusal::Records(error) => {
                        tracing::error!(error = %describe(error), "webhook cannot be checked");
                    }
                    Refusal::Queue(error) => {
                        tracing::error!(error = %describe(error), "hint cannot be queued");
                    }
                    // Whoever makes a call decides how often this would be logged.
                    refusal => tracing::debug!(http.status = refusal.status().as_u16(), "webhook refused"),
                }
                refusal.response()
            }
        }
    }

    /// The number of hints that were queued.
    async fn answer(&self, request: &ApiGatewayV2httpRequest) -> Result<usize, Refusal> {
        let path = request.raw_path.as_deref().unwrap_or_default();
        let target = target(path).ok_or(Refusal::NoSuchPath)?;
        if request.request_context.http.method != http::Method::POST {
            return Err(Refusal::Method);
        }
        let body = body(request)?;
        let hook = authentication::authenticate(&self.records, &target, &request.headers).await?;
        let pushes = pushes(&hook, request, body.as_deref());
        let pushes = pushes.inspect_err(|refusal| {
            tracing::warn!(
                org.name = %hook.org, registry.id = %hook.registry, hook.id = %hook.id,
                http.status = refusal.status().as_u16(), "notification cannot be read"
            );
        })?;
        self.queue(&hook, pushes).await
    }

    async fn queue(&self, hook: &HookRecord, pushes: Vec<Push>) -> Result<usize, Refusal> {
        if pushes.is_empty() {
            return Ok(0);
        }
        let applied = self.records.config(&hook.org).await?;
        if applied.is_none_or(|applied| applied.config.registry(&hook.registry).is_none()) {
            tracing::warn!(
                org.name = %hook.org, registry.id = %hook.registry, hook.id = %hook.id,
                "notification ignored: its registry is not configured any more"
            );
            return Ok(0);
        }
        let received_at = self.clock.now();
        let hints: Vec<HintMessage> = pushes
            .into_iter()
            .map(|Push { repository, tag }| HintMessage {
                org: hook.org.clone(),
                registry: hook.registry.clone(),
                repository,
                tag,
                received_at,
                failures: 0,
                target: None,
                base: None,
            })
            .collect();
        send(&*self.queue, QueueName::Hints, &hints, Duration::ZERO).await?;
        tracing::info!(
            org.name = %hook.org, registry.id = %hook.registry, hook.id = %hook.id, hook.hints = hints.len(),
            "pushes heard of"
        );
        Ok(hints.len())
    }
}

/// What a path names; `None` for one that names no hook.
fn target(path: &str) -> Option<Target<'_>> {
    let mut parts = path.strip_prefix(PATH)?.split('/');
    let (kind, hook, secret) = (parts.next()?, parts.next()?, parts.next());
    let whole = !kind.is_empty() && !hook.is_empty() && secret != Some("") && parts.next().is_none();
    whole.then_some(Target { kind, hook, secret })
}

/// The body of a request, `None` when it is no Base64 although the request says so; refused when it is too large.
fn body(request: &ApiGatewayV2httpRequest) -> Result<Option<Vec<u8>>, Refusal> {
    let text = request.body.as_deref().unwrap_or_default();
    if !request.is_base64_encoded {
        return if text.len() > MOST_BYTES { Err(Refusal::TooLarge) } else { Ok(Some(text.into())) };
    }
    // Four characters for three bytes; what is too large is not decoded.
    if text.len() > MOST_BYTES.div_ceil(3) * 4 {
        return Err(Refusal::TooLarge);
    }
    match BASE64_STANDARD.decode(text) {
        Ok(bytes) if bytes.len() > MOST_BYTES => Err(Refusal::TooLarge),
        decoded => Ok(decoded.ok()),
    }
}

/// What the notification in `body` tells of, each repository and tag once.
fn pushes(
    hook: &HookRecord,
    request: &ApiGatewayV2httpRequest,
    body: Option<&[u8]>,
) -> Result<Vec<Push>, Refusal> {
    let kind = kind(hook.kind);
    let media_type = request.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.accepts(media_type) {
        return Err(Refusal::MediaType(kind.media_types()));
    }
    let pushes = kind.parse(body.ok_or(NotificationError::Base64)?)?;
    Ok(pushes.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_kind_and_hook_and_may_hold_the_secret() {
        let parts = |path| target(path).map(|target| (target.kind, target.hook, target.secret));
        assert_eq!(parts("/v1/hooks/distribution/abc"), Some(("distribution", "abc", None)));
        assert_eq!(parts("/v1/hooks/distribution/abc/s"), Some(("distribution", "abc", Some("s"))));
        for path in [
            "",
            "/",
            "/v1/hooks",
            "/v1/hooks/",
            "/v1/hooks/distribution",
            "/v1/hooks/distribution/",
            "/v1/hooks//abc",
            "/v1/hooks/distribution/abc/",
            "/v1/hooks/distribution/abc/s/",
            "/v1/hooks/distribution/abc/s/t",
            "/v2/hooks/distribution/abc",
        ] {
            assert_eq!(parts(path), None, "{path}");
        }
    }
}
