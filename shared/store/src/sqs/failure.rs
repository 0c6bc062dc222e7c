//! Errors of the SDK as errors of the queue ports.
//!
//! Codes: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>

use std::error::Error;

use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::BatchResultErrorEntry;
use tidewatch_core::ports::queue::{QueueError, QueueName};

/// What SQS puts before some codes when it speaks JSON, as it did when it spoke XML.
const PREFIX: &str = "AWS.SimpleQueueService.";

/// What a failed request means.
pub(super) fn from_sdk<E, R>(queue: QueueName, error: SdkError<E, R>) -> QueueError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let refused =
        error.code().is_some_and(refuses_message) || matches!(error, SdkError::ConstructionFailure(_));
    if refused {
        let reason = error.message().map_or_else(|| DisplayErrorContext(&error).to_string(), str::to_owned);
        return QueueError::Invalid { queue, reason };
    }
    QueueError::Unavailable { queue, source: Box::new(error) }
}

/// The error of a message that SQS refuses, whenever it is sent; `None` when it may take it later.
pub(super) fn from_entry(queue: QueueName, entry: &BatchResultErrorEntry) -> Option<QueueError> {
    let reason = || format!("{}: {}", entry.code(), entry.message().unwrap_or("no reason is given"));
    refuses_message(entry.code()).then(|| QueueError::Invalid { queue, reason: reason() })
}

/// Whether `error` says that a receipt is of no message that is held now.
pub(super) fn is_stale<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    let stale = |code| {
        matches!(
            code,
            "MissingParameter"
                | "ReceiptHandleIsInvalid"
                | "InvalidIdFormat"
                | "MessageNotInflight"
                | "InvalidParameterValue"
        )
    };
    error.code().map(unprefixed).is_some_and(stale)
}

/// Whether `code` blames what the message says or how it is to be sent. Everything else, such as a missing permission
/// or a queue that is not there, can be mended while the message waits.
fn refuses_message(code: &str) -> bool {
    matches!(
        unprefixed(code),
        "BatchRequestTooLong"
            | "InvalidMessageContents"
            | "InvalidParameterCombination"
            | "InvalidParameterValue"
            | "MissingParameter"
            | "UnsupportedOperation"
            | "ValidationError"
    )
}

fn unprefixed(code: &str) -> &str {
    code.strip_prefix(PREFIX).unwrap_or(code)
}
