//! Amazon ECR Public.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidewatch_core::config::{RegistryConfig, RegistryKind};
use tidewatch_core::ports::Registries as _;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};

use super::support::{Product, digest, listed};

#[tokio::test]
async fn the_named_repositories_are_read_with_a_token_that_everyone_gets() {
    let config =
        json!({"kind": "ecr-public", "url": "{registry}", "repositories": ["acme/web", "acme/gone"]});
    let public = Product::open(&config, &[], include_str!("../../exchanges/ecr_public/tags.http")).await;
    assert_eq!(public.repositories().await.unwrap(), ["acme/web", "acme/gone"]);
    assert_eq!(public.tags("acme/web").await.unwrap(), ["1.4.0", "1.4.1", "1.4.2"].map(listed));
    public.clock.advance(Duration::from_secs(60));
    let (repository, tag) = ("acme/web".parse().unwrap(), "1.4.2".parse().unwrap());
    assert_eq!(public.registry.resolve(&repository, &tag).await.unwrap(), digest('c'));
    let error = public.tags("acme/gone").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    for expected in [Some(Duration::from_secs(7)), None] {
        let error = public.tags("acme/web").await.unwrap_err();
        let RegistryError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, expected);
    }
    public.replay.assert_done();
}

#[tokio::test]
async fn without_names_it_is_misconfigured_because_it_lists_no_repositories() {
    let ports = Ports {
        clock: Arc::new(SettableClock::at("2026-11-21T12:00:00Z")),
        sleeper: Arc::new(InstantSleeper::new()),
        randomness: Arc::new(SeededRandomness::new(1)),
    };
    let registries = ConfiguredRegistries::new(Arc::new(LocalSecrets::new(|_| None)), ports);
    let config = RegistryConfig::new("public".parse().unwrap(), RegistryKind::EcrPublic, None);
    let error = registries.open(&config).await.err().unwrap();
    assert!(matches!(error, RegistryError::Misconfigured { .. }), "{error:?}");
    assert!(error.to_string().contains("`repositories`"), "{error}");
}
