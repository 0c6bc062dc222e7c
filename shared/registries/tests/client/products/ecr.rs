//! Amazon Elastic Container Registry.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use futures::TryStreamExt as _;
use serde_json::{Value, json};
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::ports::Registries as _;
use tidewatch_core::ports::registry::{ListedTag, RegistryError, TagState, Throttling};
use tidewatch_core::rule::ImageTimes;
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_registries::{Aws, ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};

use super::support::{Product, digest, listed};

/// What the process is to AWS, whose APIs are all at `endpoint`.
fn process(endpoint: &str) -> aws_types::sdk_config::Builder {
    let credentials = Credentials::new("AKIAPROCESS", "process-secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(HttpClientBuilder::new().build_http())
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new())
}

fn config(more: &Value) -> Value {
    let mut config =
        json!({"kind": "ecr", "account": "123456789012", "region": "eu-west-1", "url": "{registry}"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

/// The registry of account 123456789012, read by the process.
async fn ecr(exchanges: &str) -> Product {
    Product::open_with(&config(&json!({})), &[], exchanges, |registries, replay| {
        registries.with_aws(Arc::new(process(&replay.url("api")).build()))
    })
    .await
}

/// The same, read in a role of its account.
async fn ecr_in_role(exchanges: &str) -> Product {
    let role = json!({"role_arn": "arn:aws:iam::123456789012:role/tidewatch-read", "external_id": "acme"});
    Product::open_with(&config(&role), &[], exchanges, |registries, replay| {
        registries.with_aws(Arc::new(process(&replay.url("api")).build()))
    })
    .await
}

#[tokio::test]
async fn repositories_are_listed_page_after_page() {
    let ecr = ecr(include_str!("../../exchanges/ecr/repositories.http")).await;
    assert_eq!(ecr.repositories().await.unwrap(), ["team/web", "team/api", "worker"]);
    ecr.replay.assert_done();
}

#[tokio::test]
async fn tags_are_listed_with_the_digest_times_and_size_of_their_image_and_whether_it_can_be_pulled() {
    let ecr = ecr(include_str!("../../exchanges/ecr/tags.http")).await;
    let times = |pushed: &str, pulled: Option<&str>| ImageTimes {
        created_at: None,
        pushed_at: Some(pushed.parse().unwrap()),
        pulled_at: pulled.map(|pulled| pulled.parse().unwrap()),
    };
    let index = |tag| ListedTag {
        digest: Some(digest('a')),
        times: times("2026-11-20T10:00:00.25Z", Some("2026-11-21T06:00:00Z")),
        size: Some(31_457_280),
        ..listed(tag)
    };
    let only = |tag, digit, state| ListedTag { digest: Some(digest(digit)), state, ..listed(tag) };
    let expected = [
        index("1.4.2"),
        index("latest"),
        ListedTag {
            times: times("2026-10-01T00:00:00Z", None),
            size: Some(1024),
            ..only("1.4.1", 'b', TagState::Archived)
        },
        only("1.4.0", 'c', TagState::Archived),
        only("chart", 'd', TagState::NotAnImage),
        only("signature", 'e', TagState::NotAnImage),
        listed("bare"),
        ListedTag { times: times("2026-11-21T11:53:20Z", None), ..only("latest", '0', TagState::Available) },
    ];
    assert_eq!(ecr.tags("team/web").await.unwrap(), expected);
    let tells = ecr.registry.tells();
    assert!(tells.digest && tells.pushed && tells.pulled && tells.size && !tells.created && !tells.platforms);
    ecr.replay.assert_done();
}

#[tokio::test]
async fn a_session_in_a_role_is_renewed_before_it_ends_and_once_when_it_is_refused() {
    let ecr = ecr_in_role(include_str!("../../exchanges/ecr/role.http")).await;
    assert_eq!(ecr.tags("team/web").await.unwrap()[0].tag.as_str(), "1");
    ecr.clock.advance(Duration::from_secs(54 * 60 + 59));
    assert_eq!(ecr.tags("team/web").await.unwrap()[0].tag.as_str(), "2");
    ecr.clock.advance(Duration::from_secs(1));
    assert_eq!(ecr.tags("team/web").await.unwrap()[0].tag.as_str(), "3");
    assert_eq!(ecr.tags("team/web").await.unwrap()[0].tag.as_str(), "4");
    let error = ecr.tags("team/web").await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    ecr.replay.assert_done();
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_named_with_what_has_to_be_allowed() {
    let ecr = ecr_in_role(include_str!("../../exchanges/ecr/role_denied.http")).await;
    let error = ecr.tags("team/web").await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    let text = error.to_string();
    for part in ["the role arn:aws:iam::123456789012:role/tidewatch-read", "sts:AssumeRole has to be allowed"]
    {
        assert!(text.contains(part), "{text}");
    }
    ecr.replay.assert_done();
}

#[tokio::test]
async fn a_password_is_renewed_at_half_of_its_life_and_when_it_is_refused() {
    let ecr = ecr(include_str!("../../exchanges/ecr/expiry.http")).await;
    let (repository, tag) = ("team/web".parse().unwrap(), "1.4.2".parse().unwrap());
    let resolve = async || ecr.registry.resolve(&repository, &tag).await.unwrap();
    assert_eq!(resolve().await, digest('c'));
    ecr.clock.advance(Duration::from_secs(6 * 3600 - 301));
    assert_eq!(resolve().await, digest('c'));
    ecr.clock.advance(Duration::from_secs(1));
    assert_eq!(resolve().await, digest('c'));
    ecr.clock.advance(Duration::from_secs(60));
    assert_eq!(resolve().await, digest('c'));
    ecr.replay.assert_done();
}

#[tokio::test]
async fn an_image_is_pulled_with_the_password_and_its_layers_from_storage_without_it() {
    let ecr = ecr(include_str!("../../exchanges/ecr/pull.http")).await;
    let (repository, tag) = ("team/web".parse().unwrap(), "1.4.2".parse().unwrap());
    assert_eq!(ecr.registry.resolve(&repository, &tag).await.unwrap(), digest('c'));
    let manifest = ecr.registry.manifest(&repository, &ManifestReference::Tag(tag)).await.unwrap();
    assert_eq!(&*manifest.bytes, b"{\"schemaVersion\":2}");
    let layer = ecr.registry.blob(&repository, &digest('a')).await.unwrap();
    let layer: Vec<_> = layer.try_collect().await.unwrap();
    assert_eq!(layer.concat(), b"layer");
    ecr.replay.assert_done();
}

#[tokio::test]
async fn who_may_not_pull_or_get_no_password_is_denied_without_the_password_being_shown() {
    let (repository, tag) = ("team/web".parse().unwrap(), "1.4.2".parse().unwrap());
    let ecr = ecr(include_str!("../../exchanges/ecr/pull_denied.http")).await;
    let error = ecr.registry.resolve(&repository, &tag).await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("ecr-password"), "{error:?}");
    ecr.clock.advance(Duration::from_secs(12 * 3600));
    let error = ecr.registry.resolve(&repository, &tag).await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("ecr:GetAuthorizationToken has to be allowed"), "{error}");
    let error = ecr.registry.resolve(&repository, &tag).await.unwrap_err();
    assert!(matches!(error, RegistryError::Invalid { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("secret-word"), "{error:?}");
    ecr.replay.assert_done();
}

#[tokio::test]
async fn throttling_is_told_at_once_with_the_wait_that_is_asked_for() {
    let ecr = ecr(include_str!("../../exchanges/ecr/throttled.http")).await;
    for expected in [None, Some(Duration::from_secs(7))] {
        let error = ecr.tags("team/web").await.unwrap_err();
        let RegistryError::Throttled { by: Throttling::Answer, retry_after, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(retry_after, expected);
    }
    ecr.replay.assert_done();
    assert_eq!(ecr.sleeper.slept(), Vec::<Duration>::new());
}

#[tokio::test]
async fn what_can_succeed_in_a_moment_is_tried_three_times_with_short_pauses() {
    let ecr = ecr(include_str!("../../exchanges/ecr/unavailable.http")).await;
    assert_eq!(ecr.tags("team/web").await.unwrap().len(), 1);
    let error = ecr.repositories().await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
    ecr.replay.assert_done();
    let slept = ecr.sleeper.slept();
    assert!(slept.len() == 4 && slept.iter().all(|pause| *pause <= Duration::from_millis(500)), "{slept:?}");
}

#[tokio::test]
async fn an_empty_repository_has_no_tags_and_one_that_is_not_there_is_not_found() {
    let ecr = ecr(include_str!("../../exchanges/ecr/empty.http")).await;
    assert_eq!(ecr.tags("team/empty").await.unwrap(), []);
    let error = ecr.tags("team/gone").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    assert_eq!(ecr.repositories().await.unwrap(), Vec::<String>::new());
    ecr.replay.assert_done();
}

#[tokio::test]
async fn a_page_that_leads_to_itself_is_refused() {
    let ecr = ecr(include_str!("../../exchanges/ecr/circle.http")).await;
    let error = ecr.registry.tags(&"team/web".parse().unwrap(), Some("t1")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Invalid { .. }), "{error:?}");
    ecr.replay.assert_done();
}

#[tokio::test]
async fn a_missing_permission_is_named_and_no_secret_is_shown() {
    let ecr = ecr(include_str!("../../exchanges/ecr/denied.http")).await;
    let error = ecr.tags("team/web").await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("; ecr:DescribeImages has to be allowed"), "{error}");
    let error = ecr.repositories().await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("process-secret"), "{error:?}");
    let error = ecr.tags("team/web").await.unwrap_err();
    assert!(matches!(error, RegistryError::Invalid { .. }), "{error:?}");
    ecr.replay.assert_done();
}

#[tokio::test]
async fn ten_thousand_tags_cost_ten_requests() {
    let mut exchanges = String::new();
    let mut asked = json!({
        "registryId": "123456789012", "repositoryName": "team/web", "maxResults": 1000,
        "filter": {"tagStatus": "TAGGED", "imageStatus": "ANY"},
    });
    for page in 1..=10 {
        let images: Vec<_> = (0..1000).map(|tag| json!({"imageTags": [format!("{page}.{tag}")]})).collect();
        let mut answer = json!({"imageDetails": images});
        if page < 10 {
            answer["nextToken"] = json!(format!("page-{page}"));
        }
        writeln!(
            exchanges,
            "> api POST /\n> x-amz-target: AmazonEC2ContainerRegistry_V20150921.DescribeImages\n> authorization: *\n\
             > x-amz-date: *\n>\n> {asked}\n< 200\n{answer}\n###"
        )
        .unwrap();
        asked["nextToken"] = json!(format!("page-{page}"));
    }
    let ecr = ecr(&exchanges).await;
    assert_eq!(ecr.tags("team/web").await.unwrap().len(), 10_000);
    ecr.replay.assert_done();
    assert_eq!(ecr.replay.requests(), 10);
}

#[tokio::test]
async fn calls_of_the_api_are_paid_for_from_the_budget() {
    let exchanges = include_str!("../../exchanges/ecr/tags.http");
    let config = config(&json!({"rate": {"requests": 1, "per": "1m", "burst": 3}}));
    let records = Records::new(
        Arc::new(MemoryTable::new()),
        Arc::new(ObjectStorage::in_memory()),
        Arc::new(InstantSleeper::new()),
    );
    let ecr = Product::open_with(&config, &[], exchanges, |registries, replay| {
        registries.with_aws(Arc::new(process(&replay.url("api")).build())).within(Arc::new(records))
    })
    .await;
    let error = ecr.tags("team/web").await.unwrap_err();
    assert!(matches!(error, RegistryError::Throttled { by: Throttling::Budget, .. }), "{error:?}");
    assert!(ecr.replay.requests() < 3, "{}", ecr.replay.requests());
}

/// What a process is that cannot be told of AWS.
struct Nobody;

#[async_trait]
impl Aws for Nobody {
    async fn config(&self) -> Result<SdkConfig, String> {
        Err("there is no profile acme".to_owned())
    }
}

/// Credentials that nobody has set up.
#[derive(Debug)]
struct Nowhere;

impl ProvideCredentials for Nowhere {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("nobody is logged in")))
    }
}

