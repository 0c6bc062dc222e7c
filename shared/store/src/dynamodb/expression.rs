//! Conditions, updates and key ranges as expressions of DynamoDB. Names and values always stand in placeholders, so no
//! attribute collides with a reserved word and no value is read as an expression.
//!
//! Grammar: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html>

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use tidewatch_core::ports::table::{Condition, Query, SortRange, Update, Value};

use super::attributes::{AttributeValues, from_value};
use crate::limits::{PARTITION, SORT};

/// Collects the placeholders of the expressions of one request.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    names: HashMap<String, String>,
    values: AttributeValues,
}

impl Placeholders {
    /// The names by placeholder; `None` when there are none, because DynamoDB refuses an empty map.
    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| self.names.clone())
    }

    /// The values by placeholder; `None` when there are none.
    pub(super) fn values(&self) -> Option<AttributeValues> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    /// `condition` as a condition expression; `None` when it always holds.
    pub(super) fn condition(&mut self, condition: &Condition) -> Option<String> {
        // Decided before anything is rendered: DynamoDB refuses placeholders that no expression uses.
        (!always_holds(condition)).then(|| self.render(condition))
    }

    /// `condition` as a condition expression also when it always holds: a condition check needs one.
    pub(super) fn check(&mut self, condition: &Condition) -> String {
        self.condition(condition).unwrap_or_else(|| {
            let partition = self.name(PARTITION);
            format!("attribute_exists({partition}) OR attribute_not_exists({partition})")
        })
    }

    /// `update` as an update expression; `None` when it changes nothing.
    pub(super) fn update(&mut self, update: &Update) -> Option<String> {
        let set =
            update.set.iter().map(|(name, value)| format!("{} = {}", self.name(name), self.value(value)));
        let set: Vec<_> = set.collect();
        let add = update
            .add
            .iter()
            .map(|(name, number)| format!("{} {}", self.name(name), self.value(&Value::Number(*number))));
        let add: Vec<_> = add.collect();
        let remove: Vec<_> = update.remove.iter().map(|name| self.name(name)).collect();
        let clauses: Vec<_> = [("SET", set), ("ADD", add), ("REMOVE", remove)]
            .into_iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(clause, parts)| format!("{clause} {}", parts.join(", ")))
            .collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }

    /// The partition and the sort range of `query` as a key condition expression.
    pub(super) fn key_condition(&mut self, query: &Query) -> String {
        let partition = self.name(PARTITION);
        let partition = format!("{partition} = {}", self.text(&query.partition));
        match &query.sort {
            SortRange::Prefix(prefix) if prefix.is_empty() => partition,
            SortRange::Prefix(prefix) => {
                format!("{partition} AND begins_with({}, {})", self.name(SORT), self.text(prefix))
            }
            SortRange::UpTo(last) => format!("{partition} AND {} <= {}", self.name(SORT), self.text(last)),
        }
    }

    fn render(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Always | Condition::ItemPresent => {
                format!("attribute_exists({})", self.name(PARTITION))
            }
            Condition::ItemAbsent => format!("attribute_not_exists({})", self.name(PARTITION)),
            Condition::Absent(name) => format!("attribute_not_exists({})", self.name(name)),
            Condition::Equal(name, value) => format!("{} = {}", self.name(name), self.value(value)),
            Condition::Less(name, value) => format!("{} < {}", self.name(name), self.value(value)),
            Condition::LessOrEqual(name, value) => format!("{} <= {}", self.name(name), self.value(value)),
            Condition::All(parts) => self.join(parts.iter().filter(|part| !always_holds(part)), " AND "),
            Condition::Any(parts) => self.join(parts.iter(), " OR "),
        }
    }

    /// Parts in parentheses; a single part stays bare, because DynamoDB refuses redundant parentheses.
    fn join<'a>(&mut self, parts: impl Iterator<Item = &'a Condition>, operator: &str) -> String {
        let rendered: Vec<_> = parts.map(|part| self.render(part)).collect();
        match rendered.as_slice() {
            [single] => single.clone(),
            _ => format!("({})", rendered.join(operator)),
        }
    }

    fn name(&mut self, name: &str) -> String {
        // Attribute names are letters, digits and `_`, so the placeholder can carry the name.
        let placeholder = format!("#{name}");
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, value: &Value) -> String {
        self.attribute_value(from_value(value))
    }

    fn text(&mut self, text: &str) -> String {
        self.attribute_value(AttributeValue::S(text.to_owned()))
    }

    fn attribute_value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }
}

/// Whether `condition` holds of every item and of none, whatever they are.
fn always_holds(condition: &Condition) -> bool {
    match condition {
        Condition::Always => true,
        Condition::All(parts) => parts.iter().all(always_holds),
        Condition::Any(parts) => parts.iter().any(always_holds),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(condition: &Condition) -> Option<String> {
        Placeholders::default().condition(condition)
    }

    #[test]
    fn a_condition_that_always_holds_has_no_expression_and_no_placeholders() {
        let equal = Condition::Equal("a".to_owned(), Value::Number(1));
        let mut placeholders = Placeholders::default();
        assert_eq!(placeholders.condition(&Condition::Any(vec![equal, Condition::Always])), None);
        assert_eq!((placeholders.names(), placeholders.values()), (None, None));
    }

    #[test]
    fn parts_that_always_hold_are_left_out_without_redundant_parentheses() {
        let absent = Condition::Absent("a".to_owned());
        let nested = Condition::All(vec![Condition::Always, Condition::Any(vec![absent])]);
        assert_eq!(rendered(&nested).unwrap(), "attribute_not_exists(#a)");
    }

    #[test]
    fn all_and_any_keep_their_precedence() {
        let absent = |name: &str| Condition::Absent(name.to_owned());
        let condition =
            Condition::All(vec![absent("a"), Condition::Any(vec![absent("b"), Condition::ItemAbsent])]);
        assert_eq!(
            rendered(&condition).unwrap(),
            "(attribute_not_exists(#a) AND (attribute_not_exists(#b) OR attribute_not_exists(#pk)))"
        );
    }

    #[test]
    fn an_update_names_each_clause_once() {
        let update = Update::default().set("a", 1).set("b", "x").add("n", 2).remove("c");
        let mut placeholders = Placeholders::default();
        assert_eq!(placeholders.update(&update).unwrap(), "SET #a = :v0, #b = :v1 ADD #n :v2 REMOVE #c");
        assert_eq!(placeholders.names().unwrap().len(), 4);
    }
}
