//! Answers challenges, and keeps the answers: a password for the whole registry, or a token for each scope.
//!
//! Specification: <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use tidewatch_core::Timestamp;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::RegistryError;
use url::Url;

use crate::answer::{Answer, Offered, Subject};
use crate::budget::Budget;
use crate::challenge::{self, Challenge};
use crate::endpoint::{Ports, Timeouts};
use crate::hosts;
use crate::secrets::Login;

/// Bytes that the answer of a token server may have.
const TOKEN_LIMIT: usize = 64 << 10;
/// Seconds that a token lives when the token server does not say, and at least.
const TOKEN_LIFETIME: u64 = 60;
/// A token is not used in its last seconds, so that it does not run out on the way.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// Above as many tokens, those that ran out are dropped before another is kept.
const TOKENS: usize = 256;

/// What a request needs to be allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Listing the repositories.
    Catalog,
    /// Reading a repository.
    Pull(RepositoryName),
}

/// Says who the client is, to one registry.
pub(crate) struct Authenticator {
    registry: Url,
    login: Option<Login>,
    http: reqwest::Client,
    ports: Ports,
    timeouts: Timeouts,
    budget: Option<Arc<Budget>>,
    known: Mutex<Known>,
}

/// What earlier challenges have taught.
#[derive(Default)]
struct Known {
    /// The registry takes user and password.
    basic: bool,
    /// Which token each scope needs.
    needed: HashMap<Scope, TokenKey>,
    tokens: HashMap<TokenKey, Arc<Slot>>,
}

/// The place of one token. Its lock is held while the token is fetched, so that it is fetched once.
type Slot = tokio::sync::Mutex<Option<Token>>;

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TokenKey {
    realm: Url,
    service: Option<String>,
    scopes: Vec<String>,
}

#[derive(Clone)]
struct Token {
    authorization: HeaderValue,
    expires: Timestamp,
}

impl Authenticator {
    pub(crate) fn new(
        registry: Url,
        login: Option<Login>,
        http: reqwest::Client,
        ports: Ports,
        timeouts: Timeouts,
    ) -> Self {
        Self { registry, login, http, ports, timeouts, budget: None, known: Mutex::default() }
    }

    /// The same, which pays for tokens that the registry gives itself. Token servers of other hosts are not counted.
    pub(crate) fn within(self, budget: Option<Arc<Budget>>) -> Self {
        Self { budget, ..self }
    }

    pub(crate) const fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// What to send with a request for `scope` at once, as far as earlier challenges tell.
    pub(crate) async fn prepare(
        &self,
        scope: &Scope,
        subject: &Subject,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let key = self.with_known(|known| known.needed.get(scope).cloned());
        if let Some(key) = key {
            return self.token(&key, None, subject).await.map(Some);
        }
        if self.with_known(|known| known.basic) {
            return Ok(self.login.as_ref().and_then(basic));
        }
        Ok(None)
    }

    /// What to send with a request for `scope` that was refused with the challenges of `headers` although `offered`
    /// was sent; `None` when there is nothing better to send.
    pub(crate) async fn answer(
        &self,
        headers: &HeaderMap,
        scope: &Scope,
        offered: Option<&HeaderValue>,
        subject: &Subject,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        match challenge::choose(headers) {
            None => Ok(None),
            Some(Challenge::Basic) => {
                let authorization = self.login.as_ref().and_then(basic);
                self.with_known(|known| known.basic = authorization.is_some());
                Ok(authorization.filter(|authorization| Some(authorization) != offered))
            }
            Some(Challenge::Bearer { realm, service, scope: asked }) => {
                let realm =
                    hosts::check_realm(&self.registry, &realm).map_err(|reason| subject.invalid(reason))?;
                let key = TokenKey { realm, service, scopes: scopes(scope, &asked) };
                let token = self.token(&key, offered, subject).await?;
                self.with_known(|known| known.needed.insert(scope.clone(), key));
                Ok(Some(token))
            }
        }
    }

    /// The token for `key`: the kept one, unless it is `refused` or has run out, else a new one.
    async fn token(
        &self,
        key: &TokenKey,
        refused: Option<&HeaderValue>,
        subject: &Subject,
    ) -> Result<HeaderValue, RegistryError> {
        let slot = self.slot(key);
        let mut slot = slot.lock().await;
        if let Some(token) = slot.as_ref()
            && self.is_fresh(token)
            && Some(&token.authorization) != refused
        {
            return Ok(token.authorization.clone());
        }
        let token = self.fetch(key, subject).await?;
        let authorization = token.authorization.clone();
        *slot = Some(token);
        Ok(authorization)
    }

    fn slot(&self, key: &TokenKey) -> Arc<Slot> {
        self.with_known(|known| {
            if known.tokens.len() >= TOKENS && !known.tokens.contains_key(key) {
                // A slot that is locked is being filled.
                known.tokens.retain(|_, slot| {
                    slot.try_lock()
                        .map_or(true, |slot| slot.as_ref().is_some_and(|token| self.is_fresh(token)))
                });
            }
            Arc::clone(known.tokens.entry(key.clone()).or_default())
        })
    }

    fn is_fresh(&self, token: &Token) -> bool {
        self.ports.clock.now() < token.expires
    }

