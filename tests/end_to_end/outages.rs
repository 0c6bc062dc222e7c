//! What fails is tried again, then reported with its reason; it removes nothing and holds up nothing else.

use std::net::SocketAddr;

use serde_json::json;
use tidewatch_core::Digest;
use tidewatch_testkit::image::ImageBuilder;
use tidewatch_testkit::layer::{Compression, Layer};
use tidewatch_testkit::registry::{Fault, TestRegistry};
use tidewatch_tests::Finished;
use tokio::net::TcpSocket;

use crate::images::{
    FIXED_LIBC, OLD_LIBC, OLD_OPENSSL, base_layer, debian_image, numbers, package_layer, push,
};
use crate::installation::{Configuration, Installation, ORG, eventually, read_json, settle, stays};

/// Takes the place of a registry that is gone: nobody answers at its address, and nobody else gets it.
async fn nobody_at(url: &str) -> TcpSocket {
    let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    // The registry lets go of its address a moment after it is dropped.
    eventually("the address is not free", async || socket.bind(address).map_err(|error| error.to_string()))
        .await;
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled_waits_with_the_reason_and_is_scanned_once_it_can() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "1", &debian_image(&[OLD_OPENSSL]));
    let digest = package_layer(&[OLD_OPENSSL]).digest;
    registry.inject(Fault::CutBlob { digest, after: 20, times: 10_000 });
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.must(&["rules", "run", "everything"]);
    eventually("the image does not say what it waits for", async || {
        let images = installation.images();
        let waits = |image: &serde_json::Value| {
            let reason = image["reason"].as_str().unwrap_or_default();
            image["state"] == "pending" && reason.contains("failed to reach registry local")
        };
        if images.iter().any(waits) { Ok(()) } else { Err(format!("{images:#?}")) }
    })
    .await;
    registry.clear_faults();
    settle(&local, ORG, &token, &numbers(&[&[OLD_OPENSSL]])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_registry_is_reported_and_loses_nothing() {
    let (lost, well) = (TestRegistry::start().await.unwrap(), TestRegistry::start().await.unwrap());
    push(&lost, "team/lost", "1", &debian_image(&[OLD_OPENSSL]));
    push(&well, "team/well", "1", &debian_image(&[OLD_LIBC]));
    let url = lost.url();
    let configuration = Configuration::new(ORG).registry("lost", &url).registry("well", &well.url());
    let installation = Installation::configured(&configuration);
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();
    settle(&local, ORG, &token, &numbers(&[&[OLD_OPENSSL], &[OLD_LIBC]])).await;
    let images = installation.images();

    drop(lost);
    let _address = nobody_at(&url).await;
    push(&well, "team/new", "1", &debian_image(&[FIXED_LIBC]));
    let Finished { code, stdout, stderr } =
        installation.run(&["rules", "run", "everything", "--wait", "--format", "json"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("the run of everything is incomplete"), "{stderr}");
    let run = &read_json(&stdout)["runs"][0];
    assert_eq!((&run["listings"], &run["listings_done"], &run["queued"]), (&json!(4), &json!(4), &json!(1)));
    let [error] = &run["errors"].as_array().unwrap()[..] else { panic!("one error was expected: {run}") };
    assert!(error.as_str().unwrap().contains("failed to reach registry lost"), "{error}");
    let status = installation.must(&["rules", "status"]);
    assert!(status.contains("failed to reach registry lost"), "{status}");

    let text = settle(&local, ORG, &token, &numbers(&[&[OLD_OPENSSL], &[OLD_LIBC], &[FIXED_LIBC]])).await;
    stays(&local, ORG, &token, &text).await;
    assert!(images.iter().all(|image| installation.images().contains(image)), "what was known is known");
    let tries = local.stderr().matches("listing failed").count();
    assert_eq!(tries, 5, "{}", local.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_breaks_off_makes_its_image_partial_and_policies_say_no_data() {
    let registry = TestRegistry::start().await.unwrap();
    let whole = package_layer(&[OLD_LIBC]);
    let bytes = whole.bytes.slice(..whole.bytes.len() / 2);
    let broken = Layer { digest: Digest::of(&bytes), bytes, ..whole };
    let image = ImageBuilder::new().layer(base_layer("base")).layer(package_layer(&[OLD_LIBC]));
    push(&registry, "team/broken", "1", &image.clone().layer(broken.clone()).build());
    // What was found all the same counts: unknown is never taken for none.
    let failing = ImageBuilder::new().layer(base_layer("base")).layer(package_layer(&[OLD_OPENSSL]));
    let noise = Layer::from_archive(b"no archive", Compression::Gzip);
    push(&registry, "team/failing", "1", &failing.layer(noise).build());
    push(&registry, "team/well", "1", &debian_image(&[FIXED_LIBC]));
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();

    let image = installation.image("team/broken");
    assert_eq!(image["state"], "partial", "{image}");
    assert!(image["reason"].as_str().unwrap().contains(&broken.digest.to_string()), "{image}");
    assert_eq!(image["policies"]["fixable-vulnerabilities"], "no-data");
    assert_eq!(image["policies"]["copyleft-license"], "no-data");
    let image = installation.image("team/failing");
    assert_eq!(
        (&image["state"], &image["policies"]["fixable-vulnerabilities"]),
        (&json!("partial"), &json!("fail"))
    );
    let mut expected = numbers(&[&[OLD_LIBC], &[OLD_OPENSSL], &[FIXED_LIBC]]);
    (expected.evaluated, expected.compliant) = (2, 1);
    settle(&local, ORG, &token, &expected).await;
    assert_eq!(
        installation.work_rows(ORG, "local").await,
        0,
        "bytes that are as their digest says do not get better"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_does_not_match_its_digest_fails_its_image_alone() {
    let registry = TestRegistry::start().await.unwrap();
    let poison = package_layer(&[OLD_OPENSSL]);
    push(&registry, "team/poison", "1", &debian_image(&[OLD_OPENSSL]));
    push(&registry, "team/well", "1", &debian_image(&[OLD_LIBC]));
    push(&registry, "team/too", "1", &debian_image(&[FIXED_LIBC]));
    registry.inject(Fault::CorruptBlob { digest: poison.digest });
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.must(&["rules", "run", "everything"]);
    // The others do not wait for it.
    let text = settle(&local, ORG, &token, &numbers(&[&[OLD_LIBC], &[FIXED_LIBC]])).await;
    assert_eq!(installation.image("team/poison")["state"], "pending");

    let image = eventually("the image is not given up", async || {
        let image = installation.image("team/poison");
        if image["state"] == "failed" { Ok(image) } else { Err(image.to_string()) }
    })
    .await;
    assert!(image["reason"].as_str().unwrap().contains(&poison.digest.to_string()), "{image}");
    assert_eq!(registry.blob_pulls(&poison.digest), 5);
    stays(&local, ORG, &token, &text).await;
    assert_eq!(
        installation.work_rows(ORG, "local").await,
        1,
        "it is looked at again when it has cooled down"
    );
    let status = installation.json(&["rules", "status"]);
    assert_eq!(status["runs"][0]["remaining"], 0, "nobody waits for it meanwhile");
    let Finished { code, stdout, stderr } =
        installation.run(&["rules", "run", "everything", "--wait", "--format", "json"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("the run of everything left 1 image failed"), "{stderr}");
    let images = &read_json(&stdout)["runs"][0]["images"];
    assert_eq!((&images["scanned"], &images["failed"]), (&json!(2), &json!(1)), "{images}");
    assert_eq!(images["failures"][0]["repository"], "team/poison");
    let Finished { stderr, .. } = installation.run(&["rules", "run", "everything", "--wait"]);
    assert!(stderr.contains("2 scanned, 1 failed"), "{stderr}");
    assert!(stderr.contains("local/team/poison:1 (linux/amd64) failed: "), "{stderr}");
    registry.assert_no_violations();
}
