//! Drives the `tidewatch` command as a user does: starts local mode as a process, runs commands beside it, scrapes it.
//! Shared by the end-to-end tests and the demonstration.

mod docker_registry;
mod local_mode;

pub use docker_registry::DockerRegistry;
pub use local_mode::{Finished, LocalMode, Scrape, run};
