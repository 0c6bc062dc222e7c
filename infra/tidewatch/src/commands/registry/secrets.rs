//! Secrets as whoever runs the command can read them: variables, files, and with the credentials of AWS that there are, secrets
//! of Secrets Manager.

use std::sync::Arc;

use async_trait::async_trait;
use tidewatch_core::config::Credentials;
use tidewatch_registries::{LocalSecrets, SecretError, Secrets, SecretsManager};
use tidewatch_runtime::aws::caller_config;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::system::SystemClock;

/// Reads each secret where it is named. AWS is asked only for what is named there.
pub(super) struct CallersSecrets;

#[async_trait]
impl Secrets for CallersSecrets {
    async fn read(&self, credentials: &Credentials) -> Result<String, SecretError> {
        match credentials {
            Credentials::Env(_) | Credentials::File(_) => LocalSecrets::new(variable).read(credentials).await,
            Credentials::Secret(_) => {
                let config = caller_config().await;
                SecretsManager::new(&config, Arc::new(SystemClock)).read(credentials).await
            }
        }
    }
}
