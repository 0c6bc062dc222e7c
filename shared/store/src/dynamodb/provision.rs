//! Makes the table: two text keys, paid on demand, no stream, with a time to live.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TimeToLiveSpecification, TimeToLiveStatus,
};
use tidewatch_core::ports::table::{TIME_TO_LIVE, TableError};

use super::failure::from_sdk;
use crate::limits::{PARTITION, SORT, invalid};

/// Makes the table `name`; one that is there already stays as it is.
pub(super) async fn create_table(client: &Client, name: &str) -> Result<(), TableError> {
    let unbuilt = |error: BuildError| invalid(error.to_string());
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [(PARTITION, KeyType::Hash), (SORT, KeyType::Range)] {
        let definition = AttributeDefinition::builder()
            .attribute_name(attribute)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .map_err(unbuilt)?;
        let key =
            KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build().map_err(unbuilt)?;
        request = request.attribute_definitions(definition).key_schema(key);
    }
    match request.send().await {
        Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
        answer => answer.map(drop).map_err(from_sdk),
    }
}

/// Turns the time to live on; it is asked for first, because DynamoDB refuses to turn it on twice.
pub(super) async fn enable_time_to_live(client: &Client, name: &str) -> Result<(), TableError> {
    let answer = client.describe_time_to_live().table_name(name).send().await.map_err(from_sdk)?;
    let status = answer.time_to_live_description.and_then(|description| description.time_to_live_status);
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder().attribute_name(TIME_TO_LIVE).enabled(true).build();
    let specification = specification.map_err(|error| invalid(error.to_string()))?;
    let request = client.update_time_to_live().table_name(name).time_to_live_specification(specification);
    request.send().await.map(drop).map_err(from_sdk)
}
