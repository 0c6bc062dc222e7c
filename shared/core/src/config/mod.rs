//! The configuration of an organisation: the types of `tidewatch.yaml`, and what must hold between them.
//!

mod registry;

pub use registry::{Credentials, RegistryConfig, RegistryKind};
