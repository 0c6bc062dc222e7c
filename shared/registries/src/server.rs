//! One server over HTTP: its connections, the URLs that it may give, and a request that is sent once.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, RANGE};
use http::{HeaderValue, Method};
use reqwest::redirect::Policy;
use tidewatch_core::Timestamp;
use tidewatch_core::names::RegistryId;
use tidewatch_core::ports::registry::RegistryError;
use url::Url;

use crate::answer::{Answer, Sent, Subject};
use crate::auth::Scope;
use crate::budget::Budget;
use crate::endpoint::{Ports, Timeouts};
use crate::hosts::{self, Surroundings};
use crate::resolver::GuardedResolver;

/// Bytes that an answer with a token may have.
const TOKEN_LIMIT: usize = 64 << 10;
/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// One server over HTTP: its connections, and the budget that its requests are paid for from.
pub(crate) struct Http {
    id: RegistryId,
    base: Url,
    /// What the path of every URL begins with that the server gives.
    prefix: &'static str,
    client: reqwest::Client,
    /// Sends what has content, and follows no redirects.
    sender: reqwest::Client,
    surroundings: Arc<Surroundings>,
    pub(crate) ports: Ports,
    pub(crate) timeouts: Timeouts,
    budget: Option<Arc<Budget>>,
}

/// Where a server is, and how it is reached.
pub(crate) struct Place<'a> {
    pub(crate) id: &'a RegistryId,
    /// `https://HOST[:PORT]`.
    pub(crate) url: &'a str,
    /// What the path of every URL begins with that may be asked for: `/v2/`.
    pub(crate) prefix: &'static str,
    /// Authorities besides those that are known everywhere.
    pub(crate) ca: &'a [reqwest::Certificate],
}

/// A request, which can be sent more than once.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) scope: Scope,
    pub(crate) subject: Subject,
    pub(crate) accept: Option<HeaderValue>,
    /// The first byte that is wanted of a blob.
    pub(crate) from: Option<u64>,
    pub(crate) content: Option<Content>,
}

