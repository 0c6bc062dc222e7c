//! Promises about single items: putting, reading, removing and changing them.

use std::sync::Arc;

use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Item, Key, TIME_TO_LIVE, Update, Value};

use super::{assert_invalid, get, item, key, put};

/// What is put comes back as it was, also empty values, extreme numbers, and an item without attributes.
pub async fn a_put_item_is_read_back_with_values_of_every_type(table: Arc<dyn Table>) {
    let full = item("full")
        .with("text", "tide – 潮 😀\u{0}\n")
        .with("empty_text", "")
        .with("zero", 0)
        .with("largest", i64::MAX)
        .with("smallest", i64::MIN)
        .with("bytes", Value::Bytes((0..=255).collect()))
        .with("empty_bytes", Value::Bytes(Vec::new()));
    put(&table, &full).await;
    put(&table, &item("bare")).await;
    assert_eq!(get(&table, "full").await, Some(full));
    assert_eq!(get(&table, "bare").await, Some(item("bare")));
}

/// A key that only shares a part with an item reads as none.
pub async fn a_key_without_an_item_reads_as_none(table: Arc<dyn Table>) {
    put(&table, &item("here")).await;
    assert_eq!(get(&table, "elsewhere").await, None);
    assert_eq!(table.get(&Key::new("other", "here")).await.unwrap(), None);
}

/// An attribute that the new item does not have is gone.
pub async fn a_put_replaces_the_whole_item(table: Arc<dyn Table>) {
    put(&table, &item("a").with("old", 1).with("both", 1)).await;
    let new = item("a").with("new", 2).with("both", "text now");
    put(&table, &new).await;
    assert_eq!(get(&table, "a").await, Some(new));
}

/// Removing an item that is not there succeeds.
pub async fn a_delete_removes_the_item_and_may_be_repeated(table: Arc<dyn Table>) {
    put(&table, &item("a").with("n", 1)).await;
    put(&table, &item("b")).await;
    for _ in 0..2 {
        table.delete(&key("a"), Condition::Always).await.unwrap();
        assert_eq!(get(&table, "a").await, None);
    }
    assert_eq!(get(&table, "b").await, Some(item("b")));
}

/// Set, add and remove happen together; other attributes stay.
pub async fn an_update_sets_adds_and_removes_and_gives_the_item_after_it(table: Arc<dyn Table>) {
    put(&table, &item("a").with("kept", "k").with("replaced", 1).with("count", 5).with("gone", "g")).await;
    let update = Update::default()
        .set("replaced", "text")
        .set("new", "")
        .add("count", -7)
        .remove("gone")
        .remove("never");
    let after = table.update(&key("a"), update, Condition::Always).await.unwrap();
    let expected = item("a").with("kept", "k").with("replaced", "text").with("new", "").with("count", -2);
    assert_eq!(after, expected);
    assert_eq!(get(&table, "a").await, Some(expected));
}

/// The new item has its key, what was set and what was added.
pub async fn an_update_of_an_absent_item_makes_it(table: Arc<dyn Table>) {
    let update = Update::default().set("s", "v").add("n", 3).remove("r");
    let after = table.update(&key("a"), update, Condition::Always).await.unwrap();
    assert_eq!(after, item("a").with("s", "v").with("n", 3));
    assert_eq!(get(&table, "a").await, Some(after));
}

/// Also a negative number, and zero.
pub async fn adding_to_a_missing_attribute_counts_from_zero(table: Arc<dyn Table>) {
    put(&table, &item("a")).await;
    let update = Update::default().add("up", 2).add("down", -2).add("zero", 0);
    let after = table.update(&key("a"), update, Condition::Always).await.unwrap();
    assert_eq!(after, item("a").with("up", 2).with("down", -2).with("zero", 0));
}

/// Neither the text nor another attribute of the update changes.
pub async fn adding_to_a_text_is_invalid_and_changes_nothing(table: Arc<dyn Table>) {
    let before = item("a").with("text", "1");
    put(&table, &before).await;
    let update = Update::default().add("text", 1).set("other", 1);
    assert_invalid(table.update(&key("a"), update, Condition::Always).await);
    assert_eq!(get(&table, "a").await, Some(before));
}

/// The table itself never hides an item: its readers go by their own times.
pub async fn an_item_past_its_time_to_live_is_still_there(table: Arc<dyn Table>) {
    let expired = item("a").with(TIME_TO_LIVE, 1);
    put(&table, &expired).await;
    assert_eq!(get(&table, "a").await, Some(expired.clone()));
    assert_eq!(table.get_batch(&[key("a")]).await.unwrap(), std::slice::from_ref(&expired));
    let page = table.query(tidewatch_core::ports::table::Query::prefix("partition", "")).await.unwrap();
    assert_eq!(page.items, [expired]);
    let result = table.put(item("a"), Condition::ItemAbsent).await;
    super::assert_condition_failed(result, 0);
}

/// Keys of several partitions; those without an item are left out.
pub async fn a_batch_gives_the_items_that_are_there(table: Arc<dyn Table>) {
    let present: Vec<_> =
        (0..50).map(|n| Item::new(Key::new(format!("p{}", n % 3), format!("{n:03}"))).with("n", n)).collect();
    for item in &present {
        put(&table, item).await;
    }
    let absent = (0..50).map(|n| Key::new("absent", format!("{n:03}")));
    let keys: Vec<_> = present.iter().map(|item| item.key.clone()).chain(absent).collect();
    let mut found = table.get_batch(&keys).await.unwrap();
    found.sort_by_key(|item| item.number("n"));
    assert_eq!(found, present);
}

/// No keys are no error.
pub async fn an_empty_batch_gives_nothing(table: Arc<dyn Table>) {
    assert_eq!(table.get_batch(&[]).await.unwrap(), []);
}

/// Additions do not overwrite each other, and each gives the number after it.
pub async fn concurrent_additions_are_all_counted(table: Arc<dyn Table>) {
    let adders = (0..24).map(|_| {
        let table = Arc::clone(&table);
        tokio::spawn(async move {
            let update = Update::default().add("n", 1);
            table.update(&key("counter"), update, Condition::Always).await.unwrap().number("n").unwrap()
        })
    });
    let mut counts = futures::future::try_join_all(adders).await.unwrap();
    counts.sort_unstable();
    assert_eq!(counts, (1..=24).collect::<Vec<i64>>());
}
