//! The ports on DynamoDB, object storage, queues and EventBridge, and an in-memory table that passes the same contract.

//!
//! What only local mode stores in is behind the feature `local`, so that functions are built without SQLite.

#[cfg(feature = "local")]
pub mod counted;
mod deployed;
pub mod dynamodb;
mod evaluate;
mod event_bridge;
#[cfg(feature = "local")]
mod group_sync;
mod limits;
#[cfg(feature = "local")]
pub mod local_queue;
#[cfg(feature = "local")]
pub mod local_table;
pub mod memory;
pub mod objects;
pub mod records;
pub mod sqs;

pub use deployed::{Deployed, MissingVariable, Places};
pub use dynamodb::DynamoDbTable;
pub use event_bridge::EventBridge;
#[cfg(feature = "local")]
pub use local_queue::{LocalQueue, LocalQueueError};
#[cfg(feature = "local")]
pub use local_table::{JoinedTable, LocalTable, LocalTableError, TableSocket};
pub use memory::MemoryTable;
pub use objects::mirror::{MirrorAnswer, MirrorBucket, MirrorError};
pub use objects::{ObjectStorage, ObjectStorageError};
pub use records::{RecordError, Records};
pub use sqs::SqsQueue;
