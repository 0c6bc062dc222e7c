//! Calls of Amazon ECR: who makes them, the process itself or a role of another account that it assumes, how often they
//! are tried, and what their refusals mean.
//!
//! API: <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/>,
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::config::retry::RetryConfig;
use aws_sdk_ecr::config::timeout::TimeoutConfig;
use aws_sdk_ecr::config::{Builder, Credentials, IdentityCache, Region};
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};
use tidewatch_core::Timestamp;
use tidewatch_core::ports::registry::{RegistryError, Throttling};
use tokio::sync::Mutex;

use crate::answer::{Subject, retry_after};
use crate::aws::Aws;
use crate::budget::Budget;
use crate::endpoint::{Ports, TRIES, Timeouts, pause};
use crate::identity::expiry;
use crate::opening::Opening;

/// The name of the session in which a role is assumed: who looks into the trail of the other account finds it.
const SESSION: &str = "tidewatch";
/// What the process needs to be allowed for that.
const ASSUME_ROLE: &str = "sts:AssumeRole";
/// How long a session lasts, where the answer does not say it: what is given when nothing is asked.
const SESSION_LIFETIME: Duration = Duration::from_secs(3600);
/// Characters of what AWS says that stand in an error.
const REASON_LIMIT: usize = 300;

/// Makes the calls for one registry.
pub(crate) struct Caller {
    aws: Arc<dyn Aws>,
    region: Region,
    role: Option<Role>,
    ports: Ports,
    timeouts: Timeouts,
    budget: Option<Arc<Budget>>,
    held: Mutex<Option<Held>>,
}

/// A role of another account.
struct Role {
    arn: String,
    external_id: Option<String>,
}

/// A client, and until when its credentials are good.
struct Held {
    client: Client,
    /// Which one it is: each has another number.
    number: u32,
    expires: Timestamp,
}

impl Caller {
    /// Who calls for the registry of `opening`, in its region. Nothing is asked yet. The error is
    /// [`RegistryError::Misconfigured`]: nobody has said who the process is, or the region is missing.
    pub(crate) fn of(opening: &Opening) -> Result<Self, RegistryError> {
        let config = &opening.config;
        let aws = opening.aws.clone().ok_or_else(|| {
            opening.misconfigured("it is read with the rights of the process to AWS, and this one has none")
        })?;
        let region = config.region.clone().ok_or_else(|| opening.misconfigured("it has no `region`"))?;
        let role = config.role_arn.clone().map(|arn| Role { arn, external_id: config.external_id.clone() });
        Ok(Self {
            aws,
            budget: opening.budget(&format!("https://api.ecr.{region}.amazonaws.com")),
            region: Region::new(region),
            role,
            ports: opening.ports.clone(),
            timeouts: opening.timeouts,
            held: Mutex::default(),
        })
    }

