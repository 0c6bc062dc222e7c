//! Promises about queries: ranges, order and paging.

use std::sync::Arc;

use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Cursor, Item, Key, Query, Value};

use super::{item, key, put};

/// Every item that `query` gives over all its pages, which hold no more than the limit.
async fn drain(table: &Arc<dyn Table>, mut query: Query) -> Vec<Item> {
    let mut items = Vec::new();
    for _ in 0..1000 {
        let page = table.query(query.clone()).await.unwrap();
        assert!(page.items.len() <= query.limit, "a page of {} over {}", page.items.len(), query.limit);
        items.extend(page.items);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return items,
        }
    }
    panic!("the pages of {query:?} do not end");
}

async fn sort_keys(table: &Arc<dyn Table>, query: Query) -> Vec<String> {
    drain(table, query).await.into_iter().map(|item| item.key.sort).collect()
}

async fn put_all(table: &Arc<dyn Table>, sort_keys: &[&str]) {
    for sort in sort_keys {
        put(table, &item(sort)).await;
    }
}

/// Items of other partitions are not among them, and the attributes are.
pub async fn a_query_gives_the_items_of_its_partition_in_order(table: Arc<dyn Table>) {
    for (partition, sort) in [("partition", "b"), ("partition2", "c"), ("partitio", "d"), ("partition", "a")]
    {
        put(&table, &Item::new(Key::new(partition, sort)).with("n", 1)).await;
    }
    let items = drain(&table, Query::prefix("partition", "")).await;
    assert_eq!(items, [item("a").with("n", 1), item("b").with("n", 1)]);
}

/// The prefix itself counts, and a prefix may end at the last character there is.
pub async fn a_prefix_query_gives_the_sort_keys_that_begin_with_it(table: Arc<dyn Table>) {
    put_all(&table, &["a", "a#", "a#1", "a#2", "a#\u{10ffff}x", "a$", "b#1", "A#1"]).await;
    let query = Query::prefix("partition", "a#");
    assert_eq!(sort_keys(&table, query.clone()).await, ["a#", "a#1", "a#2", "a#\u{10ffff}x"]);
    assert_eq!(sort_keys(&table, query.descending()).await, ["a#\u{10ffff}x", "a#2", "a#1", "a#"]);
    assert_eq!(sort_keys(&table, Query::prefix("partition", "a#\u{10ffff}")).await, ["a#\u{10ffff}x"]);
    assert_eq!(sort_keys(&table, Query::prefix("partition", "c")).await, [""; 0]);
}

/// The bound need not be there, and an empty one is before every key.
pub async fn an_up_to_query_includes_its_bound(table: Arc<dyn Table>) {
    put_all(&table, &["2024", "2024-01", "2024-02", "2025"]).await;
    assert_eq!(sort_keys(&table, Query::up_to("partition", "2024-01")).await, ["2024", "2024-01"]);
    assert_eq!(
        sort_keys(&table, Query::up_to("partition", "2024-01x").descending()).await,
        ["2024-01", "2024"]
    );
    assert_eq!(sort_keys(&table, Query::up_to("partition", "1")).await, [""; 0]);
    assert_eq!(sort_keys(&table, Query::up_to("partition", "")).await, [""; 0]);
    assert_eq!(sort_keys(&table, Query::up_to("partition", "\u{10ffff}")).await.len(), 4);
}

/// By UTF-8, in which characters beyond 16 bits come last.
pub async fn sort_keys_are_ordered_by_their_bytes(table: Arc<dyn Table>) {
    let ordered = ["\u{1}", "#", "10", "9", "Z", "a", "z", "~", "é", "潮", "\u{ff5e}", "😀"];
    let mut shuffled = ordered;
    shuffled.reverse();
    shuffled.rotate_left(5);
    put_all(&table, &shuffled).await;
    assert_eq!(sort_keys(&table, Query::prefix("partition", "")).await, ordered);
    assert_eq!(sort_keys(&table, Query::up_to("partition", "é")).await, ordered[..9]);
}

/// Whatever the limit, also when it divides the number of items.
pub async fn paging_gives_every_item_once_in_both_directions(table: Arc<dyn Table>) {
    let names: Vec<_> = (0..12).map(|n| format!("p{n:02}")).collect();
    put_all(&table, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    put_all(&table, &["o", "q"]).await;
    for limit in [1, 3, 5, 12, 100] {
        let query = Query::prefix("partition", "p").limit(limit);
        assert_eq!(sort_keys(&table, query.clone()).await, names);
        let mut reversed = sort_keys(&table, query.descending()).await;
        reversed.reverse();
        assert_eq!(reversed, names);
        assert_eq!(sort_keys(&table, Query::up_to("partition", "p05").limit(limit)).await.len(), 7);
    }
}

/// A page holds 1 MiB at most, which is fewer items than the limit here.
pub async fn paging_gives_large_items_once(table: Arc<dyn Table>) {
    let large: Vec<_> =
        (0..5).map(|n| item(&n.to_string()).with("b", Value::Bytes(vec![7; 300 * 1024]))).collect();
    for item in &large {
        put(&table, item).await;
    }
    assert!(drain(&table, Query::prefix("partition", "")).await == large, "each large item once");
}

/// The cursor is a position, not an item.
pub async fn a_page_after_a_removed_item_goes_on_behind_it(table: Arc<dyn Table>) {
    put_all(&table, &["a", "b", "c", "d"]).await;
    let page = table.query(Query::prefix("partition", "").limit(2)).await.unwrap();
    assert_eq!(page.next, Some(Cursor("b".to_owned())));
    table.delete(&key("b"), Condition::Always).await.unwrap();
    let rest = Query { after: page.next, ..Query::prefix("partition", "") };
    assert_eq!(sort_keys(&table, rest).await, ["c", "d"]);
}

/// A partition that was never written is no error.
pub async fn a_query_of_an_empty_partition_is_an_empty_last_page(table: Arc<dyn Table>) {
    let page = table.query(Query::prefix("never", "")).await.unwrap();
    assert_eq!((page.items, page.next), (Vec::new(), None));
}