    async fn fetch(&self, key: &TokenKey, subject: &Subject) -> Result<Token, RegistryError> {
        let subject = Subject { what: format!("a token for {}", subject.what), ..subject.clone() };
        let mut url = key.realm.clone();
        url.query_pairs_mut()
            .extend_pairs(key.service.iter().map(|service| ("service", service)))
            .extend_pairs(key.scopes.iter().map(|scope| ("scope", scope)))
            .append_pair("client_id", "tidewatch");
        let mut request = self.http.get(url).timeout(self.timeouts.whole);
        let offered = self.login.as_ref().and_then(basic);
        if let Some(authorization) = &offered {
            request = request.header(AUTHORIZATION, authorization);
        }
        let budget = self.budget.as_ref().filter(|_| hosts::is_same_origin(&self.registry, &key.realm));
        if let Some(budget) = budget {
            budget.pay(&subject).await?;
        }
        let mut response = request.send().await.map_err(|error| subject.transport(error))?;
        if let Some(budget) = budget {
            budget.heed(response.status(), response.headers()).await;
        }
        response.extensions_mut().insert(Offered(offered));
        let now = self.ports.clock.now();
        let answer =
            Answer::read(response, TOKEN_LIMIT, &subject).await?.success(&subject, self.login(), now)?;
        read_token(&answer.body, now).map_err(|reason| subject.invalid(reason))
    }

    /// Does `work` on what is known, and does nothing else meanwhile.
    fn with_known<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// User and password as a header; `None` never happens, because base64 always fits in one.
fn basic(login: &Login) -> Option<HeaderValue> {
    authorization("Basic", &login.basic())
}

fn authorization(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The scopes to ask for: what is wanted comes first, because some servers look only at the first, then what the
/// challenge names. Listing has no scope of its own: some servers refuse a token when it is asked for.
fn scopes(wanted: &Scope, asked: &str) -> Vec<String> {
    let mut scopes = match wanted {
        Scope::Catalog => Vec::new(),
        Scope::Pull(repository) => vec![format!("repository:{repository}:pull")],
    };
    for scope in asked.split(' ').filter(|scope| !scope.is_empty()) {
        if !scopes.iter().any(|other| other == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

/// The answer of a token server.
#[derive(Deserialize)]
struct TokenDocument {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Reads the answer of a token server that came at `now`; gives the reason when it is wrong. The reason never quotes it.
fn read_token(body: &[u8], now: Timestamp) -> Result<Token, String> {
    let document: TokenDocument =
        serde_json::from_slice(body).map_err(|_| "the token server's answer is not of the specified form")?;
    let text = [document.token, document.access_token].into_iter().flatten().find(|token| !token.is_empty());
    let text = text.ok_or("the token server's answer holds no token")?;
    let authorization =
        authorization("Bearer", &text).ok_or("the token holds characters that no header holds")?;
    let lifetime = Duration::from_secs(document.expires_in.unwrap_or(TOKEN_LIFETIME).max(TOKEN_LIFETIME));
    let expires = now.saturating_add(lifetime.saturating_sub(TOKEN_MARGIN)).unwrap_or(Timestamp::MAX);
    Ok(Token { authorization, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_scope_comes_first_and_none_comes_twice() {
        let pull = Scope::Pull("team/web".parse().unwrap());
        assert_eq!(scopes(&pull, "repository:team/web:pull"), ["repository:team/web:pull"]);
        assert_eq!(
            scopes(&pull, "aws  repository:x:pull"),
            ["repository:team/web:pull", "aws", "repository:x:pull"]
        );
        assert_eq!(scopes(&pull, ""), ["repository:team/web:pull"]);
        assert_eq!(scopes(&Scope::Catalog, "registry:catalog:*"), ["registry:catalog:*"]);
        assert!(scopes(&Scope::Catalog, "").is_empty());
    }

    #[test]
    fn a_token_has_either_name_and_lives_a_minute_at_least() {
        let now: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        for (body, header, seconds) in [
            (r#"{"token":"a"}"#, "Bearer a", 50),
            (r#"{"access_token":"b","expires_in":300}"#, "Bearer b", 290),
            (r#"{"token":"","access_token":"c","expires_in":1}"#, "Bearer c", 50),
        ] {
            let token = read_token(body.as_bytes(), now).ok().unwrap();
            assert_eq!(token.authorization, header);
            assert_eq!(token.expires, now + Duration::from_secs(seconds), "{body}");
        }
    }

    #[test]
    fn an_endless_lifetime_does_not_leave_the_calendar() {
        let body = format!(r#"{{"token":"a","expires_in":{}}}"#, u64::MAX);
        assert_eq!(read_token(body.as_bytes(), Timestamp::UNIX_EPOCH).ok().unwrap().expires, Timestamp::MAX);
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_shown() {
        for body in ["", "[]", "{}", r#"{"token":""}"#, r#"{"token":5}"#, "{\"token\":\"sec\\nret\"}"] {
            let reason = read_token(body.as_bytes(), Timestamp::UNIX_EPOCH).err().unwrap();
            assert!(!reason.contains("sec"), "{reason}");
        }
    }
}
