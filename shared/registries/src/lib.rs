//! One OCI client, and one file for each registry product.
//!
//! [`ConfiguredRegistries`] opens the registries of a configuration by their kind; [`OciClient`] reads any registry
//! that speaks the OCI distribution specification, [`OciLayout`] an OCI image layout in a folder or an [`Archive`], and
//! [`DockerArchive`] an archive as `docker save` writes it.

mod amazon;
mod answer;
mod aql;
mod archive;
mod auth;
mod aws;
mod blob;
mod budget;
mod challenge;
mod docker_archive;
mod endpoint;
mod entra;
mod google;
mod hosts;
mod identity;
mod image_files;
mod image_names;
mod layout;
mod listed_platform;
mod listed_time;
mod listing;
mod open;
mod opening;
mod pages;
mod products;
mod referrers;
mod resolver;
mod rights;
mod secrets;
mod secrets_manager;
mod server;
mod token;

pub use archive::{Archive, ArchiveError};
pub use aws::Aws;
pub use docker_archive::{DockerArchive, DockerArchiveError};
pub use endpoint::{Ports, Timeouts};
pub use image_names::ChoiceError;
pub use layout::OciLayout;
pub use open::ConfiguredRegistries;
pub use products::oci::OciClient;
pub use rights::Rights;
pub use secrets::{LocalSecrets, Login, LoginError, SecretError, Secrets};
pub use secrets_manager::SecretsManager;