#[tokio::test]
async fn a_process_that_is_nobody_to_aws_is_misconfigured_and_says_why() {
    let registries = || {
        let ports = Ports {
            clock: Arc::new(SettableClock::at("2026-11-21T12:00:00Z")),
            sleeper: Arc::new(InstantSleeper::new()),
            randomness: Arc::new(SeededRandomness::new(1)),
        };
        ConfiguredRegistries::new(Arc::new(LocalSecrets::new(|_| None)), ports)
    };
    let mut config = config(&json!({"id": "ecr"}));
    config["url"] = json!("http://127.0.0.1:1");
    let config: RegistryConfig = serde_json::from_value(config).unwrap();
    let said = |error: RegistryError| {
        assert!(matches!(error, RegistryError::Misconfigured { .. }), "{error:?}");
        assert_eq!(error.retry(), Retry::Never);
        error.to_string()
    };
    let error = said(registries().open(&config).await.err().unwrap());
    assert!(error.contains("with the rights of the process to AWS"), "{error}");

    let unknown = registries().with_aws(Arc::new(Nobody)).open(&config).await.unwrap();
    let error = said(unknown.repositories(None).await.unwrap_err());
    assert!(error.contains("there is no profile acme"), "{error}");

    let nowhere = process("http://127.0.0.1:1").credentials_provider(SharedCredentialsProvider::new(Nowhere));
    let unknown = registries().with_aws(Arc::new(nowhere.build())).open(&config).await.unwrap();
    let error = said(unknown.repositories(None).await.unwrap_err());
    assert!(error.contains("there are no credentials of AWS: nobody is logged in"), "{error}");
}
