//! How requests of the SDK reach a DynamoDB on this machine without a TCP port: in this process, or over the Unix socket
//! of the process that has the file open.
//!
//! The SDK writes each request as JSON with its operation in the `X-Amz-Target` header; that pair goes to the engine,
//! and the answer goes back as an HTTP response, so the SDK reads it like one of the service.
//!
//! Protocol: <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>

use std::path::PathBuf;
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
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::bridge;
use super::embedded::Engine;

const TARGET_PREFIX: &str = "DynamoDB_20120810.";

/// One request: the operation, such as `GetItem`, and its JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) operation: String,
    pub(super) body: Box<RawValue>,
}

/// The answer to a request: an HTTP status and JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Box<RawValue>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where requests go.
#[derive(Clone, Debug)]
pub(super) enum Transport {
    /// To the engine in this process.
    InProcess(Arc<Engine>),
    /// To the process that serves this socket.
    Socket(PathBuf),
}

impl Transport {
    /// A client of the SDK whose requests go this way. Nothing is tried again and nothing has a time limit: there is no
    /// network that loses an answer, and a write that was done must not be done twice.
    pub(super) fn client(self) -> Client {
        let connector = SharedHttpConnector::new(self);
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

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let failed = |error: BoxError| ConnectorError::other(error, None);
        let call = to_call(&request).map_err(ConnectorError::user)?;
        let answer = match self {
            Self::InProcess(engine) => engine.answer(call).await.map_err(|error| failed(error.into()))?,
            Self::Socket(path) => {
                bridge::ask(&path, &call).await.map_err(|error| ConnectorError::io(error.into()))?
            }
        };
        let status = StatusCode::try_from(answer.status).map_err(|error| failed(error.into()))?;
        let body: Box<str> = answer.body.into();
        Ok(HttpResponse::new(status, SdkBody::from(String::from(body))))
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}

fn to_call(request: &HttpRequest) -> Result<Call, BoxError> {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    let operation = target.strip_prefix(TARGET_PREFIX).ok_or("the request names no operation of DynamoDB")?;
    let body = request.body().bytes().ok_or("the body of the request is a stream")?;
    Ok(Call { operation: operation.to_owned(), body: serde_json::from_slice(body)? })
}
