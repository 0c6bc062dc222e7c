//! The ports on DynamoDB, object storage and queues, and an in-memory table that passes the same contract.

pub mod dynamodb;
mod limits;
pub mod local_queue;
pub mod memory;
pub mod objects;
pub mod records;

pub use dynamodb::{DynamoDbTable, EmbeddedDynamoDb, EmbeddedError};
pub use local_queue::{LocalQueue, LocalQueueError};
pub use memory::MemoryTable;
pub use objects::{ObjectStorage, ObjectStorageError};
pub use records::{RecordError, Records};
