//! Promises about transactions: all of their writes or none.

use std::sync::Arc;

use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Key, Update, Write};

use super::{assert_condition_failed, assert_invalid, get, item, key, put, transact};

/// Each kind of write, over two partitions.
pub async fn a_transaction_does_all_of_its_writes(table: Arc<dyn Table>) {
    put(&table, &item("deleted")).await;
    put(&table, &item("updated").with("n", 1)).await;
    put(&table, &item("checked").with("n", 1)).await;
    let elsewhere = tidewatch_core::ports::table::Item::new(Key::new("elsewhere", "a")).with("n", 2);
    let writes = vec![
        Write::Put(elsewhere.clone(), Condition::ItemAbsent),
        Write::Delete(key("deleted"), Condition::ItemPresent),
        Write::Update(key("updated"), Update::default().add("n", 1).set("s", "x"), Condition::ItemPresent),
        Write::Update(key("made"), Update::default().add("n", 7), Condition::Always),
        Write::Check(key("checked"), Condition::Equal("n".to_owned(), 1.into())),
    ];
    transact(table.as_ref(), writes).await.unwrap();
    assert_eq!(table.get(&elsewhere.key).await.unwrap(), Some(elsewhere));
    assert_eq!(get(&table, "deleted").await, None);
    assert_eq!(get(&table, "updated").await, Some(item("updated").with("n", 2).with("s", "x")));
    assert_eq!(get(&table, "made").await, Some(item("made").with("n", 7)));
    assert_eq!(get(&table, "checked").await, Some(item("checked").with("n", 1)));
}

/// Whichever position fails.
pub async fn a_transaction_with_a_failed_condition_writes_nothing_and_names_the_position(
    table: Arc<dyn Table>,
) {
    put(&table, &item("deleted")).await;
    put(&table, &item("updated").with("n", 1)).await;
    for failing in 0..=3 {
        let mut writes = vec![
            Write::Put(item("put"), Condition::ItemAbsent),
            Write::Delete(key("deleted"), Condition::Always),
            Write::Update(key("updated"), Update::default().add("n", 1), Condition::Always),
        ];
        writes.insert(failing, Write::Check(key("never"), Condition::ItemPresent));
        assert_condition_failed(transact(table.as_ref(), writes).await, failing);
    }
    assert_eq!(get(&table, "put").await, None);
    assert_eq!(get(&table, "deleted").await, Some(item("deleted")));
    assert_eq!(get(&table, "updated").await, Some(item("updated").with("n", 1)));
}

/// The lowest position.
pub async fn the_first_of_several_failed_conditions_is_named(table: Arc<dyn Table>) {
    let writes = vec![
        Write::Put(item("a"), Condition::Always),
        Write::Put(item("b"), Condition::ItemPresent),
        Write::Check(key("c"), Condition::ItemPresent),
    ];
    assert_condition_failed(transact(table.as_ref(), writes).await, 1);
    assert_eq!(get(&table, "a").await, None);
}

/// A caller whose condition failed learns that, whatever else is wrong with the state of the items.
pub async fn a_failed_condition_is_named_before_a_write_that_is_not_allowed(table: Arc<dyn Table>) {
    put(&table, &item("text").with("n", "none")).await;
    let writes = vec![
        Write::Update(key("text"), Update::default().add("n", 1), Condition::Always),
        Write::Check(key("never"), Condition::ItemPresent),
    ];
    assert_condition_failed(transact(table.as_ref(), writes).await, 1);
}

/// A check neither makes an item nor changes one.
pub async fn a_check_writes_nothing(table: Arc<dyn Table>) {
    put(&table, &item("a").with("n", 1)).await;
    let writes = vec![
        Write::Check(key("a"), Condition::ItemPresent),
        Write::Check(key("none"), Condition::ItemAbsent),
    ];
    transact(table.as_ref(), writes).await.unwrap();
    assert_eq!(get(&table, "a").await, Some(item("a").with("n", 1)));
    assert_eq!(get(&table, "none").await, None);
}

/// A check may ask for nothing.
pub async fn a_check_of_nothing_is_allowed(table: Arc<dyn Table>) {
    let writes = vec![Write::Check(key("none"), Condition::Always), Write::Put(item("a"), Condition::Always)];
    transact(table.as_ref(), writes).await.unwrap();
    assert_eq!(get(&table, "a").await, Some(item("a")));
    assert_eq!(get(&table, "none").await, None);
}

/// The write before it is not done.
pub async fn a_transaction_that_adds_to_a_text_is_invalid_and_writes_nothing(table: Arc<dyn Table>) {
    put(&table, &item("text").with("n", "none")).await;
    let writes = vec![
        Write::Put(item("a"), Condition::Always),
        Write::Update(key("text"), Update::default().add("n", 1), Condition::Always),
    ];
    assert_invalid(transact(table.as_ref(), writes).await);
    assert_eq!(get(&table, "a").await, None);
}

/// The most that one transaction takes.
pub async fn a_transaction_of_100_writes_is_done(table: Arc<dyn Table>) {
    let sort = |n: i64| format!("{n:03}");
    let writes = (0..100).map(|n| Write::Put(item(&sort(n)).with("n", n), Condition::ItemAbsent)).collect();
    transact(table.as_ref(), writes).await.unwrap();
    for n in [0, 50, 99] {
        assert_eq!(get(&table, &sort(n)).await, Some(item(&sort(n)).with("n", n)));
    }
}

/// Sixteen writers move one from each other; nothing is lost or made.
pub async fn concurrent_transactions_lose_no_write(table: Arc<dyn Table>) {
    let account = |n: i64| format!("account {n}");
    for n in 0..4 {
        put(&table, &item(&account(n)).with("balance", 100)).await;
    }
    let transfers = (0..16).map(|n| {
        let table = Arc::clone(&table);
        let (from, to) = (account(n % 4), account((n + 1) % 4));
        tokio::spawn(async move {
            let moved = |sort: &str, amount| {
                Write::Update(key(sort), Update::default().add("balance", amount), Condition::ItemPresent)
            };
            transact(table.as_ref(), vec![moved(&from, -n), moved(&to, n)]).await.unwrap();
        })
    });
    futures::future::try_join_all(transfers).await.unwrap();
    let mut balances = Vec::new();
    for n in 0..4 {
        balances.push(get(&table, &account(n)).await.unwrap().number("balance").unwrap());
    }
    // Account k gives k, k+4, k+8, k+12, and gets the same of the account before it.
    assert_eq!(balances, [100 - 24 + 36, 100 - 28 + 24, 100 - 32 + 28, 100 - 36 + 32]);
}