/// What is sent with a request.
#[derive(Clone)]
pub(crate) enum Content {
    /// Keys and values, as a form of a page.
    Form(Vec<(&'static str, String)>),
    Json(serde_json::Value),
    /// Plain text.
    Text(String),
}

impl Http {
    /// The server at `place`, of which nothing is asked yet. Its requests are paid for from `budget`.
    pub(crate) fn new(
        place: &Place<'_>,
        ports: Ports,
        timeouts: Timeouts,
        budget: Option<Arc<Budget>>,
    ) -> Result<Self, RegistryError> {
        let id = place.id.clone();
        let misconfigured = |reason: String| RegistryError::Misconfigured { registry: id.clone(), reason };
        let base = base(place.url).map_err(misconfigured)?;
        let surroundings = Arc::new(Surroundings::of(base.clone()));
        let made = |redirects: Policy| {
            let client = client(&surroundings, timeouts, place.ca, redirects);
            client.map_err(|error| misconfigured(format!("no HTTP client: {error}")))
        };
        let (client, sender) = (made(redirects(&surroundings))?, made(Policy::none())?);
        Ok(Self { id, base, prefix: place.prefix, client, sender, surroundings, ports, timeouts, budget })
    }

    /// The URL of `path` and `query` on this server, `/v2/_catalog?n=100`; the reason when it leads elsewhere.
    pub(crate) fn url(&self, path_and_query: &str) -> Result<Url, String> {
        let url = self
            .base
            .join(path_and_query)
            .map_err(|error| format!("{path_and_query:?} is no URL: {error}"))?;
        if hosts::is_same_origin(&self.base, &url) && url.path().starts_with(self.prefix) {
            Ok(url)
        } else {
            Err("it leads to another server".to_owned())
        }
    }

    /// Names `what` is asked for, in errors.
    pub(crate) fn subject(&self, what: impl Into<String>) -> Subject {
        Subject { registry: self.id.clone(), what: what.into() }
    }

    /// A request for `path` and `query` of this server.
    pub(crate) fn request(
        &self,
        method: Method,
        path_and_query: &str,
        what: impl Into<String>,
    ) -> Result<Request, RegistryError> {
        let subject = self.subject(what);
        let url = self.url(path_and_query).map_err(|reason| subject.invalid(reason))?;
        Ok(Request { method, url, scope: Scope::Nothing, subject, accept: None, from: None, content: None })
    }

    /// Whether `url` is on this server.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        hosts::is_same_origin(&self.base, url)
    }

    pub(crate) fn check_realm(&self, realm: &str) -> Result<Url, String> {
        self.surroundings.check_realm(realm)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// Sends `request` once, without trying again, and gives its answer when it is a success.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        authorization: Option<HeaderValue>,
        limit: usize,
    ) -> Result<Answer, RegistryError> {
        let response = self.once(request, Some(self.timeouts.whole), authorization).await?;
        Answer::read(response, limit, &request.subject).await?.success(&request.subject, self.now())
    }

    /// The same of a server that hands out tokens, whose answer may have at most 64 KiB. It says with 400 that it does not take
    /// who asks, which is [`RegistryError::Denied`].
    ///
    /// Specification: <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>
    pub(crate) async fn grant(
        &self,
        request: &Request,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, RegistryError> {
        let response = self.once(request, Some(self.timeouts.whole), authorization).await?;
        let answer = Answer::read(response, TOKEN_LIMIT, &request.subject).await?;
        answer.granted(&request.subject, self.now())
    }

    /// Sends `request` once. Where it sends something, no redirect is followed: another server would get it.
    pub(crate) async fn once(
        &self,
        request: &Request,
        timeout: Option<Duration>,
        authorization: Option<HeaderValue>,
    ) -> Result<reqwest::Response, RegistryError> {
        let client = if request.content.is_some() { &self.sender } else { &self.client };
        let mut builder = client.request(request.method.clone(), request.url.clone());
        if let Some(timeout) = timeout {
            builder = builder.timeout(timeout);
        }
        if let Some(accept) = &request.accept {
            builder = builder.header(ACCEPT, accept);
        }
        if let Some(from) = request.from {
            builder = builder.header(RANGE, format!("bytes={from}-"));
        }
        if let Some(authorization) = &authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        builder = match &request.content {
            None => builder,
            Some(Content::Form(form)) => builder.form(form),
            Some(Content::Json(value)) => builder.json(value),
            Some(Content::Text(text)) => builder.header(CONTENT_TYPE, "text/plain").body(text.clone()),
        };
        let is_counted = hosts::is_same_origin(&self.base, &request.url);
        let budget = self.budget.as_ref().filter(|_| is_counted);
        if let Some(budget) = budget {
            budget.pay(&request.subject).await?;
        }
        let mut response = builder.send().await.map_err(|error| request.subject.transport(error))?;
        // What another server says, to which this one has led, is no word of this one.
        if let Some(budget) = budget.filter(|_| hosts::is_same_origin(&self.base, response.url())) {
            budget.heed(response.status(), response.headers()).await;
        }
        response.extensions_mut().insert(Sent::of(authorization.as_ref(), request.content.as_ref()));
        Ok(response)
    }
}

/// The URL of a configuration as the root of a registry; the reason when it is none.
fn base(url: &str) -> Result<Url, String> {
    let base: Url = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
    if !base.username().is_empty() || base.password().is_some() {
        return Err("the URL holds a user or password: put them where `credentials` name them".to_owned());
    }
    if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
        return Err(format!("{url:?} is not of the form https://HOST or http://HOST"));
    }
    if base.path() != "/" || base.query().is_some() || base.fragment().is_some() {
        return Err(format!("{url:?} has a path: the specification puts a registry at the root of its host"));
    }
    Ok(base)
}

/// Follows a few redirects, to where the server may lead.
fn redirects(surroundings: &Arc<Surroundings>) -> Policy {
    let surroundings = Arc::clone(surroundings);
    Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("too many redirects");
        }
        match surroundings.check_redirect(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(reason) => attempt.error(reason),
        }
    })
}

/// The connections to a server, and to where it redirects. Nothing is decompressed on the way, because
/// digests are of the bytes as they are stored.
fn client(
    surroundings: &Arc<Surroundings>,
    timeouts: Timeouts,
    ca: &[reqwest::Certificate],
    redirects: Policy,
) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .dns_resolver(GuardedResolver::new(Arc::clone(surroundings)))
        .tls_certs_merge(ca.iter().cloned())
        .user_agent(concat!("tidewatch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeouts.connect)
        .read_timeout(timeouts.read)
        .redirect(redirects)
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .default_headers([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))].into_iter().collect())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_the_root_of_a_host() {
        for good in ["https://registry.example.com", "http://127.0.0.1:5000/", "https://[::1]:5000"] {
            assert!(base(good).is_ok(), "{good} was refused");
        }
        for bad in ["", "registry.example.com", "ftp://x", "https://x/v2", "https://x?y", "unix:/x"] {
            assert!(base(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_without_being_shown() {
        let reason = base("https://user:secret@registry.example.com").unwrap_err();
        assert!(!reason.contains("secret"), "{reason}");
    }
}
