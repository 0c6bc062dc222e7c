//! A DynamoDB in this process: [dynoxide](https://docs.rs/dynoxide-rs), in memory, behind the client of the SDK. So the adapter
//! for DynamoDB is tested against the expressions, limits and answers of DynamoDB without a server.
//!
//! The SDK writes each request as JSON with its operation in the `X-Amz-Target` header; that pair goes to the engine, and the
//! answer goes back as an HTTP response. Protocol: <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>

use std::sync::Arc;

use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, IdentityCache, Region, StalledStreamProtectionConfig, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

const TARGET_PREFIX: &str = "DynamoDB_20120810.";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A client of the SDK that reaches a new DynamoDB without tables, which lasts as long as the client and its clones.
///
/// # Panics
/// When the engine cannot be started.
#[expect(clippy::expect_used, reason = "a broken set-up ends the test")]
pub fn embedded() -> Client {
    let database = Database::memory().expect("an engine in memory");
    let connector = SharedHttpConnector::new(Engine { database: Arc::new(database) });
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("local"))
        .endpoint_url("http://localhost")
        .credentials_provider(Credentials::new("local", "local", None, None, "embedded"))
        .identity_cache(IdentityCache::no_cache())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Client::from_conf(config)
}

#[derive(Clone)]
struct Engine {
    database: Arc<Database>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl HttpConnector for Engine {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}

impl Engine {
    /// Does one request, on the threads for blocking work, because SQLite blocks.
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let failed = |error: BoxError| ConnectorError::other(error, None);
        let (operation, body) = to_call(&request).map_err(ConnectorError::user)?;
        let answered = tokio::task::spawn_blocking(move || self.dispatch(&operation, &body)).await;
        let (status, body) = match answered.map_err(|error| failed(error.into()))? {
            Ok(body) => (200, body),
            Err(error) => (error.status_code(), error.to_json()),
        };
        let status = StatusCode::try_from(status).map_err(|error| failed(error.into()))?;
        Ok(HttpResponse::new(status, SdkBody::from(body)))
    }

    fn dispatch(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        let database = &self.database;
        match operation {
            "GetItem" => run(body, |request| database.get_item(request)),
            "BatchGetItem" => run(body, |request| database.batch_get_item(request)),
            "PutItem" => run(body, |request| database.put_item(request)),
            "DeleteItem" => run(body, |request| database.delete_item(request)),
            "UpdateItem" => run(body, |request| database.update_item(request)),
            "Query" => run(body, |request| database.query(request)),
            "TransactWriteItems" => run(body, |mut request: TransactWriteItemsRequest| {
                // The engine keeps the answers by token for ten minutes, and no request here is sent twice.
                request.client_request_token = None;
                database.transact_write_items(request)
            }),
            "CreateTable" => run(body, |request| database.create_table(request)),
            "DescribeTable" => run(body, |request| database.describe_table(request)),
            "DescribeTimeToLive" => run(body, |request| database.describe_time_to_live(request)),
            "UpdateTimeToLive" => run(body, |request| database.update_time_to_live(request)),
            _ => {
                Err(DynoxideError::ValidationException(format!("{operation} is no operation of this table")))
            }
        }
    }
}

fn to_call(request: &HttpRequest) -> Result<(String, Vec<u8>), BoxError> {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    let operation = target.strip_prefix(TARGET_PREFIX).ok_or("the request names no operation of DynamoDB")?;
    let body = request.body().bytes().ok_or("the body of the request is a stream")?;
    Ok((operation.to_owned(), body.to_vec()))
}

fn run<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Response, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let response = operation(request)?;
    serde_json::to_string(&response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The engine validates while it reads a request, and marks what it found wrong so.
fn unreadable(error: &serde_json::Error) -> DynoxideError {
    let message = error.to_string();
    match message.strip_prefix("VALIDATION:") {
        Some(reason) => DynoxideError::ValidationException(reason.to_owned()),
        None => DynoxideError::SerializationException(message),
    }
}
