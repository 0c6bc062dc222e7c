//! Stores that fail when a test says so, in front of stores that work: for what must survive an outage or a crash
//! between any two operations.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tidewatch_core::ports::objects::ObjectsError;
use tidewatch_core::ports::queue::{OutgoingMessage, QueueError, QueueName};
use tidewatch_core::ports::table::{Condition, Item, Key, Page, Query, TableError, Update, Write};
use tidewatch_core::ports::{Objects, QueueSender, Table};

/// Which operations fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Outage {
    #[default]
    None,
    /// The one with this number, from 0.
    Only(usize),
    /// The one with this number and all after it.
    From(usize),
    /// Puts of an item whose sort key begins with this.
    Puts(String),
}

#[derive(Debug, Default)]
struct Plan {
    outage: Outage,
    operations: usize,
}

/// When operations fail; shared by a test with the stores that obey it. Operations count from its last change.
#[derive(Debug, Default)]
pub struct Outages(Mutex<Plan>);

impl Outages {
    /// Nothing fails.
    pub fn none() -> Arc<Self> {
        Arc::default()
    }

    /// After `operations` that work, one fails.
    pub fn fail_once_after(&self, operations: usize) {
        self.change(Outage::Only(operations));
    }

    /// After `operations` that work, all fail: for a worker that stops there, it is a crash.
    pub fn fail_after(&self, operations: usize) {
        self.change(Outage::From(operations));
    }

    /// Putting an item whose sort key begins with `sort` fails.
    pub fn fail_puts_of(&self, sort: &str) {
        self.change(Outage::Puts(sort.to_owned()));
    }

    /// Everything works again.
    pub fn recover(&self) {
        self.change(Outage::None);
    }

    /// The operations since the last change, those that failed included.
    pub fn operations(&self) -> usize {
        self.plan().operations
    }

    fn change(&self, outage: Outage) {
        *self.plan() = Plan { outage, operations: 0 };
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation, which puts items at these sort keys; whether it fails.
    fn fails(&self, puts: &[&str]) -> bool {
        let mut plan = self.plan();
        let number = plan.operations;
        plan.operations += 1;
        match &plan.outage {
            Outage::None => false,
            Outage::Only(failing) => number == *failing,
            Outage::From(first) => number >= *first,
            Outage::Puts(prefix) => puts.iter().any(|sort| sort.starts_with(prefix)),
        }
    }
}

/// A table with outages. What fails is not done.
pub struct FailingTable {
    table: Arc<dyn Table>,
    outages: Arc<Outages>,
}

impl FailingTable {
    /// `table`, as long as there is no outage.
    pub fn new(table: Arc<dyn Table>, outages: Arc<Outages>) -> Self {
        Self { table, outages }
    }

    fn check(&self, puts: &[&str]) -> Result<(), TableError> {
        if self.outages.fails(puts) {
            return Err(TableError::Unavailable { source: "the test asked for this".into() });
        }
        Ok(())
    }
}

#[async_trait]
impl Table for FailingTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        self.check(&[])?;
        self.table.get(key).await
    }

    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        self.check(&[])?;
        self.table.get_batch(keys).await
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<(), TableError> {
        self.check(&[&item.key.sort])?;
        self.table.put(item, condition).await
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), TableError> {
        self.check(&[])?;
        self.table.delete(key, condition).await
    }

    async fn update(&self, key: &Key, update: Update, condition: Condition) -> Result<Item, TableError> {
        self.check(&[])?;
        self.table.update(key, update, condition).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        let put = |write: &Write| match write {
            Write::Put(item, _) => Some(item.key.sort.clone()),
            _ => None,
        };
        let puts: Vec<String> = writes.iter().filter_map(put).collect();
        self.check(&puts.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.table.transact(writes).await
    }

    async fn query(&self, query: Query) -> Result<Page, TableError> {
        self.check(&[])?;
        self.table.query(query).await
    }
}

/// Object storage with outages. What fails is not done.
pub struct FailingObjects {
    objects: Arc<dyn Objects>,
    outages: Arc<Outages>,
}

impl FailingObjects {
    /// `objects`, as long as there is no outage.
    pub fn new(objects: Arc<dyn Objects>, outages: Arc<Outages>) -> Self {
        Self { objects, outages }
    }

    fn check(&self, key: &str) -> Result<(), ObjectsError> {
        if self.outages.fails(&[]) {
            let source = "the test asked for this".into();
            return Err(ObjectsError::Unavailable { key: key.to_owned(), source });
        }
        Ok(())
    }
}

#[async_trait]
impl Objects for FailingObjects {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, ObjectsError> {
        self.check(key)?;
        self.objects.get(key).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        self.check(key)?;
        self.objects.put(key, bytes).await
    }

    async fn get_file(&self, key: &str, to: &Path) -> Result<bool, ObjectsError> {
        self.check(key)?;
        self.objects.get_file(key, to).await
    }

    async fn put_file(&self, key: &str, from: &Path) -> Result<(), ObjectsError> {
        self.check(key)?;
        self.objects.put_file(key, from).await
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        self.check(key)?;
        self.objects.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectsError> {
        self.check(prefix)?;
        self.objects.list(prefix).await
    }
}

/// A queue with outages. What fails is not sent.
pub struct FailingQueue {
    queue: Arc<dyn QueueSender>,
    outages: Arc<Outages>,
}

impl FailingQueue {
    /// `queue`, as long as there is no outage.
    pub fn new(queue: Arc<dyn QueueSender>, outages: Arc<Outages>) -> Self {
        Self { queue, outages }
    }
}

#[async_trait]
impl QueueSender for FailingQueue {
    async fn send(&self, queue: QueueName, messages: Vec<OutgoingMessage>) -> Result<(), QueueError> {
        if self.outages.fails(&[]) {
            return Err(QueueError::Unavailable { queue, source: "the test asked for this".into() });
        }
        self.queue.send(queue, messages).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(outages: &Outages) -> Vec<bool> {
        (0..4).map(|_| outages.fails(&["TAG#latest"])).collect()
    }

    #[test]
    fn operations_fail_as_the_test_says() {
        let outages = Outages::none();
        assert_eq!(failures(&outages), [false; 4]);
        outages.fail_once_after(1);
        assert_eq!(failures(&outages), [false, true, false, false]);
        outages.fail_after(2);
        assert_eq!(failures(&outages), [false, false, true, true]);
        outages.fail_puts_of("WORK#");
        assert_eq!(failures(&outages), [false; 4]);
        outages.fail_puts_of("TAG#");
        assert_eq!(failures(&outages), [true; 4]);
        assert_eq!(outages.operations(), 4);
        outages.recover();
        assert_eq!(failures(&outages), [false; 4]);
    }
}
