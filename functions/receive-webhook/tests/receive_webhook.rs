//! Calls of registries, as API Gateway hands them over: what becomes a hint, what is acknowledged and ignored, and what
//! is refused.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use std::fmt::Write as _;

use aws_lambda_events::encodings::Body;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewatch_core::hook::{HookKind, HookSecret};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::work::HintMessage;
use tidewatch_receive_webhook::{MOST_BYTES, MOST_EVENTS, kind};
use tidewatch_testkit::ports::SeededRandomness;

use world::{JSON, V1, V2, World, acme, envelope, event, push, request, show};

fn names(hints: &[HintMessage]) -> Vec<String> {
    hints.iter().map(|hint| format!("{}:{}", hint.repository, hint.tag)).collect()
}

#[tokio::test]
async fn a_push_is_a_hint_about_the_registry_of_the_hook() {
    let world = World::new().await;
    for media_type in [V1, V2, JSON, "application/json; charset=utf-8"] {
        let response = world.notify(media_type, envelope([push("team/web", "1.4.2")])).await;
        assert_eq!(show(&response), show(&world.notify(media_type, envelope([push("a", "b")])).await));
        let hints = world.hints();
        assert_eq!(names(&hints), ["team/web:1.4.2", "a:b"]);
        let expected = HintMessage {
            org: acme(),
            registry: "reg".parse().unwrap(),
            repository: "team/web".parse().unwrap(),
            tag: "1.4.2".parse().unwrap(),
            received_at: world.clock.now(),
            failures: 0,
            target: None,
            base: None,
        };
        assert_eq!(hints[0], expected);
    }
    insta::assert_snapshot!("accepted", show(&world.notify(V2, envelope([push("team/web", "1")])).await));
}

/// What each of the notifications that a registry sends while an image is pushed, pulled, mounted and deleted says to us.
#[tokio::test]
async fn only_pushes_of_tagged_manifests_are_hints() {
    let world = World::new().await;
    let mut seen = String::new();
    let golden = [("version 2", V1, "v2_events.json"), ("version 3", V2, "v3_events.json")];
    for (name, media_type, file) in golden {
        let path = format!("{}/tests/notifications/{file}", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read_to_string(path).unwrap();
        let events = serde_json::from_str::<Value>(&body).unwrap()["events"].as_array().unwrap().clone();
        for event in events {
            world.notify(media_type, envelope([event.clone()])).await;
            let (action, target) = (&event["action"], &event["target"]);
            let (media_type, tag) = (&target["mediaType"], &target["tag"]);
            let hints = names(&world.hints());
            writeln!(seen, "{name}: {action} {media_type} tag {tag} -> {hints:?}").unwrap();
        }
        let response = world.notify(media_type, body).await;
        let hints = names(&world.hints());
        writeln!(seen, "{name}: all at once -> {hints:?}\n{}", show(&response)).unwrap();
    }
    insta::assert_snapshot!("events", seen);
}

/// What notifications of each kind of sender say to us, as the sender documents them.
#[test]
fn each_sender_is_understood_in_its_own_words() {
    let all = |kind: HookKind, file: &str| -> Vec<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/notifications/senders");
        let body = std::fs::read(format!("{folder}/{file}.json")).unwrap();
        let pushes = self::kind(kind).parse(&body).unwrap();
        pushes.iter().map(|push| format!("{}:{}", push.repository, push.tag)).collect()
    };
    let nothing: &[&str] = &[];
    for (kind, file, expected) in [
        (HookKind::DockerHub, "docker_hub_push", &["team/web:1.4.2"][..]),
        (HookKind::Acr, "acr_push", &["team/web:1.4.2"]),
        (HookKind::Acr, "acr_push_by_digest", nothing),
        (HookKind::Acr, "acr_delete", nothing),
        (HookKind::Acr, "acr_ping", nothing),
        (HookKind::Harbor, "harbor_push", &["team/web:1.4.2"]),
        (HookKind::Harbor, "harbor_push_untagged", nothing),
        // Our own pulls come as well, where somebody has them told.
        (HookKind::Harbor, "harbor_pull", nothing),
        (HookKind::Harbor, "harbor_cloudevent", &["team/web:1.4.2"]),
        (HookKind::Quay, "quay_push", &["team/web:1.4.2", "team/web:latest"]),
        (HookKind::Quay, "quay_push_map", &["team/web:1.4.2"]),
        (HookKind::Quay, "quay_vulnerability", nothing),
        (HookKind::Jfrog, "jfrog_push", &["docker-local/team/web:1.4.2"]),
        (HookKind::Jfrog, "jfrog_delete", nothing),
        (HookKind::Generic, "generic_one", &["team/web:1.4.2"]),
        (HookKind::Generic, "generic_several", &["team/api:2", "team/web:1.4.2"]),
    ] {
        assert_eq!(all(kind, file), expected, "{file}");
    }
}