    /// Makes the call that `send` sends for `subject`, which needs the permission `action`. It is paid for each time that
    /// it is sent; one that can succeed in a moment is tried again a few times, and one whose session has run out in
    /// another session.
    pub(crate) async fn call<T, E, F>(
        &self,
        subject: &Subject,
        action: &str,
        send: impl Fn(Client) -> F,
    ) -> Result<T, RegistryError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let (mut tried, mut refused) = (0, None);
        loop {
            let error = match self.client(refused, subject).await {
                Err(error) => error,
                Ok((client, number)) => {
                    if let Some(budget) = &self.budget {
                        budget.pay(subject).await?;
                    }
                    match send(client).await {
                        Ok(answer) => return Ok(answer),
                        Err(error) if self.role.is_some() && refused.is_none() && has_run_out(&error) => {
                            refused = Some(number);
                            continue;
                        }
                        Err(error) => failure(subject, action, error, self.now()),
                    }
                }
            };
            tried += 1;
            if tried >= TRIES || !matches!(error, RegistryError::Unavailable { .. }) {
                return Err(error);
            }
            pause(&self.ports, tried).await;
        }
    }

    /// The time by which it is decided what has run out.
    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// A client with its number: the one that is held, unless it is `refused` or runs out, else a new one.
    async fn client(&self, refused: Option<u32>, subject: &Subject) -> Result<(Client, u32), RegistryError> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref()
            && self.now() < held.expires
            && Some(held.number) != refused
        {
            return Ok((held.client.clone(), held.number));
        }
        let process = self.aws.config().await.map_err(|reason| subject.misconfigured(reason))?;
        let config = Builder::from(&process)
            .region(self.region.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.timeout_config());
        let (config, expires) = match &self.role {
            None => (config, Timestamp::MAX),
            Some(role) => {
                let (session, expires) = self.assume(role, &process, subject).await?;
                // They are renewed here, by the clock of the client.
                (config.credentials_provider(session).identity_cache(IdentityCache::no_cache()), expires)
            }
        };
        let (client, number) =
            (Client::from_conf(config.build()), held.as_ref().map_or(0, |held| held.number + 1));
        *held = Some(Held { client: client.clone(), number, expires });
        Ok((client, number))
    }

    /// The credentials of a session in `role`, and until when they are used.
    async fn assume(
        &self,
        role: &Role,
        process: &SdkConfig,
        subject: &Subject,
    ) -> Result<(Credentials, Timestamp), RegistryError> {
        let subject =
            Subject { what: format!("the role {} for {}", role.arn, subject.what), ..subject.clone() };
        let region = process.region().unwrap_or(&self.region);
        let config = aws_sdk_sts::config::Builder::from(process)
            .region(region.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.timeout_config());
        let request = aws_sdk_sts::Client::from_conf(config.build())
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(SESSION)
            .set_external_id(role.external_id.clone());
        let answer =
            request.send().await.map_err(|error| failure(&subject, ASSUME_ROLE, error, self.now()))?;
        let session = answer.credentials.ok_or_else(|| subject.invalid("it holds no credentials"))?;
        let now = self.now();
        let until = Timestamp::from_second(session.expiration.secs()).ok();
        let lifetime = until.map_or(SESSION_LIFETIME, |until| {
            Duration::try_from(until.duration_since(now)).unwrap_or_default()
        });
        // Without the time of their end: the client would look at it by another clock than ours.
        let (key, secret, token) = (session.access_key_id, session.secret_access_key, session.session_token);
        Ok((Credentials::new(key, secret, Some(token), None, SESSION), expiry(now, lifetime)))
    }

    fn timeout_config(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.timeouts.connect)
            .read_timeout(self.timeouts.read)
            .operation_attempt_timeout(self.timeouts.whole)
            .operation_timeout(self.timeouts.whole)
            .build()
    }
}

/// Whether the session has run out in which a call was made.
fn has_run_out<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(error.code(), Some("ExpiredTokenException" | "ExpiredToken"))
}

/// What it means that a call for `subject`, which needs the permission `action`, has failed.
///
/// Reference: <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html>
fn failure<E>(subject: &Subject, action: &str, error: SdkError<E>, now: Timestamp) -> RegistryError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
    let code = error.code().unwrap_or_default();
    match code {
        "RepositoryNotFoundException" | "RegistryNotFoundException" | "ImageNotFoundException" => {
            return subject.not_found();
        }
        "AccessDeniedException" | "AccessDenied" => {
            return subject.denied(format!("{}; {action} has to be allowed", said(&error)));
        }
        _ => {}
    }
    if code.starts_with("Throttl")
        || matches!(code, "TooManyRequestsException" | "RequestLimitExceeded")
        || status == 429
    {
        return subject
            .throttled(error.raw_response().and_then(|answer| wait(answer, now)), Throttling::Answer);
    }
    if is_about_the_caller(code) || matches!(status, 401 | 403) {
        return subject.denied(said(&error));
    }
    if let Some(reason) = no_credentials(&error) {
        return subject.misconfigured(format!("there are no credentials of AWS: {reason}"));
    }
    match &error {
        SdkError::ServiceError(_) if status < 500 => subject.invalid(said(&error)),
        SdkError::ConstructionFailure(_) => subject.invalid("the request cannot be made"),
        _ => subject.unavailable(error),
    }
}

/// How long an answer says to wait, if it does.
fn wait(answer: &HttpResponse, now: Timestamp) -> Option<Duration> {
    let value = HeaderValue::from_str(answer.headers().get(RETRY_AFTER.as_str())?).ok()?;
    retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]), now)
}

/// Whether `code` says that AWS does not know the caller, or not here.
fn is_about_the_caller(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "NotAuthorized"
            | "OptInRequired"
            | "RegionDisabledException"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
    )
}

/// What AWS says: `RepositoryNotFoundException: there is none`.
fn said<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    let message = error.message().unwrap_or("no reason is given");
    let said = format!("{}: {message}", error.code().unwrap_or("no code is given"));
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_LIMIT).collect()
}

/// Why there are no credentials, where that is why a call was not sent: nobody has set any up.
fn no_credentials(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut source = Some(error);
    while let Some(error) = source {
        match error.downcast_ref::<CredentialsError>() {
            Some(CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)) => {
                return Some(
                    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string),
                );
            }
            _ => source = error.source(),
        }
    }
    None
}
