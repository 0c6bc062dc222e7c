//! Every table keeps the contract of its port: the one in memory, that of local mode on its file and over the socket of a
//! running instance, and the adapter for DynamoDB against an embedded DynamoDB; also when transactions conflict.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]
#![allow(clippy::unused_async, reason = "the contract takes factories that may wait")]

use std::sync::Arc;

use tempfile::TempDir;
use tidewatch_core::ports::Table;
use tidewatch_store::{DynamoDbTable, LocalTable, MemoryTable, TableSocket};
use tidewatch_testkit::contract::table::ConflictingTable;
use tidewatch_testkit::{dynamodb, table_contract};

const TABLE: &str = "tidewatch";

async fn memory_table() -> (Arc<dyn Table>, ()) {
    (Arc::new(MemoryTable::new()), ())
}

async fn embedded_table() -> (Arc<dyn Table>, ()) {
    let table = DynamoDbTable::new(dynamodb::embedded(), TABLE);
    table.create().await.unwrap();
    (Arc::new(table), ())
}

async fn local_table() -> (Arc<dyn Table>, TempDir) {
    let folder = TempDir::new().unwrap();
    let table = LocalTable::open(folder.path()).await.unwrap();
    (Arc::new(table), folder)
}

async fn joined_table() -> (Arc<dyn Table>, (TempDir, TableSocket)) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let socket = LocalTable::open(folder.path()).await.unwrap().serve(&path).unwrap();
    (Arc::new(LocalTable::join(&path).await.unwrap()), (folder, socket))
}

async fn conflicting_memory_table() -> (Arc<dyn Table>, ()) {
    (Arc::new(ConflictingTable::new(memory_table().await.0)), ())
}

async fn conflicting_local_table() -> (Arc<dyn Table>, TempDir) {
    let (table, folder) = local_table().await;
    (Arc::new(ConflictingTable::new(table)), folder)
}

async fn conflicting_embedded_table() -> (Arc<dyn Table>, ()) {
    (Arc::new(ConflictingTable::new(embedded_table().await.0)), ())
}

table_contract!(memory, memory_table);
table_contract!(memory_with_conflicts, conflicting_memory_table);
table_contract!(embedded_dynamodb, embedded_table);
table_contract!(embedded_dynamodb_with_conflicts, conflicting_embedded_table);
table_contract!(local, local_table);
table_contract!(local_with_conflicts, conflicting_local_table);
table_contract!(joined, joined_table);
