//! Answers challenges, and keeps the answers: a password for the whole registry, or a token for each scope.
//!
//! Specification: <https://distribution.github.io/distribution/spec/auth/token/>,
//! <https://distribution.github.io/distribution/spec/auth/oauth/>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tidewatch_core::Timestamp;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::RegistryError;
use url::Url;

use crate::answer::Subject;
use crate::challenge::{self, Challenge};
use crate::identity::{Identity, Proof, header};
use crate::server::{Content, Http, Request};
use crate::token::{Token, UNPRINTABLE, read_token};

/// Bytes that the answer of a token server may have.
const TOKEN_LIMIT: usize = 64 << 10;
/// What the client calls itself.
const CLIENT: &str = "tidewatch";
/// Above as many tokens, those that ran out are dropped before another is kept.
const TOKENS: usize = 256;

/// What a request needs to be allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Nothing that has a name.
    Nothing,
    /// Listing the repositories.
    Catalog,
    /// Reading a repository.
    Pull(RepositoryName),
    /// Listing what is in a repository, where that is another right than reading it.
    Metadata(RepositoryName),
}

/// Tells one server who the client is.
#[async_trait]
pub(crate) trait Authorize: Send + Sync {
    /// What to send with a request for `scope` at once.
    async fn prepare(
        &self,
        http: &Http,
        scope: &Scope,
        subject: &Subject,
    ) -> Result<Option<HeaderValue>, RegistryError>;

    /// What to send with a request for `scope` that was refused with the challenges of `headers` although `offered`
    /// was sent; `None` when there is nothing better to send.
    async fn answer(
        &self,
        http: &Http,
        headers: &HeaderMap,
        scope: &Scope,
        offered: Option<&HeaderValue>,
        subject: &Subject,
    ) -> Result<Option<HeaderValue>, RegistryError>;

    /// Whether an answer with this status asks for another proof.
    fn is_asked_by(&self, status: StatusCode) -> bool {
        status == StatusCode::UNAUTHORIZED
    }
}

/// Shows who the client is with every request, without being asked.
pub(crate) struct Always(pub(crate) Arc<dyn Identity>);

#[async_trait]
impl Authorize for Always {
    async fn prepare(
        &self,
        _: &Http,
        _: &Scope,
        subject: &Subject,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        Ok(self.0.proof(None, subject).await?.and_then(|proof| proof.header()))
    }

    async fn answer(
        &self,
        _: &Http,
        _: &HeaderMap,
        _: &Scope,
        offered: Option<&HeaderValue>,
        subject: &Subject,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        better(&*self.0, offered, subject).await
    }
}

/// Another proof than the one that was offered, where there is one.
async fn better(
    identity: &dyn Identity,
    offered: Option<&HeaderValue>,
    subject: &Subject,
) -> Result<Option<HeaderValue>, RegistryError> {
    let mut proof = identity.proof(None, subject).await?;
    if proof.as_ref().and_then(Proof::header).as_ref() == offered {
        proof = identity.proof(proof.as_ref(), subject).await?;
    }
    Ok(proof.and_then(|proof| proof.header()).filter(|header| Some(header) != offered))
}

/// Waits to be asked, and remembers what for.
pub(crate) struct Challenged {
    identity: Arc<dyn Identity>,
    known: Mutex<Known>,
}

/// What earlier challenges have taught.
#[derive(Default)]
struct Known {
    /// The registry takes what the client shows, without a token.
    shown: bool,
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

#[async_trait]
impl Authorize for Challenged {
    async fn prepare(
        &self,
        http: &Http,
        scope: &Scope,
        subject: &Subject,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let key = self.with_known(|known| known.needed.get(scope).cloned());
        if let Some(key) = key {
            return self.token(http, &key, None, subject).await.map(Some);
        }
        if self.with_known(|known| known.shown) {
            return Ok(self.identity.proof(None, subject).await?.and_then(|proof| proof.header()));
        }
        Ok(None)
    }

    async fn answer(
        &self,
        http: &Http,
        headers: &HeaderMap,
        scope: &Scope,
        offered: Option<&HeaderValue>,
        subject: &Subject,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        match challenge::choose(headers) {
            None => Ok(None),
            Some(Challenge::Basic) => {
                // Harbor asks for a password where a token is refused that it has asked for itself.
                let key = self.with_known(|known| known.needed.get(scope).cloned());
                if let Some(key) = key.filter(|_| offered.is_some()) {
                    return self.token(http, &key, offered, subject).await.map(Some);
                }
                let better = better(&*self.identity, offered, subject).await?;
                if better.is_some() {
                    self.with_known(|known| known.shown = true);
                }
                Ok(better)
            }
            Some(Challenge::Bearer { realm, service, scope: asked }) => {
                let realm = http.check_realm(&realm).map_err(|reason| subject.invalid(reason))?;
                let key = TokenKey { realm, service, scopes: scopes(scope, &asked) };
                let token = self.token(http, &key, offered, subject).await?;
                self.with_known(|known| known.needed.insert(scope.clone(), key));
                Ok(Some(token))
            }
        }
    }
}

impl Challenged {
    pub(crate) fn new(identity: Arc<dyn Identity>) -> Self {
        Self { identity, known: Mutex::default() }
    }

