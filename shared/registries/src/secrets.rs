//! Where the credentials of a registry come from, and what they are.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use data_encoding::BASE64;
use serde::Deserialize;
use tidewatch_core::config::Credentials;
use tidewatch_core::{Retry, Retryable};

use crate::identity::Proof;

/// Reads the secrets that a configuration names.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The text that `credentials` name, as it stands there: [`Login::of`] reads it.
    async fn read(&self, credentials: &Credentials) -> Result<String, SecretError>;
}

/// A secret that cannot be read. It never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set, or is not Unicode.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("failed to read the file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Local mode does not read Secrets Manager, so that it needs no account of AWS and asks none unbidden.
    #[error(
        "the secret {0} is read when deployed only: in local mode name a variable by `env` or a file by `file`"
    )]
    DeployedOnly(String),
    /// A function has no variables and files of the user's.
    #[error(
        "`env` and `file` are read in local mode only: deployed, keep the login in AWS Secrets Manager and name it by `secret`"
    )]
    LocalOnly,
    /// Secrets Manager has no such secret, does not let us read it, or cannot decrypt it.
    #[error("failed to read the secret {name}: {reason}")]
    Refused {
        /// Name or ARN of the secret.
        name: String,
        /// What Secrets Manager says.
        reason: String,
    },
    /// The secret holds bytes, not a text.
    #[error("the secret {0} is binary: store it as a text")]
    Binary(String),
    /// Secrets Manager did not answer, or answered that it cannot now.
    #[error("failed to reach Secrets Manager for the secret {name}")]
    Unavailable {
        /// Name or ARN of the secret.
        name: String,
        /// What the client says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Retryable for SecretError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } => Retry::Again,
            Self::Unset(_)
            | Self::File { .. }
            | Self::DeployedOnly(_)
            | Self::LocalOnly
            | Self::Refused { .. }
            | Self::Binary(_) => Retry::Never,
        }
    }
}

/// The variable of the environment that has this name.
type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Secrets from the environment of the process, and from files.
pub struct LocalSecrets {
    environment: Box<Environment>,
}

impl LocalSecrets {
    /// Reads variables through `environment`, which gives the variable of a name.
    pub fn new(environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { environment: Box::new(environment) }
    }
}

#[async_trait]
impl Secrets for LocalSecrets {
    async fn read(&self, credentials: &Credentials) -> Result<String, SecretError> {
        match credentials {
            Credentials::Env(name) => {
                (self.environment)(name).ok_or_else(|| SecretError::Unset(name.clone()))
            }
            Credentials::File(path) => tokio::fs::read_to_string(path)
                .await
                .map_err(|source| SecretError::File { path: path.into(), source }),
            Credentials::Secret(name) => Err(SecretError::DeployedOnly(name.clone())),
        }
    }
}

/// A user with a password, or a token in its place. Writing it for people hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    user: String,
    password: String,
}

/// A text that is no login. It does not hold the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credentials are not of the form USER:PASSWORD")]
pub struct LoginError;

/// A secret as the tools of AWS write it; whatever else stands there, such as a host, is not looked at.
#[derive(Deserialize)]
struct SecretDocument {
    username: String,
    password: String,
}

impl Login {
    /// Reads `text`, which stands where `credentials` say: `USER:PASSWORD`, and in Secrets Manager also JSON with
    /// `username` and `password`.
    pub fn of(credentials: &Credentials, text: &str) -> Result<Self, LoginError> {
        if !matches!(credentials, Credentials::Secret(_)) || !text.trim_start().starts_with('{') {
            return Self::parse(text);
        }
        // Without the words of the error, which may quote the secret.
        let document: SecretDocument = serde_json::from_str(text).map_err(|_| LoginError)?;
        Self::new(&document.username, &document.password)
    }

    /// Reads `USER:PASSWORD`; a newline at the end is dropped, and only the first colon divides.
    pub fn parse(text: &str) -> Result<Self, LoginError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let (user, password) = text.split_once(':').ok_or(LoginError)?;
        Self::new(user, password)
    }

    /// A user has no colon, because it would end there: <https://www.rfc-editor.org/rfc/rfc7617#section-2>
    pub(crate) fn new(user: &str, password: &str) -> Result<Self, LoginError> {
        let has_control = |text: &str| text.contains(char::is_control);
        if user.is_empty()
            || password.is_empty()
            || user.contains(':')
            || has_control(user)
            || has_control(password)
        {
            return Err(LoginError);
        }
        Ok(Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// What is shown of it. The user `<token>` stands for who has a refresh token as password, as Docker keeps it:
    /// <https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol>
    pub(crate) fn into_proof(self) -> Proof {
        if self.user == "<token>" { Proof::Refresh(self.password) } else { Proof::Password(self) }
    }

    /// The user and the password.
    pub(crate) fn parts(&self) -> (&str, &str) {
        (&self.user, &self.password)
    }

    /// What stands behind `Basic` in the header `Authorization`.
    ///
    /// Specification: <https://www.rfc-editor.org/rfc/rfc7617>
    pub(crate) fn basic(&self) -> String {
        BASE64.encode(format!("{}:{}", self.user, self.password).as_bytes())
    }
}

/// What stands where a secret stood.
pub(crate) const REDACTED: &str = "[redacted]";

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_divides_user_and_password_and_the_last_newline_is_dropped() {
        let login = Login::parse("robot$ci:se:cret\n").unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("robot$ci", "se:cret"));
        assert_eq!(Login::parse("robot$ci:se:cret\r\n"), Ok(login));
    }

    #[test]
    fn what_is_no_login_is_refused_without_being_shown() {
        for text in ["", "secret", ":secret", "user:", "user:a\nb"] {
            let error = Login::parse(text).unwrap_err();
            assert_eq!(error.to_string(), "the credentials are not of the form USER:PASSWORD");
        }
        assert!(!format!("{:?}", Login::parse("user:secret")).contains("secret"));
    }
}
