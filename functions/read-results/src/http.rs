//! The HTTP routes: who may ask, what is asked for, and the answer.
//!
//! Every answer is JSON, also a refusal: `{"code","message"}`.

mod answer;
mod authentication;
mod description;
mod operation;
mod parameters;

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use serde_json::Value;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Clock;
use tidewatch_runtime::messages::describe;
use tidewatch_store::Records;

use crate::results::{ImageQuery, PolicyQuery, ReadError, Results};
use answer::Refusal;
use operation::{Matched, Operation};
use parameters::Parameters;

/// Where the description is.
const DESCRIPTION: &str = "/v1/openapi.json";

/// Answers requests for results.
#[derive(Clone)]
pub struct ReadResults {
    records: Records,
    clock: Arc<dyn Clock>,
}

/// The description of the routes: an OpenAPI document, <https://spec.openapis.org/oas/v3.1.1.html>.
pub fn openapi() -> Value {
    description::document()
}

impl ReadResults {
    /// One that reads `records`.
    pub fn new(records: Records, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// Whether a path is one of this function's.
    pub fn takes(path: &str) -> bool {
        path == DESCRIPTION || path.starts_with("/v1/org/")
    }

    /// Answers one request of API Gateway (HTTP API, payload version 2).
    pub async fn handle(&self, request: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        match self.answer(request).await {
            Ok(document) => answer::answer(request, &document),
            Err(refusal) => {
                if let Refusal::Broken(error) = &refusal {
                    tracing::error!(error = %describe(error), "results cannot be read");
                }
                refusal.response()
            }
        }
    }

    async fn answer(&self, request: &ApiGatewayV2httpRequest) -> Result<Value, Refusal> {
        let path = request.raw_path.as_deref().unwrap_or_default();
        let is_description = path == DESCRIPTION;
        let matched = Operation::of_path(path);
        if matched.is_none() && !is_description {
            return Err(Refusal::NoSuchPath);
        }
        if request.request_context.http.method.as_str() != "GET" {
            return Err(Refusal::Method);
        }
        let Some(Matched { operation, org, id }) = matched else { return Ok(openapi()) };
        let now = self.clock.now();
        authentication::authenticate(&self.records, request, &org, now).await?;
        // The token is one for this organisation, so its name is valid and known.
        let org: OrgName = org.parse().map_err(|_| Refusal::Forbidden)?;
        let query = request.raw_query_string.as_deref().unwrap_or_default();
        let parameters = Parameters::read(operation, id.as_deref(), query).map_err(Refusal::BadRequest)?;
        let results = Results::of(self.records.clone(), org, now).await?;
        perform(operation, &results, &parameters).await
    }
}

async fn perform(operation: Operation, results: &Results, parameters: &Parameters) -> Result<Value, Refusal> {
    let bad = Refusal::BadRequest;
    let page = || parameters.page().map_err(bad);
    match operation {
        Operation::Images => {
            let query = ImageQuery {
                stream: parameters.stream().map_err(bad)?,
                state: parameters.optional("state").map_err(bad)?,
                pattern: parameters.optional("repository").map_err(bad)?,
                vulnerability: parameters.optional("with").map_err(bad)?,
            };
            json(&results.image_page(&query, &page()?).await?)
        }
        Operation::Image => json(&results.image_detail(&parameters.required("ref").map_err(bad)?).await?),
        Operation::Policy => {
            let query = PolicyQuery {
                id: parameters.required("id").map_err(bad)?,
                stream: parameters.stream().map_err(bad)?,
                failing: parameters.optional("failing").map_err(bad)?.unwrap_or_default(),
            };
            json(&results.policy_page(&query, &page()?).await?)
        }
        Operation::Explain => {
            let series = parameters.required("series").map_err(bad)?;
            json(&results.explanation(&series, &page()?).await?)
        }
        Operation::Streams => json(&results.stream_list().await?),
        Operation::Vulnerability => {
            let id: String = parameters.required("id").map_err(bad)?;
            let stream = parameters.stream().map_err(bad)?;
            json(&results.vulnerability_page(&id, &stream, &page()?).await?)
        }
    }
}

fn json(document: &impl serde::Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(document).map_err(|_| Refusal::Unwritable)
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Record(error) => Self::Broken(error),
            // There is a token for it, and no configuration yet.
            error => Self::NotFound(error.to_string()),
        }
    }
}
