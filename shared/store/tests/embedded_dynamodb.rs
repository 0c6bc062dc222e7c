//! The embedded DynamoDB: one process at a time has its file, others reach it over its socket, and its sweep removes
//! what has expired.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tempfile::TempDir;
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Item, Key, TIME_TO_LIVE, TableError, Update, Write};
use tidewatch_core::retry::{Retry, Retryable};
use tidewatch_store::dynamodb::{connect, open_or_connect};
use tidewatch_store::{EmbeddedDynamoDb, EmbeddedError, MemoryTable};
use tidewatch_testkit::contract::table::{ConflictingTable, transact};

const TABLE: &str = "tidewatch";

fn item(sort: &str) -> Item {
    Item::new(Key::new("partition", sort))
}

#[tokio::test]
async fn a_file_opened_again_has_its_items() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("made/data");
    let new = item("a").with("n", 1);
    let table = EmbeddedDynamoDb::open(&path).await.unwrap().table(TABLE).await.unwrap();
    table.put(new.clone(), Condition::ItemAbsent).await.unwrap();
    drop(table);
    let table = EmbeddedDynamoDb::open(&path).await.unwrap().table(TABLE).await.unwrap();
    assert_eq!(table.get(&new.key).await.unwrap(), Some(new));
}

#[tokio::test]
async fn a_file_that_is_open_is_refused_until_its_last_table_is_dropped() {
    let folder = TempDir::new().unwrap();
    let table = EmbeddedDynamoDb::open(folder.path()).await.unwrap().table(TABLE).await.unwrap();
    let error = EmbeddedDynamoDb::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::Running { .. }), "{error:?}");
    assert!(error.to_string().contains("another process"), "{error}");
    drop(table);
    EmbeddedDynamoDb::open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_second_process_works_on_the_table_of_a_running_instance() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let instance = EmbeddedDynamoDb::open(folder.path()).await.unwrap();
    let table = instance.table(TABLE).await.unwrap();
    let bridge = instance.serve(&socket).unwrap();

    let second = open_or_connect(folder.path(), &socket, TABLE).await.unwrap();
    second.put(item("a").with("n", 1), Condition::ItemAbsent).await.unwrap();
    let counted =
        table.update(&item("a").key, Update::default().add("n", 1), Condition::ItemPresent).await.unwrap();
    assert_eq!(second.get(&item("a").key).await.unwrap(), Some(counted));
    let check = Write::Check(item("a").key, Condition::ItemAbsent);
    let result = second.transact(vec![check]).await;
    assert!(matches!(result, Err(TableError::ConditionFailed { position: 0 })), "{result:?}");

    drop(bridge);
    assert!(!socket.exists());
    let result = second.get(&item("a").key).await;
    assert!(matches!(result, Err(TableError::Unavailable { .. })), "{result:?}");
}

#[tokio::test]
async fn without_a_running_instance_the_file_is_opened() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let error = connect(&socket, TABLE).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NotRunning { .. }), "{error:?}");
    let table = open_or_connect(folder.path(), &socket, TABLE).await.unwrap();
    table.put(item("a"), Condition::ItemAbsent).await.unwrap();
}

#[tokio::test]
async fn an_instance_that_does_not_serve_its_socket_is_an_error_of_its_own() {
    let folder = TempDir::new().unwrap();
    let _instance = EmbeddedDynamoDb::open(folder.path()).await.unwrap();
    let error = open_or_connect(folder.path(), &folder.path().join("socket"), TABLE).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::Running { .. }), "{error:?}");
}

#[tokio::test]
async fn a_socket_that_a_killed_process_left_is_replaced() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let error = connect(&socket, TABLE).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NotRunning { .. }), "{error:?}");

    let instance = EmbeddedDynamoDb::open(folder.path()).await.unwrap();
    instance.table(TABLE).await.unwrap();
    let _bridge = instance.serve(&socket).unwrap();
    connect(&socket, TABLE).await.unwrap().put(item("a"), Condition::ItemAbsent).await.unwrap();
}

#[tokio::test]
async fn only_its_user_may_use_the_socket() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let instance = EmbeddedDynamoDb::in_memory().unwrap();
    let _bridge = instance.serve(&socket).unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn what_is_no_frame_ends_its_connection_and_no_other() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let instance = EmbeddedDynamoDb::in_memory().unwrap();
    instance.table(TABLE).await.unwrap();
    let _bridge = instance.serve(&socket).unwrap();
    let other = connect(&socket, TABLE).await.unwrap();
    for frame in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xff\xff\xff\xff", b"\0\0\0\x02{]", b"\0\0\0\x02{}"] {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        stream.write_all(frame).await.unwrap();
        let mut answer = Vec::new();
        // The end may be abrupt, when not everything was read.
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
        assert_eq!(other.get(&item("a").key).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_unavailable_and_can_be_made() {
    let instance = EmbeddedDynamoDb::in_memory().unwrap();
    let table = tidewatch_store::DynamoDbTable::new(instance.client(), TABLE);
    let result = table.get(&item("a").key).await;
    assert!(matches!(result, Err(TableError::Unavailable { .. })), "{result:?}");
    for _ in 0..2 {
        table.create().await.unwrap();
    }
    assert_eq!(table.get(&item("a").key).await.unwrap(), None);
}

#[tokio::test]
async fn the_sweep_removes_only_what_has_expired() {
    let instance = EmbeddedDynamoDb::in_memory().unwrap();
    let table = instance.table(TABLE).await.unwrap();
    let far = 250_000_000_000; // the year 9892
    let kept = [item("future").with(TIME_TO_LIVE, far), item("none"), item("text").with(TIME_TO_LIVE, "1")];
    for item in &kept {
        table.put(item.clone(), Condition::Always).await.unwrap();
    }
    table.put(item("past").with(TIME_TO_LIVE, 1), Condition::Always).await.unwrap();
    assert_eq!(instance.sweep_expired().await.unwrap(), 1);
    assert_eq!(instance.sweep_expired().await.unwrap(), 0);
    assert_eq!(table.get(&item("past").key).await.unwrap(), None);
    for item in kept {
        assert_eq!(table.get(&item.key).await.unwrap(), Some(item));
    }
}

#[tokio::test]
async fn every_second_transaction_conflicts_writes_nothing_and_is_worth_trying_again() {
    let table = ConflictingTable::new(Arc::new(MemoryTable::new()));
    let writes = vec![Write::Put(item("a"), Condition::ItemAbsent)];
    let error = table.transact(writes.clone()).await.unwrap_err();
    assert!(matches!(error, TableError::TransactionConflict), "{error:?}");
    assert_eq!(error.retry(), Retry::Again);
    assert_eq!(table.get(&item("a").key).await.unwrap(), None);
    table.transact(writes).await.unwrap();
    transact(&table, vec![Write::Delete(item("a").key, Condition::ItemPresent)]).await.unwrap();
    assert_eq!(table.get(&item("a").key).await.unwrap(), None);
}
