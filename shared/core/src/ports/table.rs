//! The table as a port: items by partition and sort key, conditional writes, transactions, strongly consistent reads.
//!
//! It is the part of DynamoDB that Tidewatch uses, and no more: no scan, no secondary index, no stream. An item whose
//! time to live has passed may still be there, for days: the readers of items filter by their own times, the table
//! never does.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::retry::{Retry, Retryable};

/// The largest item that a table holds, in bytes of names and values.
pub const MAX_ITEM_BYTES: usize = 400 * 1024;

/// The most writes in one transaction.
pub const MAX_TRANSACTION: usize = 100;

/// Name of the attribute that holds the time to live, in seconds since 1970; only tidying looks at it.
pub const TIME_TO_LIVE: &str = "ttl";

/// The key of an item. Both parts are not empty, and at most 2,048 and 1,024 bytes long.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Which partition the item is in.
    pub partition: String,
    /// Where in the partition the item is; items of a partition sort by the bytes of it.
    pub sort: String,
}

impl Key {
    /// A key of two parts.
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// A text, also an empty one.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Bytes, also none.
    Bytes(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// The attributes of an item by name, without its key. Names are letters, digits and `_`.
pub type Attributes = BTreeMap<String, Value>;

/// An item: a key and attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The key.
    pub key: Key,
    /// The attributes.
    pub attributes: Attributes,
}

impl Item {
    /// An item without attributes.
    pub fn new(key: Key) -> Self {
        Self { key, attributes: Attributes::new() }
    }

    /// The item with one attribute set.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// A text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A number attribute.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// A bytes attribute.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.attributes.get(name) {
            Some(Value::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }
}

/// What must hold of the item as it is, for a write to happen. A comparison with an attribute that is missing or of
/// another type does not hold; texts and bytes compare by their bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Nothing: the write always happens.
    Always,
    /// There is no item at the key.
    ItemAbsent,
    /// There is an item at the key.
    ItemPresent,
    /// The item has no such attribute, or there is no item.
    Absent(String),
    /// The attribute equals the value.
    Equal(String, Value),
    /// The attribute is less than the value.
    Less(String, Value),
    /// The attribute is less than the value, or equals it.
    LessOrEqual(String, Value),
    /// All of these hold; there is at least one.
    All(Vec<Self>),
    /// At least one of these holds; there is at least one.
    Any(Vec<Self>),
}

/// A change of one item in place. An item that is not there is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Attributes to set.
    pub set: Attributes,
    /// Numbers to add to attributes; a missing attribute counts as 0.
    pub add: BTreeMap<String, i64>,
    /// Attributes to remove. No name stands in two of the three.
    pub remove: Vec<String>,
}

impl Update {
    /// The update with one more attribute to set.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set.insert(name.to_owned(), value.into());
        self
    }

    /// The update with one more number to add to.
    #[must_use]
    pub fn add(mut self, name: &str, number: i64) -> Self {
        self.add.insert(name.to_owned(), number);
        self
    }

    /// The update with one more attribute to remove.
    #[must_use]
    pub fn remove(mut self, name: &str) -> Self {
        self.remove.push(name.to_owned());
        self
    }
}

/// One write of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// Puts a whole item.
    Put(Item, Condition),
    /// Removes an item, which need not be there.
    Delete(Key, Condition),
    /// Changes an item in place.
    Update(Key, Update, Condition),
    /// Writes nothing, but the condition must hold.
    Check(Key, Condition),
}

impl Write {
    /// The key that is written or checked.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put(item, _) => &item.key,
            Self::Delete(key, _) | Self::Update(key, _, _) | Self::Check(key, _) => key,
        }
    }
}

/// Which items of a partition to read, in the order of their sort keys. Always strongly consistent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The partition.
    pub partition: String,
    /// Which sort keys.
    pub sort: SortRange,
    /// The most items in one page; at least 1. A page may hold fewer, and still not be the last.
    pub limit: usize,
    /// Where the page before this one ended.
    pub after: Option<Cursor>,
    /// From the last to the first.
    pub descending: bool,
}

impl Query {
    /// Every item of `partition` whose sort key begins with `prefix`, which may be empty.
    pub fn prefix(partition: impl Into<String>, prefix: impl Into<String>) -> Self {
        let sort = SortRange::Prefix(prefix.into());
        Self { partition: partition.into(), sort, limit: 1000, after: None, descending: false }
    }

    /// Every item of `partition` whose sort key is `last` or less.
    pub fn up_to(partition: impl Into<String>, last: impl Into<String>) -> Self {
        let sort = SortRange::UpTo(last.into());
        Self { partition: partition.into(), sort, limit: 1000, after: None, descending: false }
    }

    /// The same query with another limit.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The same query from the last to the first.
    #[must_use]
    pub const fn descending(mut self) -> Self {
        self.descending = true;
        self
    }
}

/// A range of sort keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortRange {
    /// Keys that begin with this; the empty text means all.
    Prefix(String),
    /// Keys that are this or less, by their bytes.
    UpTo(String),
}

/// Where a page ended: the sort key of its last item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor(pub String);

/// One page of a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The items, in order.
    pub items: Vec<Item>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// A table. Every read is strongly consistent.
#[async_trait]
pub trait Table: Send + Sync {
    /// The item at `key`.
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError>;

    /// The items at `keys`, in any order, at most 100 keys without repeats; keys without an item are left out.
    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError>;

    /// Puts a whole item, replacing the one at its key, when `condition` holds of that.
    async fn put(&self, item: Item, condition: Condition) -> Result<(), TableError>;

    /// Removes the item at `key` when `condition` holds of it; it need not be there.
    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), TableError>;

    /// Changes the item at `key` when `condition` holds of it, and gives the item as it is after that.
    async fn update(&self, key: &Key, update: Update, condition: Condition) -> Result<Item, TableError>;

    /// All `writes`, each of another key, at most [`MAX_TRANSACTION`]; or none of them.
    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError>;

    /// One page of items.
    async fn query(&self, query: Query) -> Result<Page, TableError>;
}

/// A table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The condition of a write did not hold; in a transaction, of the write at `position`. Nothing was written.
    #[error("failed to write: the condition did not hold (write {position})")]
    ConditionFailed {
        /// Which write of a transaction; 0 for a single write.
        position: usize,
    },
    /// Another writer was at work on the same item. Nothing was written.
    #[error("failed to write: another transaction was at work on the same item")]
    TransactionConflict,
    /// The request is one that no table takes: an item over 400 KiB, an empty key, a key twice in a transaction.
    #[error("failed to use the table: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The table did not answer, throttled, or answered that it cannot now.
    #[error("failed to reach the table")]
    Unavailable {
        /// What the adapter says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Retryable for TableError {
    fn retry(&self) -> Retry {
        match self {
            Self::ConditionFailed { .. } | Self::TransactionConflict | Self::Unavailable { .. } => {
                Retry::Again
            }
            Self::Invalid { .. } => Retry::Never,
        }
    }
}