#[test]
fn a_body_of_another_sender_is_no_notification() {
    for each in HookKind::ALL {
        for body in ["", "[]", "5", "{\"unknown\":true}"] {
            assert!(kind(each).parse(body.as_bytes()).is_err(), "{each} took {body}");
        }
    }
}

#[tokio::test]
async fn artifactory_sends_the_secret_in_a_header_of_its_own() {
    let world = World::of_kind(HookKind::Jfrog).await;
    let body = include_str!("notifications/senders/jfrog_push.json");
    let wrong = world.another_hook(7).await.1;
    for (secret, status, hints) in [(&world.secret, 202, 1), (&wrong, 401, 0)] {
        let mut call = request("POST", &world.hook.path(), None, JSON, body);
        call.headers.insert("x-jfrog-event-auth", secret.reveal().parse().unwrap());
        assert_eq!(world.receiver.handle(&call).await.status_code, status);
        assert_eq!(world.hints().len(), hints);
    }
}

#[tokio::test]
async fn each_tag_of_an_envelope_is_one_hint() {
    let world = World::new().await;
    let tags = [("team/web", "1"), ("team/web", "latest"), ("team/web", "1"), ("team/api", "1")];
    world.notify(V1, envelope(tags.map(|(repository, tag)| push(repository, tag)))).await;
    assert_eq!(names(&world.hints()), ["team/api:1", "team/web:1", "team/web:latest"]);
}

#[tokio::test]
async fn what_tells_of_no_push_is_acknowledged_so_that_the_sender_goes_on() {
    let world = World::new().await;
    let odd = [
        json!({}),
        json!(null),
        json!([[]]),
        json!("push"),
        event("push", &json!({})),
        event("push", &json!(null)),
        push("", "1"),
        push("Team/Web", "1"),
        push("../../etc/passwd", "1"),
        push("team/web#x", "1"),
        push(&"a".repeat(256), "1"),
        push("team/web", ""),
        push("team/web", "-rf"),
        push("team/web", "a b"),
        push("team/web", &"a".repeat(129)),
        event("PUSH", &push("team/web", "1")["target"]),
        event("push", &json!({"mediaType": 7, "repository": "team/web", "tag": "1"})),
    ];
    for event in odd {
        let response = world.notify(V2, envelope([event.clone()])).await;
        assert_eq!((response.status_code, world.hints()), (202, vec![]), "{event}");
        world.notify(V2, envelope([event.clone(), push("team/web", "1")])).await;
        assert_eq!(names(&world.hints()), ["team/web:1"], "{event} holds up no other");
    }
    assert_eq!(world.notify(V2, json!({"events": []}).to_string()).await.status_code, 202);
}

#[tokio::test]
async fn the_secret_is_taken_from_the_path_or_the_header_and_the_older_one_is_good_too() {
    let world = World::new().await;
    let old = world.secret.clone();
    let new = HookSecret::generate(&SeededRandomness::new(7));
    world.records.rotate_hook(&acme(), &world.hook.id, new.digest()).await.unwrap();
    let body = envelope([push("team/web", "1")]);
    for secret in [&old, &new] {
        let secret = secret.reveal();
        let in_path = format!("{}/{secret}", world.hook.path());
        let (upper, lower) = (format!("Bearer {secret}"), format!("bearer  {secret} "));
        for (path, authorization) in [
            (&in_path, None),
            (&in_path, Some("Basic dXNlcjpwYXNz")),
            (&world.hook.path(), Some(&*upper)),
            (&world.hook.path(), Some(&*lower)),
        ] {
            let response = world.receiver.handle(&request("POST", path, authorization, V1, &body)).await;
            assert_eq!((response.status_code, world.hints().len()), (202, 1));
        }
    }
}