    /// The token for `key`: the kept one, unless it is `refused` or has run out, else a new one.
    async fn token(
        &self,
        http: &Http,
        key: &TokenKey,
        refused: Option<&HeaderValue>,
        subject: &Subject,
    ) -> Result<HeaderValue, RegistryError> {
        let slot = self.slot(key, http.now());
        let mut slot = slot.lock().await;
        if let Some(token) = slot.as_ref()
            && http.now() < token.expires
            && Some(&token.authorization) != refused
        {
            return Ok(token.authorization.clone());
        }
        let token = self.fetch(http, key, subject).await?;
        let authorization = token.authorization.clone();
        *slot = Some(token);
        Ok(authorization)
    }

    fn slot(&self, key: &TokenKey, now: Timestamp) -> Arc<Slot> {
        self.with_known(|known| {
            if known.tokens.len() >= TOKENS && !known.tokens.contains_key(key) {
                // A slot that somebody has in hand is being filled, or is about to be.
                known.tokens.retain(|_, slot| {
                    Arc::strong_count(slot) > 1
                        || slot
                            .try_lock()
                            .map_or(true, |slot| slot.as_ref().is_some_and(|token| now < token.expires))
                });
            }
            Arc::clone(known.tokens.entry(key.clone()).or_default())
        })
    }

    /// A token of the token server: for a password by the query of a GET request, for a refresh token by the form of a POST
    /// request. One that the server refuses is asked for once more, where there is another proof.
    async fn fetch(&self, http: &Http, key: &TokenKey, subject: &Subject) -> Result<Token, RegistryError> {
        let subject = Subject { what: format!("a token for {}", subject.what), ..subject.clone() };
        let proof = self.identity.proof(None, &subject).await?;
        let fetched = Self::fetch_with(http, key, proof.as_ref(), &subject).await;
        let Err(RegistryError::Denied { .. }) = &fetched else { return fetched };
        match self.identity.proof(proof.as_ref(), &subject).await? {
            Some(other) if Some(&other) != proof.as_ref() => {
                Self::fetch_with(http, key, Some(&other), &subject).await
            }
            _ => fetched,
        }
    }

    async fn fetch_with(
        http: &Http,
        key: &TokenKey,
        proof: Option<&Proof>,
        subject: &Subject,
    ) -> Result<Token, RegistryError> {
        let url = key.realm.clone();
        let (scope, subject) = (Scope::Nothing, subject.clone());
        let mut request =
            Request { method: Method::GET, url, scope, subject, accept: None, from: None, content: None };
        match proof {
            // It is good by itself: nobody has to be asked for another.
            Some(Proof::Bearer(token)) => {
                let authorization = header("Bearer", token);
                let authorization = authorization.ok_or_else(|| request.subject.invalid(UNPRINTABLE))?;
                return Ok(Token { authorization, expires: Timestamp::MAX });
            }
            Some(Proof::Refresh(token)) => {
                request.method = Method::POST;
                request.content = Some(Content::Form(key.form(token)));
            }
            Some(Proof::Password(_)) | None => key.put_into(&mut request.url),
        }
        let answer = match proof {
            Some(Proof::Refresh(_)) => http.grant(&request, None).await?,
            _ => http.ask(&request, proof.and_then(Proof::header), TOKEN_LIMIT).await?,
        };
        read_token(&answer.body, http.now()).map_err(|reason| request.subject.invalid(reason))
    }

    /// Does `work` on what is known, and does nothing else meanwhile.
    fn with_known<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TokenKey {
    fn put_into(&self, realm: &mut Url) {
        realm
            .query_pairs_mut()
            .extend_pairs(self.service.iter().map(|service| ("service", service)))
            .extend_pairs(self.scopes.iter().map(|scope| ("scope", scope)))
            .append_pair("client_id", CLIENT);
    }

    fn form(&self, refresh_token: &str) -> Vec<(&'static str, String)> {
        let mut form = vec![("grant_type", "refresh_token".to_owned())];
        form.extend(self.service.clone().map(|service| ("service", service)));
        form.push(("client_id", CLIENT.to_owned()));
        form.push(("scope", self.scopes.join(" ")));
        form.push(("refresh_token", refresh_token.to_owned()));
        form
    }
}

/// The scopes to ask for: what is wanted comes first, because some servers look only at the first, then what the
/// challenge names. Listing has no scope of its own: some servers refuse a token when it is asked for.
fn scopes(wanted: &Scope, asked: &str) -> Vec<String> {
    let mut scopes = match wanted {
        Scope::Nothing | Scope::Catalog => Vec::new(),
        Scope::Pull(repository) => vec![format!("repository:{repository}:pull")],
        Scope::Metadata(repository) => vec![format!("repository:{repository}:metadata_read")],
    };
    for scope in asked.split(' ').filter(|scope| !scope.is_empty()) {
        if !scopes.iter().any(|other| other == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
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
}
