//! Drives the `tidewatch` command as a user does: starts local mode as a process, runs commands beside it, scrapes it,
//! also by a real Prometheus.
//! Shared by the end-to-end tests, the demonstration and the measurement of the metrics endpoint. Also makes the page of the
//! configuration.

pub mod configuration_docs;
mod docker_registry;
pub mod load;
mod local_mode;
mod numbers;
mod prometheus;

pub use docker_registry::DockerRegistry;
pub use local_mode::{Finished, LocalMode, NOTHING_FETCHED, Scrape, request, run};
pub use numbers::{Numbers, eventually};
pub use prometheus::{Labels, Prometheus};
