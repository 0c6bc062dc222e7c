//! What every table refuses before it does anything: keys, items and requests over the limits of DynamoDB, or of a
//! shape that the [`Table`](tidewatch_core::ports::Table) port does not allow. Each adapter asks here first, so that
//! all of them refuse the same requests.
//!
//! Limits: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>

use std::collections::BTreeSet;

use tidewatch_core::ports::table::{
    Attributes, Condition, Item, Key, MAX_ITEM_BYTES, MAX_TRANSACTION, Query, SortRange, TableError, Update,
    Value, Write,
};

/// Name of the attribute that holds the partition key.
pub(crate) const PARTITION: &str = "pk";

/// Name of the attribute that holds the sort key.
pub(crate) const SORT: &str = "sk";

/// The most keys that one batch asks for.
const MAX_BATCH: usize = 100;

const MAX_PARTITION_BYTES: usize = 2048;
const MAX_SORT_BYTES: usize = 1024;
/// A placeholder in an expression has at most 255 bytes, and is the name after a `#`.
const MAX_NAME_BYTES: usize = 254;
const MAX_TRANSACTION_BYTES: usize = 4 * 1024 * 1024;

/// The error for a request that no table takes.
pub(crate) fn invalid(reason: impl Into<String>) -> TableError {
    TableError::Invalid { reason: reason.into() }
}

/// Checks that both parts of a key are there and not too long.
pub(crate) fn check_key(key: &Key) -> Result<(), TableError> {
    check_key_part("partition key", &key.partition, MAX_PARTITION_BYTES)?;
    check_key_part("sort key", &key.sort, MAX_SORT_BYTES)
}

fn check_key_part(part: &str, value: &str, most: usize) -> Result<(), TableError> {
    match value.len() {
        0 => Err(invalid(format!("an empty {part}"))),
        length if length > most => Err(invalid(format!("a {part} of {length} bytes, over {most}"))),
        _ => Ok(()),
    }
}

/// Checks the keys of a batch: their number, each key, and that none stands there twice.
pub(crate) fn check_batch(keys: &[Key]) -> Result<(), TableError> {
    if keys.len() > MAX_BATCH {
        return Err(invalid(format!("a batch of {} keys, over {MAX_BATCH}", keys.len())));
    }
    check_distinct(keys.iter())
}

/// Checks an item before it is put: key, names and size.
pub(crate) fn check_item(item: &Item) -> Result<(), TableError> {
    check_key(&item.key)?;
    item.attributes.keys().try_for_each(|name| check_name(name))?;
    check_item_size(&item.key, &item.attributes)
}

/// Checks that an item is not too large.
pub(crate) fn check_item_size(key: &Key, attributes: &Attributes) -> Result<(), TableError> {
    match item_bytes(key, attributes) {
        bytes if bytes > MAX_ITEM_BYTES => {
            Err(invalid(format!("an item of {bytes} bytes, over {MAX_ITEM_BYTES}")))
        }
        _ => Ok(()),
    }
}

/// Checks the names that an update changes, that there is one, and that none of them stands there twice.
pub(crate) fn check_update(key: &Key, update: &Update) -> Result<(), TableError> {
    check_key(key)?;
    let mut seen = BTreeSet::new();
    for name in update.set.keys().chain(update.add.keys()).chain(&update.remove) {
        check_name(name)?;
        if !seen.insert(name) {
            return Err(invalid(format!("attribute {name} twice in one update")));
        }
    }
    if seen.is_empty() {
        return Err(invalid("an update that changes nothing"));
    }
    check_item_size(key, &update.set)
}

/// Checks the names in a condition, and that nothing joins no conditions.
pub(crate) fn check_condition(condition: &Condition) -> Result<(), TableError> {
    match condition {
        Condition::Always | Condition::ItemAbsent | Condition::ItemPresent => Ok(()),
        Condition::Absent(name)
        | Condition::Equal(name, _)
        | Condition::Less(name, _)
        | Condition::LessOrEqual(name, _) => check_name(name),
        Condition::All(parts) | Condition::Any(parts) if parts.is_empty() => {
            Err(invalid("a condition of no parts"))
        }
        Condition::All(parts) | Condition::Any(parts) => parts.iter().try_for_each(check_condition),
    }
}