#[tokio::test]
async fn whoever_cannot_show_a_good_secret_learns_nothing() {
    let world = World::new().await;
    let secret = world.secret.reveal().to_owned();
    let revoked = world.another_hook(2).await;
    world.records.revoke_hook(&acme(), &revoked.0.id, world.clock.now()).await.unwrap();
    let other = world.another_hook(3).await;
    let path = world.hook.path();
    let (bearer, id) = (format!("Bearer {secret}"), world.hook.id.as_str());
    let wrong = HookSecret::generate(&SeededRandomness::new(9)).reveal().to_owned();
    let calls = [
        (path.clone(), None),
        (path.clone(), Some(format!("Bearer {wrong}"))),
        (path.clone(), Some("Bearer ".to_owned())),
        (path.clone(), Some(format!("Basic {secret}"))),
        (path.clone(), Some(secret.clone())),
        (path.clone(), Some(format!("Bearer {}", other.1.reveal()))),
        (path.clone(), Some(format!("Bearer {}", world.hook.secrets[0]))),
        (format!("{path}/{wrong}"), Some(bearer.clone())),
        (format!("{path}/{}", &secret[..secret.len() - 1]), None),
        (format!("/v1/hooks/generic/{id}"), Some(bearer.clone())),
        (format!("/v1/hooks/Distribution/{id}"), Some(bearer.clone())),
        ("/v1/hooks/distribution/aaaaaaaaaaaaaaaa".to_owned(), Some(bearer.clone())),
        ("/v1/hooks/distribution/no-id".to_owned(), Some(bearer.clone())),
        (revoked.0.path(), Some(format!("Bearer {}", revoked.1.reveal()))),
    ];
    let mut answers = Vec::new();
    for (path, authorization) in calls {
        // Whether the body could be read is not said either.
        for body in [envelope([push("team/web", "1")]), "no json".to_owned()] {
            let call = request("POST", &path, authorization.as_deref(), V1, &body);
            answers.push(show(&world.receiver.handle(&call).await));
        }
    }
    assert_eq!(world.hints(), []);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    insta::assert_snapshot!("unauthorized", answers[0]);
}

#[tokio::test]
async fn a_body_that_is_no_notification_is_refused_with_the_reason() {
    let world = World::new().await;
    let whole = envelope([push("team/web", "1")]);
    let deep = "[".repeat(100_000);
    let bodies =
        ["", "no json", "[]", "{}", "null", r#"{"events": null}"#, r#"{"events": {}}"#, &whole[..40], &deep];
    for body in bodies {
        let response = world.notify(V1, body.to_owned()).await;
        assert_eq!((response.status_code, world.hints()), (400, vec![]), "{body}");
    }
    insta::assert_snapshot!("bad_request", show(&world.notify(V1, "no json".to_owned()).await));
    for media_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        assert_eq!(world.notify(media_type, whole.clone()).await.status_code, 415);
    }
    insta::assert_snapshot!("unsupported_media_type", show(&world.notify("text/plain", whole).await));
}

#[tokio::test]
async fn paths_and_methods_that_are_none_are_refused() {
    let world = World::new().await;
    let bearer = world.bearer();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let call = request(method, &world.hook.path(), Some(&bearer), V1, "");
        let response = world.receiver.handle(&call).await;
        assert_eq!((response.status_code, &response.headers["allow"]), (405, &"POST".parse().unwrap()));
    }
    for path in ["/", "/v1/hooks", "/v1/hooks/distribution", "/v1/exporter/org/acme/metrics"] {
        let call = request("POST", path, Some(&bearer), V1, "");
        assert_eq!(world.receiver.handle(&call).await.status_code, 404, "{path}");
    }
    assert_eq!(world.hints(), []);
}

#[tokio::test]
async fn a_body_is_read_up_to_256_kib_and_refused_over_it() {
    let world = World::new().await;
    let whole = envelope([push("team/web", "1")]);
    let padded = |length: usize| format!("{whole}{}", " ".repeat(length - whole.len()));
    for (length, status) in [(MOST_BYTES, 202), (MOST_BYTES + 1, 413), (MOST_BYTES * 4, 413)] {
        let (plain, encoded) = (world.notify(V1, padded(length)).await, world.call(&padded(length)));
        let mut encoded = encoded;
        encoded.body = Some(BASE64_STANDARD.encode(padded(length)));
        encoded.is_base64_encoded = true;
        let encoded = world.receiver.handle(&encoded).await;
        assert_eq!((plain.status_code, encoded.status_code), (status, status), "{length} bytes");
        assert_eq!(world.hints().len(), if status == 202 { 2 } else { 0 });
    }
    insta::assert_snapshot!("too_large", show(&world.notify(V1, padded(MOST_BYTES + 1)).await));
}

