//! Promises about conditions: when each kind holds, and that every kind of write obeys them.

use std::sync::Arc;

use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, TableError, Update, Value, Write};

use super::{assert_condition_failed, get, item, key, put, transact};

/// Whether `condition` holds of the item at `key(sort)`.
async fn holds(table: &Arc<dyn Table>, sort: &str, condition: Condition) -> bool {
    match transact(table.as_ref(), vec![Write::Check(key(sort), condition)]).await {
        Ok(()) => true,
        Err(TableError::ConditionFailed { position: 0 }) => false,
        Err(other) => panic!("a check holds or does not: {other:?}"),
    }
}

fn equal(name: &str, value: impl Into<Value>) -> Condition {
    Condition::Equal(name.to_owned(), value.into())
}

fn less(name: &str, value: impl Into<Value>) -> Condition {
    Condition::Less(name.to_owned(), value.into())
}

fn less_or_equal(name: &str, value: impl Into<Value>) -> Condition {
    Condition::LessOrEqual(name.to_owned(), value.into())
}

fn absent(name: &str) -> Condition {
    Condition::Absent(name.to_owned())
}

/// `Always` asks for nothing.
pub async fn always_holds_with_and_without_an_item(table: Arc<dyn Table>) {
    put(&table, &item("a")).await;
    assert!(holds(&table, "a", Condition::Always).await);
    assert!(holds(&table, "none", Condition::Always).await);
}

/// An item without attributes is there, too.
pub async fn item_absent_holds_only_without_an_item(table: Arc<dyn Table>) {
    put(&table, &item("a")).await;
    assert!(!holds(&table, "a", Condition::ItemAbsent).await);
    assert!(holds(&table, "none", Condition::ItemAbsent).await);
}

/// An item without attributes is there, too.
pub async fn item_present_holds_only_with_an_item(table: Arc<dyn Table>) {
    put(&table, &item("a")).await;
    assert!(holds(&table, "a", Condition::ItemPresent).await);
    assert!(!holds(&table, "none", Condition::ItemPresent).await);
}

/// An empty text is there.
pub async fn absent_holds_without_the_attribute_and_without_an_item(table: Arc<dyn Table>) {
    put(&table, &item("a").with("x", "")).await;
    assert!(!holds(&table, "a", absent("x")).await);
    assert!(holds(&table, "a", absent("y")).await);
    assert!(holds(&table, "none", absent("x")).await);
}

/// For each type of value.
pub async fn equal_holds_for_the_same_value_only(table: Arc<dyn Table>) {
    let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
    put(&table, &item("a").with("t", "x").with("e", "").with("n", -5).with("b", bytes(&[0, 255]))).await;
    for condition in [equal("t", "x"), equal("e", ""), equal("n", -5), equal("b", bytes(&[0, 255]))] {
        assert!(holds(&table, "a", condition.clone()).await, "{condition:?}");
    }
    for condition in
        [equal("t", "X"), equal("t", ""), equal("n", 5), equal("b", bytes(&[0])), equal("b", bytes(&[]))]
    {
        assert!(!holds(&table, "a", condition.clone()).await, "{condition:?}");
    }
}

/// Numbers compare as numbers, not as texts.
pub async fn less_holds_below_the_value_only(table: Arc<dyn Table>) {
    put(&table, &item("a").with("n", 9).with("t", "b")).await;
    assert!(holds(&table, "a", less("n", 10)).await);
    assert!(holds(&table, "a", less("n", i64::MAX)).await);
    assert!(!holds(&table, "a", less("n", 9)).await);
    assert!(!holds(&table, "a", less("n", -10)).await);
    assert!(holds(&table, "a", less("t", "ba")).await);
    assert!(!holds(&table, "a", less("t", "b")).await);
    assert!(!holds(&table, "a", less("t", "")).await);
}

