//! Counts what a process asks of its stores: operations and items by the kind of record, and objects by their folder. It
//! costs a lock of nanoseconds beside operations of microseconds; what it is for says docs/BENCHMARKS.md.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tidewatch_core::ports::objects::ObjectsError;
use tidewatch_core::ports::table::{Condition, Item, Key, Page, Query, SortRange, TableError, Update, Write};
use tidewatch_core::ports::{Objects, Table};

/// How often one operation was asked for about one kind of record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many requests there were. One about several kinds counts for each of them.
    pub operations: u64,
    /// How many items were read, or written; a write that was refused counts, as it is paid for.
    pub items: u64,
}

/// Counts of operations, by their name and the kind of record; shared by the stores that count.
#[derive(Debug, Default)]
pub struct StoreCounts(Mutex<BTreeMap<(&'static str, String), Count>>);

impl StoreCounts {
    /// What was counted until now: the operation (`get`, `query`, `put`, `update`, `delete`, `transact`; of objects
    /// `get-object`, `put-object`, `delete-object`), the kind, and how often.
    pub fn read(&self) -> Vec<(&'static str, String, Count)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((operation, kind), count)| (*operation, kind.clone(), *count)).collect()
    }

    fn add(&self, operation: &'static str, kind: String, items: usize) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((operation, kind)).or_default();
        count.operations += 1;
        count.items += items as u64;
    }
}

/// The kind of the record at a key: what its parts begin with, without what names one of them, as `IMAGE/RESULT`.
fn kind(partition: &str, sort: &str) -> String {
    let head = |part: &str| part.split('#').next().unwrap_or_default().to_owned();
    let (partition, sort) = (head(partition), head(sort));
    let is_name = |part: &str| part.is_empty() || part.bytes().any(|byte| !byte.is_ascii_uppercase());
    if is_name(&sort) { partition } else { format!("{partition}/{sort}") }
}

fn kind_of(key: &Key) -> String {
    kind(&key.partition, &key.sort)
}

/// How many items there are of each kind.
fn kinds<'a>(keys: impl Iterator<Item = &'a Key>) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for key in keys {
        *kinds.entry(kind_of(key)).or_default() += 1;
    }
    kinds
}

/// A table of which every operation is counted.
pub struct CountedTable {
    table: Arc<dyn Table>,
    counts: Arc<StoreCounts>,
}

impl CountedTable {
    /// `table`, counted in `counts`.
    pub fn new(table: Arc<dyn Table>, counts: Arc<StoreCounts>) -> Self {
        Self { table, counts }
    }
}

#[async_trait]
impl Table for CountedTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        self.counts.add("get", kind_of(key), 1);
        self.table.get(key).await
    }

    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        for (kind, items) in kinds(keys.iter()) {
            self.counts.add("get-batch", kind, items);
        }
        self.table.get_batch(keys).await
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<(), TableError> {
        self.counts.add("put", kind_of(&item.key), 1);
        self.table.put(item, condition).await
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), TableError> {
        self.counts.add("delete", kind_of(key), 1);
        self.table.delete(key, condition).await
    }

    async fn update(&self, key: &Key, update: Update, condition: Condition) -> Result<Item, TableError> {
        self.counts.add("update", kind_of(key), 1);
        self.table.update(key, update, condition).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        for (kind, items) in kinds(writes.iter().map(Write::key)) {
            self.counts.add("transact", kind, items);
        }
        // Beside its kinds, the transaction itself.
        self.counts.add("transaction", String::new(), writes.len());
        self.table.transact(writes).await
    }

    async fn query(&self, query: Query) -> Result<Page, TableError> {
        let prefix = match &query.sort {
            SortRange::Prefix(prefix) => prefix.clone(),
            SortRange::UpTo(_) => String::new(),
        };
        let kind = kind(&query.partition, &prefix);
        let page = self.table.query(query).await;
        self.counts.add("query", kind, page.as_ref().map_or(0, |page| page.items.len()));
        page
    }
}

/// Object storage of which every operation is counted.
pub struct CountedObjects {
    objects: Arc<dyn Objects>,
    counts: Arc<StoreCounts>,
}

impl CountedObjects {
    /// `objects`, counted in `counts`.
    pub fn new(objects: Arc<dyn Objects>, counts: Arc<StoreCounts>) -> Self {
        Self { objects, counts }
    }

    fn add(&self, operation: &'static str, key: &str) {
        self.counts.add(operation, key.split('/').next().unwrap_or_default().to_owned(), 1);
    }
}

#[async_trait]
impl Objects for CountedObjects {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, ObjectsError> {
        self.add("get-object", key);
        self.objects.get(key).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        self.add("put-object", key);
        self.objects.put(key, bytes).await
    }

    async fn get_file(&self, key: &str, to: &Path) -> Result<bool, ObjectsError> {
        self.add("get-object", key);
        self.objects.get_file(key, to).await
    }

    async fn put_file(&self, key: &str, from: &Path) -> Result<(), ObjectsError> {
        self.add("put-object", key);
        self.objects.put_file(key, from).await
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        self.add("delete-object", key);
        self.objects.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectsError> {
        self.add("list-objects", prefix);
        self.objects.list(prefix).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTable;

    #[test]
    fn a_kind_names_no_record() {
        assert_eq!(kind("IMAGE#acme#00ff#linux/amd64", "RESULT"), "IMAGE/RESULT");
        assert_eq!(kind("IMAGE#acme#00ff#linux/amd64", "WORK#hub/web"), "IMAGE/WORK");
        assert_eq!(kind("DUE#acme#hub#1", "1#000001#00ff"), "DUE");
        assert_eq!(kind("REPOS#acme", "hub/web"), "REPOS");
    }

    #[tokio::test]
    async fn a_transaction_counts_once_and_its_items_by_their_kind() {
        let counts = Arc::new(StoreCounts::default());
        let table = CountedTable::new(Arc::new(MemoryTable::default()), Arc::clone(&counts));
        let item = |partition: &str, sort: &str| Item::new(Key::new(partition, sort)).with("v", 1);
        let put = |partition, sort| Write::Put(item(partition, sort), Condition::ItemAbsent);
        let writes = vec![put("DUE#acme#hub#0", "1#0"), put("IMAGE#acme#00#x", "WORK#hub/web")];
        table.transact(writes.clone()).await.unwrap();
        table.transact(writes).await.unwrap_err();
        let count = |operations, items| Count { operations, items };
        let expected = [
            ("transact", "DUE".to_owned(), count(2, 2)),
            ("transact", "IMAGE/WORK".to_owned(), count(2, 2)),
            ("transaction", String::new(), count(2, 4)),
        ];
        assert_eq!(counts.read(), expected);
    }
}
