//! A table whose transactions conflict, as those of DynamoDB do when two writers meet on one item.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Item, Key, Page, Query, TableError, Update, Write};

/// Answers [`TableError::TransactionConflict`] to the first, third, fifth, … transaction, and passes everything else on.
/// An embedded DynamoDB does one request at a time and never conflicts, so without this nothing would try again.
pub struct ConflictingTable {
    table: Arc<dyn Table>,
    conflicts_next: AtomicBool,
}

impl ConflictingTable {
    /// Conflicts in front of `table`.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table, conflicts_next: AtomicBool::new(true) }
    }
}

#[async_trait]
impl Table for ConflictingTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        self.table.get(key).await
    }

    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        self.table.get_batch(keys).await
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<(), TableError> {
        self.table.put(item, condition).await
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), TableError> {
        self.table.delete(key, condition).await
    }

    async fn update(&self, key: &Key, update: Update, condition: Condition) -> Result<Item, TableError> {
        self.table.update(key, update, condition).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        if self.conflicts_next.fetch_xor(true, Ordering::Relaxed) {
            return Err(TableError::TransactionConflict);
        }
        self.table.transact(writes).await
    }

    async fn query(&self, query: Query) -> Result<Page, TableError> {
        self.table.query(query).await
    }
}
