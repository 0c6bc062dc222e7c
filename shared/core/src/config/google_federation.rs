//! How a process that is known to AWS reads a registry of Google's without a key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// [Workload identity federation](https://cloud.google.com/iam/docs/workload-identity-federation-with-other-clouds) with
/// AWS: Google believes what AWS says of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Federation with Google")]
pub struct GoogleFederation {
    /// The provider of the pool of identities:
    /// `//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    #[schemars(extend("pattern" = "^//iam\\.googleapis\\.com/projects/.+$"))]
    pub audience: String,
    /// The e-mail address of the service account to read as. Without it the process reads as itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}