#[tokio::test]
async fn a_body_that_should_be_base64_and_is_not_is_refused() {
    let world = World::new().await;
    let mut call = world.call(&envelope([push("team/web", "1")]));
    call.is_base64_encoded = true;
    assert_eq!((world.receiver.handle(&call).await.status_code, world.hints()), (400, vec![]));
}

#[tokio::test]
async fn more_events_than_are_handled_are_refused_as_a_whole() {
    let world = World::new().await;
    let small = |number: usize| {
        json!({"action": "push", "target": {
            "mediaType": "application/vnd.oci.image.index.v1+json", "repository": "r", "tag": number.to_string(),
        }})
    };
    let response = world.notify(V1, envelope((0..MOST_EVENTS).map(small))).await;
    assert_eq!((response.status_code, world.hints().len()), (202, MOST_EVENTS));
    let response = world.notify(V1, envelope((0..=MOST_EVENTS).map(small))).await;
    assert_eq!((response.status_code, world.hints()), (413, vec![]));
    let Some(Body::Text(text)) = &response.body else { panic!("no text") };
    assert!(text.contains("1000 events"), "{text}");
}

#[tokio::test]
async fn a_push_to_a_registry_that_is_not_configured_any_more_is_acknowledged_and_ignored() {
    let world = World::new().await;
    world.configure("another").await;
    let response = world.notify(V1, envelope([push("team/web", "1")])).await;
    assert_eq!((response.status_code, world.hints()), (202, vec![]));
}

#[tokio::test]
async fn whatever_fails_the_sender_is_told_to_try_again_and_no_hint_is_lost() {
    let world = World::new().await;
    let body = envelope([push("team/web", "1")]);
    for operations in 0.. {
        world.outages.fail_after(operations);
        let response = world.notify(V1, body.clone()).await;
        world.outages.recover();
        if response.status_code == 202 {
            assert!(operations >= 3, "hook, configuration and queue are asked");
            assert_eq!(world.hints().len(), 1);
            return;
        }
        assert_eq!((response.status_code, world.hints()), (503, vec![]));
        assert!(response.headers.contains_key("retry-after"));
    }
}

/// A piece of JSON that may be an event.
fn any_event() -> impl Strategy<Value = Value> {
    let word = || {
        prop_oneof![
            Just("push".to_owned()),
            Just("application/vnd.oci.image.manifest.v1+json".to_owned()),
            Just("team/web".to_owned()),
            Just("1.0".to_owned()),
            ".{0,20}",
        ]
    };
    let any =
        prop_oneof![word().prop_map(Value::from), Just(Value::Null), any::<i64>().prop_map(Value::from)];
    let field = || any.clone();
    (field(), field(), field(), field()).prop_map(|(action, media_type, repository, tag)| {
        json!({"action": action, "target": {"mediaType": media_type, "repository": repository, "tag": tag}})
    })
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        for each in HookKind::ALL {
            let _outcome = kind(each).parse(&body);
        }
    }

    /// Whatever is sent, hints are about the registry of the hook, and name what a registry can hold.
    #[test]
    fn hints_are_about_the_registry_of_the_hook_whatever_is_sent(
        events in proptest::collection::vec(any_event(), 0..6),
        cut in 0_usize..2_000,
        junk in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let whole = envelope(events).into_bytes();
            let mut broken = whole.clone();
            broken.truncate(cut);
            broken.extend(junk);
            for body in [whole, broken] {
                let mut call = world.call("");
                call.body = Some(BASE64_STANDARD.encode(body));
                call.is_base64_encoded = true;
                let status = world.receiver.handle(&call).await.status_code;
                let hints = world.hints();
                prop_assert!(status == 202 || (status == 400 && hints.is_empty()), "{}", status);
                for hint in hints {
                    prop_assert_eq!((hint.org, hint.registry.as_str()), (acme(), "reg"));
                }
            }
            Ok(())
        })?;
    }
}
