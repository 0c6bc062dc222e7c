//! Who the process is to AWS, for the registries that are read with the rights of the process.

use async_trait::async_trait;
use aws_types::SdkConfig;

/// The configuration of AWS. It is asked for only when a registry needs it, so that nobody else needs an account.
#[async_trait]
pub trait Aws: Send + Sync {
    /// The configuration of the process, or the reason why there is none.
    async fn config(&self) -> Result<SdkConfig, String>;
}

#[async_trait]
impl Aws for SdkConfig {
    /// Itself.
    async fn config(&self) -> Result<Self, String> {
        Ok(self.clone())
    }
}
