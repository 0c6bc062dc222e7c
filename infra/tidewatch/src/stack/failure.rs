//! Why a stack cannot be worked on, for people: what is wrong, and what to do next.
//!
//! States of stacks: <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html>;
//! codes: <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/CommonErrors.html>.

use std::error::Error;
use std::fmt::Debug;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksError;

use tidewatch_runtime::messages::describe;

use crate::failure::Failure;
use crate::instance::StackName;

type Source = Box<dyn Error + Send + Sync>;

/// A stack cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StackError {
    #[error("failed to ask for the stack: no region is configured")]
    NoRegion,
    #[error("failed to find credentials of AWS: {reason}")]
    NoCredentials { reason: String },
    #[error("failed to ask for the stack {name}: the credentials are refused ({reason})")]
    CredentialsRefused { name: StackName, reason: String },
    #[error("failed to ask for the stack {name}: access is denied ({reason})")]
    Denied { name: StackName, reason: String },
    #[error("there is no stack {name} in {region}, in the account of these credentials")]
    NotThere { name: StackName, region: String },
    #[error("the stack {name} is still being created ({status})")]
    BeingCreated { name: StackName, status: String },
    #[error("the stack {name} was not created ({status})")]
    NotCreated { name: StackName, status: String },
    #[error("the stack {name} is deleted, or being deleted ({status})")]
    Deleted { name: StackName, status: String },
    #[error("the stack {name} is none of Tidewatch: it has none of its outputs")]
    NotTidewatch { name: StackName },
    #[error("the stack {name} lacks outputs that this version needs: {}", missing.join(", "))]
    MissingOutputs { name: StackName, missing: Vec<String> },
    #[error("failed to ask CloudFormation in {region} for the stack {name}")]
    Unreachable { name: StackName, region: String, endpoint: Option<String>, source: Source },
}

impl StackError {
    /// What it means that asking for the stack `name` failed.
    pub(super) fn of_request<R: Debug + Send + Sync + 'static>(
        name: &StackName,
        region: &str,
        endpoint: Option<&str>,
        error: SdkError<DescribeStacksError, R>,
    ) -> Self {
        let (name, region) = (name.clone(), region.to_owned());
        let reason = error.message().or(error.code()).unwrap_or_default().to_owned();
        if let Some(missing) = lack_of_credentials(&error) {
            return Self::NoCredentials { reason: describe(missing) };
        }
        match error.code() {
            Some("ValidationError") if reason.contains("does not exist") => Self::NotThere { name, region },
            Some(code) if is_denial(code) => Self::Denied { name, reason },
            Some(code) if is_refusal(code) => Self::CredentialsRefused { name, reason },
            _ => Self::Unreachable {
                name,
                region,
                endpoint: endpoint.map(str::to_owned),
                source: error.into(),
            },
        }
    }

    /// Why a stack in this state cannot be worked on; `None` when it can. One that is being updated can, and one whose
    /// update failed can: they have the outputs of before.
    pub(super) fn of_status(name: &StackName, status: &str) -> Option<Self> {
        let (name, status) = (name.clone(), status.to_owned());
        match status.as_str() {
            "CREATE_IN_PROGRESS" | "REVIEW_IN_PROGRESS" => Some(Self::BeingCreated { name, status }),
            "CREATE_FAILED" | "ROLLBACK_IN_PROGRESS" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" => {
                Some(Self::NotCreated { name, status })
            }
            "DELETE_IN_PROGRESS" | "DELETE_COMPLETE" | "DELETE_FAILED" => {
                Some(Self::Deleted { name, status })
            }
            _ => None,
        }
    }

    /// The failure of the command, with what to do next.
    pub(super) fn into_failure(self) -> Failure {
        let hint = self.hint();
        let failure = if self.is_wrong_use() { Failure::wrong_use(self) } else { Failure::new(self) };
        failure.hint(hint)
    }

    /// Whether what the caller has given is at fault.
    const fn is_wrong_use(&self) -> bool {
        matches!(self, Self::NoRegion | Self::NotThere { .. } | Self::NotTidewatch { .. })
    }

    /// What to do next.
    fn hint(&self) -> String {
        match self {
            Self::NoRegion => "name the region of the stack: AWS_REGION=eu-west-1, or a profile by AWS_PROFILE".into(),
            Self::NoCredentials { .. } => SIGN_IN.into(),
            Self::CredentialsRefused { .. } => {
                format!("they may have expired: {SIGN_IN}")
            }
            Self::Denied { .. } => DENIED.into(),
            Self::NotThere { .. } => {
                "name another one by --stack, its region by AWS_REGION, its account by AWS_PROFILE; list what is \
                 there: aws cloudformation list-stacks"
                    .into()
            }
            Self::BeingCreated { name, .. } => {
                format!("wait until it is there: aws cloudformation wait stack-create-complete --stack-name {name}")
            }
            Self::NotCreated { name, .. } => format!(
                "see why: aws cloudformation describe-stack-events --stack-name {name}; then delete it and deploy it \
                 again: make delete STACK={name}, make deploy STACK={name}"
            ),
            Self::Deleted { name, .. } => {
                format!("name another one by --stack, or deploy it again: make deploy STACK={name}")
            }
            Self::NotTidewatch { .. } => {
                "name the stack that was deployed from Tidewatch's template.yaml".into()
            }
            Self::MissingOutputs { name, .. } => format!(
                "it was deployed from a template of another version than this command: deploy that of this \
                 version: make deploy STACK={name}"
            ),
            Self::Unreachable { endpoint: Some(endpoint), .. } => {
                format!("AWS_ENDPOINT_URL leads to {endpoint}: is that right, and does it answer?")
            }
            Self::Unreachable { .. } => {
                "check the network and the region (AWS_REGION), then try again".into()
            }
        }
    }
}

