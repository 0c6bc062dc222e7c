//! Every table keeps the contract of its port: the one in memory, and the adapter for DynamoDB against an embedded
//! DynamoDB in memory, on a file and over the socket of another instance; also when transactions conflict.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]
#![allow(clippy::unused_async, reason = "the contract takes factories that may wait")]

use std::sync::Arc;

use tempfile::TempDir;
use tidewatch_core::ports::Table;
use tidewatch_store::dynamodb::{Bridge, connect};
use tidewatch_store::{EmbeddedDynamoDb, MemoryTable};
use tidewatch_testkit::contract::table::ConflictingTable;
use tidewatch_testkit::table_contract;

const TABLE: &str = "tidewatch";

async fn memory_table() -> (Arc<dyn Table>, ()) {
    (Arc::new(MemoryTable::new()), ())
}

async fn embedded_table() -> (Arc<dyn Table>, ()) {
    let table = EmbeddedDynamoDb::in_memory().unwrap().table(TABLE).await.unwrap();
    (Arc::new(table), ())
}

async fn file_table() -> (Arc<dyn Table>, TempDir) {
    let folder = TempDir::new().unwrap();
    let table = EmbeddedDynamoDb::open(folder.path()).await.unwrap().table(TABLE).await.unwrap();
    (Arc::new(table), folder)
}

async fn socket_table() -> (Arc<dyn Table>, (TempDir, Bridge)) {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let instance = EmbeddedDynamoDb::in_memory().unwrap();
    instance.table(TABLE).await.unwrap();
    let bridge = instance.serve(&socket).unwrap();
    (Arc::new(connect(&socket, TABLE).await.unwrap()), (folder, bridge))
}

async fn conflicting_memory_table() -> (Arc<dyn Table>, ()) {
    (Arc::new(ConflictingTable::new(memory_table().await.0)), ())
}

async fn conflicting_embedded_table() -> (Arc<dyn Table>, ()) {
    (Arc::new(ConflictingTable::new(embedded_table().await.0)), ())
}

table_contract!(memory, memory_table);
table_contract!(memory_with_conflicts, conflicting_memory_table);
table_contract!(embedded_dynamodb, embedded_table);
table_contract!(embedded_dynamodb_with_conflicts, conflicting_embedded_table);
table_contract!(embedded_dynamodb_on_a_file, file_table);
table_contract!(embedded_dynamodb_over_a_socket, socket_table);
