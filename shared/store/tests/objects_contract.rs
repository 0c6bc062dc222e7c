//! Object storage keeps the contract of its port, in a folder and in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]
#![allow(clippy::unused_async, reason = "the contract takes factories that may wait")]

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use tidewatch_core::ports::Objects;
use tidewatch_store::ObjectStorage;
use tidewatch_testkit::objects_contract;

async fn folder() -> (Arc<dyn Objects>, TempDir) {
    let folder = TempDir::new().unwrap();
    (Arc::new(ObjectStorage::folder(&folder.path().join("made/objects")).unwrap()), folder)
}

async fn memory() -> (Arc<dyn Objects>, ()) {
    (Arc::new(ObjectStorage::in_memory()), ())
}

objects_contract!(in_a_folder, folder);
objects_contract!(in_memory, memory);

#[tokio::test]
async fn a_folder_opened_again_has_its_objects() {
    let folder = TempDir::new().unwrap();
    let first = ObjectStorage::folder(folder.path()).unwrap();
    first.put("a/b", Bytes::from_static(b"tide")).await.unwrap();
    let second = ObjectStorage::folder(folder.path()).unwrap();
    assert_eq!(second.get("a/b").await.unwrap().unwrap(), &b"tide"[..]);
}

#[test]
fn a_file_in_place_of_the_folder_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("taken");
    std::fs::write(&path, "").unwrap();
    let error = ObjectStorage::folder(&path).unwrap_err();
    assert!(error.to_string().contains("taken"), "{error}");
}
