//! The function `receive-webhook`: verifies a notification of a registry, and queues what it says as a hint.
