//! The table of local mode: one process at a time has its file, others reach it over its socket, what is answered is in the file,
//! and its sweep removes what has expired.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tempfile::TempDir;
use tidewatch_core::Timestamp;
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Item, Key, TIME_TO_LIVE, TableError, Update, Write};
use tidewatch_core::retry::{Retry, Retryable};
use tidewatch_store::local_table::open_or_join;
use tidewatch_store::{DynamoDbTable, LocalTable, LocalTableError, MemoryTable};
use tidewatch_testkit::contract::table::{ConflictingTable, transact};
use tidewatch_testkit::dynamodb;

fn item(sort: &str) -> Item {
    Item::new(Key::new("partition", sort))
}

#[tokio::test]
async fn a_file_opened_again_has_its_items() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("made/data");
    let new = item("a").with("n", 1);
    let table = LocalTable::open(&path).await.unwrap();
    table.put(new.clone(), Condition::ItemAbsent).await.unwrap();
    drop(table);
    let table = LocalTable::open(&path).await.unwrap();
    assert_eq!(table.get(&new.key).await.unwrap(), Some(new));
}

#[tokio::test]
async fn a_file_that_is_open_is_refused_until_its_last_table_is_dropped() {
    let folder = TempDir::new().unwrap();
    let table = LocalTable::open(folder.path()).await.unwrap();
    let error = LocalTable::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, LocalTableError::Running { .. }), "{error:?}");
    assert!(error.to_string().contains("another process"), "{error}");
    drop(table);
    LocalTable::open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_second_process_works_on_the_table_of_a_running_instance() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let table = LocalTable::open(folder.path()).await.unwrap();
    let served = table.serve(&socket).unwrap();

    let second = open_or_join(folder.path(), &socket).await.unwrap();
    second.put(item("a").with("n", 1), Condition::ItemAbsent).await.unwrap();
    let counted =
        table.update(&item("a").key, Update::default().add("n", 1), Condition::ItemPresent).await.unwrap();
    assert_eq!(second.get(&item("a").key).await.unwrap(), Some(counted));
    let check = Write::Check(item("a").key, Condition::ItemAbsent);
    let result = second.transact(vec![check]).await;
    assert!(matches!(result, Err(TableError::ConditionFailed { position: 0 })), "{result:?}");

    drop(served);
    assert!(!socket.exists());
    let result = second.get(&item("a").key).await;
    assert!(matches!(result, Err(TableError::Unavailable { .. })), "{result:?}");
}

#[tokio::test]
async fn without_a_running_instance_the_file_is_opened() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let error = LocalTable::join(&socket).await.unwrap_err();
    assert!(matches!(error, LocalTableError::NotRunning { .. }), "{error:?}");
    let table = open_or_join(folder.path(), &socket).await.unwrap();
    table.put(item("a"), Condition::ItemAbsent).await.unwrap();
}

#[tokio::test]
async fn an_instance_that_does_not_serve_its_socket_is_an_error_of_its_own() {
    let folder = TempDir::new().unwrap();
    let _instance = LocalTable::open(folder.path()).await.unwrap();
    let error = open_or_join(folder.path(), &folder.path().join("socket")).await.err().unwrap();
    assert!(matches!(error, LocalTableError::Running { .. }), "{error:?}");
}

#[tokio::test]
async fn a_socket_that_a_killed_process_left_is_replaced() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let error = LocalTable::join(&socket).await.unwrap_err();
    assert!(matches!(error, LocalTableError::NotRunning { .. }), "{error:?}");

    let instance = LocalTable::open(folder.path()).await.unwrap();
    let _served = instance.serve(&socket).unwrap();
    LocalTable::join(&socket).await.unwrap().put(item("a"), Condition::ItemAbsent).await.unwrap();
}

#[tokio::test]
async fn only_its_user_may_use_the_socket() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let instance = LocalTable::open(folder.path()).await.unwrap();
    let _served = instance.serve(&socket).unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn what_is_no_frame_ends_its_connection_and_no_other() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let instance = LocalTable::open(folder.path()).await.unwrap();
    let _served = instance.serve(&socket).unwrap();
    let other = LocalTable::join(&socket).await.unwrap();
    for frame in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x02\x01\xff"] {
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
    let table = DynamoDbTable::new(dynamodb::embedded(), "tidewatch");
    let result = table.get(&item("a").key).await;
    assert!(matches!(result, Err(TableError::Unavailable { .. })), "{result:?}");
    for _ in 0..2 {
        table.create().await.unwrap();
    }
    assert_eq!(table.get(&item("a").key).await.unwrap(), None);
}

