//! Whatever is asked of them, in whatever order, the table in memory and the adapter for DynamoDB give the same answers
//! and end with the same items. Tests on the table in memory therefore hold for DynamoDB.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tempfile::TempDir;
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{
    Attributes, Condition, Item, Key, Query, TableError, Update, Value, Write,
};
use tidewatch_store::{DynamoDbTable, LocalTable, MemoryTable};
use tidewatch_testkit::dynamodb;

#[derive(Clone, Debug)]
enum Operation {
    Get(Key),
    GetBatch(Vec<Key>),
    Put(Item, Condition),
    Delete(Key, Condition),
    Update(Key, Update, Condition),
    Transact(Vec<Write>),
    Query(Query),
}

/// What an operation gave, in a form that can be compared: which request is invalid counts, not the words for it.
#[derive(Debug, PartialEq)]
enum Outcome {
    Items(Vec<Item>),
    Done,
    ConditionFailed(usize),
    Invalid,
    Other(String),
}

impl<T: Into<Self>> From<Result<T, TableError>> for Outcome {
    fn from(result: Result<T, TableError>) -> Self {
        match result {
            Ok(value) => value.into(),
            Err(TableError::ConditionFailed { position }) => Self::ConditionFailed(position),
            Err(TableError::Invalid { .. }) => Self::Invalid,
            Err(other) => Self::Other(format!("{other:?}")),
        }
    }
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done
    }
}

impl From<Vec<Item>> for Outcome {
    fn from(items: Vec<Item>) -> Self {
        Self::Items(items)
    }
}

async fn perform(table: &dyn Table, operation: Operation) -> Outcome {
    match operation {
        Operation::Get(key) => table.get(&key).await.map(Vec::from_iter).into(),
        Operation::GetBatch(keys) => {
            let sorted = |mut items: Vec<Item>| {
                items.sort_by(|left, right| left.key.cmp(&right.key));
                items
            };
            table.get_batch(&keys).await.map(sorted).into()
        }
        Operation::Put(item, condition) => table.put(item, condition).await.into(),
        Operation::Delete(key, condition) => table.delete(&key, condition).await.into(),
        Operation::Update(key, update, condition) => {
            table.update(&key, update, condition).await.map(|item| vec![item]).into()
        }
        Operation::Transact(writes) => table.transact(writes).await.into(),
        Operation::Query(query) => drain(table, query).await.into(),
    }
}

/// The items of all pages: where a page ends is each table's own choice.
async fn drain(table: &dyn Table, mut query: Query) -> Result<Vec<Item>, TableError> {
    let mut items = Vec::new();
    for _ in 0..100 {
        let page = table.query(query.clone()).await?;
        items.extend(page.items);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(items),
        }
    }
    panic!("the pages of {query:?} do not end");
}

// Few names and values, so that operations meet each other.

fn key() -> impl Strategy<Value = Key> {
    let sort = prop::sample::select(vec!["a", "a#1", "a#2", "b", "é", "\u{ff5e}", "😀", ""]);
    (prop::sample::select(vec!["p", "q"]), sort).prop_map(|(partition, sort)| Key::new(partition, sort))
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["x", "y", "name", "ttl"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec!["", "a", "b", "潮"]).prop_map(Value::from),
        (-2_i64..=2).prop_map(Value::Number),
        Just(Value::Number(-1_000_000_000_000)),
        vec(any::<u8>(), 0..3).prop_map(Value::Bytes),
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    btree_map(name(), value(), 0..4)
}

fn item() -> impl Strategy<Value = Item> {
    (key(), attributes()).prop_map(|(key, attributes)| Item { key, attributes })
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        4 => Just(Condition::Always),
        2 => Just(Condition::ItemAbsent),
        2 => Just(Condition::ItemPresent),
        1 => name().prop_map(Condition::Absent),
        1 => (name(), value()).prop_map(|(name, value)| Condition::Equal(name, value)),
        1 => (name(), value()).prop_map(|(name, value)| Condition::Less(name, value)),
        1 => (name(), value()).prop_map(|(name, value)| Condition::LessOrEqual(name, value)),
    ];
    leaf.prop_recursive(2, 6, 3, |part| {
        prop_oneof![
            vec(part.clone(), 0..4).prop_map(Condition::All),
            vec(part, 0..4).prop_map(Condition::Any),
        ]
    })
}

fn update() -> impl Strategy<Value = Update> {
    (btree_map(name(), value(), 0..3), btree_map(name(), -2_i64..=2, 0..2), vec(name(), 0..2))
        .prop_map(|(set, add, remove)| Update { set, add, remove })
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        (item(), condition()).prop_map(|(item, condition)| Write::Put(item, condition)),
        (key(), condition()).prop_map(|(key, condition)| Write::Delete(key, condition)),
        (key(), update(), condition())
            .prop_map(|(key, update, condition)| Write::Update(key, update, condition)),
        (key(), condition()).prop_map(|(key, condition)| Write::Check(key, condition)),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let bound = prop::sample::select(vec!["", "a", "a#", "é", "😀", "\u{10ffff}"]);
    (any::<bool>(), bound, 0_usize..5, any::<bool>()).prop_map(|(prefix, bound, limit, descending)| {
        let query = if prefix { Query::prefix("p", bound) } else { Query::up_to("p", bound) };
        Query { descending, ..query.limit(limit) }
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        1 => key().prop_map(Operation::Get),
        1 => vec(key(), 0..5).prop_map(Operation::GetBatch),
        4 => (item(), condition()).prop_map(|(item, condition)| Operation::Put(item, condition)),
        2 => (key(), condition()).prop_map(|(key, condition)| Operation::Delete(key, condition)),
        4 => (key(), update(), condition()).prop_map(|(key, update, condition)| Operation::Update(key, update, condition)),
        4 => vec(write(), 0..5).prop_map(Operation::Transact),
        2 => query().prop_map(Operation::Query),
    ]
}

/// Performs the operations on all three tables, and compares each outcome and all items at the end.
async fn compare(operations: Vec<Operation>) -> Result<(), TestCaseError> {
    let folder = TempDir::new().unwrap();
    let (memory, local) = (MemoryTable::new(), LocalTable::open(folder.path()).await.unwrap());
    let dynamodb = DynamoDbTable::new(dynamodb::embedded(), "tidewatch");
    dynamodb.create().await.unwrap();
    let everything = ["p", "q"].map(|partition| Operation::Query(Query::prefix(partition, "")));
    for operation in operations.into_iter().chain(everything) {
        let expected = perform(&dynamodb, operation.clone()).await;
        prop_assert!(!matches!(expected, Outcome::Other(_)), "{operation:?} gave {expected:?}");
        prop_assert_eq!(&perform(&memory, operation.clone()).await, &expected, "memory: {:?}", operation);
        prop_assert_eq!(perform(&local, operation.clone()).await, expected, "local: {:?}", operation);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_table_gives_the_answers_of_dynamodb(operations in vec(operation(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(operations))?;
    }
}
