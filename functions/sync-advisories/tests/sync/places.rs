//! Folders of this machine and buckets of S3: what they give is what a build of the same files gives.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tidewatch_runtime::aws::lambda_config;
use tidewatch_sync_advisories::Place;
use tidewatch_testkit::advisory::{archive, write_archive, write_folder};
use tidewatch_testkit::ministack::MiniStack;
use tidewatch_testkit::updateinfo::{feed, gzip, update};

use crate::world::{CRITICAL, KEV, MEDIUM, World, alpine, catalogue, debian, nvd_feed, score};

const ECOSYSTEMS: [&str; 4] = ["Alpine", "Amazon Linux", "Debian", "GIT"];

/// A folder with advisories in every form.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    write_archive(path, "Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    write_folder(path, "Alpine", &[alpine("CVE-2024-1", "pkg"), alpine("CVE-2024-2", "pkg")]);
    write_archive(path, "GIT", &[score("CVE-2024-2", MEDIUM)]);
    let updates = [update("ALAS2023-2024-1", "CVE-2024-1", "", "curl", "8.3")];
    write(path, "Amazon Linux/2023/updateinfo.xml.gz", &gzip(feed(&updates).as_bytes()));
    write(path, "Amazon Linux/2/updateinfo.xml", feed(&updates).as_bytes());
    write(path, &format!("KEV{KEV}"), catalogue(&["CVE-2024-1"]).to_string().as_bytes());
    let rated = nvd_feed(&[("CVE-2024-1", CRITICAL)]).to_string();
    write(path, "NVD/nvdcve-2.0-2024.json.gz", &gzip(rated.as_bytes()));
    write(path, "NVD/nvdcve-2.0-2023.json", rated.as_bytes());
    folder
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

async fn world_on(place: &str) -> World {
    let place = Place::parse(place).unwrap();
    World::with(&ECOSYSTEMS, |settings| {
        settings.amazon_linux = Some(place.join(&["Amazon Linux"]));
        settings.kev = Some(place.join(&["KEV", KEV.trim_start_matches('/')]));
        settings.nvd = Some(place.join(&["NVD"]));
        settings.osv = Some(place);
    })
    .await
}

#[tokio::test]
async fn a_folder_gives_what_a_build_of_it_gives() {
    let folder = folder();
    let world = world_on(&format!("file://{}", folder.path().display())).await;
    world.tick().await;
    let in_force = world.in_force().await;
    assert_eq!(in_force.keys().collect::<Vec<_>>(), ["alpine", "amazon", "debian"]);
    assert_eq!(in_force, world.built(folder.path()));
    for name in ECOSYSTEMS.into_iter().chain(["KEV", "NVD-2023", "NVD-2024"]) {
        assert_eq!(world.error(name).await, "", "{name}");
    }
    assert_eq!(world.leftovers(), 0);
}

#[tokio::test]
async fn what_has_not_changed_in_a_folder_is_not_read_again() {
    let folder = folder();
    let world = world_on(&folder.path().display().to_string()).await;
    world.tick().await;
    let before =
        [world.source("Debian").await, world.source("Alpine").await, world.source("Amazon Linux").await];
    world.tick().await;
    for (name, before) in ["Debian", "Alpine", "Amazon Linux"].into_iter().zip(before) {
        let after = world.source(name).await;
        assert_eq!((after.changed_at, after.archive), (before.changed_at, before.archive), "{name}");
        assert!(after.checked_at > before.checked_at, "{name}");
    }
    write_folder(folder.path(), "Alpine", &[alpine("CVE-2024-3", "pkg")]);
    let updates = [update("ALAS2-2024-7", "CVE-2024-2", "", "curl", "8.3")];
    write(folder.path(), "Amazon Linux/2/updateinfo.xml", feed(&updates).as_bytes());
    write_archive(folder.path(), "Debian", &[debian("DSA-7-1", "CVE-2024-1", "pkg")]);
    world.tick().await;
    assert_eq!(world.in_force().await, world.built(folder.path()));
    assert_eq!(world.source("Alpine").await.archive.unwrap().records, 3);
}

