//! A registry in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::RegistryId;

/// A registry to read images from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryConfig {
    /// The name of the registry in rules, tables and image references.
    #[schemars(with = "String")]
    pub id: RegistryId,
    /// Which product it is.
    pub kind: RegistryKind,
    /// Where it is: `https://registry.example.com`. `http://` is spoken only where it stands here.
    pub url: String,
    /// Repositories to read, instead of those that the registry lists: for registries that do not list them, or to
    /// read only these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub repositories: Vec<crate::names::RepositoryName>,
    /// How to log in. Without it the registry is read anonymously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

/// The product behind a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryKind {
    /// Any registry that speaks the OCI distribution specification.
    Oci,
}

/// Where the credentials of a registry are. They never stand in the configuration itself: the text found there is
/// `USER:PASSWORD`, and a newline at its end is dropped. Variables and files are those of local mode; a deployed
/// Tidewatch reads secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Credentials {
    /// In an environment variable of the process.
    Env(String),
    /// In a file.
    File(String),
    /// In AWS Secrets Manager, under this name or ARN. The text may also be JSON with `username` and `password`.
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
