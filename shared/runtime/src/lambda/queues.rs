//! The queues of a function: every message of a batch is handled by itself, all at the same time, and those that must
//! come again are reported one by one (`ReportBatchItemFailures`:
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use futures::FutureExt as _;
use futures::future::join_all;
use serde_json::Value;
use tidewatch_core::ports::QueueReceiver;
use tidewatch_core::ports::queue::{Delivery, QueueName};

use super::InvocationError;
use crate::messages::{Deadline, Handled, MessageHandler, describe, handle, pause};

type Named = Box<dyn Fn(&str) -> Option<QueueName> + Send + Sync>;

/// The queues that a function reads, each with its handler.
pub struct Queues {
    receiver: Arc<dyn QueueReceiver>,
    named: Named,
    handlers: BTreeMap<QueueName, Arc<dyn AnyHandler>>,
}

/// A handler, whatever its messages say.
#[async_trait]
trait AnyHandler: Send + Sync {
    async fn handle(&self, queue: QueueName, delivery: &Delivery, deadline: Deadline) -> Handled;
}

#[async_trait]
impl<H: MessageHandler> AnyHandler for H {
    async fn handle(&self, queue: QueueName, delivery: &Delivery, deadline: Deadline) -> Handled {
        handle(self, queue, delivery, deadline).await
    }
}

/// A message, with what handles it.
struct Taken<'a> {
    queue: QueueName,
    handler: &'a dyn AnyHandler,
    delivery: Delivery,
}

/// What a message lacks.
#[derive(Debug, thiserror::Error)]
enum Lack {
    #[error("it cannot be read")]
    Form(#[from] serde_json::Error),
    #[error("it has no {0}")]
    Part(&'static str),
    #[error("it is of the queue {0:?}, which this function does not read")]
    Queue(String),
}

impl Queues {
    /// Queues whose messages are released by `receiver`, and are of the queue that `named` says for the ARN of their
    /// event source.
    pub fn new(
        receiver: Arc<dyn QueueReceiver>,
        named: impl Fn(&str) -> Option<QueueName> + Send + Sync + 'static,
    ) -> Self {
        Self { receiver, named: Box::new(named), handlers: BTreeMap::new() }
    }

    /// Hands the messages of `queue` to `handler`.
    #[must_use]
    pub fn handle<H: MessageHandler + 'static>(mut self, queue: QueueName, handler: H) -> Self {
        self.handlers.insert(queue, Arc::new(handler));
        self
    }

    /// Handles a batch. Gives the messages that must come again; those are visible again after the pause that they are
    /// due, where the queue could be told. A record that is no message of a queue read here is among them.
    pub(super) async fn take(
        &self,
        records: Vec<Value>,
        deadline: Deadline,
    ) -> Result<SqsBatchResponse, InvocationError> {
        let settled = join_all(records.into_iter().map(|record| self.settle(record, deadline))).await;
        let mut response = SqsBatchResponse::default();
        for failed in settled.into_iter().filter_map(Result::err) {
            response.add_failure(failed.ok_or(InvocationError::Unidentified)?);
        }
        Ok(response)
    }

    /// Handles one message. The error is the identifier of one that must come again, if it has one.
    async fn settle(&self, record: Value, deadline: Deadline) -> Result<(), Option<String>> {
        let id = record["messageId"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        let Taken { queue, handler, delivery } = match self.read(record) {
            Ok(taken) => taken,
            Err(lack) => {
                let error = describe(&lack);
                tracing::error!(message.id = id.as_deref(), error, "message cannot be taken");
                return Err(id);
            }
        };
        let handled = AssertUnwindSafe(handler.handle(queue, &delivery, deadline)).catch_unwind().await;
        let handled = handled.unwrap_or_else(|_| {
            tracing::error!(queue.name = %queue, message.id = delivery.message_id, "message handler panicked");
            Handled::Again
        });
        if handled == Handled::Done {
            return Ok(());
        }
        if let Err(error) = self.receiver.release(queue, &delivery.receipt, pause(delivery.receives)).await {
            // It comes again all the same, only later: after its visibility time.
            tracing::error!(
                queue.name = %queue, message.id = delivery.message_id, error = %describe(&error),
                "message cannot be released"
            );
        }
        Err(Some(delivery.message_id))
    }

    fn read(&self, record: Value) -> Result<Taken<'_>, Lack> {
        let record: SqsMessage = serde_json::from_value(record)?;
        let source = record.event_source_arn.ok_or(Lack::Part("event source"))?;
        let read_here = |queue| Some((queue, &**self.handlers.get(&queue)?));
        let (queue, handler) = (self.named)(&source).and_then(read_here).ok_or(Lack::Queue(source))?;
        let receives = record.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
        let delivery = Delivery {
            message_id: record.message_id.filter(|id| !id.is_empty()).ok_or(Lack::Part("identifier"))?,
            receipt: record.receipt_handle.ok_or(Lack::Part("receipt handle"))?,
            body: record.body.ok_or(Lack::Part("body"))?,
            receives: receives.ok_or(Lack::Part("count of receives"))?,
        };
        Ok(Taken { queue, handler, delivery })
    }
}
