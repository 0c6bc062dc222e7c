//! What writes make of items, as pure functions: for the tables that are not DynamoDB.

use std::borrow::Cow;
use std::cmp::Ordering;

use tidewatch_core::ports::table::{Attributes, Condition, TableError, Update, Value, Write};

use crate::limits::{check_item_size, invalid};

/// What a write makes of the item at its key.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    /// The item has these attributes now.
    Stored(Cow<'a, Attributes>),
    /// There is no item now.
    Removed,
    /// The item stays as it is.
    Unchanged,
}

/// What each write of a transaction makes of its item, given beside it as it is. A condition that does not hold comes before a
/// write that is not allowed, as in the answer of DynamoDB.
pub(crate) fn outcomes<'write, 'item>(
    writes: impl Iterator<Item = (&'write Write, Option<&'item Attributes>)>,
) -> Result<Vec<Outcome<'write>>, TableError> {
    let decided: Vec<_> = writes.map(|(write, current)| outcome(write, current)).collect();
    if let Some(position) = decided.iter().position(|decision| matches!(decision, Ok(None))) {
        return Err(TableError::ConditionFailed { position });
    }
    let outcomes: Vec<_> = decided.into_iter().collect::<Result<_, _>>()?;
    Ok(outcomes.into_iter().flatten().collect())
}

/// Whether what `write` makes of its item, or whether it happens at all, depends on the item as it is.
pub(crate) const fn depends_on_item(write: &Write) -> bool {
    !matches!(
        write,
        Write::Put(_, Condition::Always)
            | Write::Delete(_, Condition::Always)
            | Write::Check(_, Condition::Always)
    )
}

/// What `write` would do; `None` when its condition does not hold.
fn outcome<'a>(write: &'a Write, current: Option<&Attributes>) -> Result<Option<Outcome<'a>>, TableError> {
    let (Write::Put(_, condition)
    | Write::Delete(_, condition)
    | Write::Update(_, _, condition)
    | Write::Check(_, condition)) = write;
    if !holds(condition, current) {
        return Ok(None);
    }
    Ok(Some(match write {
        Write::Put(item, _) => Outcome::Stored(Cow::Borrowed(&item.attributes)),
        Write::Delete(..) => Outcome::Removed,
        Write::Update(key, update, _) => {
            let attributes = updated(current, update)?;
            check_item_size(key, &attributes)?;
            Outcome::Stored(Cow::Owned(attributes))
        }
        Write::Check(..) => Outcome::Unchanged,
    }))
}

/// Whether `condition` holds of an item; `None` is an item that is not there.
fn holds(condition: &Condition, item: Option<&Attributes>) -> bool {
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
fn updated(item: Option<&Attributes>, update: &Update) -> Result<Attributes, TableError> {
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