/// The bound itself counts.
pub async fn less_or_equal_holds_up_to_the_value(table: Arc<dyn Table>) {
    put(&table, &item("a").with("n", 9).with("t", "b")).await;
    assert!(holds(&table, "a", less_or_equal("n", 9)).await);
    assert!(holds(&table, "a", less_or_equal("n", 10)).await);
    assert!(!holds(&table, "a", less_or_equal("n", 8)).await);
    assert!(holds(&table, "a", less_or_equal("t", "b")).await);
    assert!(!holds(&table, "a", less_or_equal("t", "a")).await);
}

/// Whatever the comparison, and also when there is no item.
pub async fn a_comparison_with_a_missing_attribute_or_another_type_does_not_hold(table: Arc<dyn Table>) {
    put(&table, &item("a").with("n", 1).with("t", "1").with("b", Value::Bytes(b"1".to_vec()))).await;
    let one = Value::Bytes(b"1".to_vec());
    let comparisons: [fn(&str, Value) -> Condition; 3] = [equal, less, less_or_equal];
    for compare in comparisons {
        assert!(!holds(&table, "a", compare("missing", Value::Number(1))).await);
        assert!(!holds(&table, "none", compare("n", Value::Number(1))).await);
        assert!(!holds(&table, "a", compare("n", Value::from("2"))).await);
        assert!(!holds(&table, "a", compare("t", Value::Number(2))).await);
        assert!(!holds(&table, "a", compare("t", one.clone())).await);
        assert!(!holds(&table, "a", compare("b", Value::from("2"))).await);
    }
}

/// Not by letters of a language, and bytes without sign.
pub async fn texts_and_bytes_compare_by_their_bytes(table: Arc<dyn Table>) {
    put(&table, &item("a").with("t", "\u{ff5e}").with("u", "Z").with("b", Value::Bytes(vec![0x7f]))).await;
    // In UTF-16 the order would be the other way round.
    assert!(holds(&table, "a", less("t", "\u{1f600}")).await);
    assert!(holds(&table, "a", less("u", "a")).await);
    assert!(!holds(&table, "a", less("t", "é")).await);
    assert!(holds(&table, "a", less("b", Value::Bytes(vec![0x80]))).await);
    assert!(holds(&table, "a", less("b", Value::Bytes(vec![0x7f, 0]))).await);
}

/// One part that does not hold is enough.
pub async fn all_holds_when_every_part_holds(table: Arc<dyn Table>) {
    put(&table, &item("a").with("n", 1)).await;
    assert!(holds(&table, "a", Condition::All(vec![equal("n", 1)])).await);
    assert!(holds(&table, "a", Condition::All(vec![equal("n", 1), Condition::Always, absent("m")])).await);
    assert!(!holds(&table, "a", Condition::All(vec![equal("n", 1), Condition::ItemAbsent])).await);
    assert!(holds(&table, "none", Condition::All(vec![Condition::Always, Condition::Always])).await);
}

/// One part that holds is enough.
pub async fn any_holds_when_one_part_holds(table: Arc<dyn Table>) {
    put(&table, &item("a").with("n", 1)).await;
    assert!(holds(&table, "a", Condition::Any(vec![equal("n", 2), equal("n", 1)])).await);
    assert!(holds(&table, "a", Condition::Any(vec![equal("n", 2), Condition::Always])).await);
    assert!(!holds(&table, "a", Condition::Any(vec![equal("n", 2), Condition::ItemAbsent])).await);
    assert!(!holds(&table, "none", Condition::Any(vec![Condition::ItemPresent])).await);
}

/// A lease that is free, or past its time, or one's own.
pub async fn conditions_nest(table: Arc<dyn Table>) {
    let lease = |owner: &str, now: i64| {
        let expired = Condition::All(vec![Condition::ItemPresent, less_or_equal("until", now)]);
        Condition::Any(vec![Condition::ItemAbsent, expired, Condition::All(vec![equal("owner", owner)])])
    };
    put(&table, &item("a").with("owner", "ann").with("until", 100)).await;
    assert!(holds(&table, "none", lease("bob", 0)).await);
    assert!(holds(&table, "a", lease("ann", 50)).await);
    assert!(!holds(&table, "a", lease("bob", 99)).await);
    assert!(holds(&table, "a", lease("bob", 100)).await);
}

