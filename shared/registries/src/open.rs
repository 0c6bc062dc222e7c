//! Opens the registries of a configuration, with their credentials.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tidewatch_core::budget::{Account, Plan};
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::ports::{RateBudgets, Registries, Registry};
use tidewatch_core::{Retry, Retryable};

use crate::budget::Budget;
use crate::endpoint::Ports;
use crate::products::PRODUCTS;
use crate::secrets::{Login, Secrets};

/// As many registries stay open; the one that was opened first goes first.
const OPEN: usize = 64;

/// The registries of configurations. What was opened stays open, with its tokens and connections, as long as its
/// configuration and its credentials stay the same.
pub struct ConfiguredRegistries {
    secrets: Arc<dyn Secrets>,
    ports: Ports,
    budgets: Option<Arc<dyn RateBudgets>>,
    open: Mutex<Vec<OpenRegistry>>,
}

struct OpenRegistry {
    config: RegistryConfig,
    login: Option<Login>,
    registry: Arc<dyn Registry>,
}

impl ConfiguredRegistries {
    /// Reads credentials through `secrets`. Nothing is known of other workers, so that no budget is kept; see
    /// [`Self::within`].
    pub fn new(secrets: Arc<dyn Secrets>, ports: Ports) -> Self {
        Self { secrets, ports, budgets: None, open: Mutex::default() }
    }

    /// The same within the budgets that all workers share: no registry is asked more often than its configuration says, or
    /// before the time that it has named itself.
    #[must_use]
    pub fn within(self, budgets: Arc<dyn RateBudgets>) -> Self {
        Self { budgets: Some(budgets), ..self }
    }

    fn budget(&self, config: &RegistryConfig) -> Option<Arc<Budget>> {
        let budgets = Arc::clone(self.budgets.as_ref()?);
        let plan = config.rate.as_ref().map(Plan::of);
        Some(Arc::new(Budget::new(budgets, Account::of(config), plan, self.ports.clone())))
    }

    /// The credentials of `config`, read anew, so that changed ones are used.
    async fn login(&self, config: &RegistryConfig) -> Result<Option<Login>, RegistryError> {
        let Some(credentials) = &config.credentials else { return Ok(None) };
        let misconfigured =
            |reason: String| RegistryError::Misconfigured { registry: config.id.clone(), reason };
        let text = match self.secrets.read(credentials).await {
            Err(error) if error.retry() == Retry::Again => {
                let (registry, what) = (config.id.clone(), "its credentials".to_owned());
                return Err(RegistryError::Unavailable { registry, what, source: error.into() });
            }
            read => read.map_err(|error| misconfigured(error.to_string()))?,
        };
        Login::of(credentials, &text).map(Some).map_err(|error| misconfigured(error.to_string()))
    }
}

#[async_trait]
impl Registries for ConfiguredRegistries {
    async fn open(&self, config: &RegistryConfig) -> Result<Arc<dyn Registry>, RegistryError> {
        let login = self.login(config).await?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = open.iter().find(|open| open.config == *config && open.login == login) {
            return Ok(Arc::clone(&found.registry));
        }
        let product = PRODUCTS.iter().find(|(kind, _)| *kind == config.kind);
        let (_, opener) = product.ok_or_else(|| RegistryError::Misconfigured {
            registry: config.id.clone(),
            reason: format!("registries of kind {:?} are not supported", config.kind),
        })?;
        let registry = opener(config, login.clone(), self.ports.clone(), self.budget(config))?;
        if open.len() >= OPEN {
            open.remove(0);
        }
        open.push(OpenRegistry { config: config.clone(), login, registry: Arc::clone(&registry) });
        Ok(registry)
    }
}
