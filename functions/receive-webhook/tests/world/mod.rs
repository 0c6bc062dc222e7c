//! A receiver, the organisation `acme` with a hook for its registry `reg`, and calls of it.

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use serde_json::{Value, json};
use tidewatch_core::config::Config;
use tidewatch_core::hook::{HookId, HookKind, HookRecord, HookSecret};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::HintMessage;
use tidewatch_receive_webhook::ReceiveWebhook;
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::api;
use tidewatch_testkit::failing::{FailingQueue, FailingTable, Outages};
use tidewatch_testkit::ports::{InstantSleeper, RecordingQueue, SeededRandomness, SettableClock};

/// What version 2 of the registry sends.
pub(crate) const V1: &str = "application/vnd.docker.distribution.events.v1+json";
/// What version 3 sends.
pub(crate) const V2: &str = "application/vnd.docker.distribution.events.v2+json";
pub(crate) const JSON: &str = "application/json";

pub(crate) struct World {
    pub(crate) records: Records,
    pub(crate) clock: Arc<SettableClock>,
    /// Of what the receiver sees of table and queue.
    pub(crate) outages: Arc<Outages>,
    queue: Arc<RecordingQueue>,
    pub(crate) receiver: ReceiveWebhook,
    pub(crate) hook: HookRecord,
    pub(crate) secret: HookSecret,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::of_kind(HookKind::Distribution).await
    }

    /// One whose hook takes what this kind of sender sends.
    pub(crate) async fn of_kind(kind: HookKind) -> Self {
        let clock = Arc::new(SettableClock::at("2026-06-15T00:00:00Z"));
        let (table, objects) = (Arc::new(MemoryTable::new()), Arc::new(ObjectStorage::in_memory()));
        let (outages, queue) = (Outages::none(), Arc::new(RecordingQueue::new()));
        let failing = FailingTable::new(Arc::clone(&table) as _, Arc::clone(&outages));
        let seen =
            Records::new(Arc::new(failing), Arc::clone(&objects) as _, Arc::new(InstantSleeper::new()));
        let sender = FailingQueue::new(Arc::clone(&queue) as _, Arc::clone(&outages));
        let receiver = ReceiveWebhook::new(seen, Arc::new(sender), Arc::clone(&clock) as _);
        let records = Records::new(table, objects, Arc::new(InstantSleeper::new()));
        let (hook, secret) = hook(1, kind, &clock);
        let world = Self { records, clock, outages, queue, receiver, hook, secret };
        world.records.put_hook(&world.hook).await.unwrap();
        world.configure("reg").await;
        world
    }

    /// Puts a configuration with this one registry in force.
    pub(crate) async fn configure(&self, registry: &str) {
        let registry = json!({"id": registry, "kind": "oci", "url": "https://registry.example.com"});
        let config: Config =
            serde_json::from_value(json!({"org": "acme", "registries": [registry]})).unwrap();
        let version = self.records.config(&acme()).await.unwrap().map(|applied| applied.version);
        self.records.apply_config(&config, version, self.clock.now()).await.unwrap();
    }

    pub(crate) async fn another_hook(&self, seed: u64) -> (HookRecord, HookSecret) {
        let (hook, secret) = hook(seed, self.hook.kind, &self.clock);
        self.records.put_hook(&hook).await.unwrap();
        (hook, secret)
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.secret.reveal())
    }

    /// A call of the hook with its secret.
    pub(crate) fn call(&self, body: &str) -> ApiGatewayV2httpRequest {
        request("POST", &self.hook.path(), Some(&self.bearer()), V1, body)
    }

    /// The answer to a notification that comes with the secret.
    pub(crate) async fn notify(&self, media_type: &str, body: String) -> ApiGatewayV2httpResponse {
        let call = request("POST", &self.hook.path(), Some(&self.bearer()), media_type, &body);
        self.receiver.handle(&call).await
    }

    /// The hints that were queued since this was called last.
    pub(crate) fn hints(&self) -> Vec<HintMessage> {
        let hints = self.queue.messages(QueueName::Hints);
        self.queue.clear();
        hints
    }
}

fn hook(seed: u64, kind: HookKind, clock: &SettableClock) -> (HookRecord, HookSecret) {
    let randomness = SeededRandomness::new(seed);
    let (id, secret) = (HookId::generate(&randomness), HookSecret::generate(&randomness));
    let hook = HookRecord {
        id,
        org: acme(),
        registry: "reg".parse().unwrap(),
        kind,
        secrets: vec![secret.digest()],
        created_at: clock.now(),
        revoked_at: None,
    };
    (hook, secret)
}

pub(crate) fn acme() -> OrgName {
    "acme".parse().unwrap()
}

/// A body with these events.
pub(crate) fn envelope(events: impl IntoIterator<Item = Value>) -> String {
    json!({"events": events.into_iter().collect::<Vec<_>>()}).to_string()
}

pub(crate) fn event(action: &str, target: &Value) -> Value {
    json!({"id": "1", "timestamp": "2026-06-15T00:00:00Z", "action": action, "target": target})
}

/// The push of an image by its tag.
pub(crate) fn push(repository: &str, tag: &str) -> Value {
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    event("push", &json!({"mediaType": media_type, "repository": repository, "tag": tag}))
}

/// A request as API Gateway sends it (HTTP API, payload version 2).
pub(crate) fn request(
    method: &str,
    path: &str,
    authorization: Option<&str>,
    media_type: &str,
    body: &str,
) -> ApiGatewayV2httpRequest {
    let headers: Vec<(&str, &str)> = [("content-type", media_type)]
        .into_iter()
        .chain(authorization.map(|authorization| ("authorization", authorization)))
        .collect();
    serde_json::from_value(api::request(method, path, &headers, Some(body))).unwrap()
}

/// Everything of an answer: status, headers in the order of their names, a blank line, the body.
pub(crate) fn show(response: &ApiGatewayV2httpResponse) -> String {
    let mut headers: Vec<_> =
        response.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    headers.sort_unstable();
    assert!(response.multi_value_headers.is_empty() && response.cookies.is_empty());
    let Some(Body::Text(body)) = &response.body else { panic!("an answer has a text: {response:?}") };
    format!("{}\n{}\n\n{body}", response.status_code, headers.join("\n"))
}