#[tokio::test]
async fn the_sweep_removes_only_what_has_expired() {
    let folder = TempDir::new().unwrap();
    let table = LocalTable::open(folder.path()).await.unwrap();
    let now = Timestamp::from_second(1000).unwrap();
    let kept = [item("future").with(TIME_TO_LIVE, 1001), item("none"), item("text").with(TIME_TO_LIVE, "1")];
    for item in &kept {
        table.put(item.clone(), Condition::Always).await.unwrap();
    }
    // More than are removed at once, one of which lives on.
    for past in 0..2001 {
        let item = item(&format!("past{past}")).with(TIME_TO_LIVE, 1000);
        table.put(item, Condition::Always).await.unwrap();
    }
    let prolonged = item("past7").with(TIME_TO_LIVE, 1001);
    table.put(prolonged.clone(), Condition::Always).await.unwrap();
    assert_eq!(table.sweep_expired(now).await.unwrap(), 2000);
    assert_eq!(table.sweep_expired(now).await.unwrap(), 0);
    assert_eq!(table.get(&item("past0").key).await.unwrap(), None);
    for item in kept.into_iter().chain([prolonged]) {
        assert_eq!(table.get(&item.key).await.unwrap(), Some(item));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_wait_together_succeed_and_fail_each_by_itself() {
    let folder = TempDir::new().unwrap();
    let table = LocalTable::open(folder.path()).await.unwrap();
    let writers = (0..600).map(|number| {
        let table = table.clone();
        tokio::spawn(async move {
            let own = Write::Put(item(&format!("own{number}")), Condition::ItemAbsent);
            let shared = Write::Put(item(&format!("shared{}", number % 200)), Condition::ItemAbsent);
            table.transact(vec![own, shared]).await
        })
    });
    let answers = futures::future::join_all(writers).await;
    let done: Vec<bool> = answers.into_iter().map(|answer| answer.unwrap().is_ok()).collect();
    assert_eq!(done.iter().filter(|done| **done).count(), 200);
    for (number, done) in done.into_iter().enumerate() {
        let own = table.get(&item(&format!("own{number}")).key).await.unwrap();
        assert_eq!(own.is_some(), done, "{number}");
    }
}

#[tokio::test]
async fn what_was_answered_is_committed_and_survives_the_end_of_the_process() {
    let folder = TempDir::new().unwrap();
    let table = LocalTable::open(folder.path()).await.unwrap();
    table.put(item("a").with("n", 1), Condition::Always).await.unwrap();
    // What a process leaves that is killed: the files as they are, without an orderly end.
    let after = TempDir::new().unwrap();
    for name in ["table.sqlite", "table.sqlite-wal"] {
        std::fs::copy(folder.path().join(name), after.path().join(name)).unwrap();
    }
    let reopened = LocalTable::open(after.path()).await.unwrap();
    assert_eq!(reopened.get(&item("a").key).await.unwrap(), Some(item("a").with("n", 1)));
}

#[tokio::test]
async fn a_file_of_another_program_or_a_newer_one_is_refused_and_left_as_it_is() {
    for (statements, named) in [
        ("CREATE TABLE notes (text)", "another database"),
        ("PRAGMA application_id = 1415014772; PRAGMA user_version = 2", "format 2 is newer"),
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("table.sqlite");
        rusqlite::Connection::open(&path).unwrap().execute_batch(statements).unwrap();
        let error = LocalTable::open(folder.path()).await.unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(error.retry(), Retry::Never);
        let count = "SELECT count(*) FROM sqlite_schema WHERE name = 'items'";
        let tables: i64 =
            rusqlite::Connection::open(&path).unwrap().query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 0);
    }
}

#[tokio::test]
async fn another_version_of_the_protocol_is_answered_by_the_own_one() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let _served = LocalTable::open(folder.path()).await.unwrap().serve(&socket).unwrap();
    let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    stream.write_all(b"\0\0\0\x03\x02new").await.unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"\0\0\0\x01\x01");
}

#[tokio::test]
async fn a_running_instance_of_another_version_is_named_so() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if stream.read_u32().await.is_ok() {
                stream.write_all(b"\0\0\0\x01\x02").await.unwrap();
            }
        }
    });
    let error = LocalTable::join(&socket).await.unwrap().get(&item("a").key).await.unwrap_err();
    let TableError::Unavailable { source } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("another version of this program"), "{source}");
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
