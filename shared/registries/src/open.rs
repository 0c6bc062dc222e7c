//! Opens the registries of a configuration, with their credentials.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tidewatch_core::config::{Credentials, RegistryConfig};
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::ports::{RateBudgets, Registries, Registry};
use tidewatch_core::{Retry, Retryable};

use crate::aws::Aws;
use crate::endpoint::Ports;
use crate::opening::{Found, Opening, SecretText};
use crate::products::product;
use crate::secrets::Secrets;

/// As many registries stay open; the one that was opened first goes first.
const OPEN: usize = 64;

/// The registries of configurations. What was opened stays open, with its tokens and connections, as long as its
/// configuration and its credentials stay the same.
pub struct ConfiguredRegistries {
    secrets: Arc<dyn Secrets>,
    ports: Ports,
    budgets: Option<Arc<dyn RateBudgets>>,
    aws: Option<Arc<dyn Aws>>,
    open: Mutex<Vec<OpenRegistry>>,
}

struct OpenRegistry {
    config: RegistryConfig,
    found: Found,
    registry: Arc<dyn Registry>,
}

impl ConfiguredRegistries {
    /// Reads credentials through `secrets`. Nothing is known of other workers, so that no budget is kept; see
    /// [`Self::within`].
    pub fn new(secrets: Arc<dyn Secrets>, ports: Ports) -> Self {
        Self { secrets, ports, budgets: None, aws: None, open: Mutex::default() }
    }

    /// The same within the budgets that all workers share: no registry is asked more often than its configuration says, or
    /// before the time that it has named itself.
    #[must_use]
    pub fn within(self, budgets: Arc<dyn RateBudgets>) -> Self {
        Self { budgets: Some(budgets), ..self }
    }

    /// The same for a process that is known to AWS: without, the registries that are read with its rights are misconfigured.
    #[must_use]
    pub fn with_aws(self, aws: Arc<dyn Aws>) -> Self {
        Self { aws: Some(aws), ..self }
    }

    /// The secrets that `config` names, read anew, so that changed ones are used.
    async fn find(&self, config: &RegistryConfig) -> Result<Found, RegistryError> {
        Ok(Found {
            credentials: self.read(config, config.credentials.as_ref(), "its credentials").await?,
            api_credentials: self
                .read(config, config.api_credentials.as_ref(), "its API credentials")
                .await?,
            ca: self.read(config, config.ca.as_ref(), "its authorities").await?,
        })
    }

    async fn read(
        &self,
        config: &RegistryConfig,
        place: Option<&Credentials>,
        what: &str,
    ) -> Result<Option<SecretText>, RegistryError> {
        let Some(place) = place else { return Ok(None) };
        let registry = config.id.clone();
        match self.secrets.read(place).await {
            Ok(text) => Ok(Some(SecretText::new(place.clone(), &text))),
            Err(error) if error.retry() == Retry::Again => {
                Err(RegistryError::Unavailable { registry, what: what.to_owned(), source: error.into() })
            }
            Err(error) => Err(RegistryError::Misconfigured { registry, reason: error.to_string() }),
        }
    }
}

#[async_trait]
impl Registries for ConfiguredRegistries {
    async fn open(&self, config: &RegistryConfig) -> Result<Arc<dyn Registry>, RegistryError> {
        let found = self.find(config).await?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open.iter().find(|open| open.config == *config && open.found == found) {
            return Ok(Arc::clone(&known.registry));
        }
        let opening = Opening {
            found: found.clone(),
            budgets: self.budgets.clone(),
            aws: self.aws.clone(),
            ..Opening::new(config, self.ports.clone())
        };
        let registry = (product(config.kind).open)(&opening)?;
        if open.len() >= OPEN {
            open.remove(0);
        }
        open.push(OpenRegistry { config: config.clone(), found, registry: Arc::clone(&registry) });
        Ok(registry)
    }
}
