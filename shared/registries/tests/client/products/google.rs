//! Google Artifact Registry.

use std::fmt::Write as _;
use std::time::Duration;

use aws_credential_types::Credentials as AwsCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::SdkConfig;
use aws_types::region::Region;
use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::ports::registry::{ListedTag, ListingTells, RegistryError, TagState};
use tidewatch_core::rule::ImageTimes;

use super::support::{Product, digest, listed};

/// The key of a service account that was made for these tests.
const KEY: &str = include_str!("../../exchanges/google/key.json");
const AUDIENCE: &str =
    "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/aws/providers/tidewatch";

/// A registry in `europe-west1`, with these keys as well.
fn config(namespaces: &[&str], more: &Value) -> Value {
    let mut config = json!({
        "kind": "google", "url": "{registry}", "region": "europe-west1", "api_url": "{api}",
        "authority_url": "{authority}", "namespaces": namespaces,
    });
    config.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    config
}

/// It, read with the key of a service account.
async fn with_key(namespaces: &[&str], exchanges: &str) -> Product {
    let config = config(namespaces, &json!({"credentials": {"env": "KEY"}}));
    Product::open(&config, &[("KEY", KEY)], exchanges).await
}

async fn anonymous(exchanges: &str) -> Product {
    Product::open(&config(&["acme/docker"], &json!({})), &[], exchanges).await
}

/// It, read by a process that is known to AWS.
async fn federated(account: Option<&str>, exchanges: &str) -> Product {
    let mut federation = json!({"audience": AUDIENCE});
    if let Some(account) = account {
        federation["service_account"] = json!(account);
    }
    let config = config(&["acme/docker"], &json!({"google_federation": federation}));
    let credentials = AwsCredentials::new(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        Some("session/token+=".to_owned()),
        None,
        "test",
    );
    let aws = SdkConfig::builder()
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    Product::try_open_with(&config, &[], exchanges, Some(aws)).await.unwrap()
}

#[tokio::test]
async fn image_paths_are_listed_by_the_api_repository_after_repository() {
    let namespaces = ["acme", "example.com:tools/docker"];
    let google = with_key(&namespaces, include_str!("../../exchanges/google/repositories.http")).await;
    let expected =
        ["acme/docker/api", "acme/docker/team/web", "acme/docker/worker", "example.com/tools/docker/lint"];
    assert_eq!(google.repositories().await.unwrap(), expected);
    google.replay.assert_done();
}

#[tokio::test]
async fn image_paths_behind_gcr_io_are_found_from_path_to_path() {
    let config = json!({"kind": "google", "url": "{registry}", "namespaces": ["example.com:acme"]});
    let google = Product::open(&config, &[], include_str!("../../exchanges/google/children.http")).await;
    assert_eq!(google.repositories().await.unwrap(), ["example.com/acme/team/api", "example.com/acme/web"]);
    google.replay.assert_done();
}

#[tokio::test]
async fn many_paths_behind_gcr_io_are_given_in_pages() {
    let children: Vec<String> = (10..60).map(|number| format!("web-{number}")).collect();
    let mut exchanges = format!(
        "> registry GET /v2/acme/tags/list?n=10000\n< 200\n{}\n###\n",
        json!({"child": children, "tags": []})
    );
    for child in &children {
        let answer = json!({"tags": ["1"]});
        write!(exchanges, "> registry GET /v2/acme/{child}/tags/list?n=10000\n< 200\n{answer}\n###\n")
            .unwrap();
    }
    let config = json!({"kind": "google", "url": "{registry}", "namespaces": ["acme"]});
    let google = Product::open(&config, &[], &exchanges).await;
    let first = google.registry.repositories(None).await.unwrap();
    assert_eq!((first.entries.len(), google.replay.requests()), (19, 20));
    let second = google.registry.repositories(first.next.as_deref()).await.unwrap();
    let third = google.registry.repositories(second.next.as_deref()).await.unwrap();
    assert_eq!((second.entries.len(), third.entries.len(), third.next), (20, 11, None));
    google.replay.assert_done();
}

