//! Whoever sees a number can list what is behind it: by commands and over HTTP.

use serde_json::Value;
use tidewatch_testkit::registry::TestRegistry;

use crate::images::{FIXED_LIBC, OLD_LIBC, OLD_OPENSSL, ZLIB, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, ORG, read_json, settle};

/// A running installation with three images, whose numbers have settled, and a token for the metrics.
async fn settled() -> (TestRegistry, Installation, tidewatch_tests::LocalMode, String) {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "1.0", &debian_image(&[OLD_OPENSSL, OLD_LIBC]));
    push(&registry, "team/api", "2.0", &debian_image(&[OLD_OPENSSL, ZLIB]));
    push(&registry, "good", "1.0", &debian_image(&[FIXED_LIBC]));
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();
    let expected = numbers(&[&[OLD_OPENSSL, OLD_LIBC], &[OLD_OPENSSL, ZLIB], &[FIXED_LIBC]]);
    settle(&local, ORG, &token, &expected).await;
    (registry, installation, local, token)
}

/// The cells of a CSV text without quoted ones, by the titles.
fn column<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let mut lines = text.lines();
    let position = lines.next().unwrap().split(',').position(|found| found == title).expect(title);
    lines.map(|line| line.split(',').nth(position).unwrap()).collect()
}

