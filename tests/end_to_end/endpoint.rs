//! The metrics endpoint lets in who has a good token for the organisation, and tells everybody else no more than that.

use serde_json::json;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::Scrape;

use crate::installation::{
    Configuration, Installation, Numbers, ORG, eventually, fixture_registry, read_json, settle, stays,
};

const METRICS: &str = "/v1/exporter/org/acme/metrics";
const OWN: &str = "/v1/exporter/org/acme/tidewatch";

fn header<'a>(scrape: &'a Scrape, name: &str) -> &'a str {
    scrape.headers.get(name).unwrap_or_else(|| panic!("no {name}: {scrape:?}")).to_str().unwrap()
}

fn assert_refused(refusal: &Scrape, status: u16, code: &str) {
    assert_eq!(refusal.status, status, "{refusal:?}");
    assert_eq!(header(refusal, "content-type"), "application/json");
    let body = read_json(&refusal.body);
    assert_eq!(body["code"], code);
    assert!(body["message"].is_string());
}

/// A configured organisation and its first token.
async fn installation() -> (TestRegistry, Installation, String) {
    let registry = TestRegistry::start().await.unwrap();
    let installation = Installation::configured(&Configuration::of(&registry));
    let token = installation.token(ORG);
    (registry, installation, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_the_answer_is_401_and_says_nothing() {
    let (_registry, installation, token) = installation().await;
    let local = installation.up();
    settle(&local, ORG, &token, &Numbers::default()).await;

    // A token as good as ours, of which this installation knows nothing.
    let (_elsewhere_registry, elsewhere, unknown) = self::installation().await;
    drop(elsewhere);
    let mut mistyped = token.clone();
    let last = mistyped.pop().unwrap();
    mistyped.push(if last == 'a' { 'b' } else { 'a' });
    let expired = installation.must(&["token", "create", "--org", ORG, "--expires", "1s"]);
    let expired = expired.trim();
    let bearer = |token: &str| format!("Bearer {token}");
    let bodies = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some(bearer("")),
        Some(bearer("twd_")),
        Some(bearer("hunter2")),
        Some(bearer(&mistyped)),
        Some(bearer(&token[..token.len() - 7])),
        Some(bearer(&token.to_uppercase())),
        Some(bearer(&unknown)),
        Some(format!("Basic {token}")),
        Some(token.clone()),
    ];
    let mut answers = Vec::new();
    for authorization in bodies {
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let refusal = local.request("GET", METRICS, &headers).await.unwrap();
        assert_refused(&refusal, 401, "unauthorized");
        assert!(header(&refusal, "www-authenticate").starts_with("Bearer"));
        answers.push(refusal.body);
    }
    let expired = eventually("the token does not expire", async || {
        let scrape = local.scrape(ORG, Some(expired)).await.unwrap();
        if scrape.status == 401 { Ok(scrape.body) } else { Err(format!("{scrape:?}")) }
    });
    answers.push(expired.await);
    answers.dedup();
    assert_eq!(answers.len(), 1, "every refusal is the same: {answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_from_the_next_request_on() {
    let (_registry, installation, token) = installation().await;
    let other = installation.token(ORG);
    let local = installation.up();
    settle(&local, ORG, &token, &Numbers::default()).await;
    let id = token.split('_').nth(1).unwrap();
    let revoked = installation.json(&["token", "revoke", id]);
    assert_eq!(revoked["tokens"][0]["valid"], json!(false));
    assert_refused(&local.scrape(ORG, Some(&token)).await.unwrap(), 401, "unauthorized");
    assert_eq!(local.scrape(ORG, Some(&other)).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_that_is_another_and_one_that_is_none_are_answered_alike() {
    let (registry, installation, token) = installation().await;
    installation.apply(&Configuration::new("rival").registry("local", &registry.url()));
    let local = installation.up();
    settle(&local, ORG, &token, &Numbers::default()).await;
    let mut answers = Vec::new();
    for org in ["rival", "nobody", "NO%20NAME", "%00"] {
        let refusal = local.scrape(org, Some(&token)).await.unwrap();
        assert_refused(&refusal, 403, "forbidden");
        let mut headers = refusal.headers;
        headers.remove("date");
        answers.push((headers, refusal.body));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_and_a_wrong_path_are_refused_whoever_asks() {
    let (_registry, installation, token) = installation().await;
    let local = installation.up();
    settle(&local, ORG, &token, &Numbers::default()).await;
    let bearer = format!("Bearer {token}");
    for headers in [&[("authorization", bearer.as_str())][..], &[]] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let refusal = local.request(method, METRICS, headers).await.unwrap();
            assert_refused(&refusal, 405, "method_not_allowed");
            assert_eq!(header(&refusal, "allow"), "GET, HEAD");
        }
        for path in
            ["/", "/metrics", "/v1/exporter/org/", "/v1/exporter/org//metrics", "/v1/exporter/org/acme/x"]
        {
            assert_refused(&local.request("GET", path, headers).await.unwrap(), 404, "not_found");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_is_answered_as_prometheus_and_its_caches_expect() {
    let (_registry, installation, token) = installation().await;
    let local = installation.up();
    let text = settle(&local, ORG, &token, &Numbers::default()).await;
    // As a file with a newline and an old client have them.
    let bearer = format!("bearer  {token} ");
    let authorized = ("authorization", bearer.as_str());

    let plain = local.request("GET", METRICS, &[authorized]).await.unwrap();
    assert_eq!((plain.status, &plain.body), (200, &text));
    assert_eq!(header(&plain, "content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(header(&plain, "cache-control"), "private, no-cache");
    assert!(header(&plain, "age").parse::<u64>().unwrap() < 60);
    let older = local.request("GET", "/v1/exporter/org/acme", &[authorized]).await.unwrap();
    assert_eq!((older.status, older.body), (200, text));

    let tag = header(&plain, "etag").to_owned();
    let known = local.request("GET", METRICS, &[authorized, ("if-none-match", &tag)]).await.unwrap();
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    let head = local.request("HEAD", METRICS, &[authorized]).await.unwrap();
    assert_eq!((head.status, head.body.as_str(), header(&head, "etag")), (200, "", tag.as_str()));
    let packed = local.request("GET", METRICS, &[authorized, ("accept-encoding", "gzip")]).await.unwrap();
    assert_eq!((packed.status, header(&packed, "content-encoding")), (200, "gzip"));
    assert_ne!(packed.body, plain.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn families_of_our_own_and_open_metrics_are_for_those_who_ask_for_them() {
    let (_registry, installation, token) = installation().await;
    let local = installation.up();
    let text = settle(&local, ORG, &token, &Numbers::default()).await;
    let bearer = format!("Bearer {token}");
    let authorized = ("authorization", bearer.as_str());
    let own = local.request("GET", OWN, &[authorized]).await.unwrap();
    assert_eq!(own.status, 200);
    assert!(own.body.contains("\ntidewatch_images{streamName=\"latest-indexed\",state=\"scanned\"} 0\n"));
    assert!(own.body.contains("\ntidewatch_advisory_index_built_timestamp_seconds{family=\"debian\"} "));
    assert!(!own.body.contains("scout"), "{}", own.body);
    assert_refused(&local.request("GET", OWN, &[]).await.unwrap(), 401, "unauthorized");

    let insists = ("accept", "application/openmetrics-text");
    let open = local.request("GET", METRICS, &[authorized, insists]).await.unwrap();
    assert_eq!((open.status, open.body), (200, format!("{text}# EOF\n")));
    assert_eq!(open.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_a_dead_letter_and_nobody_else_sees_a_queue() {
    let (_registry, installation, token) = installation().await;
    installation.make_dead_letter(QueueName::Hints, "no notification").await;
    let local = installation.up();
    settle(&local, ORG, &token, &Numbers::default()).await;
    let created = installation.json(&["token", "create", "--org", ORG, "--scope", "operator"]);
    assert_eq!(created["scopes"], json!(["operator"]));
    let bearer = format!("Bearer {}", created["token"].as_str().unwrap());
    let authorized = ("authorization", bearer.as_str());
    let own = local.request("GET", OWN, &[authorized]).await.unwrap();
    assert_eq!(own.status, 200, "{own:?}");
    for line in [
        "tidewatch_queue_messages{queue=\"hints\",state=\"dead_letter\"} 1",
        "tidewatch_queue_messages{queue=\"hints\",state=\"visible\"} 0",
        "tidewatch_queue_messages{queue=\"scans\",state=\"dead_letter\"} 0",
        "tidewatch_queue_longest_wait_seconds{queue=\"hints\"} 0",
        "tidewatch_queue_up{queue=\"hints\"} 1",
    ] {
        assert!(own.body.lines().any(|found| found == line), "{line}: {}", own.body);
    }
    assert!(own.body.contains("\ntidewatch_images{streamName=\"latest-indexed\",state=\"scanned\"} 0\n"));
    let insists = ("accept", "application/openmetrics-text");
    let open = local.request("GET", OWN, &[authorized, insists]).await.unwrap();
    assert!(open.body.contains("state=\"dead_letter\"} 1\n") && open.body.ends_with("\n# EOF\n"), "{open:?}");
    let scout = local.scrape(ORG, Some(created["token"].as_str().unwrap())).await.unwrap();
    assert_eq!(scout.body, local.scrape(ORG, Some(&token)).await.unwrap().body);

    let others = format!("Bearer {token}");
    let others = local.request("GET", OWN, &[("authorization", &others)]).await.unwrap();
    assert!(others.status == 200 && !others.body.contains("tidewatch_queue"), "{others:?}");
    let results = local.request("GET", "/v1/org/acme/images", &[authorized]).await.unwrap();
    assert_refused(&results, 403, "forbidden");

    assert_eq!(installation.json(&["status"])["queues"]["hints"]["dead_letters"], json!(1));
    let table = installation.must(&["status"]);
    let row = table.lines().find(|line| line.trim_start().starts_with("hints")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["hints", "0", "0", "0", "1", "0s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_scrapes_too_often_is_told_when_it_may_again() {
    let (_registry, installation, token) = installation().await;
    let other = installation.token(ORG);
    let local = installation.up_with(&[("TIDEWATCH_SCRAPES_PER_MINUTE", "2")]);
    let refused = eventually("nothing is refused", async || {
        let scrape = local.scrape(ORG, Some(&token)).await.unwrap();
        if scrape.status == 429 { Ok(scrape) } else { Err(format!("{scrape:?}")) }
    })
    .await;
    assert_refused(&refused, 429, "too_many_requests");
    let after: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((1..=30).contains(&after), "{after}");
    assert_ne!(local.scrape(ORG, Some(&other)).await.unwrap().status, 429, "another token has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_stay_for_their_period_when_they_are_to_change_once_in_a_while() {
    let registry = fixture_registry().await;
    let installation = Installation::configured(&Configuration::of(&registry));
    let token = installation.token(ORG);
    let local = installation.up_with(&[("TIDEWATCH_METRICS_FRESH", "interval")]);
    let first = settle(&local, ORG, &token, &Numbers::default()).await;
    installation.run_rule();
    stays(&local, ORG, &token, &first).await;
}
