//! Promises about what every table refuses.

use std::sync::Arc;

use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{
    Condition, Cursor, Item, Key, MAX_ITEM_BYTES, MAX_TRANSACTION, Query, Update, Value, Write,
};

use super::{assert_invalid, get, item, key, put, transact};

/// An item at `key(sort)` of `bytes` bytes of names and values, its key among them.
fn item_of(sort: &str, bytes: usize) -> Item {
    let rest = bytes - "pk".len() - "partition".len() - "sk".len() - sort.len() - "b".len();
    item(sort).with("b", Value::Bytes(vec![1; rest]))
}

/// Alone and in a transaction.
pub async fn an_item_of_the_largest_size_is_stored_and_a_larger_one_refused(table: Arc<dyn Table>) {
    let largest = item_of("a", MAX_ITEM_BYTES);
    put(&table, &largest).await;
    assert!(get(&table, "a").await == Some(largest), "the largest item is read back");
    let larger = item_of("b", MAX_ITEM_BYTES + 1);
    assert_invalid(table.put(larger.clone(), Condition::Always).await);
    assert_invalid(transact(table.as_ref(), vec![Write::Put(larger, Condition::Always)]).await);
    assert_eq!(get(&table, "b").await, None);
}

/// Although what it sets is small enough.
pub async fn an_update_that_makes_an_item_too_large_is_refused(table: Arc<dyn Table>) {
    let before = item_of("a", MAX_ITEM_BYTES - 1000);
    put(&table, &before).await;
    let update = || Update::default().set("more", "x".repeat(2000));
    assert_invalid(table.update(&key("a"), update(), Condition::Always).await);
    assert_invalid(
        transact(table.as_ref(), vec![Write::Update(key("a"), update(), Condition::Always)]).await,
    );
    assert!(get(&table, "a").await == Some(before), "the item is as it was");
}

/// By every operation.
pub async fn empty_and_overlong_keys_are_refused(table: Arc<dyn Table>) {
    let keys = [
        Key::new("", "s"),
        Key::new("p", ""),
        Key::new("p".repeat(2049), "s"),
        Key::new("p", "s".repeat(1025)),
        Key::new("p", "é".repeat(513)),
    ];
    for key in keys {
        assert_invalid(table.get(&key).await);
        assert_invalid(table.get_batch(std::slice::from_ref(&key)).await);
        assert_invalid(table.put(Item::new(key.clone()), Condition::Always).await);
        assert_invalid(table.delete(&key, Condition::Always).await);
        assert_invalid(table.update(&key, Update::default().set("x", 1), Condition::Always).await);
        assert_invalid(transact(table.as_ref(), vec![Write::Check(key, Condition::ItemAbsent)]).await);
    }
}

/// 2,048 and 1,024 bytes.
pub async fn the_longest_keys_are_stored(table: Arc<dyn Table>) {
    let longest = Item::new(Key::new("p".repeat(2048), "s".repeat(1024)));
    put(&table, &longest).await;
    assert_eq!(table.get(&longest.key).await.unwrap(), Some(longest));
}

/// In items, updates and conditions.
pub async fn malformed_and_reserved_attribute_names_are_refused(table: Arc<dyn Table>) {
    for name in ["", "a b", "a.b", "a-b", "é", "#a", "pk", "sk"] {
        assert_invalid(table.put(item("a").with(name, 1), Condition::Always).await);
        assert_invalid(table.update(&key("a"), Update::default().set(name, 1), Condition::Always).await);
        assert_invalid(table.update(&key("a"), Update::default().remove(name), Condition::Always).await);
        assert_invalid(table.delete(&key("a"), Condition::Absent(name.to_owned())).await);
    }
    let reserved_by_dynamodb = item("a").with("name", 1).with("size", 2).with("_1", 3);
    put(&table, &reserved_by_dynamodb).await;
    let update = Update::default().set("status", "x").add("size", 1).remove("name");
    let after = table.update(&key("a"), update, Condition::Equal("size".to_owned(), 2.into())).await.unwrap();
    assert_eq!(after, item("a").with("_1", 3).with("size", 3).with("status", "x"));
}