/// Checks one write, alone or in a transaction.
pub(crate) fn check_write(write: &Write) -> Result<(), TableError> {
    match write {
        Write::Put(item, condition) => check_item(item).and_then(|()| check_condition(condition)),
        Write::Update(key, update, condition) => {
            check_update(key, update).and_then(|()| check_condition(condition))
        }
        Write::Delete(key, condition) | Write::Check(key, condition) => {
            check_key(key).and_then(|()| check_condition(condition))
        }
    }
}

/// Checks a transaction: its size, each write, and that no key stands there twice.
pub(crate) fn check_transaction(writes: &[Write]) -> Result<(), TableError> {
    if writes.is_empty() || writes.len() > MAX_TRANSACTION {
        return Err(invalid(format!("a transaction of {} writes: 1 to {MAX_TRANSACTION}", writes.len())));
    }
    writes.iter().try_for_each(check_write)?;
    check_distinct(writes.iter().map(Write::key))?;
    match writes.iter().map(write_bytes).sum::<usize>() {
        bytes if bytes > MAX_TRANSACTION_BYTES => {
            Err(invalid(format!("a transaction of {bytes} bytes, over {MAX_TRANSACTION_BYTES}")))
        }
        _ => Ok(()),
    }
}

/// Checks a query: its partition, its limit, and that its cursor lies within its range.
pub(crate) fn check_query(query: &Query) -> Result<(), TableError> {
    check_key_part("partition key", &query.partition, MAX_PARTITION_BYTES)?;
    if query.limit == 0 {
        return Err(invalid("a page of no items"));
    }
    let (SortRange::Prefix(bound) | SortRange::UpTo(bound)) = &query.sort;
    if bound.len() > MAX_SORT_BYTES {
        return Err(invalid(format!("a bound of {} bytes, over {MAX_SORT_BYTES}", bound.len())));
    }
    let Some(cursor) = &query.after else { return Ok(()) };
    check_key_part("cursor", &cursor.0, MAX_SORT_BYTES)?;
    let within = match &query.sort {
        SortRange::Prefix(prefix) => cursor.0.starts_with(prefix),
        SortRange::UpTo(last) => cursor.0 <= *last,
    };
    if within { Ok(()) } else { Err(invalid("a cursor outside the range of its query")) }
}

fn check_distinct<'a>(keys: impl Iterator<Item = &'a Key>) -> Result<(), TableError> {
    let mut seen = BTreeSet::new();
    for key in keys {
        check_key(key)?;
        if !seen.insert(key) {
            return Err(invalid(format!("key {:?} {:?} twice", key.partition, key.sort)));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), TableError> {
    let well_formed = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !well_formed || name == PARTITION || name == SORT {
        return Err(invalid(format!("attribute name {name:?}")));
    }
    Ok(())
}

fn item_bytes(key: &Key, attributes: &Attributes) -> usize {
    let key = PARTITION.len() + key.partition.len() + SORT.len() + key.sort.len();
    key + attributes.iter().map(|(name, value)| name.len() + value_bytes(value)).sum::<usize>()
}

fn write_bytes(write: &Write) -> usize {
    match write {
        Write::Put(item, _) => item_bytes(&item.key, &item.attributes),
        Write::Update(key, update, _) => item_bytes(key, &update.set),
        Write::Delete(key, _) | Write::Check(key, _) => item_bytes(key, &Attributes::new()),
    }
}

/// The size that DynamoDB counts for a value; a number takes one byte for two significant digits, one more, and one
/// more for a minus sign.
///
/// Sizes: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Number(number) => {
            let digits = number.unsigned_abs().to_string();
            let significant = digits.trim_end_matches('0').len();
            significant.div_ceil(2) + 1 + usize::from(*number < 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_one_byte_for_two_significant_digits() {
        let sizes = [0, 7, 42, 420, 421, -42].map(|number| value_bytes(&Value::Number(number)));
        assert_eq!(sizes, [1, 2, 2, 2, 3, 3]);
    }

    #[test]
    fn a_cursor_outside_its_range_is_refused() {
        let mut query = Query::prefix("p", "a#");
        query.after = Some(tidewatch_core::ports::table::Cursor("b#1".to_owned()));
        assert!(matches!(check_query(&query), Err(TableError::Invalid { .. })));
    }
}
