//! What a registry product is opened with: its configuration, the secrets that it names, and the ports.

use std::fmt;
use std::sync::Arc;

use tidewatch_core::budget::{Account, Plan};
use tidewatch_core::config::{Credentials, RegistryConfig};
use tidewatch_core::ports::RateBudgets;
use tidewatch_core::ports::registry::RegistryError;

use crate::auth::{Authorize, Challenged};
use crate::aws::Aws;
use crate::budget::Budget;
use crate::endpoint::{Endpoint, Ports, Timeouts};
use crate::identity::{Fixed, Identity, Proof};
use crate::secrets::Login;
use crate::server::{Http, Place};

/// A text that stands where credentials say. Writing it for people hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretText {
    place: Credentials,
    text: String,
}

impl SecretText {
    /// What stands at `place`; a newline at its end is dropped.
    pub(crate) fn new(place: Credentials, text: &str) -> Self {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text).to_owned();
        Self { place, text }
    }

    /// The text itself.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// `USER:PASSWORD`, or what stands for it.
    pub(crate) fn login(&self) -> Result<Login, String> {
        Login::of(&self.place, &self.text).map_err(|error| error.to_string())
    }

    /// A user with a password, or a token alone, which has no colon.
    pub(crate) fn login_or_token(&self) -> Result<Proof, String> {
        if !self.text.is_empty() && self.text.chars().all(|c| c.is_ascii_graphic() && c != ':') {
            return Ok(Proof::Bearer(self.text.clone()));
        }
        self.login().map(Login::into_proof).map_err(|error| format!("{error}, or a token alone"))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretText").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The secrets that a configuration names, as they stand there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) credentials: Option<SecretText>,
    pub(crate) api_credentials: Option<SecretText>,
    pub(crate) ca: Option<SecretText>,
}

/// What a product is opened with.
#[derive(Clone)]
pub(crate) struct Opening {
    pub(crate) config: RegistryConfig,
    pub(crate) found: Found,
    pub(crate) ports: Ports,
    pub(crate) timeouts: Timeouts,
    pub(crate) budgets: Option<Arc<dyn RateBudgets>>,
    /// Who the process is to AWS; `None` where nobody has said it.
    pub(crate) aws: Option<Arc<dyn Aws>>,
}

impl Opening {
    pub(crate) fn new(config: &RegistryConfig, ports: Ports) -> Self {
        let (found, timeouts) = (Found::default(), Timeouts::default());
        Self { config: config.clone(), found, ports, timeouts, budgets: None, aws: None }
    }

    /// Says that the configuration cannot be used.
    pub(crate) fn misconfigured(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::Misconfigured { registry: self.config.id.clone(), reason: reason.into() }
    }

    /// Whether nobody says who the client is.
    pub(crate) fn is_anonymous(&self) -> bool {
        let is_by_process = self.config.google_federation.is_some() || self.config.account.is_some();
        self.found.credentials.is_none() && !is_by_process
    }

    /// The user and password of the configuration; anonymous without any.
    pub(crate) fn login(&self) -> Result<Arc<dyn Identity>, RegistryError> {
        let login = self.found.credentials.as_ref().map(SecretText::login).transpose();
        let proof = login.map_err(|error| self.misconfigured(error))?.map(Login::into_proof);
        Ok(Arc::new(Fixed(proof)))
    }

    /// The user and password, or the token alone, of the configuration; anonymous without any.
    pub(crate) fn login_or_token(&self) -> Result<Arc<dyn Identity>, RegistryError> {
        let proof = self.found.credentials.as_ref().map(SecretText::login_or_token).transpose();
        Ok(Arc::new(Fixed(proof.map_err(|error| self.misconfigured(error))?)))
    }

    /// The registry itself, at its address, which asks `identity` who it is.
    pub(crate) fn registry(&self, identity: Arc<dyn Identity>) -> Result<Endpoint, RegistryError> {
        self.endpoint(&self.config.address(), "/v2/", Challenged::new(identity))
    }

    /// The server at `url`, of which paths that begin with `prefix` may be asked for.
    pub(crate) fn endpoint(
        &self,
        url: &str,
        prefix: &'static str,
        auth: impl Authorize + 'static,
    ) -> Result<Endpoint, RegistryError> {
        Ok(Endpoint::new(self.http(url, prefix)?, auth))
    }

    /// The same server for who has nothing to show yet.
    pub(crate) fn http(&self, url: &str, prefix: &'static str) -> Result<Http, RegistryError> {
        let ca = match &self.found.ca {
            None => Vec::new(),
            Some(ca) => certificates(ca.text()).map_err(|reason| self.misconfigured(reason))?,
        };
        let place = Place { id: &self.config.id, url, prefix, ca: &ca };
        Http::new(&place, self.ports.clone(), self.timeouts, self.budget(url))
    }

    /// The budget of what is asked of the server at `url`, which counts by itself.
    pub(crate) fn budget(&self, url: &str) -> Option<Arc<Budget>> {
        let budgets = Arc::clone(self.budgets.as_ref()?);
        let plan = self.config.rate.as_ref().map(Plan::of);
        let account = Account::at(url, &self.config);
        Some(Arc::new(Budget::new(budgets, account, plan, self.ports.clone())))
    }
}

/// The certificates of a text in the form PEM.
fn certificates(pem: &str) -> Result<Vec<reqwest::Certificate>, String> {
    let found = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
    let found = found.map_err(|error| format!("`ca` holds no certificates in the form PEM: {error}"))?;
    if found.is_empty() { Err("`ca` holds no certificates in the form PEM".to_owned()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> SecretText {
        SecretText::new(Credentials::Env("X".to_owned()), text)
    }

    #[test]
    fn a_token_alone_has_no_colon_and_no_space() {
        assert!(text("sha256~abc\n").login_or_token() == Ok(Proof::Bearer("sha256~abc".to_owned())));
        assert!(matches!(text("user:password").login_or_token(), Ok(Proof::Password(_))));
        for bad in ["", "two words", "user:"] {
            assert!(text(bad).login_or_token().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_said_and_not_shown() {
        for bad in ["", "secret"] {
            let reason = certificates(bad).unwrap_err();
            assert!(reason.contains("PEM") && !reason.contains("secret"), "{reason}");
        }
        assert!(!format!("{:?}", text("user:secret")).contains("secret"));
    }
}
