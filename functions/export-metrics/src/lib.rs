//! The function `export-metrics`: answers `GET|HEAD /v1/exporter/org/{org}/metrics`, and the older path without
//! `/metrics`, with the published snapshot, as Docker Scout's exporter answers; and `/v1/exporter/org/{org}/tidewatch` with
//! families of our own, for operators also with how much is in the queues.
//!
//! It computes nothing. A scrape reads two items, strongly consistent: the token and the head of the snapshot; the bodies
//! only when their number is another than that of those in the process. Errors are HTTP errors with a JSON body
//! `{"code","message"}`, never a text that a scraper could take for metrics.

mod answer;
mod authentication;
mod limit;
mod negotiation;
mod queues;
mod texts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use jiff::Timestamp;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::{Clock, QueueDepths, Sleeper};
use tidewatch_core::token::{Scope, TokenRecord};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{Records, SnapshotHead};

use answer::{Refusal, Standing};
use limit::ScrapeLimit;
use queues::{QueueText, Queues};
use texts::{Cache, Families, Texts, entity_tag};

pub use limit::{DEFAULT_SCRAPES, SCRAPES_VARIABLE, ScrapesError, scrapes_per_minute};

/// The longest time since a roll-up last found the snapshot right, in seconds: after it, numbers are refused rather
/// than served.
const LONGEST_AGE_SECONDS: i64 = 24 * 3600;

/// Answers scrapes.
#[derive(Clone)]
pub struct ExportMetrics {
    records: Records,
    clock: Arc<dyn Clock>,
    limit: Arc<ScrapeLimit>,
    cache: Arc<Mutex<Cache>>,
    queues: Option<Arc<Queues>>,
}

impl ExportMetrics {
    /// An exporter on these ports, which lets a token scrape [`DEFAULT_SCRAPES`] times in a minute.
    pub fn new(records: Records, clock: Arc<dyn Clock>) -> Self {
        let limit = Arc::new(ScrapeLimit::new(DEFAULT_SCRAPES));
        Self { records, clock, limit, cache: Arc::default(), queues: None }
    }

    /// The same, which tells operators how much is in `queues`. `sleeper` says when a queue has taken too long to answer.
    #[must_use]
    pub fn telling(mut self, queues: Arc<dyn QueueDepths>, sleeper: Arc<dyn Sleeper>) -> Self {
        self.queues = Some(Arc::new(Queues::new(queues, sleeper)));
        self
    }

    /// The same, which lets a token scrape so many times in a minute; as often as it likes for 0.
    #[must_use]
    pub fn limited(mut self, scrapes_per_minute: u32) -> Self {
        self.limit = Arc::new(ScrapeLimit::new(scrapes_per_minute));
        self
    }

    /// Answers one request of API Gateway (HTTP API, payload version 2).
    pub async fn handle(&self, request: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        match self.answer(request).await {
            Ok(response) => response,
            Err(refusal) => {
                if let Refusal::Broken(error) = &refusal {
                    tracing::error!(error = %describe(error), "metrics cannot be served");
                }
                refusal.response()
            }
        }
    }

    async fn answer(&self, request: &ApiGatewayV2httpRequest) -> Result<ApiGatewayV2httpResponse, Refusal> {
        let path = request.raw_path.as_deref().unwrap_or_default();
        let (org, families) = wanted(path).ok_or(Refusal::NoSuchPath)?;
        let method = request.request_context.http.method.as_str();
        if !matches!(method, "GET" | "HEAD") {
            return Err(Refusal::Method);
        }
        let now = self.clock.now();
        let token = authentication::authenticate(&self.records, request, org, &self.limit, now).await?;
        // The token is one for this organisation, so its name is valid and known.
        let org: OrgName = org.parse().map_err(|_| Refusal::Forbidden)?;
        let head = self.records.snapshot_head(&org).await.map_err(Refusal::Broken)?;
        let head = head.ok_or(Refusal::NoSnapshot)?;
        let age = age_seconds(&head, now);
        if age > LONGEST_AGE_SECONDS {
            return Err(Refusal::Stale);
        }
        let format = negotiation::format(&request.headers);
        let queues = self.queues(families, &token, now).await;
        let standing = |head: &SnapshotHead| {
            let tag = entity_tag(families, format, head, queues.as_deref());
            Standing::new(&request.headers, &tag, age_seconds(head, now))
        };
        if let Some(not_modified) = standing(&head).not_modified() {
            return Ok(not_modified);
        }
        let (head, texts) = self.texts(&org, head).await?;
        let text = match &queues {
            None => texts.get(families, format, &head),
            Some(queues) => Arc::new(texts.with_queues(format, &head, queues)),
        };
        Ok(standing(&head).answer(request, format, &text))
    }

    /// What the holder of a token is told of the queues beside these families: nothing, unless it is an operator and asks
    /// for our own.
    async fn queues(
        &self,
        families: Families,
        token: &TokenRecord,
        now: Timestamp,
    ) -> Option<Arc<QueueText>> {
        match &self.queues {
            Some(queues) if families == Families::Own && token.allows(Scope::Operator) => {
                Some(queues.text(now).await)
            }
            _ => None,
        }
    }

    /// The texts of the snapshot with this head; those of a newer one, with its head, when it has been replaced since.
    async fn texts(&self, org: &OrgName, head: SnapshotHead) -> Result<(SnapshotHead, Arc<Texts>), Refusal> {
        if let Some(texts) = self.lock_cache().get(org, head.version()) {
            return Ok((head, texts));
        }
        let snapshot = self.records.snapshot(org).await.map_err(Refusal::Broken)?;
        let snapshot = snapshot.ok_or(Refusal::NoSnapshot)?;
        let texts = Arc::new(Texts::of(&snapshot)?);
        self.lock_cache().put(org, snapshot.head.version(), Arc::clone(&texts));
        Ok((snapshot.head, texts))
    }

    fn lock_cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The organisation and the families that a path is about, the organisation as it stands there.
fn wanted(path: &str) -> Option<(&str, Families)> {
    let rest = path.strip_prefix("/v1/exporter/org/")?;
    let (org, families) = match rest.split_once('/') {
        None | Some((_, "metrics")) => (rest.split('/').next()?, Families::Scout),
        Some((org, "tidewatch")) => (org, Families::Own),
        Some(_) => return None,
    };
    (!org.is_empty()).then_some((org, families))
}

fn age_seconds(head: &SnapshotHead, now: Timestamp) -> i64 {
    now.duration_since(head.checked_at).as_secs().max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_name_the_organisation_and_the_families() {
        assert_eq!(wanted("/v1/exporter/org/acme/metrics"), Some(("acme", Families::Scout)));
        assert_eq!(wanted("/v1/exporter/org/acme"), Some(("acme", Families::Scout)));
        assert_eq!(wanted("/v1/exporter/org/acme/tidewatch"), Some(("acme", Families::Own)));
        for path in [
            "/",
            "/v1/exporter/org/",
            "/v1/exporter/org//metrics",
            "/v1/exporter/org//tidewatch",
            "/v1/exporter/org/a/b",
            "/v1/exporter/org/a/",
            "/v1/exporter/org/a/metrics/",
            "/metrics",
        ] {
            assert_eq!(wanted(path), None, "{path}");
        }
    }
}