/// Nothing changes, alone and in a transaction.
pub async fn a_condition_that_does_not_hold_stops_every_kind_of_write(table: Arc<dyn Table>) {
    let before = item("a").with("n", 1);
    put(&table, &before).await;
    let fails = || equal("n", 2);
    let update = || Update::default().set("n", 3);
    assert_condition_failed(table.put(item("a"), fails()).await, 0);
    assert_condition_failed(table.delete(&key("a"), fails()).await, 0);
    assert_condition_failed(table.update(&key("a"), update(), fails()).await, 0);
    for write in [
        Write::Put(item("a"), fails()),
        Write::Delete(key("a"), fails()),
        Write::Update(key("a"), update(), fails()),
        Write::Check(key("a"), fails()),
    ] {
        assert_condition_failed(transact(table.as_ref(), vec![write]).await, 0);
    }
    assert_condition_failed(table.delete(&key("none"), Condition::ItemPresent).await, 0);
    assert_condition_failed(table.update(&key("none"), update(), Condition::ItemPresent).await, 0);
    assert_eq!(get(&table, "none").await, None);
    assert_eq!(get(&table, "a").await, Some(before));
}

/// Alone and in a transaction.
pub async fn a_condition_that_holds_lets_every_kind_of_write_through(table: Arc<dyn Table>) {
    table.put(item("a").with("n", 1), Condition::ItemAbsent).await.unwrap();
    table.update(&key("a"), Update::default().add("n", 1), equal("n", 1)).await.unwrap();
    table.delete(&key("a"), equal("n", 2)).await.unwrap();
    assert_eq!(get(&table, "a").await, None);
    for write in [
        Write::Put(item("a").with("n", 1), Condition::ItemAbsent),
        Write::Update(key("a"), Update::default().add("n", 1), equal("n", 1)),
        Write::Delete(key("a"), equal("n", 2)),
    ] {
        transact(table.as_ref(), vec![write]).await.unwrap();
    }
    assert_eq!(get(&table, "a").await, None);
}

/// Sixteen at a time, ten times over.
pub async fn of_many_writers_of_an_absent_item_exactly_one_wins(table: Arc<dyn Table>) {
    for round in 0..10 {
        let sort = format!("round {round}");
        let writers = (0..16).map(|writer| {
            let (table, new) = (Arc::clone(&table), item(&sort).with("writer", writer));
            tokio::spawn(async move { (writer, table.put(new, Condition::ItemAbsent).await) })
        });
        let results = futures::future::try_join_all(writers).await.unwrap();
        let winner = only_winner(results);
        assert_eq!(get(&table, &sort).await.unwrap().number("writer"), Some(winner));
    }
}

/// An optimistic lock: whoever read the version first and writes first wins.
pub async fn of_many_writers_of_one_version_exactly_one_wins(table: Arc<dyn Table>) {
    put(&table, &item("a").with("version", 0)).await;
    for version in 0..10 {
        let writers = (0..16).map(|writer| {
            let table = Arc::clone(&table);
            let write = Update::default().set("writer", writer).add("version", 1);
            tokio::spawn(async move {
                let update = Write::Update(key("a"), write, equal("version", version));
                (writer, transact(table.as_ref(), vec![update]).await)
            })
        });
        let winner = only_winner(futures::future::try_join_all(writers).await.unwrap());
        let after = get(&table, "a").await.unwrap();
        assert_eq!((after.number("writer"), after.number("version")), (Some(winner), Some(version + 1)));
    }
}

/// The one writer that succeeded; the conditions of all others did not hold.
fn only_winner(results: Vec<(i64, Result<(), TableError>)>) -> i64 {
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, result)| result.is_ok());
    for (_, result) in lost {
        assert_condition_failed(result, 0);
    }
    assert_eq!(won.len(), 1, "exactly one writer wins: {won:?}");
    won[0].0
}
