//! A registry of a product in front of servers that replay exchanges.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_types::SdkConfig;
use serde_json::{Value, json};
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::image::Platform;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::{ListedTag, RegistryError};
use tidewatch_core::ports::{Registries as _, Registry};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};
use tidewatch_testkit::replay::Replay;

/// A registry, the servers that it is served by, and what a test decides about it.
pub(crate) struct Product {
    pub(crate) replay: Replay,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) clock: Arc<SettableClock>,
    pub(crate) sleeper: Arc<InstantSleeper>,
}

/// The time at which a test begins.
pub(crate) const NOW: &str = "2026-11-21T12:00:00Z";

impl Product {
    /// Opens the registry that `config` says, in which `{NAME}` stands for the URL of a server; it has the id `reg`. Its servers
    /// answer `exchanges`. Secrets are variables of the environment, by their names.
    pub(crate) async fn open(config: &Value, secrets: &[(&str, &str)], exchanges: &str) -> Self {
        Self::try_open(config, secrets, exchanges).await.unwrap()
    }

    /// The same of a configuration that may be refused.
    pub(crate) async fn try_open(
        config: &Value,
        secrets: &[(&str, &str)],
        exchanges: &str,
    ) -> Result<Self, RegistryError> {
        Self::try_open_by(config, secrets, exchanges, |registries, _| registries).await
    }

    /// The same for a process that is known to AWS.
    pub(crate) async fn try_open_with(
        config: &Value,
        secrets: &[(&str, &str)],
        exchanges: &str,
        aws: Option<SdkConfig>,
    ) -> Result<Self, RegistryError> {
        let with = |registries: ConfiguredRegistries, _: &Replay| match aws {
            Some(aws) => registries.with_aws(Arc::new(aws)),
            None => registries,
        };
        Self::try_open_by(config, secrets, exchanges, with).await
    }

    /// The same where the process has more, which `with` adds.
    pub(crate) async fn open_with(
        config: &Value,
        secrets: &[(&str, &str)],
        exchanges: &str,
        with: impl FnOnce(ConfiguredRegistries, &Replay) -> ConfiguredRegistries,
    ) -> Self {
        Self::try_open_by(config, secrets, exchanges, with).await.unwrap()
    }

    async fn try_open_by(
        config: &Value,
        secrets: &[(&str, &str)],
        exchanges: &str,
        with: impl FnOnce(ConfiguredRegistries, &Replay) -> ConfiguredRegistries,
    ) -> Result<Self, RegistryError> {
        let replay = Replay::start(exchanges, &["registry", "api", "authority"]).await.unwrap();
        let mut config: Value = serde_json::from_str(&replay.filled(&config.to_string())).unwrap();
        config["id"] = json!("reg");
        let config: RegistryConfig = serde_json::from_value(config).unwrap();
        let clock = Arc::new(SettableClock::at(NOW));
        let sleeper = Arc::new(InstantSleeper::new());
        let ports = Ports {
            clock: clock.clone(),
            sleeper: sleeper.clone(),
            randomness: Arc::new(SeededRandomness::new(1)),
        };
        let secrets: BTreeMap<String, String> =
            secrets.iter().map(|(name, text)| ((*name).to_owned(), replay.filled(text))).collect();
        let secrets = LocalSecrets::new(move |name| secrets.get(name).cloned());
        let registries = with(ConfiguredRegistries::new(Arc::new(secrets), ports), &replay);
        let registry = registries.open(&config).await?;
        Ok(Self { replay, registry, clock, sleeper })
    }

    /// All repositories, page after page.
    pub(crate) async fn repositories(&self) -> Result<Vec<String>, RegistryError> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.registry.repositories(cursor.as_deref()).await?;
            found.extend(page.entries.iter().map(ToString::to_string));
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// All tags of a repository, page after page.
    pub(crate) async fn tags(&self, repository: &str) -> Result<Vec<ListedTag>, RegistryError> {
        let repository: RepositoryName = repository.parse().unwrap();
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.registry.tags(&repository, cursor.as_deref()).await?;
            found.extend(page.entries);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(found),
            }
        }
    }
}

/// A tag as a test writes it: one of which only what is given is told.
pub(crate) fn listed(tag: &str) -> ListedTag {
    ListedTag::named(tag.parse().unwrap())
}

/// `linux/amd64` and the like.
pub(crate) fn platforms(names: &[&str]) -> Vec<Platform> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// The digest that is 64 times this digit.
pub(crate) fn digest(digit: char) -> tidewatch_core::Digest {
    format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
}
