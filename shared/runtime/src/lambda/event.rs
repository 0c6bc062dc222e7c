//! Which kind of event Lambda hands over: told by its form, since one function may take several.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use serde_json::Value;

/// An event that a function may take.
#[derive(Debug)]
pub enum Event {
    /// A schedule of EventBridge: of a rule or of the scheduler, with the detail type `Scheduled Event`
    /// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html>).
    Schedule,
    /// Messages of SQS (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>): its records.
    Messages(Vec<Value>),
    /// A request of an HTTP API, payload version 2.0
    /// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).
    Http(Box<ApiGatewayV2httpRequest>),
}

/// The event is none that is known.
#[derive(Debug, thiserror::Error)]
pub enum UnknownEvent {
    /// It has the form of none.
    #[error(
        "failed to recognise the event: it is neither a scheduled event, nor messages of SQS, nor an HTTP request \
         of payload version 2.0"
    )]
    Form,
    /// It is an HTTP request, but not as it must be.
    #[error("failed to read an HTTP request of API Gateway")]
    Http(#[source] serde_json::Error),
}

impl Event {
    /// Reads an event.
    pub fn read(mut event: Value) -> Result<Self, UnknownEvent> {
        if event["detail-type"] == "Scheduled Event" {
            return Ok(Self::Schedule);
        }
        if let Some(Value::Array(records)) = event.get_mut("Records").map(Value::take) {
            if records.is_empty() || records.iter().any(|record| record["eventSource"] != "aws:sqs") {
                return Err(UnknownEvent::Form);
            }
            return Ok(Self::Messages(records));
        }
        if event["version"] == "2.0" && event["requestContext"]["http"].is_object() {
            return serde_json::from_value(event).map(Self::Http).map_err(UnknownEvent::Http);
        }
        Err(UnknownEvent::Form)
    }

    /// What it is, for people.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Schedule => "a scheduled event",
            Self::Messages(_) => "messages of a queue",
            Self::Http(_) => "an HTTP request",
        }
    }
}
