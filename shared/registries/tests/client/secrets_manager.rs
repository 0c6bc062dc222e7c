//! Credentials in AWS Secrets Manager, as MiniStack has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials as AwsCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tidewatch_core::config::Credentials;
use tidewatch_core::ports::Registries as _;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_registries::{ConfiguredRegistries, Ports, SecretError, Secrets as _, SecretsManager};
use tidewatch_testkit::ministack::MiniStack;
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};
use tidewatch_testkit::registry::{Access, TestRegistry};

use crate::support::{push_image, tag_pages};

fn config(endpoint: &str) -> SdkConfig {
    let credentials = AwsCredentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(HttpClientBuilder::new().build_http())
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new())
        .retry_config(RetryConfig::disabled())
        .build()
}

fn clock() -> Arc<SettableClock> {
    Arc::new(SettableClock::at("2024-01-01T00:00:00Z"))
}

fn secret(name: &str) -> Credentials {
    Credentials::Secret(name.to_owned())
}

fn registries(secrets: SecretsManager) -> ConfiguredRegistries {
    let (sleeper, randomness) = (Arc::new(InstantSleeper::new()), Arc::new(SeededRandomness::new(1)));
    ConfiguredRegistries::new(Arc::new(secrets), Ports { clock: clock(), sleeper, randomness })
}

/// Makes a secret of this text, and gives its name and ARN.
async fn make_secret(client: &Client, text: &str) -> (String, String) {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("tidewatch/secret-{}", MADE.fetch_add(1, Ordering::Relaxed));
    let made = client.create_secret().name(&name).secret_string(text).send().await.unwrap();
    (name, made.arn.unwrap())
}

#[tokio::test]
async fn a_secret_logs_in_by_name_and_arn_as_text_and_as_json() {
    let Some(ministack) = MiniStack::shared() else { return };
    let config = config(&ministack.endpoint());
    let registry = TestRegistry::start().await.unwrap();
    push_image(&registry);
    registry.require(Access::basic("robot", "se:cret"));
    for text in [
        "robot:se:cret",
        "robot:se:cret\n",
        r#"{"host":"x","password":"se:cret","username":"robot","port":1}"#,
    ] {
        let (name, arn) = make_secret(&Client::new(&config), text).await;
        for credentials in [secret(&name), secret(&arn)] {
            let mut registry_config = registry.config("test");
            registry_config.credentials = Some(credentials);
            let registries = registries(SecretsManager::new(&config, clock()));
            let open = registries.open(&registry_config).await.unwrap();
            assert_eq!(tag_pages(&*open, "team/web").await, [vec!["latest"]]);
        }
    }
}

#[tokio::test]
async fn a_secret_is_asked_for_again_after_five_minutes() {
    let Some(ministack) = MiniStack::shared() else { return };
    let config = config(&ministack.endpoint());
    let client = Client::new(&config);
    let (name, _arn) = make_secret(&client, "robot:old").await;
    let clock = clock();
    let secrets = SecretsManager::new(&config, Arc::<SettableClock>::clone(&clock));
    assert_eq!(secrets.read(&secret(&name)).await.unwrap(), "robot:old");
    client.put_secret_value().secret_id(&name).secret_string("robot:new").send().await.unwrap();
    clock.advance(Duration::from_millis(299_999));
    assert_eq!(secrets.read(&secret(&name)).await.unwrap(), "robot:old");
    clock.advance(Duration::from_millis(1));
    assert_eq!(secrets.read(&secret(&name)).await.unwrap(), "robot:new");
}

#[tokio::test]
async fn what_is_no_secret_is_misconfigured_and_nothing_of_it_is_shown() {
    let Some(ministack) = MiniStack::shared() else { return };
    let config = config(&ministack.endpoint());
    let client = Client::new(&config);
    let (no_login, _) = make_secret(&client, "hidden-text").await;
    let (no_password, _) = make_secret(&client, r#"{"username":"hidden-text"}"#).await;
    let binary = client.create_secret().name("tidewatch/binary").secret_binary(Blob::new("hidden-text"));
    let binary = binary.send().await.unwrap().name.unwrap();
    let registry = TestRegistry::start().await.unwrap().config("test");
    let registries = registries(SecretsManager::new(&config, clock()));
    for (credentials, expected) in [
        (secret("tidewatch/none"), "ResourceNotFoundException"),
        (secret(&no_login), "USER:PASSWORD"),
        (secret(&no_password), "USER:PASSWORD"),
        (secret(&binary), "is binary"),
        (Credentials::Env("TOKEN".to_owned()), "name it by `secret`"),
        (Credentials::File("/token".to_owned()), "name it by `secret`"),
    ] {
        let config =
            tidewatch_core::config::RegistryConfig { credentials: Some(credentials), ..registry.clone() };
        let error = registries.open(&config).await.err().unwrap();
        assert!(matches!(error, RegistryError::Misconfigured { .. }), "{error:?}");
        assert_eq!(error.retry(), Retry::Never);
        let text = error.to_string();
        assert!(text.contains(expected) && !text.contains("hidden-text"), "{text}");
    }
}

#[tokio::test]
async fn secrets_that_cannot_be_reached_are_asked_for_again() {
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let config = config(&format!("http://{closed}"));
    let error = SecretsManager::new(&config, clock()).read(&secret("tidewatch/any")).await.unwrap_err();
    assert!(matches!(&error, SecretError::Unavailable { name, .. } if name == "tidewatch/any"), "{error:?}");

    let mut registry = TestRegistry::start().await.unwrap().config("test");
    registry.credentials = Some(secret("tidewatch/any"));
    let error = registries(SecretsManager::new(&config, clock())).open(&registry).await.err().unwrap();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
    assert_eq!(error.retry(), Retry::Again);
}
