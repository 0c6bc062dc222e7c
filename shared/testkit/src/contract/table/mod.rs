//! The contract of the [`Table`] port. Every promise is a function that takes a fresh, empty table.

mod conditions;
mod conflicting;
mod limits;
mod queries;
mod transactions;
mod writes;

use std::sync::Arc;

use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Item, Key, TableError, Write};

pub use conditions::*;
pub use conflicting::ConflictingTable;
pub use limits::*;
pub use queries::*;
pub use transactions::*;
pub use writes::*;

/// How often [`transact`] tries.
const TRIES: usize = 100;

/// Makes a module `$backend` with one test for each promise of the table. `$make` is an `async fn()` that gives a fresh
/// `Arc<dyn Table>` as [`Fresh`](crate::contract::Fresh) says.
#[macro_export]
macro_rules! table_contract {
    (@tests $backend:ident, $make:path, $($promise:ident),+ $(,)?) => {
        mod $backend {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let fresh = $crate::contract::Fresh::fresh($make().await);
                    let Some((table, _kept)) = fresh else { return };
                    $crate::contract::table::$promise(table).await;
                }
            )+
        }
    };
    ($backend:ident, $make:path) => {
        $crate::table_contract!(@tests $backend, $make,
            // writes
            a_put_item_is_read_back_with_values_of_every_type,
            a_key_without_an_item_reads_as_none,
            a_put_replaces_the_whole_item,
            a_delete_removes_the_item_and_may_be_repeated,
            an_update_sets_adds_and_removes_and_gives_the_item_after_it,
            an_update_of_an_absent_item_makes_it,
            adding_to_a_missing_attribute_counts_from_zero,
            adding_to_a_text_is_invalid_and_changes_nothing,
            an_item_past_its_time_to_live_is_still_there,
            a_batch_gives_the_items_that_are_there,
            an_empty_batch_gives_nothing,
            concurrent_additions_are_all_counted,
            // conditions
            always_holds_with_and_without_an_item,
            item_absent_holds_only_without_an_item,
            item_present_holds_only_with_an_item,
            absent_holds_without_the_attribute_and_without_an_item,
            equal_holds_for_the_same_value_only,
            less_holds_below_the_value_only,
            less_or_equal_holds_up_to_the_value,
            a_comparison_with_a_missing_attribute_or_another_type_does_not_hold,
            texts_and_bytes_compare_by_their_bytes,
            all_holds_when_every_part_holds,
            any_holds_when_one_part_holds,
            conditions_nest,
            a_condition_that_does_not_hold_stops_every_kind_of_write,
            a_condition_that_holds_lets_every_kind_of_write_through,
            of_many_writers_of_an_absent_item_exactly_one_wins,
            of_many_writers_of_one_version_exactly_one_wins,
            // transactions
            a_transaction_does_all_of_its_writes,
            a_transaction_with_a_failed_condition_writes_nothing_and_names_the_position,
            the_first_of_several_failed_conditions_is_named,
            a_failed_condition_is_named_before_a_write_that_is_not_allowed,
            a_check_writes_nothing,
            a_check_of_nothing_is_allowed,
            a_transaction_that_adds_to_a_text_is_invalid_and_writes_nothing,
            a_transaction_of_100_writes_is_done,
            concurrent_transactions_lose_no_write,
            // queries
            a_query_gives_the_items_of_its_partition_in_order,
            a_prefix_query_gives_the_sort_keys_that_begin_with_it,
            an_up_to_query_includes_its_bound,
            sort_keys_are_ordered_by_their_bytes,
            paging_gives_every_item_once_in_both_directions,
            paging_gives_large_items_once,
            a_page_after_a_removed_item_goes_on_behind_it,
            a_query_of_an_empty_partition_is_an_empty_last_page,
            // limits
            an_item_of_the_largest_size_is_stored_and_a_larger_one_refused,
            an_update_that_makes_an_item_too_large_is_refused,
            empty_and_overlong_keys_are_refused,
            the_longest_keys_are_stored,
            malformed_and_reserved_attribute_names_are_refused,
            an_update_that_changes_nothing_is_refused,
            an_update_that_names_an_attribute_twice_is_refused,
            a_condition_of_no_parts_is_refused,
            a_batch_of_too_many_or_repeated_keys_is_refused,
            a_transaction_on_the_same_key_twice_is_refused,
            a_transaction_of_no_or_too_many_writes_is_refused,
            a_transaction_of_more_than_4_mib_is_refused,
            a_query_without_partition_or_limit_is_refused,
            a_cursor_outside_its_range_is_refused,
        );
    };
}

/// Does a transaction, and again when another one was at work on the same item, as every user of a table must.
pub async fn transact(table: &dyn Table, writes: Vec<Write>) -> Result<(), TableError> {
    for _ in 1..TRIES {
        match table.transact(writes.clone()).await {
            Err(TableError::TransactionConflict) => tokio::task::yield_now().await,
            done => return done,
        }
    }
    table.transact(writes).await
}

/// A key in the partition that most promises use.
fn key(sort: &str) -> Key {
    Key::new("partition", sort)
}

/// An item at [`key`].
fn item(sort: &str) -> Item {
    Item::new(key(sort))
}

/// Puts `item` whatever is there.
async fn put(table: &Arc<dyn Table>, item: &Item) {
    table.put(item.clone(), Condition::Always).await.expect("a put without condition succeeds");
}

/// The item at `key(sort)`.
async fn get(table: &Arc<dyn Table>, sort: &str) -> Option<Item> {
    table.get(&key(sort)).await.expect("a get succeeds")
}

#[track_caller]
fn assert_invalid<T: std::fmt::Debug>(result: Result<T, TableError>) {
    match result {
        Err(TableError::Invalid { .. }) => {}
        other => panic!("the request is invalid, not {other:?}"),
    }
}

#[track_caller]
fn assert_condition_failed<T: std::fmt::Debug>(result: Result<T, TableError>, position: usize) {
    match result {
        Err(TableError::ConditionFailed { position: actual }) => assert_eq!(actual, position),
        other => panic!("condition {position} does not hold, not {other:?}"),
    }
}