#[tokio::test]
async fn tags_are_listed_with_digest_times_and_size() {
    let google = with_key(&["acme"], include_str!("../../exchanges/google/tags.http")).await;
    let at = |time: &str| Some(time.parse().unwrap());
    let index = ListedTag {
        digest: Some(digest('a')),
        times: ImageTimes {
            created_at: at("2026-11-18T11:06:40Z"),
            pushed_at: at("2026-11-18T11:06:41.5Z"),
            pulled_at: None,
        },
        size: Some(31_457_280),
        ..listed("1.4.2")
    };
    let expected = [
        // It was built at no time, as reproducible images are.
        ListedTag {
            digest: Some(digest('b')),
            times: ImageTimes { pushed_at: at("2026-11-06T21:20:00Z"), ..ImageTimes::default() },
            size: Some(22_906_605),
            ..listed("1.4.1")
        },
        index.clone(),
        ListedTag { tag: "latest".parse().unwrap(), ..index },
        ListedTag {
            digest: Some(digest('d')),
            times: ImageTimes { pushed_at: at("2026-11-30T00:53:20Z"), ..ImageTimes::default() },
            size: Some(2068),
            state: TagState::NotAnImage,
            ..listed("chart-0.1.0")
        },
        // Its manifest could not be read.
        listed("old"),
        // It moved while the pages were read, and is told twice.
        ListedTag { digest: Some(digest('f')), ..listed("latest") },
    ];
    assert_eq!(google.tags("acme/docker/team/web").await.unwrap(), expected);
    let told = ListingTells { digest: true, created: true, pushed: true, size: true, ..ListingTells::NAMES };
    assert_eq!(google.registry.tells(), told);
    google.replay.assert_done();
}

#[tokio::test]
async fn names_are_enough_where_no_more_is_told() {
    let google = anonymous(include_str!("../../exchanges/google/names.http")).await;
    assert_eq!(google.tags("acme/docker/web").await.unwrap(), [listed("1"), listed("2")]);
    google.replay.assert_done();
}

#[tokio::test]
async fn tokens_are_renewed_when_they_run_out_and_when_they_are_refused() {
    let google = with_key(&["acme/docker"], include_str!("../../exchanges/google/expiry.http")).await;
    let tags = async || google.tags("acme/docker/team/web").await.unwrap();
    assert_eq!(tags().await, [listed("1")]);
    google.clock.advance(Duration::from_secs(3301));
    assert_eq!(tags().await, [listed("2")]);
    google.clock.advance(Duration::from_secs(60));
    assert_eq!(tags().await, [listed("3")]);
    google.clock.advance(Duration::from_secs(60));
    assert_eq!(google.repositories().await.unwrap(), ["acme/docker/web"]);
    google.replay.assert_done();
}

#[tokio::test]
async fn a_process_that_is_known_to_aws_is_believed_without_a_key() {
    for (account, exchanges) in [
        (None, include_str!("../../exchanges/google/federated.http")),
        (
            Some("tidewatch@acme.iam.gserviceaccount.com"),
            include_str!("../../exchanges/google/impersonated.http"),
        ),
    ] {
        let google = federated(account, exchanges).await;
        assert_eq!(google.repositories().await.unwrap(), ["acme/docker/web"]);
        google.replay.assert_done();
    }
}

#[tokio::test]
async fn throttling_is_told_with_the_wait_that_the_registry_asks_for() {
    let google = anonymous(include_str!("../../exchanges/google/throttled.http")).await;
    for expected in [Some(Duration::from_secs(30)), None] {
        let error = google.tags("acme/docker/web").await.unwrap_err();
        let RegistryError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, expected);
    }
    google.replay.assert_done();
}

#[tokio::test]
async fn an_empty_repository_has_no_tags_and_one_that_is_not_there_is_not_found() {
    let google = anonymous(include_str!("../../exchanges/google/empty.http")).await;
    assert_eq!(google.tags("acme/docker/empty").await.unwrap(), []);
    let error = google.tags("acme/docker/gone").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    google.replay.assert_done();
}

