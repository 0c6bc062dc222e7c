//! Where the credentials of a registry come from, and what they are.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use data_encoding::BASE64;
use tidewatch_core::config::Credentials;

/// Reads the secrets that a configuration names.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The text that `credentials` name, as it stands there.
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

impl Login {
    /// Reads `USER:PASSWORD`; a newline at the end is dropped, and only the first colon divides.
    pub fn parse(text: &str) -> Result<Self, LoginError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let (user, password) = text.split_once(':').ok_or(LoginError)?;
        if user.is_empty() || password.is_empty() || text.contains(char::is_control) {
            return Err(LoginError);
        }
        Ok(Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// What stands behind `Basic` in the header `Authorization`.
    ///
    /// Specification: <https://www.rfc-editor.org/rfc/rfc7617>
    pub(crate) fn basic(&self) -> String {
        BASE64.encode(format!("{}:{}", self.user, self.password).as_bytes())
    }

    /// `text` without the password, plain or encoded.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(&self.basic(), REDACTED).replace(&self.password, REDACTED)
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
