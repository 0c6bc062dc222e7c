//! The table on DynamoDB through its SDK.
//!
//! Every item has its key in the attributes `pk` and `sk`, both texts. All reads are strongly consistent.
//!
//! Specification: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html>

mod attributes;
mod expression;
mod failure;
mod provision;
mod table;

pub use table::DynamoDbTable;