fn repositories(images: &Value) -> Vec<&str> {
    images.as_array().unwrap().iter().map(|image| image["repository"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_that_a_command_lists_add_up_to_every_line_of_a_scrape() {
    let (_registry, installation, local, token) = settled().await;
    let mut explained = 0;
    for path in ["metrics", "tidewatch"] {
        let authorization = format!("Bearer {token}");
        let path = format!("/v1/exporter/org/{ORG}/{path}");
        let text = local.request("GET", &path, &[("authorization", &authorization)]).await.unwrap().body;
        for line in text.lines().filter(|line| line.contains("streamName=") && !line.contains("_timestamp_"))
        {
            let served: i64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
            let explanation = installation.json(&["explain", line]);
            assert_eq!(explanation["value"], served, "{line}");
            assert_eq!(
                (&explanation["published"]["value"], &explanation["behind"]),
                (&served.into(), &Value::Null)
            );
            let rows = explanation["rows"].as_array().unwrap();
            assert_eq!(rows.iter().map(|row| row["count"].as_i64().unwrap()).sum::<i64>(), served, "{line}");
            explained += 1;
        }
    }
    assert!(explained > 30, "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_listed_by_stream_state_and_vulnerability() {
    let (_registry, installation, _local, _) = settled().await;
    let listed = |arguments: &[&str]| installation.json(&[&["images"], arguments].concat());
    let stream = listed(&["--stream", "latest-indexed"]);
    assert_eq!(stream["stream"], "latest-indexed");
    assert_eq!(repositories(&stream["images"]), ["good", "team/api", "team/web"]);
    let by_tag = listed(&[]);
    assert_eq!(by_tag["stream"], Value::Null);
    let numbers = |images: &Value| -> Vec<Value> {
        images.as_array().unwrap().iter().map(|image| image["vulnerabilities"].clone()).collect()
    };
    assert_eq!(numbers(&by_tag["images"]), numbers(&stream["images"]));
    assert_eq!(repositories(&listed(&["--repository", "team/**"])["images"]), ["team/api", "team/web"]);
    assert_eq!(repositories(&listed(&["--state", "failed"])["images"]), Vec::<&str>::new());

    let web = installation.json(&["image", "local/team/web:1.0"]);
    let findings = web["images"][0]["findings"].as_array().unwrap();
    let of_openssl = findings.iter().find(|finding| finding["package"] == "openssl").unwrap();
    let id = of_openssl["vulnerability"].as_str().unwrap();
    assert_eq!(repositories(&listed(&["--with", id])["images"]), ["team/api", "team/web"]);
    let lowercase = installation.must(&["images", "--with", &id.to_lowercase(), "--format", "csv"]);
    assert_eq!(column(&lowercase, "repository"), ["team/api", "team/web"]);
    assert_eq!(column(&lowercase, "critical"), ["2", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_and_a_policy_are_shown_as_table_json_and_csv() {
    let (_registry, installation, _local, _) = settled().await;
    let table = installation.must(&["image", "local/team/web:1.0"]);
    for shown in
        ["openssl", "3.5.1-1", "latest-indexed", "policy fixable-vulnerabilities: fail", "1 critical"]
    {
        assert!(table.contains(shown), "{shown}: {table}");
    }
    let digest = installation.image("team/web")["digest"].as_str().unwrap().to_owned();
    let by_digest = installation.json(&["image", &digest]);
    assert_eq!(by_digest["images"], installation.json(&["image", "local/team/web:1.0"])["images"]);
    let csv = installation.must(&["image", &digest, "--format", "csv"]);
    assert_eq!(column(&csv, "package").iter().filter(|package| **package == "openssl").count(), 2);

    let failing = installation.must(&["policy", "fixable-vulnerabilities", "--failing"]);
    assert!(failing.contains("local/team/web:1.0") && !failing.contains("local/good"), "{failing}");
    assert!(failing.contains("1 of 3 images comply"), "{failing}");
    let csv = installation.must(&["policy", "fixable-vulnerabilities", "--format", "csv"]);
    assert_eq!(column(&csv, "outcome"), ["pass", "fail", "fail"]);
    let unknown = installation.json(&["policy", "no-stale-base-images"]);
    assert!(unknown["images"][0]["reason"].is_string(), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_wrongly_is_refused_with_what_there_is() {
    let (_registry, installation, _local, _) = settled().await;
    let cases: [(&[&str], &str); 7] = [
        (&["images", "--stream", "staging"], "latest-indexed"),
        (&["images", "--state", "good"], "scanned, partial"),
        (&["image", "local/team/web:3.0"], "tidewatch images"),
        (&["image", "web"], "REGISTRY/REPOSITORY"),
        (&["policy", "none"], "fixable-vulnerabilities"),
        (&["explain", "up{job=\"a\"}"], "scout_stream_vulnerabilities"),
        (&["rules", "list", "--format", "csv"], "`tidewatch images`"),
    ];
    for (arguments, said) in cases {
        let finished = installation.run(arguments);
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(said), "{arguments:?}: {}", finished.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_results_need_a_token_of_their_own() {
    let (_registry, installation, local, metrics) = settled().await;
    let token = installation.must(&["token", "create", "--scope", "results:read", "--quiet"]);
    let get = async |path: &str, token: &str| {
        let authorization = format!("Bearer {}", token.trim());
        local.request("GET", path, &[("authorization", &authorization)]).await.unwrap()
    };
    let path = format!("/v1/org/{ORG}/images?repository=team/**&limit=1");
    assert_eq!(get(&path, &metrics).await.status, 403);
    assert_eq!(local.scrape(ORG, Some(token.trim())).await.unwrap().status, 403);
    let first = get(&path, &token).await;
    assert_eq!((first.status, &first.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    let first = read_json(&first.body);
    assert_eq!(repositories(&first["images"]), ["team/api"]);
    let second = get(&format!("{path}&next={}", first["next"].as_str().unwrap()), &token).await;
    assert_eq!(repositories(&read_json(&second.body)["images"]), ["team/web"]);
    let image = read_json(&get(&format!("/v1/org/{ORG}/image?ref=local/team/web:1.0"), &token).await.body);
    let mut printed = installation.json(&["image", "local/team/web:1.0"]);
    printed.as_object_mut().unwrap().remove("schema");
    assert_eq!(image, printed, "the command and HTTP give the same document");
    let description = local.request("GET", "/v1/openapi.json", &[]).await.unwrap();
    assert_eq!(read_json(&description.body)["openapi"], "3.1.1");
}
