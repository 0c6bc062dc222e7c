//! What the client does when a registry is slow, busy, broken or breaks off.

use std::time::Duration;

use crate::support::{IMPATIENT, blob, bytes, client, client_of, push_image, repository, tag};
use tidewatch_core::Digest;
use tidewatch_core::ports::Registry as _;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_testkit::registry::{Fault, TestRegistry};

fn ranges(registry: &TestRegistry) -> Vec<Option<String>> {
    registry.requests().into_iter().map(|request| request.range).collect()
}

#[tokio::test]
async fn throttling_is_told_at_once_with_the_wait_that_the_registry_asks_for() {
    let registry = TestRegistry::start().await.unwrap();
    push_image(&registry);
    let client = client(&registry);
    for wait in [Some(Duration::from_mins(2)), None] {
        registry.inject(Fault::Throttle { requests: 1, retry_after: wait });
        let error = client.registry.resolve(&repository("team/web"), &tag("latest")).await.unwrap_err();
        let RegistryError::Throttled { retry_after, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*retry_after, error.retry()), (wait, Retry::Again));
    }
    assert_eq!(registry.requests().len(), 2);
    assert!(client.sleeper.slept().is_empty());
}

#[tokio::test]
async fn a_server_error_that_passes_is_not_seen() {
    let registry = TestRegistry::start().await.unwrap();
    let digest = push_image(&registry);
    let client = client(&registry);
    registry.inject(Fault::Status { requests: 2, status: 503 });
    assert_eq!(client.registry.resolve(&repository("team/web"), &tag("latest")).await.unwrap(), digest);
    let slept = client.sleeper.slept();
    assert_eq!(slept.len(), 2);
    assert!(slept[0] <= Duration::from_millis(250) && slept[1] <= Duration::from_millis(500), "{slept:?}");
}

#[tokio::test]
async fn a_server_error_that_stays_is_told_after_three_tries() {
    let registry = TestRegistry::start().await.unwrap();
    registry.inject(Fault::Status { requests: 100, status: 500 });
    let error = client(&registry).registry.tags(&repository("team/web"), None).await.unwrap_err();
    let RegistryError::Unavailable { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "status 500 Internal Server Error: UNKNOWN: the test asked for this");
    assert_eq!((registry.requests().len(), error.retry()), (3, Retry::Again));
}

#[tokio::test]
async fn other_statuses_are_told_for_what_they_are() {
    let registry = TestRegistry::start().await.unwrap();
    let client = client(&registry).registry;
    for (status, expected) in [(403, "Denied"), (404, "NotFound"), (418, "Invalid"), (429, "Throttled")] {
        registry.inject(Fault::Status { requests: 1, status });
        let error = client.tags(&repository("team/web"), None).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{status} gave {error:?}");
    }
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_given_up_and_one_that_answers_later_is_not() {
    let registry = TestRegistry::start().await.unwrap();
    push_image(&registry);
    let client = client_of(&registry.config("test"), None, IMPATIENT).registry;
    registry.inject(Fault::Hang { requests: 3 });
    let error = client.tags(&repository("team/web"), None).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
    let digest = registry.push_blob("team/web", "x");
    registry.inject(Fault::Hang { requests: 1 });
    assert_eq!(blob(&*client, "team/web", &digest).await.unwrap(), "x");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unavailable() {
    let gone = TestRegistry::start().await.unwrap().config("test");
    let client = client_of(&gone, None, IMPATIENT);
    let error = client.registry.repositories(None).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
    assert_eq!(client.sleeper.slept().len(), 2);
}

#[tokio::test]
async fn a_blob_that_breaks_off_goes_on_where_it_was() {
    let registry = TestRegistry::start().await.unwrap();
    let content = bytes(500_000);
    let digest = registry.push_blob("team/web", content.clone());
    registry.inject(Fault::CutBlob { digest, after: 200_000, times: 2 });
    assert_eq!(blob(&*client(&registry).registry, "team/web", &digest).await.unwrap(), content);
    let ranges = ranges(&registry);
    assert_eq!((ranges.len(), ranges[0].as_deref()), (3, None));
    assert!(ranges[1..].iter().all(Option::is_some), "{ranges:?}");
    assert_eq!(registry.blob_pulls(&digest), 1);
    registry.assert_no_violations();
}

#[tokio::test]
async fn a_blob_goes_on_as_well_where_the_registry_ignores_or_refuses_ranges() {
    for fault in [Fault::IgnoreRange, Fault::RefuseRange] {
        let registry = TestRegistry::start().await.unwrap();
        let content = bytes(500_000);
        let digest = registry.push_blob("team/web", content.clone());
        registry.inject(fault.clone());
        registry.inject(Fault::CutBlob { digest, after: 200_000, times: 1 });
        let read = blob(&*client(&registry).registry, "team/web", &digest).await.unwrap();
        assert_eq!(Digest::of(&read), digest, "{fault:?}");
    }
}

#[tokio::test]
async fn a_blob_that_keeps_breaking_off_is_given_up() {
    let registry = TestRegistry::start().await.unwrap();
    let digest = registry.push_blob("team/web", bytes(500_000));
    registry.inject(Fault::CutBlob { digest, after: 1000, times: 100 });
    let error = blob(&*client(&registry).registry, "team/web", &digest).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
    assert_eq!(registry.requests().len(), 4);
}

#[tokio::test]
async fn a_large_blob_may_break_off_often_as_long_as_it_gets_ahead() {
    let registry = TestRegistry::start().await.unwrap();
    let content = bytes(12 << 20);
    let digest = registry.push_blob("team/web", content.clone());
    registry.inject(Fault::CutBlob { digest, after: (3 << 20) / 2, times: 6 });
    let read = blob(&*client(&registry).registry, "team/web", &digest).await.unwrap();
    assert_eq!(Digest::of(&read), digest);
}
