//! The key of a service account of Google: signs who it is, and gets an access token for that.
//!
//! Specification: <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>,
//! <https://www.rfc-editor.org/rfc/rfc7523>

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::Method;
use serde::{Deserialize, Serialize};
use tidewatch_core::Timestamp;
use tidewatch_core::ports::registry::RegistryError;
use url::Url;

use super::{SCOPE, TOKEN, TokenAnswer};
use crate::answer::Subject;
use crate::identity::{Issued, Issuer};
use crate::opening::Opening;
use crate::server::{Content, Http, Request};

/// Where keys say that tokens are, where they say nothing.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// How long a signed word is good, in seconds: the most that Google allows.
const ASSERTION_LIFETIME: i64 = 3600;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Hands out access tokens for a key.
pub(super) struct KeyTokens {
    http: Http,
    /// Where tokens are, on that server.
    path: String,
    account: Account,
}

/// A service account that can sign.
struct Account {
    email: String,
    key_id: Option<String>,
    token_uri: String,
    key: RsaKeyPair,
}

/// The key file that Google gives for download.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

/// The header of a JSON Web Token.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

/// What a JSON Web Token says.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl KeyTokens {
    /// For the key in `text`: the JSON of the key file, that in base64, or either behind the user that Docker takes it with
    /// (`_json_key:` or `_json_key_base64:`). The error is [`RegistryError::Misconfigured`] and holds nothing of it.
    pub(super) fn new(opening: &Opening, text: &str) -> Result<Self, RegistryError> {
        let account = Account::read(text).map_err(|reason| opening.misconfigured(reason))?;
        if let Some(authority) = &opening.config.authority_url {
            return Ok(Self { http: opening.http(authority, "/")?, path: "/token".to_owned(), account });
        }
        let url = google_url(&account.token_uri).ok_or_else(|| {
            opening.misconfigured(
                "`token_uri` of the key leads to no server of Google: https://….googleapis.com",
            )
        })?;
        let http = opening.http(&url.origin().ascii_serialization(), "/")?;
        Ok(Self { http, path: url.path().to_owned(), account })
    }
}

#[async_trait]
impl Issuer for KeyTokens {
    async fn issue(&self, _: &Subject) -> Result<Issued, RegistryError> {
        let request = self.http.request(Method::POST, &self.path, TOKEN)?;
        let assertion = self.account.assertion(self.http.now());
        let assertion = assertion.ok_or_else(|| request.subject.denied("its key cannot sign"))?;
        let form = vec![("grant_type", GRANT.to_owned()), ("assertion", assertion)];
        let request = Request { content: Some(Content::Form(form)), ..request };
        let answer = self.http.grant(&request, None).await?;
        Ok(TokenAnswer::read(&answer, &request.subject)?.issued())
    }
}

impl Account {
    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = ["_json_key_base64:", "_json_key:"]
            .iter()
            .find_map(|user| text.strip_prefix(user))
            .map_or(text, str::trim_start);
        let file: KeyFile = if text.starts_with('{') {
            serde_json::from_str(text).ok()
        } else {
            unpacked(text).and_then(|json| serde_json::from_slice(&json).ok())
        }
        .ok_or("the credentials are not the key of a service account of Google: JSON, or that in base64")?;
        let key = pkcs8(&file.private_key).and_then(|der| RsaKeyPair::from_pkcs8(&der).ok());
        let key = key.ok_or("`private_key` of the key is no RSA key in the form PKCS #8 (PEM)")?;
        let token_uri = file.token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
        Ok(Self { email: file.client_email, key_id: file.private_key_id, token_uri, key })
    }

    /// Its signed word of who it is, as a JSON Web Token.
    fn assertion(&self, now: Timestamp) -> Option<String> {
        let header = Header { alg: "RS256", typ: "JWT", kid: self.key_id.as_deref() };
        let iat = now.as_second();
        let exp = iat + ASSERTION_LIFETIME;
        let claims = Claims { iss: &self.email, scope: SCOPE, aud: &self.token_uri, iat, exp };
        let signed = format!("{}.{}", part(&header)?, part(&claims)?);
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).ok()?;
        Some(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}

/// A part of a JSON Web Token.
fn part(value: &impl Serialize) -> Option<String> {
    Some(BASE64URL_NOPAD.encode(&serde_json::to_vec(value).ok()?))
}

/// Base64 with or without line breaks.
fn unpacked(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64.decode(text.as_bytes()).ok()
}

/// The bytes of a key in the form PEM.
///
/// Specification: <https://www.rfc-editor.org/rfc/rfc7468#section-10>
fn pkcs8(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    unpacked(rest.split_once("-----END PRIVATE KEY-----")?.0)
}

/// `url` when it leads to Google: whoever wrote the key could otherwise have it sign for anybody.
fn google_url(url: &str) -> Option<Url> {
    let url: Url = url.parse().ok()?;
    let host = url.host_str()?;
    let is_google = host == "googleapis.com" || host.ends_with(".googleapis.com");
    (url.scheme() == "https" && is_google).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_asked_for_at_google_only() {
        assert!(google_url(TOKEN_URI).is_some());
        for other in [
            "http://oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com.example.com/token",
            "https://evilgoogleapis.com/token",
            "https://oauth2.googleapis.com@example.com/token",
            "https://accounts.google.com/o/oauth2/token",
            "",
        ] {
            assert!(google_url(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for bad in ["", "s3cret", "user:s3cret", "{\"client_email\":\"s3cret\"}", "_json_key:{}"] {
            let reason = Account::read(bad).err().unwrap();
            assert!(reason.contains("service account") && !reason.contains("s3cret"), "{reason}");
        }
        let reason = Account::read(r#"{"client_email":"e","private_key":"s3cret"}"#).err().unwrap();
        assert!(reason.contains("private_key") && !reason.contains("s3cret"), "{reason}");
    }
}
