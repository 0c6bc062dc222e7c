//! A bucket of S3, as the SDK's configuration reaches it: nothing is read from the environment, so that every client of
//! a process goes to the same account by the same credentials.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_types::SdkConfig;
use aws_types::sdk_config::SharedTimeSource;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::{ClientOptions, CredentialProvider, RetryConfig};
use tokio::sync::Mutex;

/// For a connection, and for the next bytes of an answer, which the client counts from the start of the request: what is
/// sent must be there by then, and an advisory index has many megabytes. A whole answer has no limit of its own: a
/// function has its own end.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// How often a request is tried again, and for how long at most.
const RETRIES: usize = 4;
const RETRY_TIMEOUT: Duration = Duration::from_secs(180);

/// Credentials are renewed this long before they expire, and after this time when they do not say when they do.
const RENEWED_BEFORE: Duration = Duration::from_secs(30);
const KEPT_FOR: Duration = Duration::from_secs(900);

/// The SDK's configuration lacks something.
#[derive(Debug, thiserror::Error)]
#[error("the configuration of AWS has no {0}")]
struct Missing(&'static str);

/// The bucket, of which nothing was asked yet.
pub(super) fn open(config: &SdkConfig, bucket: &str) -> Result<AmazonS3, Box<dyn Error + Send + Sync>> {
    let region = config.region().ok_or(Missing("region"))?;
    let provider = config.credentials_provider().ok_or(Missing("credentials"))?;
    let time = config.time_source().ok_or(Missing("time source"))?;
    let credentials = SdkCredentials { provider, time, kept: Mutex::default() };
    let endpoint = config.endpoint_url();
    let options = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
        .with_timeout_disabled()
        .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region.as_ref())
        .with_credentials(Arc::new(credentials))
        .with_client_options(options)
        .with_retry(RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        });
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(builder.build()?)
}

/// The credentials of the SDK for `object_store`, which asks before every request: kept, because a provider may ask a
/// server each time.
#[derive(Debug)]
struct SdkCredentials {
    provider: SharedCredentialsProvider,
    time: SharedTimeSource,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    credential: Arc<AwsCredential>,
    until: SystemTime,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Kept {
    fn new(credentials: &Credentials, now: SystemTime) -> Self {
        let credential = AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(str::to_owned),
        };
        let until = credentials.expiry().map_or(now + KEPT_FOR, |expiry| expiry - RENEWED_BEFORE);
        Self { credential: Arc::new(credential), until }
    }
}

#[async_trait]
impl CredentialProvider for SdkCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        // Locked while the provider is asked, so that many requests at once ask it once.
        let mut kept = self.kept.lock().await;
        let now = self.time.now();
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.until) {
            return Ok(Arc::clone(&kept.credential));
        }
        let failed = |error| object_store::Error::Generic { store: "S3", source: Box::new(error) };
        let renewed = Kept::new(&self.provider.provide_credentials().await.map_err(failed)?, now);
        let credential = Arc::clone(&renewed.credential);
        *kept = Some(renewed);
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use aws_credential_types::provider::{ProvideCredentials, future};
    use aws_types::region::Region;
    use aws_types::sdk_config::TimeSource;

    use super::*;

    /// A time in seconds since 1970 that a test sets.
    #[derive(Clone, Debug, Default)]
    struct Seconds(Arc<AtomicU64>);

    impl TimeSource for Seconds {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    /// Numbers the credentials that it gives, which live for `lifetime` where there is one.
    #[derive(Debug)]
    struct Numbered {
        given: AtomicU64,
        time: Seconds,
        lifetime: Option<Duration>,
    }

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.given.fetch_add(1, Ordering::SeqCst);
            let expiry = self.lifetime.map(|lifetime| self.time.now() + lifetime);
            future::ProvideCredentials::ready(Ok(Credentials::new(
                format!("key-{number}"),
                "hidden",
                Some("token".to_owned()),
                expiry,
                "test",
            )))
        }
    }

    /// The ids of the keys that are given at these seconds.
    async fn keys(lifetime: Option<Duration>, at: &[u64]) -> Vec<String> {
        let time = Seconds::default();
        let provider = Numbered { given: AtomicU64::new(0), time: time.clone(), lifetime };
        let provider = SharedCredentialsProvider::new(provider);
        let credentials =
            SdkCredentials { provider, time: SharedTimeSource::new(time.clone()), kept: Mutex::default() };
        let mut keys = Vec::new();
        for second in at {
            time.0.store(*second, Ordering::SeqCst);
            let credential = credentials.get_credential().await.unwrap();
            assert_eq!((&*credential.secret_key, credential.token.as_deref()), ("hidden", Some("token")));
            keys.push(credential.key_id.clone());
        }
        assert!(!format!("{credentials:?}").contains("hidden"));
        keys
    }

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_expire() {
        let keys = keys(Some(Duration::from_secs(3600)), &[0, 3569, 3570, 7139, 7140]).await;
        assert_eq!(keys, ["key-0", "key-0", "key-1", "key-1", "key-2"]);
    }

    #[tokio::test]
    async fn credentials_that_do_not_expire_are_asked_for_now_and_then() {
        assert_eq!(keys(None, &[0, 899, 900]).await, ["key-0", "key-0", "key-1"]);
    }

    #[test]
    fn what_the_configuration_lacks_is_named() {
        let region = SdkConfig::builder().region(Region::from_static("eu-central-1"));
        for (config, missing) in [(SdkConfig::builder().build(), "region"), (region.build(), "credentials")] {
            let error = open(&config, "bucket").unwrap_err();
            assert!(error.to_string().ends_with(missing), "{error}");
        }
    }

    #[tokio::test]
    async fn plain_http_is_spoken_to_an_endpoint_of_plain_http_only() {
        let options = |endpoint: &str| {
            let credentials = Credentials::new("test", "test", None, None, "test");
            let config = SdkConfig::builder()
                .region(Region::from_static("eu-central-1"))
                .credentials_provider(SharedCredentialsProvider::new(credentials))
                .time_source(Seconds::default())
                .endpoint_url(endpoint)
                .build();
            format!("{:?}", open(&config, "bucket").unwrap())
        };
        assert!(options("http://127.0.0.1:1").contains("allow_http: Parsed(true)"));
        assert!(options("https://127.0.0.1:1").contains("allow_http: Parsed(false)"));
    }
}