const SIGN_IN: &str = "sign in as for the AWS CLI (aws sso login, aws configure), name a profile by AWS_PROFILE, or set \
                       AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; `aws sts get-caller-identity` says who you are";

const DENIED: &str = "ask whoever keeps the account for the stack's policy TidewatchOperator (its output OperatorPolicy; \
                      docs/DEPLOY.md, Who uses the command), or sign in as somebody who has it; \
                      `aws sts get-caller-identity` says who you are";

fn is_denial(code: &str) -> bool {
    matches!(code, "AccessDenied" | "AccessDeniedException" | "NotAuthorized" | "UnauthorizedOperation")
}

fn is_refusal(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "OptInRequired"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
    )
}

/// Why no credentials could be had for a request that was not sent, when that is why.
fn lack_of_credentials<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Says what to do next where a command on the stack `name` has failed for want of a permission or by an expired
/// session. The errors of the table, the objects and the queues do not tell these cases apart, because no function could
/// do anything about them; the codes of the services stand in their texts.
pub(crate) fn explain(failure: Failure, name: &StackName) -> Failure {
    let text = failure.text();
    if text.contains("AccessDenied") {
        failure.hint_unless_given(format!("the stack {name} does not let you do this: {DENIED}"))
    } else if text.contains("ExpiredToken") {
        failure.hint_unless_given(format!("the session has expired: {SIGN_IN}"))
    } else {
        failure
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::error::{ConnectorError, ErrorMetadata};

    use super::*;

    fn name() -> StackName {
        "acme".parse().unwrap()
    }

    /// What the service answers with this code.
    fn answer(code: &str, message: &str) -> StackError {
        let error =
            DescribeStacksError::generic(ErrorMetadata::builder().code(code).message(message).build());
        StackError::of_request(&name(), "eu-west-1", None, SdkError::service_error(error, ()))
    }

    fn not_sent(error: impl Into<Source>) -> StackError {
        let error = SdkError::<_, ()>::dispatch_failure(ConnectorError::other(error.into(), None));
        StackError::of_request(&name(), "eu-west-1", None, error)
    }

    #[test]
    fn a_request_that_fails_is_told_by_its_cause() {
        let missing = answer("ValidationError", "Stack with id acme does not exist");
        assert_eq!(
            missing.to_string(),
            "there is no stack acme in eu-west-1, in the account of these credentials"
        );
        assert!(missing.is_wrong_use());
        assert!(
            matches!(answer("AccessDenied", "User: x"), StackError::Denied { reason, .. } if reason == "User: x")
        );
        assert!(matches!(answer("ExpiredToken", "late"), StackError::CredentialsRefused { .. }));
        assert!(matches!(answer("ValidationError", "too long"), StackError::Unreachable { .. }));
        assert!(matches!(answer("Throttling", "slowly"), StackError::Unreachable { .. }));
    }

    #[test]
    fn credentials_that_are_not_there_are_told_from_a_service_that_does_not_answer() {
        let none = not_sent(CredentialsError::not_loaded("no provider has any"));
        assert!(none.to_string().starts_with("failed to find credentials of AWS: "), "{none}");
        assert!(none.to_string().contains("no provider has any"), "{none}");
        let refused = not_sent(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert!(matches!(refused, StackError::Unreachable { .. }), "{refused:?}");
    }

    #[test]
    fn a_stack_can_be_worked_on_unless_it_is_not_there_yet_or_no_more() {
        for status in ["CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED"] {
            assert!(StackError::of_status(&name(), status).is_none(), "{status}");
        }
        let of = |status| StackError::of_status(&name(), status).unwrap();
        assert!(matches!(of("CREATE_IN_PROGRESS"), StackError::BeingCreated { .. }));
        assert!(matches!(of("ROLLBACK_COMPLETE"), StackError::NotCreated { .. }));
        assert!(matches!(of("DELETE_IN_PROGRESS"), StackError::Deleted { .. }));
    }
}
