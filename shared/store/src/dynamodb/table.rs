//! The [`Table`] port on the SDK of DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, KeysAndAttributes, Put, ReturnValue, TransactWriteItem, Update as UpdateWrite,
};
use aws_types::SdkConfig;
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{
    Condition, Cursor, Item, Key, Page, Query, SortRange, TableError, Update, Write,
};

use super::attributes::{from_item, from_key, to_item};
use super::expression::Placeholders;
use super::failure::{from_sdk, from_transaction};
use super::provision;
use crate::limits;

/// A table of DynamoDB. Cloning it shares the client.
///
/// DynamoDB adds up to 38 digits: where a sum leaves the 64 bits of a [`Value::Number`], the update is stored, and the
/// item is [`TableError::Invalid`] to read from then on.
///
/// [`Value::Number`]: tidewatch_core::ports::table::Value::Number
#[derive(Clone, Debug)]
pub struct DynamoDbTable {
    client: Client,
    name: String,
}

impl DynamoDbTable {
    /// The table `name` as `client` reaches it: whose retries, time-outs and credentials are the client's.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// The table `name`, with the region, credentials and endpoint of `config`.
    pub fn of(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self::new(Client::new(config), name)
    }

    /// Makes the table where there is none, paid on demand, and turns its time to live on; nothing changes when both
    /// are so already. For tests: a deployed table comes from its infrastructure.
    pub async fn create(&self) -> Result<(), TableError> {
        provision::create_table(&self.client, &self.name).await?;
        provision::enable_time_to_live(&self.client, &self.name).await
    }

    fn transact_item(&self, write: &Write) -> Result<TransactWriteItem, BuildError> {
        let mut placeholders = Placeholders::default();
        let item = TransactWriteItem::builder();
        let item = match write {
            Write::Put(new, condition) => item.put(
                Put::builder()
                    .table_name(&self.name)
                    .set_item(Some(from_item(new)))
                    .set_condition_expression(placeholders.condition(condition))
                    .set_expression_attribute_names(placeholders.names())
                    .set_expression_attribute_values(placeholders.values())
                    .build()?,
            ),
            Write::Delete(key, condition) => item.delete(
                Delete::builder()
                    .table_name(&self.name)
                    .set_key(Some(from_key(key)))
                    .set_condition_expression(placeholders.condition(condition))
                    .set_expression_attribute_names(placeholders.names())
                    .set_expression_attribute_values(placeholders.values())
                    .build()?,
            ),
            Write::Update(key, update, condition) => item.update(
                UpdateWrite::builder()
                    .table_name(&self.name)
                    .set_key(Some(from_key(key)))
                    .set_update_expression(placeholders.update(update))
                    .set_condition_expression(placeholders.condition(condition))
                    .set_expression_attribute_names(placeholders.names())
                    .set_expression_attribute_values(placeholders.values())
                    .build()?,
            ),
            Write::Check(key, condition) => item.condition_check(
                ConditionCheck::builder()
                    .table_name(&self.name)
                    .set_key(Some(from_key(key)))
                    .condition_expression(placeholders.check(condition))
                    .set_expression_attribute_names(placeholders.names())
                    .set_expression_attribute_values(placeholders.values())
                    .build()?,
            ),
        };
        Ok(item.build())
    }
}

#[async_trait]
impl Table for DynamoDbTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        limits::check_key(key)?;
        let request = self.client.get_item().table_name(&self.name).set_key(Some(from_key(key)));
        let answer = request.consistent_read(true).send().await.map_err(from_sdk)?;
        answer.item.map(to_item).transpose()
    }

    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        limits::check_batch(keys)?;
        let mut items = Vec::with_capacity(keys.len());
        let mut wanted: Vec<_> = keys.iter().map(from_key).collect();
        while !wanted.is_empty() {
            let asked = wanted.len();
            let request = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true);
            let request = request.build().map_err(build_failure)?;
            let request = self.client.batch_get_item().request_items(&self.name, request);
            let mut answer = request.send().await.map_err(from_sdk)?;
            let found = answer.responses.as_mut().and_then(|tables| tables.remove(&self.name));
            for item in found.unwrap_or_default() {
                items.push(to_item(item)?);
            }
            let left = answer.unprocessed_keys.as_mut().and_then(|tables| tables.remove(&self.name));
            wanted = left.map(|left| left.keys).unwrap_or_default();
            if wanted.len() >= asked {
                return Err(TableError::Unavailable { source: "no key of a batch was processed".into() });
            }
        }
        Ok(items)
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<(), TableError> {
        limits::check_item(&item)?;
        limits::check_condition(&condition)?;
        let mut placeholders = Placeholders::default();
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(from_item(&item)))
            .set_condition_expression(placeholders.condition(&condition))
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .send()
            .await
            .map_err(from_sdk)?;
        Ok(())
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), TableError> {
        limits::check_key(key)?;
        limits::check_condition(&condition)?;
        let mut placeholders = Placeholders::default();
        self.client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(from_key(key)))
            .set_condition_expression(placeholders.condition(&condition))
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .send()
            .await
            .map_err(from_sdk)?;
        Ok(())
    }

    async fn update(&self, key: &Key, update: Update, condition: Condition) -> Result<Item, TableError> {
        limits::check_update(key, &update)?;
        limits::check_condition(&condition)?;
        let mut placeholders = Placeholders::default();
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(from_key(key)))
            .set_update_expression(placeholders.update(&update))
            .set_condition_expression(placeholders.condition(&condition))
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(from_sdk)?;
        answer.attributes.map_or_else(|| Ok(Item::new(key.clone())), to_item)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        limits::check_transaction(&writes)?;
        let items: Result<Vec<_>, _> = writes.iter().map(|write| self.transact_item(write)).collect();
        let items = items.map_err(build_failure)?;
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        request.send().await.map_err(from_transaction)?;
        Ok(())
    }

    async fn query(&self, query: Query) -> Result<Page, TableError> {
        limits::check_query(&query)?;
        if query.sort == SortRange::UpTo(String::new()) {
            // No sort key is empty, and DynamoDB refuses to compare one with an empty text.
            return Ok(Page { items: Vec::new(), next: None });
        }
        let mut placeholders = Placeholders::default();
        let start = query.after.as_ref().map(|cursor| from_key(&Key::new(&*query.partition, &*cursor.0)));
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression(placeholders.key_condition(&query))
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .set_exclusive_start_key(start)
            .limit(i32::try_from(query.limit).unwrap_or(i32::MAX))
            .scan_index_forward(!query.descending)
            .consistent_read(true)
            .send()
            .await
            .map_err(from_sdk)?;
        let next = answer.last_evaluated_key.map(to_item).transpose()?;
        let items = answer.items.unwrap_or_default().into_iter().map(to_item).collect::<Result<_, _>>()?;
        Ok(Page { items, next: next.map(|last| Cursor(last.key.sort)) })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn build_failure(error: BuildError) -> TableError {
    limits::invalid(error.to_string())
}
