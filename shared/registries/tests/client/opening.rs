//! Opening the registries of a configuration.

use std::io::Write as _;
use std::sync::Arc;

use tidewatch_core::config::Credentials;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::ports::{Registries as _, Registry};
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};
use tidewatch_testkit::registry::{Access, TestRegistry};

use crate::support::{push_image, tag_pages};

/// Registries in a process with one environment variable.
fn registries(name: &'static str, value: &'static str) -> ConfiguredRegistries {
    let ports = Ports {
        clock: Arc::new(SettableClock::at("2024-01-01T00:00:00Z")),
        sleeper: Arc::new(InstantSleeper::new()),
        randomness: Arc::new(SeededRandomness::new(1)),
    };
    let secrets = LocalSecrets::new(move |asked| (asked == name).then(|| value.to_owned()));
    ConfiguredRegistries::new(Arc::new(secrets), ports)
}

#[tokio::test]
async fn credentials_come_from_the_environment_or_from_a_file() {
    let registry = TestRegistry::start().await.unwrap();
    push_image(&registry);
    registry.require(Access::basic("robot", "secret"));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "robot:secret").unwrap();
    let registries = registries("TOKEN", "robot:secret");
    for credentials in
        [Credentials::Env("TOKEN".to_owned()), Credentials::File(file.path().to_str().unwrap().to_owned())]
    {
        let mut config = registry.config("test");
        config.credentials = Some(credentials);
        let open = registries.open(&config).await.unwrap();
        assert_eq!(tag_pages(&*open, "team/web").await, [vec!["latest"]]);
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_misconfigured_and_names_what_is_missing_but_no_secret() {
    let registries = registries("TOKEN", "secret-without-user");
    let registry = TestRegistry::start().await.unwrap().config("test");
    let with = |credentials| tidewatch_core::config::RegistryConfig {
        credentials: Some(credentials),
        ..registry.clone()
    };
    let elsewhere = tidewatch_core::config::RegistryConfig {
        url: Some("registry:5000/x".to_owned()),
        ..registry.clone()
    };
    for (config, expected) in [
        (with(Credentials::Env("OTHER".to_owned())), "OTHER"),
        (with(Credentials::File("/nowhere/token".to_owned())), "/nowhere/token"),
        (with(Credentials::Env("TOKEN".to_owned())), "USER:PASSWORD"),
        (with(Credentials::Secret("team/login".to_owned())), "team/login is read when deployed only"),
        (elsewhere, "registry:5000/x"),
    ] {
        let error = registries.open(&config).await.err().unwrap();
        assert!(matches!(error, RegistryError::Misconfigured { .. }), "{error:?}");
        assert_eq!(error.retry(), Retry::Never);
        let text = error.to_string();
        assert!(text.contains(expected) && !text.contains("secret-without-user"), "{text}");
    }
}

#[tokio::test]
async fn an_unchanged_configuration_gives_the_registry_that_is_open_and_new_credentials_another() {
    let registry = TestRegistry::start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "robot:old").unwrap();
    let mut config = registry.config("test");
    config.credentials = Some(Credentials::File(file.path().to_str().unwrap().to_owned()));
    let registries = registries("", "");
    let first: Arc<dyn Registry> = registries.open(&config).await.unwrap();
    assert!(Arc::ptr_eq(&first, &registries.open(&config).await.unwrap()));
    std::fs::write(file.path(), "robot:new").unwrap();
    assert!(!Arc::ptr_eq(&first, &registries.open(&config).await.unwrap()));
    assert_eq!(registry.requests(), []);
}
