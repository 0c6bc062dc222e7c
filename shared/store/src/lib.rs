//! The ports on DynamoDB, object storage and queues, and an in-memory table that passes the same contract.
