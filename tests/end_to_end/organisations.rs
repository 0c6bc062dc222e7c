//! Several organisations in one installation have nothing to do with one another.

use serde_json::json;
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::Finished;

use crate::images::{FIXED_LIBC, OLD_LIBC, OLD_OPENSSL, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, settle, stays};

#[tokio::test(flavor = "multi_thread")]
async fn two_organisations_in_one_data_folder_are_strictly_apart() {
    let (red_registry, blue_registry) =
        (TestRegistry::start().await.unwrap(), TestRegistry::start().await.unwrap());
    // The same names everywhere, and one image that both have.
    let shared = debian_image(&[OLD_LIBC]);
    push(&red_registry, "team/web", "1", &debian_image(&[OLD_OPENSSL]));
    push(&red_registry, "team/shared", "1", &shared);
    push(&blue_registry, "team/web", "1", &debian_image(&[FIXED_LIBC]));
    push(&blue_registry, "team/shared", "1", &shared);
    let installation =
        Installation::configured(&Configuration::new("red").registry("local", &red_registry.url()));
    installation.apply(&Configuration::new("blue").registry("local", &blue_registry.url()));
    let local = installation.up();
    let (red, blue) = (installation.token("red"), installation.token("blue"));

    let Finished { code, stderr, .. } = installation.run(&["rules", "run", "everything", "--wait"]);
    assert_eq!(code, Some(2), "which of them is not said");
    assert!(stderr.contains("--org"), "{stderr}");

    let run = |org: &str| installation.json(&["rules", "run", "everything", "--wait", "--org", org]);
    assert_eq!(run("red")["runs"][0]["queued"], 2);
    assert!(blue_registry.requests().is_empty(), "the rule of one asks no registry of the other");
    let red_numbers = numbers(&[&[OLD_OPENSSL], &[OLD_LIBC]]);
    let red_text = settle(&local, "red", &red, &red_numbers).await;
    settle(&local, "blue", &blue, &numbers(&[])).await;
    let images = |org: &str| installation.json(&["images", "--org", org])["images"].as_array().unwrap().len();
    assert_eq!((images("red"), images("blue")), (2, 0));

    run("blue");
    settle(&local, "blue", &blue, &numbers(&[&[FIXED_LIBC], &[OLD_LIBC]])).await;
    stays(&local, "red", &red, &red_text).await;
    let layer = crate::images::package_layer(&[OLD_LIBC]).digest;
    assert_eq!(blue_registry.blob_pulls(&layer), 1, "what one has read the other has not");

    for (org, token) in [("red", &blue), ("blue", &red)] {
        assert_eq!(local.scrape(org, Some(token)).await.unwrap().status, 403);
        let id = token.split('_').nth(1).unwrap();
        assert_eq!(installation.run(&["token", "revoke", id, "--org", org]).code, Some(2));
        let tokens = installation.json(&["token", "list", "--org", org]);
        assert_eq!(tokens["tokens"].as_array().unwrap().len(), 1);
        assert_ne!(tokens["tokens"][0]["id"], json!(id));
    }
}
