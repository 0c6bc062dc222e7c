//! Items of the port as attribute values of DynamoDB, and back: texts as `S`, numbers as `N`, bytes as `B`.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use tidewatch_core::ports::table::{Attributes, Item, Key, TableError, Value};

use crate::limits::{PARTITION, SORT};

/// An item as DynamoDB has it: attribute values by name, with the key among them.
pub(super) type AttributeValues = HashMap<String, AttributeValue>;

/// The two key attributes.
pub(super) fn from_key(key: &Key) -> AttributeValues {
    HashMap::from([
        (PARTITION.to_owned(), AttributeValue::S(key.partition.clone())),
        (SORT.to_owned(), AttributeValue::S(key.sort.clone())),
    ])
}

/// The key attributes and all others.
pub(super) fn from_item(item: &Item) -> AttributeValues {
    let mut values = from_key(&item.key);
    values.extend(item.attributes.iter().map(|(name, value)| (name.clone(), from_value(value))));
    values
}

/// One value.
pub(super) fn from_value(value: &Value) -> AttributeValue {
    match value {
        Value::Text(text) => AttributeValue::S(text.clone()),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::Bytes(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
    }
}

/// The item with these attributes. One that Tidewatch did not write, without a text key or with an attribute of another
/// type, is [`TableError::Invalid`].
pub(super) fn to_item(values: AttributeValues) -> Result<Item, TableError> {
    let (mut partition, mut sort, mut attributes) = (None, None, Attributes::new());
    for (name, value) in values {
        match (name.as_str(), value) {
            (PARTITION, AttributeValue::S(text)) => partition = Some(text),
            (SORT, AttributeValue::S(text)) => sort = Some(text),
            (_, value) => {
                let value = to_value(&name, value)?;
                attributes.insert(name, value);
            }
        }
    }
    let (Some(partition), Some(sort)) = (partition, sort) else {
        return Err(TableError::Invalid { reason: "a stored item has no text key".to_owned() });
    };
    Ok(Item { key: Key { partition, sort }, attributes })
}

fn to_value(name: &str, value: AttributeValue) -> Result<Value, TableError> {
    let unreadable = || TableError::Invalid {
        reason: format!("stored attribute {name} is no text, 64-bit number or bytes"),
    };
    match value {
        AttributeValue::S(text) => Ok(Value::Text(text)),
        AttributeValue::N(number) => number.parse().map(Value::Number).map_err(|_| unreadable()),
        AttributeValue::B(bytes) => Ok(Value::Bytes(bytes.into_inner())),
        _ => Err(unreadable()),
    }
}
