//! The function `export-metrics`: answers `GET|HEAD /v1/exporter/org/{org}/metrics`, and the older path without
//! `/metrics`, with the published snapshot, as Docker Scout's exporter answers.
//!
//! It computes nothing: the token is read at every request, and the snapshot is one item. Errors are HTTP errors with
//! a JSON body `{"code","message"}`, never a text that a scraper could take for metrics.

mod answer;
mod authentication;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use jiff::Timestamp;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Clock;
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{Records, Snapshot};

use answer::Refusal;

/// The longest time since a roll-up last found the snapshot right, in seconds: after it, numbers are refused rather
/// than served.
const LONGEST_AGE_SECONDS: i64 = 24 * 3600;

/// Answers scrapes.
#[derive(Clone)]
pub struct ExportMetrics {
    records: Records,
    clock: Arc<dyn Clock>,
    /// The uncompressed text of the last snapshot of each organisation, by its number.
    texts: Arc<Mutex<BTreeMap<OrgName, CachedText>>>,
}

#[derive(Clone)]
struct CachedText {
    number: (i64, i64),
    text: Arc<str>,
}

impl ExportMetrics {
    /// An exporter on these ports.
    pub fn new(records: Records, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, texts: Arc::default() }
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
        let org = organisation(path).ok_or(Refusal::NoSuchPath)?;
        let method = request.request_context.http.method.as_str();
        if !matches!(method, "GET" | "HEAD") {
            return Err(Refusal::Method);
        }
        let now = self.clock.now();
        authentication::authenticate(&self.records, request, org, now).await?;
        // The token is one for this organisation, so its name is valid and known.
        let org: OrgName = org.parse().map_err(|_| Refusal::Forbidden)?;
        let snapshot =
            self.records.snapshot(&org).await.map_err(Refusal::Broken)?.ok_or(Refusal::NoSnapshot)?;
        let age = age_seconds(&snapshot, now);
        if age > LONGEST_AGE_SECONDS {
            return Err(Refusal::Stale);
        }
        answer::metrics(request, &snapshot, age, || self.text(&org, &snapshot))
    }

    /// The uncompressed text of a snapshot; inflated once for each snapshot, not for each scrape.
    fn text(&self, org: &OrgName, snapshot: &Snapshot) -> Result<Arc<str>, Refusal> {
        let number = (snapshot.config_version, snapshot.number);
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = texts.get(org).filter(|cached| cached.number == number) {
            return Ok(Arc::clone(&cached.text));
        }
        let text: Arc<str> = answer::inflate(snapshot)?.into();
        texts.insert(org.clone(), CachedText { number, text: Arc::clone(&text) });
        Ok(text)
    }
}

/// The organisation that a path is about, as it stands there.
fn organisation(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/v1/exporter/org/")?;
    let org = rest.strip_suffix("/metrics").unwrap_or(rest);
    (!org.is_empty() && !org.contains('/')).then_some(org)
}

fn age_seconds(snapshot: &Snapshot, now: Timestamp) -> i64 {
    now.duration_since(snapshot.checked_at).as_secs().max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_paths_name_the_organisation() {
        assert_eq!(organisation("/v1/exporter/org/acme/metrics"), Some("acme"));
        assert_eq!(organisation("/v1/exporter/org/acme"), Some("acme"));
        for path in
            ["/", "/v1/exporter/org/", "/v1/exporter/org//metrics", "/v1/exporter/org/a/b", "/metrics"]
        {
            assert_eq!(organisation(path), None, "{path}");
        }
    }
}
