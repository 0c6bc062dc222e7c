//! Service principals of Microsoft Entra at Azure Container Registry: a token of Entra for the application, exchanged at the
//! registry for a refresh token, by which it hands out tokens as any registry does.
//!
//! Specification: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>,
//! <https://azure.github.io/acr/AAD-OAuth.html>

use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidewatch_core::ports::registry::RegistryError;

use crate::answer::Subject;
use crate::identity::{Issued, Issuer, Proof};
use crate::opening::Opening;
use crate::secrets::Login;
use crate::server::{Content, Http, Request};
use crate::token::lifetime;

/// Microsoft Entra of the public cloud.
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// What the token of Entra is for.
const SCOPE: &str = "https://containerregistry.azure.net/.default";
/// How long a refresh token is good, where it does not say it itself.
const REFRESH_LIFETIME: Duration = Duration::from_mins(30);

/// Hands out refresh tokens of one registry to one application of a tenant.
pub(crate) struct EntraExchange {
    authority: Http,
    registry: Http,
    /// The registry's name for itself: its host.
    service: String,
    tenant: String,
    application: Login,
}

#[derive(Deserialize)]
struct EntraAnswer {
    access_token: String,
}

#[derive(Deserialize)]
struct ExchangeAnswer {
    refresh_token: String,
}

impl EntraExchange {
    /// That of the registry of `opening` in `tenant`, whose credentials are `APPLICATION-ID:SECRET`. Nothing is asked yet. The
    /// error is [`RegistryError::Misconfigured`].
    pub(crate) fn new(opening: &Opening, tenant: &str) -> Result<Self, RegistryError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if tenant.is_empty() || !tenant.chars().all(is_name) || tenant.starts_with('.') {
            return Err(
                opening.misconfigured(format!("`azure_tenant` {tenant:?} is no id or domain of a tenant"))
            );
        }
        let credentials = opening.found.credentials.as_ref().ok_or_else(|| {
            opening.misconfigured(
                "`azure_tenant` needs `credentials`: APPLICATION-ID:SECRET of a service principal",
            )
        })?;
        let application = credentials.login().map_err(|reason| opening.misconfigured(reason))?;
        let (address, authority) = (opening.config.address(), opening.config.authority_url.as_deref());
        let service = address.split_once("://").map_or(&*address, |(_, host)| host).to_owned();
        Ok(Self {
            authority: opening.http(authority.unwrap_or(AUTHORITY), "/")?,
            registry: opening.http(&address, "/oauth2/")?,
            service,
            tenant: tenant.to_owned(),
            application,
        })
    }

    async fn entra_token(&self) -> Result<String, RegistryError> {
        let (application, secret) = self.application.parts();
        let form = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", application.to_owned()),
            ("client_secret", secret.to_owned()),
            ("scope", SCOPE.to_owned()),
        ];
        let path = format!("/{}/oauth2/v2.0/token", self.tenant);
        let answer: EntraAnswer = post(&self.authority, &path, form, "a token of Microsoft Entra").await?;
        Ok(answer.access_token)
    }
}

#[async_trait]
impl Issuer for EntraExchange {
    async fn issue(&self, _: &Subject) -> Result<Issued, RegistryError> {
        let form = vec![
            ("grant_type", "access_token".to_owned()),
            ("service", self.service.clone()),
            ("tenant", self.tenant.clone()),
            ("access_token", self.entra_token().await?),
        ];
        let answer: ExchangeAnswer =
            post(&self.registry, "/oauth2/exchange", form, "a refresh token").await?;
        let lifetime = lifetime(&answer.refresh_token).map_or(REFRESH_LIFETIME, Duration::from_secs);
        Ok(Issued { proof: Proof::Refresh(answer.refresh_token), lifetime })
    }
}

async fn post<T: DeserializeOwned>(
    http: &Http,
    path: &str,
    form: Vec<(&'static str, String)>,
    what: &str,
) -> Result<T, RegistryError> {
    let request = http.request(Method::POST, path, what)?;
    let request = Request { content: Some(Content::Form(form)), ..request };
    let answer = http.grant(&request, None).await?;
    // Without the words of the error, which may quote the token.
    serde_json::from_slice(&answer.body).map_err(|_| request.subject.invalid("its answer holds no token"))
}
