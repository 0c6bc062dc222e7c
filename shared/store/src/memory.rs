//! The table in memory: what DynamoDB does with conditions, updates and transactions, in a sorted map under a lock.
//! For tests; it passes the contract suite of the table like the adapter for DynamoDB does.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{
    Attributes, Condition, Cursor, Item, Key, Page, Query, SortRange, TableError, Update, Write,
};

use crate::evaluate::{self, Outcome};
use crate::limits;

/// The items of one partition, by sort key.
type Partition = BTreeMap<String, Attributes>;

/// A table that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryTable {
    partitions: Mutex<Partitions>,
}

impl MemoryTable {
    /// A table without items.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Partitions> {
        // Writes are decided before the first change, so a panic elsewhere leaves nothing half done behind.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Table for MemoryTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        limits::check_key(key)?;
        Ok(self.lock().item(key))
    }

    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        limits::check_batch(keys)?;
        let partitions = self.lock();
        Ok(keys.iter().filter_map(|key| partitions.item(key)).collect())
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<(), TableError> {
        let write = Write::Put(item, condition);
        limits::check_write(&write)?;
        self.lock().write_all(std::slice::from_ref(&write))
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), TableError> {
        let write = Write::Delete(key.clone(), condition);
        limits::check_write(&write)?;
        self.lock().write_all(std::slice::from_ref(&write))
    }

    async fn update(&self, key: &Key, update: Update, condition: Condition) -> Result<Item, TableError> {
        let write = Write::Update(key.clone(), update, condition);
        limits::check_write(&write)?;
        let mut partitions = self.lock();
        partitions.write_all(std::slice::from_ref(&write))?;
        Ok(partitions.item(key).unwrap_or_else(|| Item::new(key.clone())))
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        limits::check_transaction(&writes)?;
        self.lock().write_all(&writes)
    }

    async fn query(&self, query: Query) -> Result<Page, TableError> {
        limits::check_query(&query)?;
        Ok(self
            .lock()
            .0
            .get(&query.partition)
            .map_or_else(|| Page { items: Vec::new(), next: None }, |partition| page_of(partition, &query)))
    }
}

#[derive(Debug, Default)]
struct Partitions(BTreeMap<String, Partition>);

impl Partitions {
    fn attributes(&self, key: &Key) -> Option<&Attributes> {
        self.0.get(&key.partition)?.get(&key.sort)
    }

    fn item(&self, key: &Key) -> Option<Item> {
        let attributes = self.attributes(key)?.clone();
        Some(Item { key: key.clone(), attributes })
    }

    /// Does all `writes` or none: every outcome is known before the first change.
    fn write_all(&mut self, writes: &[Write]) -> Result<(), TableError> {
        let current = writes.iter().map(|write| (write, self.attributes(write.key())));
        let outcomes = evaluate::outcomes(current)?;
        for (write, outcome) in writes.iter().zip(outcomes) {
            self.apply(write.key(), outcome);
        }
        Ok(())
    }

    fn apply(&mut self, key: &Key, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Stored(attributes) => {
                self.0
                    .entry(key.partition.clone())
                    .or_default()
                    .insert(key.sort.clone(), attributes.into_owned());
            }
            Outcome::Removed => {
                if let Some(partition) = self.0.get_mut(&key.partition) {
                    partition.remove(&key.sort);
                }
            }
            Outcome::Unchanged => {}
        }
    }
}

/// One page of `partition`. Like DynamoDB it gives a cursor whenever the page is full, also when nothing follows.
fn page_of(partition: &Partition, query: &Query) -> Page {
    let matching: Box<dyn DoubleEndedIterator<Item = (&String, &Attributes)>> = match &query.sort {
        SortRange::Prefix(prefix) => Box::new(
            partition
                .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
                .filter(move |(sort, _)| sort.starts_with(prefix)),
        ),
        SortRange::UpTo(last) => {
            Box::new(partition.range::<str, _>((Bound::Unbounded, Bound::Included(last.as_str()))))
        }
    };
    let after = query.after.as_ref().map(|cursor| cursor.0.as_str());
    let ordered: Box<dyn Iterator<Item = (&String, &Attributes)>> = if query.descending {
        Box::new(matching.rev().filter(move |(sort, _)| after.is_none_or(|after| sort.as_str() < after)))
    } else {
        Box::new(matching.filter(move |(sort, _)| after.is_none_or(|after| sort.as_str() > after)))
    };
    let items: Vec<Item> = ordered
        .take(query.limit)
        .map(|(sort, attributes)| Item {
            key: Key::new(query.partition.as_str(), sort.as_str()),
            attributes: attributes.clone(),
        })
        .collect();
    let full = items.len() == query.limit;
    let next = items.last().filter(|_| full).map(|item| Cursor(item.key.sort.clone()));
    Page { items, next }
}
