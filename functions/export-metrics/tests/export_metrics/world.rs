//! An exporter of one test with its table, its clock and the organisation `acme`; requests as API Gateway hands them over,
//! and what there is to see of answers.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::stream::{StreamTotals, Totals, render};
use tidewatch_core::token::{Scope, Token, TokenRecord};
use tidewatch_core::{Digest, Severity};
use tidewatch_export_metrics::ExportMetrics;
use tidewatch_store::records::{Snapshot, SnapshotHead, TextHead};
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::api;
use tidewatch_testkit::depths::SettableDepths;
use tidewatch_testkit::failing::{FailingTable, Outages};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};

pub(crate) const METRICS: &str = "/v1/exporter/org/acme/metrics";
pub(crate) const OWN: &str = "/v1/exporter/org/acme/tidewatch";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// An exporter, and the organisation `acme` with its token.
pub(crate) struct World {
    pub(crate) records: Records,
    /// Counts the operations of the table.
    pub(crate) operations: Arc<Outages>,
    pub(crate) clock: Arc<SettableClock>,
    /// Counts how often a queue is asked.
    pub(crate) queues: Arc<SettableDepths>,
    pub(crate) exporter: ExportMetrics,
    pub(crate) token: Token,
}

impl World {
    /// No snapshot yet.
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(SettableClock::at("2026-06-15T00:00:00Z"));
        let operations = Outages::none();
        let table = FailingTable::new(Arc::new(MemoryTable::new()), Arc::clone(&operations));
        let objects = Arc::new(ObjectStorage::in_memory());
        let records = Records::new(Arc::new(table), objects, Arc::new(InstantSleeper::new()));
        let queues = Arc::new(SettableDepths::new());
        let exporter = exporter(&records, &clock, &queues);
        let token = Token::generate(&SeededRandomness::new(1));
        let mut world = Self { records, operations, clock, queues, exporter, token };
        world.token = world.issue("acme", 1, |_| {}).await;
        world
    }

    /// A snapshot that a roll-up found right now.
    pub(crate) async fn with_snapshot() -> Self {
        let world = Self::new().await;
        world.publish(1, &text(3)).await;
        world
    }

    pub(crate) async fn publish(&self, number: i64, text: &str) -> Snapshot {
        let (now, own) = (self.clock.now(), own(number));
        let head = |text: &str| TextHead { length: text.len() as u64, digest: Digest::of(text.as_bytes()) };
        let snapshot = Snapshot {
            head: SnapshotHead {
                config_version: 1,
                number,
                metrics: head(text),
                own: head(&own),
                made_at: now,
                checked_at: now,
                judging: None,
            },
            metrics: compress(text),
            own: compress(&own),
        };
        assert!(self.records.publish_snapshot(&acme(), &snapshot).await.unwrap());
        snapshot
    }

    /// Stores a token for an organisation, with `change` to what is kept of it.
    pub(crate) async fn issue(&self, org: &str, seed: u64, change: impl FnOnce(&mut TokenRecord)) -> Token {
        let (token, mut record) = api::token(org, Scope::MetricsRead, seed, self.clock.now());
        change(&mut record);
        self.records.put_token(&record).await.unwrap();
        token
    }

    /// An exporter on the same records that has served nothing yet.
    pub(crate) fn fresh_exporter(&self) -> ExportMetrics {
        exporter(&self.records, &self.clock, &self.queues)
    }

    /// The header of a new token with these scopes.
    pub(crate) async fn bearer_with(&self, seed: u64, scopes: &[Scope]) -> String {
        let change = |record: &mut TokenRecord| record.scopes = scopes.iter().copied().collect();
        format!("Bearer {}", self.issue("acme", seed, change).await.reveal())
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token.reveal())
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> ApiGatewayV2httpResponse {
        self.exporter.handle(&request("GET", path, headers)).await
    }

    /// A scrape with this header `Authorization`.
    pub(crate) async fn scrape_as(&self, authorization: &str) -> ApiGatewayV2httpResponse {
        self.get(METRICS, &[("authorization", authorization)]).await
    }
}

/// An exporter that has served nothing yet. A queue that does not answer at once has taken too long.
fn exporter(records: &Records, clock: &Arc<SettableClock>, queues: &Arc<SettableDepths>) -> ExportMetrics {
    let sleeper = Arc::new(InstantSleeper::new());
    ExportMetrics::new(records.clone(), Arc::clone(clock) as _).telling(Arc::clone(queues) as _, sleeper)
}

pub(crate) fn acme() -> OrgName {
    "acme".parse().unwrap()
}

/// The text for an organisation with so many critical vulnerabilities.
pub(crate) fn text(critical: usize) -> String {
    let mut totals = Totals::default();
    (0..critical).for_each(|_| totals.vulnerabilities.add(Severity::Critical));
    let streams = [StreamTotals { name: StreamName::latest_indexed(), totals }];
    render(&streams, &[("fixable-vulnerabilities".parse().unwrap(), "No fixable ones".to_owned())])
}

/// The text of our own families, in which so many streams are dropped.
pub(crate) fn own(dropped: i64) -> String {
    format!(
        "# HELP tidewatch_dropped_streams Streams\n# TYPE tidewatch_dropped_streams gauge\ntidewatch_dropped_streams {dropped}\n"
    )
}

pub(crate) fn compress(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A request as API Gateway sends it.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> ApiGatewayV2httpRequest {
    serde_json::from_value(api::request(method, path, headers, None)).unwrap()
}

/// Everything of an answer, for a golden file: status, headers in the order of their names, a blank line, the body.
pub(crate) fn show(response: &ApiGatewayV2httpResponse) -> String {
    let mut headers: Vec<_> =
        response.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    headers.sort_unstable();
    assert!(response.multi_value_headers.is_empty() && response.cookies.is_empty());
    let mut shown = format!("{}\n{}\n\n", response.status_code, headers.join("\n"));
    match &response.body {
        None => shown.push_str("(no body)\n"),
        Some(Body::Text(text)) => shown.push_str(text),
        Some(body) => {
            assert!(response.is_base64_encoded, "bytes are sent in Base64");
            write!(shown, "(gzip of)\n{}", inflate(body)).unwrap();
        }
    }
    shown
}

pub(crate) fn inflate(body: &Body) -> String {
    let mut text = String::new();
    GzDecoder::new(body.as_ref()).read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn body(response: &ApiGatewayV2httpResponse) -> &Body {
    response.body.as_ref().expect("a body")
}

pub(crate) fn header<'a>(response: &'a ApiGatewayV2httpResponse, name: &str) -> &'a str {
    response.headers.get(name).unwrap_or_else(|| panic!("there is no {name}")).to_str().unwrap()
}
