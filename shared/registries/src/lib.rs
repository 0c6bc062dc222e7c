//! One OCI client, and one file for each registry product.
//!
//! [`ConfiguredRegistries`] opens the registries of a configuration by their kind; [`OciClient`] reads any registry
//! that speaks the OCI distribution specification, and [`OciLayout`] a folder in the form of the OCI image layout.

mod answer;
mod auth;
mod blob;
mod challenge;
mod endpoint;
mod hosts;
mod layout;
mod listing;
mod open;
mod products;
mod secrets;
mod secrets_manager;

pub use endpoint::{Ports, Timeouts};
pub use layout::OciLayout;
pub use open::ConfiguredRegistries;
pub use products::oci::OciClient;
pub use secrets::{LocalSecrets, Login, LoginError, SecretError, Secrets};
pub use secrets_manager::SecretsManager;
