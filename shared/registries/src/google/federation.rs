//! Reads Google's registries without a key: Google exchanges what AWS says of the process for a token of the identity that the
//! pool knows it by, and that for one of a service account.
//!
//! Specification: <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>,
//! <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use tidewatch_core::config::GoogleFederation;
use tidewatch_core::ports::registry::RegistryError;

use super::subject_token::subject_token;
use super::{NO_TOKEN, SCOPE, TOKEN, TOKEN_LIFETIME, TokenAnswer};
use crate::answer::Subject;
use crate::aws::Aws;
use crate::identity::{Issued, Issuer, Proof, header};
use crate::listed_time::rfc3339;
use crate::opening::Opening;
use crate::server::{Content, Http, Request};

/// The security token service of Google.
const STS: &str = "https://sts.googleapis.com";
/// What acts as service accounts.
const IAM_CREDENTIALS: &str = "https://iamcredentials.googleapis.com";

/// Hands out access tokens to who is known to AWS.
pub(super) struct FederatedTokens {
    aws: Arc<dyn Aws>,
    sts: Http,
    iam_credentials: Http,
    federation: GoogleFederation,
}

/// What acting as a service account gives.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountAnswer {
    access_token: String,
    expire_time: Option<String>,
}

impl FederatedTokens {
    /// For the process of `opening`. The error is [`RegistryError::Misconfigured`].
    pub(super) fn new(opening: &Opening, federation: &GoogleFederation) -> Result<Self, RegistryError> {
        let aws = opening.aws.clone().ok_or_else(|| {
            opening.misconfigured(
                "`google_federation` is used by a process with credentials of AWS, and this one has none",
            )
        })?;
        let is_email = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
        if let Some(account) = federation.service_account.as_deref()
            && (!account.contains('@') || !account.chars().all(is_email))
        {
            return Err(
                opening.misconfigured(format!("{account:?} is no e-mail address of a service account"))
            );
        }
        let authority = opening.config.authority_url.as_deref();
        Ok(Self {
            aws,
            sts: opening.http(authority.unwrap_or(STS), "/v1/")?,
            iam_credentials: opening.http(authority.unwrap_or(IAM_CREDENTIALS), "/v1/")?,
            federation: federation.clone(),
        })
    }

    /// What AWS says of the process.
    async fn subject_token(&self, subject: &Subject) -> Result<String, RegistryError> {
        let misconfigured =
            |reason: String| RegistryError::Misconfigured { registry: subject.registry.clone(), reason };
        let config = self.aws.config().await.map_err(misconfigured)?;
        let region = config.region().ok_or_else(|| misconfigured("no region of AWS is set".to_owned()))?;
        let credentials = match config.credentials_provider() {
            None => return Err(misconfigured(NOBODY.to_owned())),
            Some(provider) => provider.provide_credentials().await,
        };
        let credentials: Credentials = credentials.map_err(|error| match error {
            CredentialsError::CredentialsNotLoaded(_) => misconfigured(NOBODY.to_owned()),
            error => subject.unavailable(error),
        })?;
        let now = SystemTime::from(self.sts.now());
        subject_token(credentials, region.as_ref(), &self.federation.audience, now).map_err(misconfigured)
    }

    /// The token of the identity that the pool knows the process by.
    async fn federated(&self) -> Result<TokenAnswer, RegistryError> {
        let request = self.sts.request(Method::POST, "/v1/token", "an exchange of its identity at Google")?;
        let form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
            ("audience", self.federation.audience.clone()),
            ("scope", SCOPE.to_owned()),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token".to_owned()),
            ("subject_token_type", "urn:ietf:params:aws:token-type:aws4_request".to_owned()),
            ("subject_token", self.subject_token(&request.subject).await?),
        ];
        let request = Request { content: Some(Content::Form(form)), ..request };
        let answer = self.sts.grant(&request, None).await?;
        TokenAnswer::read(&answer, &request.subject)
    }

    /// The token of `account`, for who has the token `federated`.
    async fn impersonated(&self, account: &str, federated: &str) -> Result<Issued, RegistryError> {
        let path = format!("/v1/projects/-/serviceAccounts/{account}:generateAccessToken");
        let request = self.iam_credentials.request(Method::POST, &path, TOKEN)?;
        let request = Request { content: Some(Content::Json(json!({"scope": [SCOPE]}))), ..request };
        let answer = self.iam_credentials.grant(&request, header("Bearer", federated)).await?;
        let answer: AccountAnswer =
            serde_json::from_slice(&answer.body).map_err(|_| request.subject.invalid(NO_TOKEN))?;
        let expires = rfc3339(answer.expire_time.as_deref());
        let lifetime = expires.map(|at| Duration::try_from(at.duration_since(self.iam_credentials.now())));
        let lifetime = lifetime.map_or(TOKEN_LIFETIME, Result::unwrap_or_default);
        Ok(Issued { proof: Proof::Bearer(answer.access_token), lifetime })
    }
}

const NOBODY: &str = "the process has no credentials of AWS";

#[async_trait]
impl Issuer for FederatedTokens {
    async fn issue(&self, _: &Subject) -> Result<Issued, RegistryError> {
        let federated = self.federated().await?;
        match self.federation.service_account.as_deref() {
            Some(account) => self.impersonated(account, &federated.access_token).await,
            None => Ok(federated.issued()),
        }
    }
}
