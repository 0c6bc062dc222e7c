//! Who the client is to Google: a service account by its key, or the process as AWS knows it. Either way Google hands out an
//! access token, which its APIs take as it is, and its registries as a password.

pub(crate) mod children;
pub(crate) mod packages;
pub(crate) mod tags;

mod federation;
mod service_account;
mod subject_token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tidewatch_core::ports::registry::RegistryError;

use crate::answer::{Answer, Subject};
use crate::identity::{Fixed, Identity, Issued, Proof, Renewing};
use crate::opening::Opening;
use crate::secrets::Login;
use federation::FederatedTokens;
use service_account::KeyTokens;

/// What a token may be used for. Its roles say what it may do there.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The user whose password is an access token.
///
/// Reference: <https://cloud.google.com/artifact-registry/docs/docker/authentication#token>
const TOKEN_USER: &str = "oauth2accesstoken";
/// How long a token is good, where that is not told.
const TOKEN_LIFETIME: Duration = Duration::from_mins(10);
/// What is asked for, in errors.
const TOKEN: &str = "an access token of Google";

/// Who the client of `opening` is, as its access token; anonymous where the configuration names nobody. The error is
/// [`RegistryError::Misconfigured`].
pub(crate) fn identity(opening: &Opening) -> Result<Arc<dyn Identity>, RegistryError> {
    let clock = opening.ports.clock.clone();
    if let Some(federation) = &opening.config.google_federation {
        return Ok(Arc::new(Renewing::new(FederatedTokens::new(opening, federation)?, clock)));
    }
    match &opening.found.credentials {
        None => Ok(Arc::new(Fixed(None))),
        Some(text) => Ok(Arc::new(Renewing::new(KeyTokens::new(opening, text.text())?, clock))),
    }
}

/// Shows the access token of another identity as a password.
pub(crate) struct AsPassword(pub(crate) Arc<dyn Identity>);

#[async_trait]
impl Identity for AsPassword {
    async fn proof(
        &self,
        refused: Option<&Proof>,
        subject: &Subject,
    ) -> Result<Option<Proof>, RegistryError> {
        let refused = match refused {
            Some(Proof::Password(login)) => Some(Proof::Bearer(login.parts().1.to_owned())),
            other => other.cloned(),
        };
        match self.0.proof(refused.as_ref(), subject).await? {
            Some(Proof::Bearer(token)) => {
                let login = Login::new(TOKEN_USER, &token);
                login.map(|login| Some(Proof::Password(login))).map_err(|_| subject.invalid(NO_TOKEN))
            }
            other => Ok(other),
        }
    }
}

const NO_TOKEN: &str = "its answer holds no token";

/// What a token server of OAuth answers.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

impl TokenAnswer {
    /// Reads it. The error does not hold its words, which may be the token.
    fn read(answer: &Answer, subject: &Subject) -> Result<Self, RegistryError> {
        serde_json::from_slice(&answer.body).map_err(|_| subject.invalid(NO_TOKEN))
    }

    fn issued(self) -> Issued {
        let lifetime = self.expires_in.map_or(TOKEN_LIFETIME, Duration::from_secs);
        Issued { proof: Proof::Bearer(self.access_token), lifetime }
    }
}
