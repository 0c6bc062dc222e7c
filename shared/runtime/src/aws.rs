//! How the clients of AWS are configured: region, credentials, endpoint, connections, and how long and how often they
//! try.
//!
//! A function takes its credentials from its environment, where Lambda puts them for as long as the process lives: the
//! chain of providers of other places would only make the binary larger and the start slower. The command takes them
//! from wherever the tools of AWS do (feature `caller`).

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;
use tidewatch_core::{Retry, Retryable};

pub use aws_types::SdkConfig;

/// How often a request is tried in all. Between the tries the SDK waits a random time, up to 1 s, 2 s, 4 s.
const TRIES: u32 = 4;

/// For a connection, for one try, and for a request with all its tries. No request of ours is answered late: nothing
/// waits for messages, and the largest item has 400 KB. A connection may have died while Lambda had the process frozen:
/// a try must end early enough for another one within the 10 s of the functions that people wait for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TRY_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A variable that Lambda sets is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to configure the clients of AWS: the environment variable {variable} is not set")]
pub struct ConfigError {
    /// The name of the variable.
    pub variable: &'static str,
}

impl Retryable for ConfigError {
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// The configuration of a deployed function, from the variables that Lambda sets: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` (none when it is empty). `AWS_ENDPOINT_URL` leads every client to
/// another place, for tests. An empty variable is one that is not set.
///
/// Variables: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
pub fn lambda_config(environment: impl Fn(&str) -> Option<String>) -> Result<SdkConfig, ConfigError> {
    let optional = |variable: &str| environment(variable).filter(|value| !value.is_empty());
    let required = |variable| optional(variable).ok_or(ConfigError { variable });
    let credentials = Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(required("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(HttpClientBuilder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https())
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new())
        .retry_config(retries())
        .timeout_config(timeouts());
    config.set_endpoint_url(optional("AWS_ENDPOINT_URL"));
    Ok(config.build())
}

/// The configuration of whoever runs the command: region, credentials and endpoint from the environment, the files of
/// the AWS CLI with its profiles and single sign-on, or the machine. What is missing is an error of the first request.
///
/// Order: <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>
#[cfg(feature = "caller")]
pub async fn caller_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(retries())
        .timeout_config(timeouts())
        .load()
        .await
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(TRIES)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(TRY_TIMEOUT)
        .operation_timeout(REQUEST_TIMEOUT)
        .build()
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::ProvideCredentials as _;

    use super::*;

    const COMPLETE: [(&str, &str); 4] = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hidden"),
        ("AWS_SESSION_TOKEN", "token"),
    ];

    /// The configuration of an environment in which `changed` has the value beside it.
    fn config(changed: (&str, &str)) -> Result<SdkConfig, ConfigError> {
        lambda_config(|name| {
            let set = COMPLETE.into_iter().find(|(set, _)| *set == name).map(|(_, value)| value);
            if name == changed.0 { Some(changed.1.to_owned()) } else { set.map(str::to_owned) }
        })
    }

    #[tokio::test]
    async fn a_function_has_the_region_and_credentials_of_its_environment() {
        let config = config(("", "")).unwrap();
        assert_eq!(config.region().unwrap().as_ref(), "eu-central-1");
        assert_eq!(config.endpoint_url(), None);
        let credentials = config.credentials_provider().unwrap().provide_credentials().await.unwrap();
        assert_eq!(credentials.access_key_id(), "ASIAEXAMPLE");
        assert_eq!(credentials.secret_access_key(), "hidden");
        assert_eq!(credentials.session_token(), Some("token"));
    }

    #[tokio::test]
    async fn an_empty_session_token_is_none() {
        let config = config(("AWS_SESSION_TOKEN", "")).unwrap();
        let credentials = config.credentials_provider().unwrap().provide_credentials().await.unwrap();
        assert_eq!(credentials.session_token(), None);
    }

    #[test]
    fn an_endpoint_is_taken_over_and_an_empty_one_is_none() {
        let endpoint = |url| config(("AWS_ENDPOINT_URL", url)).unwrap().endpoint_url().map(str::to_owned);
        assert_eq!(endpoint("http://127.0.0.1:4566"), Some("http://127.0.0.1:4566".to_owned()));
        assert_eq!(endpoint(""), None);
    }

    #[test]
    fn a_missing_variable_is_named() {
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let error = config((name, "")).unwrap_err();
            assert!(error.to_string().ends_with(&format!("{name} is not set")), "{error}");
            assert_eq!(error.retry(), Retry::Never);
        }
    }

    #[test]
    fn the_configuration_shows_no_secret() {
        assert!(!format!("{:?}", config(("", "")).unwrap()).contains("hidden"));
    }
}
