//! Conditions and updates on the attributes of one item, as pure functions.

use std::cmp::Ordering;

use tidewatch_core::ports::table::{Attributes, Condition, TableError, Update, Value};

use crate::limits::invalid;

/// Whether `condition` holds of an item; `None` is an item that is not there.
pub(super) fn holds(condition: &Condition, item: Option<&Attributes>) -> bool {
    let compares = |name: &str, value: &Value, wanted: fn(Ordering) -> bool| {
        item.and_then(|attributes| attributes.get(name))
            .and_then(|attribute| compare(attribute, value))
            .is_some_and(wanted)
    };
    match condition {
        Condition::Always => true,
        Condition::ItemAbsent => item.is_none(),
        Condition::ItemPresent => item.is_some(),
        Condition::Absent(name) => item.is_none_or(|attributes| !attributes.contains_key(name)),
        Condition::Equal(name, value) => compares(name, value, Ordering::is_eq),
        Condition::Less(name, value) => compares(name, value, Ordering::is_lt),
        Condition::LessOrEqual(name, value) => compares(name, value, Ordering::is_le),
        Condition::All(parts) => parts.iter().all(|part| holds(part, item)),
        Condition::Any(parts) => parts.iter().any(|part| holds(part, item)),
    }
}

/// The attributes of an item after `update`. Adding to what is no number, and a sum that is no 64-bit number, is
/// [`TableError::Invalid`].
pub(super) fn updated(item: Option<&Attributes>, update: &Update) -> Result<Attributes, TableError> {
    let mut attributes = item.cloned().unwrap_or_default();
    for (name, number) in &update.add {
        let sum = match attributes.get(name) {
            None => Some(*number),
            Some(Value::Number(current)) => current.checked_add(*number),
            Some(_) => return Err(invalid(format!("adding to attribute {name}, which is no number"))),
        };
        let sum = sum.ok_or_else(|| invalid(format!("a sum over 64 bits in attribute {name}")))?;
        attributes.insert(name.clone(), Value::Number(sum));
    }
    attributes.extend(update.set.iter().map(|(name, value)| (name.clone(), value.clone())));
    for name in &update.remove {
        attributes.remove(name);
    }
    Ok(attributes)
}

/// The order of two values; `None` when they are of different types.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => Some(left.cmp(right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        _ => None,
    }
}
