//! For development only: image, layer and advisory builders, a registry that rejects unexpected requests, contract suites.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod advisory;
pub mod api;
pub mod archives;
pub mod clients;
pub mod contract;
pub mod depths;
pub mod dynamodb;
pub mod failing;
pub mod fixtures;
pub mod hostile;
pub mod image;
pub mod interleave;
pub mod layer;
pub mod ministack;
pub mod policies;
pub mod ports;
pub mod registry;
pub mod replay;
pub mod runtime_api;
pub mod saved;
pub mod sbom;
pub mod skip;
pub mod updateinfo;