/// DynamoDB takes one alone, but not in a transaction.
pub async fn an_update_that_changes_nothing_is_refused(table: Arc<dyn Table>) {
    assert_invalid(table.update(&key("a"), Update::default(), Condition::Always).await);
    let update = Write::Update(key("a"), Update::default(), Condition::Always);
    assert_invalid(transact(table.as_ref(), vec![update]).await);
    assert_eq!(get(&table, "a").await, None);
}

/// In whichever two of its parts.
pub async fn an_update_that_names_an_attribute_twice_is_refused(table: Arc<dyn Table>) {
    for update in [
        Update::default().set("x", 1).add("x", 1),
        Update::default().set("x", 1).remove("x"),
        Update::default().add("x", 1).remove("x"),
        Update::default().remove("x").remove("x"),
    ] {
        assert_invalid(table.update(&key("a"), update, Condition::Always).await);
    }
    assert_eq!(get(&table, "a").await, None);
}

/// At the top and inside.
pub async fn a_condition_of_no_parts_is_refused(table: Arc<dyn Table>) {
    let empty = [Condition::All(Vec::new()), Condition::Any(Vec::new())];
    let nested = Condition::Any(vec![Condition::Always, Condition::All(Vec::new())]);
    for condition in empty.into_iter().chain([nested]) {
        assert_invalid(table.put(item("a"), condition.clone()).await);
        assert_invalid(transact(table.as_ref(), vec![Write::Check(key("a"), condition)]).await);
    }
}

/// 100 keys without repeats are the most.
pub async fn a_batch_of_too_many_or_repeated_keys_is_refused(table: Arc<dyn Table>) {
    let keys: Vec<_> = (0..=100).map(|n| key(&n.to_string())).collect();
    assert_invalid(table.get_batch(&keys).await);
    assert_eq!(table.get_batch(&keys[1..]).await.unwrap(), []);
    assert_invalid(table.get_batch(&[key("a"), key("b"), key("a")]).await);
}

/// Also when one of the two is only a check.
pub async fn a_transaction_on_the_same_key_twice_is_refused(table: Arc<dyn Table>) {
    let put = || Write::Put(item("a"), Condition::Always);
    let twice =
        vec![put(), Write::Put(item("b"), Condition::Always), Write::Check(key("a"), Condition::ItemAbsent)];
    assert_invalid(transact(table.as_ref(), twice).await);
    assert_invalid(transact(table.as_ref(), vec![put(), put()]).await);
    assert_eq!(get(&table, "a").await, None);
}

/// 1 to 100 writes.
pub async fn a_transaction_of_no_or_too_many_writes_is_refused(table: Arc<dyn Table>) {
    assert_invalid(transact(table.as_ref(), Vec::new()).await);
    let many = (0..=MAX_TRANSACTION).map(|n| Write::Put(item(&n.to_string()), Condition::Always)).collect();
    assert_invalid(transact(table.as_ref(), many).await);
}

/// Eleven items that are each small enough.
pub async fn a_transaction_of_more_than_4_mib_is_refused(table: Arc<dyn Table>) {
    let writes = (10..21).map(|n| Write::Put(item_of(&n.to_string(), MAX_ITEM_BYTES), Condition::Always));
    assert_invalid(transact(table.as_ref(), writes.collect()).await);
    assert_eq!(get(&table, "10").await, None);
}

/// A page holds at least one item.
pub async fn a_query_without_partition_or_limit_is_refused(table: Arc<dyn Table>) {
    assert_invalid(table.query(Query::prefix("", "a")).await);
    assert_invalid(table.query(Query::prefix("p", "a").limit(0)).await);
}

/// A cursor belongs to the query that gave it.
pub async fn a_cursor_outside_its_range_is_refused(table: Arc<dyn Table>) {
    let after = |sort: &str| Some(Cursor(sort.to_owned()));
    assert_invalid(table.query(Query { after: after("b"), ..Query::prefix("p", "a") }).await);
    assert_invalid(table.query(Query { after: after("b"), ..Query::up_to("p", "a") }).await);
    assert_invalid(table.query(Query { after: after(""), ..Query::prefix("p", "") }).await);
}
