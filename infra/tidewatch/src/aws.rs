//! Who runs the command, to AWS: found out when the first registry asks, so that nobody else needs an account.

use async_trait::async_trait;
use tidewatch_registries::Aws;
use tidewatch_runtime::aws::{SdkConfig, caller_config};
use tokio::sync::OnceCell;

/// The configuration of whoever runs the command, as the tools of AWS find it. It is looked up once; credentials that run
/// out are renewed by it.
#[derive(Default)]
pub(crate) struct CallerAws(OnceCell<SdkConfig>);

#[async_trait]
impl Aws for CallerAws {
    async fn config(&self) -> Result<SdkConfig, String> {
        // Boxed, because the clients of AWS make large futures.
        Ok(self.0.get_or_init(|| Box::pin(caller_config())).await.clone())
    }
}