#[tokio::test]
async fn what_is_not_in_a_folder_or_cannot_be_read_is_recorded_and_changes_nothing() {
    let folder = folder();
    let world = world_on(&folder.path().display().to_string()).await;
    world.tick().await;
    let before = world.in_force().await;
    for name in ["Debian", "Alpine", "Amazon Linux", "KEV"] {
        std::fs::remove_dir_all(folder.path().join(name)).unwrap();
    }
    write(folder.path(), "GIT/all.zip", b"<html>");
    world.tick().await;
    for name in ["Debian", "Alpine", "Amazon Linux", "KEV"] {
        assert!(world.error(name).await.ends_with("it is not there"), "{}", world.error(name).await);
    }
    assert!(world.error("GIT").await.contains("zip archive"));
    assert_eq!(world.in_force().await, before);
}

#[tokio::test]
async fn a_record_of_a_folder_that_cannot_be_read_is_a_problem_of_that_record() {
    let folder = folder();
    let huge = vec![b' '; (16 << 20) + 1];
    write(folder.path(), "Alpine/huge.json", &huge);
    write(folder.path(), "Alpine/broken.json", b"{");
    write(folder.path(), "Alpine/README.txt", b"no record");
    let world = world_on(&folder.path().display().to_string()).await;
    world.tick().await;
    let archive = world.source("Alpine").await.archive.unwrap();
    assert_eq!((archive.records, archive.problems), (2, 2));
    assert_eq!(world.in_force().await, world.built(folder.path()));
}

#[tokio::test]
async fn a_bucket_needs_an_account() {
    let world = world_on("s3://acme-osv/a").await;
    world.handle("Debian").await.unwrap();
    assert!(world.error("Debian").await.contains("no region and credentials of AWS"));
    assert_eq!(world.take(), []);
}

/// A bucket of MiniStack with what is in a folder, under the prefix `osv`.
fn bucket(ministack: &MiniStack, name: &str, folder: &Path) {
    ministack.make_bucket(name);
    upload(ministack, name, folder, "osv");
}

fn upload(ministack: &MiniStack, bucket: &str, folder: &Path, prefix: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let key = format!("{prefix}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            upload(ministack, bucket, &path, &key);
        } else {
            ministack.put_object(bucket, &key, &std::fs::read(path).unwrap());
        }
    }
}

#[tokio::test]
async fn a_bucket_gives_what_a_build_of_the_same_files_gives_and_is_read_by_entity_tags() {
    let Some(ministack) = MiniStack::shared() else { return };
    let folder = folder();
    bucket(ministack, "mirror-of-osv", folder.path());
    let mut world = world_on("s3://mirror-of-osv/osv").await;
    let environment = ministack.environment();
    world.read_buckets(lambda_config(|name| environment.get(name).cloned()).unwrap());
    world.tick().await;
    assert_eq!(world.in_force().await, world.built(folder.path()));
    assert_eq!(world.source("Debian").await.url.as_deref(), Some("s3://mirror-of-osv/osv/Debian"));
    let sources = world.records.advisory_sources().await.unwrap();

    world.tick().await;
    for (name, before) in &sources {
        let after = world.source(name).await;
        assert_eq!(
            (after.changed_at, &after.archive),
            (before.source.changed_at, &before.source.archive),
            "{name}"
        );
        assert_eq!(after.error.is_none(), before.source.error.is_none(), "{name}");
    }
    let records: Vec<Value> = vec![debian("DSA-8-1", "CVE-2024-2", "pkg")];
    ministack.put_object("mirror-of-osv", "osv/Debian/all.zip", &archive(&records));
    ministack.put_object(
        "mirror-of-osv",
        "osv/Alpine/x.json",
        alpine("CVE-2024-9", "pkg").to_string().as_bytes(),
    );
    write_archive(folder.path(), "Debian", &records);
    write(folder.path(), "Alpine/x.json", alpine("CVE-2024-9", "pkg").to_string().as_bytes());
    world.tick().await;
    assert_eq!(world.in_force().await, world.built(folder.path()));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_a_failure_that_may_pass() {
    let Some(ministack) = MiniStack::shared() else { return };
    let mut world = world_on("s3://never-made/osv").await;
    let environment = ministack.environment();
    world.read_buckets(lambda_config(|name| environment.get(name).cloned()).unwrap());
    world.handle("Debian").await.unwrap();
    assert!(world.error("Debian").await.contains("never-made"), "{}", world.error("Debian").await);
    assert_eq!(world.take().len(), 1);
}
