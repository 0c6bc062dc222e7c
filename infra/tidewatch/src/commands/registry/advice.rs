//! What to do when a step fails.

use tidewatch_core::config::{RegistryConfig, RegistryKind};
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_registries::Rights;
use tidewatch_runtime::messages::describe;

use super::steps::Step;

/// Says what is missing after `error` at `step` of reading `registry`, and how it is granted there.
pub(super) fn advice(registry: &RegistryConfig, step: Step, error: &RegistryError) -> String {
    match error {
        RegistryError::Misconfigured { .. } => {
            "mend the configuration, or put the credentials there".to_owned()
        }
        RegistryError::Throttled { .. } => {
            "try again later; a `rate` in the configuration keeps all workers below what it allows".to_owned()
        }
        RegistryError::Unavailable { source, .. } => unreachable(registry, &describe(source.as_ref())),
        RegistryError::Denied { .. } | RegistryError::NotFound { .. } => missing(registry, step),
        RegistryError::Invalid { .. } => {
            format!("check that {} is a registry of kind {}", registry.address(), registry.kind.as_str())
        }
    }
}

fn unreachable(registry: &RegistryConfig, why: &str) -> String {
    let address = registry.address();
    if why.contains("certificate") {
        return format!(
            "its certificate is not trusted here: name the certificate (PEM) of its authority as `ca`; {address} has to be the \
             name in the certificate"
        );
    }
    let proxy = "check the name, the network, and the proxy (HTTPS_PROXY, NO_PROXY)";
    if address.starts_with("https:") {
        format!("{proxy}; a registry that speaks http is configured as http://")
    } else {
        proxy.to_owned()
    }
}

/// What the credentials lack, as the product calls it.
fn missing(registry: &RegistryConfig, step: Step) -> String {
    let rights = Rights::of(registry.kind);
    let right = match step {
        Step::Open | Step::Authenticate => rights.authenticate,
        Step::ListRepositories => rights.list_repositories,
        Step::ListTags => rights.list_tags,
        Step::ReadManifest | Step::ReadBlob => rights.pull,
    };
    let is_by_process = matches!(registry.kind, RegistryKind::Ecr) || registry.google_federation.is_some();
    if registry.credentials.is_none() && !is_by_process {
        return format!("it was asked anonymously: name `credentials`; {right}");
    }
    right.to_owned()
}
