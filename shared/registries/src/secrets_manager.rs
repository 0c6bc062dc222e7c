//! Secrets from AWS Secrets Manager, for a deployed Tidewatch.
//!
//! Reference: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;
use tidewatch_core::Timestamp;
use tidewatch_core::config::Credentials;
use tidewatch_core::ports::Clock;

use crate::secrets::{SecretError, Secrets};

/// A secret is asked for once in this time: each request costs, and a changed secret is used soon enough.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// The secrets of one account and region. What was read is kept for 5 minutes; failures are not.
pub struct SecretsManager {
    client: Client,
    clock: Arc<dyn Clock>,
    kept: Mutex<BTreeMap<String, Kept>>,
}

struct Kept {
    text: String,
    until: Timestamp,
}

impl SecretsManager {
    /// Reads secrets with the region, credentials and endpoint of `config`; `clock` tells when to read one again.
    pub fn new(config: &SdkConfig, clock: Arc<dyn Clock>) -> Self {
        Self { client: Client::new(config), clock, kept: Mutex::default() }
    }

    async fn read_secret(&self, name: &str) -> Result<String, SecretError> {
        if let Some(text) = self.kept(name) {
            return Ok(text);
        }
        let answer = self.client.get_secret_value().secret_id(name).send().await;
        let answer = answer.map_err(|error| failure(name, error))?;
        let text = answer.secret_string.ok_or_else(|| SecretError::Binary(name.to_owned()))?;
        self.keep(name, &text);
        Ok(text)
    }

    fn kept(&self, name: &str) -> Option<String> {
        let now = self.clock.now();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(name).filter(|kept| now < kept.until).map(|kept| kept.text.clone())
    }

    fn keep(&self, name: &str, text: &str) {
        let until = self.clock.now().saturating_add(KEPT_FOR).unwrap_or(Timestamp::MAX);
        let kept = Kept { text: text.to_owned(), until };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), kept);
    }
}

#[async_trait]
impl Secrets for SecretsManager {
    async fn read(&self, credentials: &Credentials) -> Result<String, SecretError> {
        match credentials {
            Credentials::Secret(name) => self.read_secret(name).await,
            Credentials::Env(_) | Credentials::File(_) => Err(SecretError::LocalOnly),
        }
    }
}

fn failure<E, R>(name: &str, error: SdkError<E, R>) -> SecretError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let name = name.to_owned();
    match error.code() {
        Some(code) if refuses(code) => {
            let message = error.message().unwrap_or("no reason is given");
            SecretError::Refused { name, reason: format!("{code}: {message}") }
        }
        _ if matches!(error, SdkError::ConstructionFailure(_)) => {
            SecretError::Refused { name, reason: DisplayErrorContext(&error).to_string() }
        }
        _ => SecretError::Unavailable { name, source: Box::new(error) },
    }
}

/// Whether `code` says that somebody has to change the secret, its key, the role or the configuration.
fn refuses(code: &str) -> bool {
    matches!(
        code,
        "AccessDeniedException"
            | "DecryptionFailure"
            | "InvalidParameterException"
            | "InvalidRequestException"
            | "ResourceNotFoundException"
            | "ValidationException"
    )
}