#[tokio::test]
async fn wrong_credentials_are_denied_without_being_shown() {
    for google in [
        with_key(&["acme"], include_str!("../../exchanges/google/denied.http")).await,
        federated(None, include_str!("../../exchanges/google/denied_to_aws.http")).await,
    ] {
        let error = google.repositories().await.unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
        // The beginning of every JSON Web Token, and the session of AWS.
        let shown = format!("{error:?}");
        assert!(!shown.contains("eyJ") && !shown.contains("session"), "{error:?}");
        google.replay.assert_done();
    }
}

#[tokio::test]
async fn a_key_is_taken_in_each_form_in_which_tools_take_it() {
    let packed = BASE64.encode(KEY.as_bytes());
    for key in [
        packed.clone(),
        format!("_json_key_base64:{packed}"),
        format!("_json_key:{KEY}"),
        format!(" {KEY}\n"),
    ] {
        let config = config(&["acme"], &json!({"credentials": {"env": "KEY"}}));
        assert!(Product::try_open(&config, &[("KEY", &key)], "").await.is_ok());
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_misconfigured_without_being_shown() {
    let elsewhere = KEY.replace("https://oauth2.googleapis.com", "https://s3cret.example.com");
    let keyed =
        json!({"kind": "google", "url": "{registry}", "namespaces": ["acme"], "credentials": {"env": "KEY"}});
    let federation =
        |account| json!({"google_federation": {"audience": AUDIENCE, "service_account": account}});
    for (config, key) in [
        (keyed.clone(), "s3cret"),
        // Its token server is not Google's.
        (keyed, &*elsewhere),
        // Nobody has said who the process is to AWS.
        (config(&["acme"], &federation("a@b")), ""),
        (config(&["acme/docker/web"], &json!({})), ""),
        (config(&["../acme"], &json!({})), ""),
    ] {
        let error = Product::try_open(&config, &[("KEY", key)], "").await.err().unwrap();
        assert!(matches!(error, RegistryError::Misconfigured { .. }), "{error:?}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn an_image_is_pulled_with_the_access_token_as_a_password() {
    let google = with_key(&["acme"], include_str!("../../exchanges/google/pull.http")).await;
    let (repository, tag) = ("acme/docker/team/web".parse().unwrap(), "1.4.2".parse().unwrap());
    assert_eq!(google.registry.resolve(&repository, &tag).await.unwrap(), digest('c'));
    let manifest = google.registry.manifest(&repository, &ManifestReference::Tag(tag)).await.unwrap();
    assert_eq!(&*manifest.bytes, b"{\"schemaVersion\":2}");
    google.replay.assert_done();
}

#[tokio::test]
async fn ten_thousand_tags_of_an_image_cost_one_request_and_finding_it_another() {
    let manifests: Map<String, Value> = (0..10_000)
        .map(|number| {
            let manifest = json!({"tag": [number.to_string()], "timeUploadedMs": "1795000000000"});
            (format!("sha256:{number:064}"), manifest)
        })
        .collect();
    let tags: Vec<String> = (0..10_000).map(|number: u32| number.to_string()).collect();
    let packages = json!({"packages": [{"name": "projects/acme/locations/europe-west1/repositories/docker/packages/web"}]});
    let exchanges = format!(
        "> api GET /v1/projects/acme/locations/europe-west1/repositories/docker/packages?pageSize=1000\n< 200\n{packages}\n\
         ###\n> registry GET /v2/acme/docker/web/tags/list?n=10000\n< 200\n{}",
        json!({"child": [], "manifest": manifests, "name": "acme/docker/web", "tags": tags}),
    );
    let google = anonymous(&exchanges).await;
    assert_eq!(google.repositories().await.unwrap(), ["acme/docker/web"]);
    let found = google.tags("acme/docker/web").await.unwrap();
    assert_eq!(found.iter().filter(|tag| tag.digest.is_some()).count(), 10_000);
    google.replay.assert_done();
    assert_eq!(google.replay.requests(), 2);
}
