//! Amazon ECR as MiniStack has it: its API, the tokens that it hands out, and the registry that takes them.
//!
//! MiniStack gives everything on one page, has no archive, ignores filters, and lets in whoever asks its registry: pages,
//! states and refusals are tested by exchanges.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ecr::Client;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use futures::TryStreamExt as _;
use tidewatch_core::Digest;
use tidewatch_core::config::{RegistryConfig, RegistryKind};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::media_type::OCI_MANIFEST;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::{ListedTag, RegistryError};
use tidewatch_core::ports::{Clock, Registries as _, Registry};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_testkit::ministack::MiniStack;
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness};

/// The account and region of everything in MiniStack.
const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";

/// The clock of this machine, by which MiniStack says when tokens end.
struct RealClock;

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "another process lives by it")]
    fn now(&self) -> tidewatch_core::Timestamp {
        tidewatch_core::Timestamp::now()
    }
}

fn aws(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(HttpClientBuilder::new().build_http())
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new())
        .build()
}

/// The registry that `with` says more of.
async fn open(
    ministack: &MiniStack,
    with: impl FnOnce(RegistryConfig) -> RegistryConfig,
) -> Arc<dyn Registry> {
    let ports = Ports {
        clock: Arc::new(RealClock),
        sleeper: Arc::new(InstantSleeper::new()),
        randomness: Arc::new(SeededRandomness::new(1)),
    };
    let config = RegistryConfig {
        account: Some(ACCOUNT.to_owned()),
        region: Some(REGION.to_owned()),
        ..RegistryConfig::new("ecr".parse().unwrap(), RegistryKind::Ecr, Some(ministack.endpoint()))
    };
    let registries = ConfiguredRegistries::new(Arc::new(LocalSecrets::new(|_| None)), ports);
    let registries = registries.with_aws(Arc::new(aws(&ministack.endpoint())));
    registries.open(&with(config)).await.unwrap()
}

/// Makes a repository, whose name nothing else in MiniStack has.
async fn make_repository(client: &Client) -> RepositoryName {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("team/web-{}", MADE.fetch_add(1, Ordering::Relaxed));
    client.create_repository().repository_name(&name).send().await.unwrap();
    name.parse().unwrap()
}

fn manifest(config: &str) -> String {
    let (media_type, digest) = ("application/vnd.oci.image.config.v1+json", Digest::of(config.as_bytes()));
    let config =
        serde_json::json!({"mediaType": media_type, "digest": digest.to_string(), "size": config.len()});
    serde_json::json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []})
        .to_string()
}

async fn put_image(client: &Client, repository: &RepositoryName, tag: &str, manifest: &str) {
    let put = client.put_image().repository_name(repository.as_str()).image_tag(tag);
    put.image_manifest(manifest).image_manifest_media_type(OCI_MANIFEST).send().await.unwrap();
}

/// Puts a blob into the registry itself, as a push does.
async fn put_blob(ministack: &MiniStack, repository: &RepositoryName, bytes: &'static str) {
    let digest = Digest::of(bytes.as_bytes());
    let url = format!("{}/v2/{repository}/blobs/uploads/?digest={digest}", ministack.endpoint());
    let answer = reqwest::Client::new().post(url).body(bytes).send().await.unwrap();
    assert_eq!(answer.status(), 201);
}

async fn tags(registry: &dyn Registry, repository: &RepositoryName) -> Vec<ListedTag> {
    let page = registry.tags(repository, None).await.unwrap();
    assert_eq!(page.next, None);
    page.entries
}

#[tokio::test]
async fn repositories_and_tags_are_listed_with_digests_and_times() {
    let Some(ministack) = MiniStack::shared() else { return };
    let client = Client::new(&aws(&ministack.endpoint()));
    let (full, empty) = (make_repository(&client).await, make_repository(&client).await);
    let (one, other) = (manifest("{}"), manifest("{\"os\":\"linux\"}"));
    let before = RealClock.now();
    for (tag, manifest) in [("1.0", &one), ("1.1", &other), ("latest", &other)] {
        put_image(&client, &full, tag, manifest).await;
    }
    let registry = open(ministack, |config| config).await;
    let repositories = registry.repositories(None).await.unwrap();
    assert!([&full, &empty].iter().all(|made| repositories.entries.contains(made)), "{repositories:?}");

    let found = tags(&*registry, &full).await;
    let digests: Vec<_> = found
        .iter()
        .map(|listed| (listed.tag.as_str(), listed.digest.unwrap(), listed.state.reason()))
        .collect();
    let (one, other) = (Digest::of(one.as_bytes()), Digest::of(other.as_bytes()));
    assert_eq!(digests, [("1.0", one, None), ("1.1", other, None), ("latest", other, None)]);
    for listed in &found {
        let pushed = listed.times.pushed_at.unwrap();
        assert!(pushed.as_second() >= before.as_second() && pushed <= RealClock.now(), "{listed:?}");
        assert!(listed.size.is_some_and(|size| size > 0), "{listed:?}");
    }
    assert_eq!(tags(&*registry, &empty).await, []);
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_not_found() {
    let Some(ministack) = MiniStack::shared() else { return };
    let registry = open(ministack, |config| config).await;
    let error = registry.tags(&"team/gone".parse().unwrap(), None).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn an_image_is_pulled_with_a_password_of_the_api() {
    let Some(ministack) = MiniStack::shared() else { return };
    let client = Client::new(&aws(&ministack.endpoint()));
    let repository = make_repository(&client).await;
    let text = manifest("{}");
    put_image(&client, &repository, "1.0", &text).await;
    put_blob(ministack, &repository, "{}").await;

    let registry = open(ministack, |config| config).await;
    let tag = "1.0".parse().unwrap();
    assert_eq!(registry.resolve(&repository, &tag).await.unwrap(), Digest::of(text.as_bytes()));
    let manifest = registry.manifest(&repository, &ManifestReference::Tag(tag)).await.unwrap();
    assert_eq!((manifest.bytes, manifest.media_type.as_str()), (text.into(), OCI_MANIFEST));
    let blob = registry.blob(&repository, &Digest::of(b"{}")).await.unwrap();
    let blob: Vec<_> = blob.try_collect().await.unwrap();
    assert_eq!(blob.concat(), b"{}");
}

#[tokio::test]
async fn the_account_of_a_role_is_read_in_that_role() {
    let Some(ministack) = MiniStack::shared() else { return };
    let other = "111111111111";
    // Keys that are twelve digits are those of that account's root in MiniStack.
    let there = aws(&ministack.endpoint()).into_builder();
    let root = Credentials::new(other, "test", None, None, "test");
    let there = Client::new(&there.credentials_provider(SharedCredentialsProvider::new(root)).build());
    let repository = make_repository(&there).await;
    put_image(&there, &repository, "1.0", &manifest("{}")).await;

    let own = open(ministack, |config| config).await;
    let error = own.tags(&repository, None).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    let registry = open(ministack, |config| RegistryConfig {
        account: Some(other.to_owned()),
        role_arn: Some(format!("arn:aws:iam::{other}:role/tidewatch-read")),
        external_id: Some("acme".to_owned()),
        ..config
    })
    .await;
    let found = tags(&*registry, &repository).await;
    assert_eq!(found.iter().map(|listed| listed.tag.as_str()).collect::<Vec<_>>(), ["1.0"]);
}
