//! A registry in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::RateConfig;
use crate::names::RegistryId;

/// A registry to read images from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Registry")]
pub struct RegistryConfig {
    /// Its name in rules and tables.
    pub id: RegistryId,
    /// Which product it is.
    pub kind: RegistryKind,
    /// `https://HOST[:PORT]`, or `http://HOST[:PORT]` for a registry without TLS: plain HTTP is spoken only where it
    /// stands here. No path, no user.
    #[schemars(extend("pattern" = "^https?://[^/?#@ ]+/*$"))]
    pub url: String,
    /// Read these repositories, instead of those that the registry lists: for a registry that does not list them
    /// (`/v2/_catalog`), or to read only these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<crate::names::RepositoryName>,
    /// Where the credentials are. Without it the registry is read anonymously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// How many requests all workers together may make. Without it they make as many as they have work for, and wait only
    /// where the registry says so (`Retry-After`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateConfig>,
}

/// The product behind a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "Kind of registry")]
pub enum RegistryKind {
    /// Any registry that speaks the [OCI distribution
    /// specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md). Basic and Bearer (token
    /// server) challenges are answered.
    Oci,
}

/// Where the credentials of a registry are. They never stand in the configuration itself.
///
/// The text found there is `USER:PASSWORD`. It is split at its first colon; a newline at its end is dropped. The process
/// that reads the registry looks it up each time it turns to the registry, so a changed file is used without a restart.
/// Variables and files are read in local mode only, secrets of AWS when deployed only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Credentials {
    /// In the environment variable of this name, of the process that reads the registry.
    #[schemars(extend("examples" = [{"env": "REGISTRY_LOGIN"}]))]
    Env(String),
    /// In the file at this path, on the machine that reads the registry.
    #[schemars(extend("examples" = [{"file": "/run/secrets/registry"}]))]
    File(String),
    /// In AWS Secrets Manager, under this name or ARN. The text may also be JSON with `username` and `password`. It is
    /// read again after five minutes.
    #[schemars(extend("examples" = [{"secret": "tidewatch/registry"}]))]
    Secret(String),
}

impl RegistryConfig {
    /// Says what is wrong with the URL, when something is.
    pub(super) fn check_url(&self) -> Result<(), String> {
        let rest = self.url.strip_prefix("https://").or_else(|| self.url.strip_prefix("http://"));
        match rest.map(|rest| rest.trim_end_matches('/')) {
            None => Err(format!(
                "{:?} is no URL: begin it with https:// (or http:// for a registry without TLS)",
                self.url
            )),
            Some(host) if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) => {
                Err(format!("{:?} is not the URL of a registry: give its host and port only", self.url))
            }
            Some(_) => Ok(()),
        }
    }
}
