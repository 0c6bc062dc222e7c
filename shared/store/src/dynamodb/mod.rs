//! The table on DynamoDB through its SDK, and an embedded DynamoDB for local mode and tests.
//!
//! Every item has its key in the attributes `pk` and `sk`, both texts. All reads are strongly consistent.
//!
//! Specification: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html>

mod attributes;
#[cfg(feature = "local")]
mod bridge;
#[cfg(feature = "local")]
mod embedded;
mod expression;
mod failure;
mod provision;
mod table;
#[cfg(feature = "local")]
mod transport;

#[cfg(feature = "local")]
pub use bridge::Bridge;
#[cfg(feature = "local")]
pub use embedded::{EmbeddedDynamoDb, EmbeddedError, connect, open_or_connect};
pub use table::DynamoDbTable;
