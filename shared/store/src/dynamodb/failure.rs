//! Errors of the SDK as errors of the table port.
//!
//! Codes: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::CancellationReason;
use tidewatch_core::ports::table::TableError;

/// What a failed single operation means.
pub(super) fn from_sdk<E, R>(error: SdkError<E, R>) -> TableError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error.code() {
        Some("ConditionalCheckFailedException") => TableError::ConditionFailed { position: 0 },
        Some("TransactionConflictException") => TableError::TransactionConflict,
        Some(code) if refuses_request(code) => refused(error.message(), &error),
        _ if matches!(error, SdkError::ConstructionFailure(_)) => refused(None, &error),
        _ => TableError::Unavailable { source: Box::new(error) },
    }
}

/// What a failed transaction means, by the reasons that it was cancelled for.
pub(super) fn from_transaction<R>(error: SdkError<TransactWriteItemsError, R>) -> TableError
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
        && let Some(known) = from_reasons(cancelled.cancellation_reasons())
    {
        return known;
    }
    from_sdk(error)
}

/// The error that the reasons of a cancelled transaction amount to, one for each write. A condition that did not hold
/// comes first, because it stays so when the same writes are tried again.
fn from_reasons(reasons: &[CancellationReason]) -> Option<TableError> {
    let first = |wanted: &str| reasons.iter().position(|reason| reason.code() == Some(wanted));
    if let Some(position) = first("ConditionalCheckFailed") {
        return Some(TableError::ConditionFailed { position });
    }
    for code in ["ValidationError", "ItemCollectionSizeLimitExceeded"] {
        if let Some(reason) = first(code).and_then(|position| reasons.get(position)) {
            return Some(TableError::Invalid { reason: reason.message().unwrap_or(code).to_owned() });
        }
    }
    first("TransactionConflict").map(|_| TableError::TransactionConflict)
}

fn refuses_request(code: &str) -> bool {
    matches!(
        code,
        "ValidationException"
            | "SerializationException"
            | "ItemCollectionSizeLimitExceededException"
            | "IdempotentParameterMismatchException"
    )
}

fn refused(message: Option<&str>, error: &(dyn std::error::Error + 'static)) -> TableError {
    let reason = message.map_or_else(|| DisplayErrorContext(error).to_string(), str::to_owned);
    TableError::Invalid { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(codes: &[&str]) -> Vec<CancellationReason> {
        codes.iter().map(|code| CancellationReason::builder().code(*code).message("why").build()).collect()
    }

    #[test]
    fn a_failed_condition_is_told_with_its_position_also_beside_a_conflict() {
        let error = from_reasons(&reasons(&["TransactionConflict", "None", "ConditionalCheckFailed"]));
        assert!(matches!(error, Some(TableError::ConditionFailed { position: 2 })));
    }

    #[test]
    fn a_conflict_is_a_conflict() {
        let error = from_reasons(&reasons(&["None", "TransactionConflict"]));
        assert!(matches!(error, Some(TableError::TransactionConflict)));
    }

    #[test]
    fn a_write_that_is_not_allowed_is_invalid() {
        let error = from_reasons(&reasons(&["ValidationError", "TransactionConflict"]));
        assert!(matches!(error, Some(TableError::Invalid { reason }) if reason == "why"));
    }

    #[test]
    fn throttled_writes_are_no_fault_of_the_request() {
        assert!(from_reasons(&reasons(&["ThrottlingError", "None"])).is_none());
    }
}
