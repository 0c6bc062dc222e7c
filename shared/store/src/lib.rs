//! The ports on DynamoDB, object storage, queues and EventBridge, and an in-memory table that passes the same contract.

//!
//! What only local mode stores in is behind the feature `local`, so that functions are built without SQLite.

#[cfg(feature = "local")]
pub mod counted;
mod deployed;
pub mod dynamodb;
mod event_bridge;
#[cfg(feature = "local")]
mod group_sync;
mod limits;
#[cfg(feature = "local")]
pub mod local_queue;
pub mod memory;
pub mod objects;
pub mod records;
pub mod sqs;

pub use deployed::{Deployed, MissingVariable, Places};
pub use dynamodb::DynamoDbTable;
#[cfg(feature = "local")]
pub use dynamodb::{EmbeddedDynamoDb, EmbeddedError};
pub use event_bridge::EventBridge;
#[cfg(feature = "local")]
pub use local_queue::{LocalQueue, LocalQueueError};
pub use memory::MemoryTable;
pub use objects::mirror::{MirrorAnswer, MirrorBucket, MirrorError};
pub use objects::{ObjectStorage, ObjectStorageError};
pub use records::{RecordError, Records};
pub use sqs::SqsQueue;
