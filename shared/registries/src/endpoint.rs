//! The HTTP side of one server of a registry: connections, authentication, and trying again what can succeed in a moment.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use tidewatch_core::Timestamp;
use tidewatch_core::names::RegistryId;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::ports::{Clock, Randomness, Sleeper};
use url::Url;

use crate::answer::{Answer, Sent, Subject, is_transient};
use crate::auth::{Authorize, Scope};
use crate::budget::Budget;
use crate::hosts::{self, Surroundings};
use crate::resolver::GuardedResolver;

/// How often a request is tried in all. Few: whoever asked tries again later anyway.
pub(crate) const TRIES: u32 = 3;
/// The longest pause after the first try; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Bytes that an answer with a token may have.
const TOKEN_LIMIT: usize = 64 << 10;
/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// What the client needs from the world besides the network.
#[derive(Clone)]
pub struct Ports {
    /// Tells when tokens run out, and what dates of the registry mean.
    pub clock: Arc<dyn Clock>,
    /// Waits between tries.
    pub sleeper: Arc<dyn Sleeper>,
    /// Spreads the tries of many clients.
    pub randomness: Arc<dyn Randomness>,
}

/// How long the client waits for a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes of an answer.
    pub read: Duration,
    /// For a whole answer that is no blob.
    pub whole: Duration,
}

impl Default for Timeouts {
    /// 10 s, 30 s, 60 s.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            whole: Duration::from_mins(1),
        }
    }
}

/// One server over HTTP: its connections, and the budget that its requests are paid for from.
pub(crate) struct Http {
    id: RegistryId,
    base: Url,
    /// What the path of every URL begins with that the server gives.
    prefix: &'static str,
    client: reqwest::Client,
    surroundings: Arc<Surroundings>,
    ports: Ports,
    timeouts: Timeouts,
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

/// One server of a registry, and who it is told that the client is.
pub(crate) struct Endpoint {
    http: Arc<Http>,
    auth: Box<dyn Authorize>,
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
        let client = client(&surroundings, timeouts, place.ca)
            .map_err(|error| misconfigured(format!("no HTTP client: {error}")))?;
        Ok(Self { id, base, prefix: place.prefix, client, surroundings, ports, timeouts, budget })
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

    async fn once(
        &self,
        request: &Request,
        timeout: Option<Duration>,
        authorization: Option<HeaderValue>,
    ) -> Result<reqwest::Response, RegistryError> {
        let mut builder = self.client.request(request.method.clone(), request.url.clone());
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

/// Waits before the next try, after `tried` of them: a random time, so that many clients do not come at once.
///
/// Reference: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
pub(crate) async fn pause(ports: &Ports, tried: u32) {
    let longest = FIRST_PAUSE.saturating_mul(1 << tried.saturating_sub(1).min(8));
    let mut random = [0];
    ports.randomness.fill(&mut random);
    let pause = longest.saturating_mul(u32::from(random[0]) + 1) / 256;
    ports.sleeper.sleep(pause).await;
}

impl Endpoint {
    /// The server `http`, which is told who the client is by `auth`.
    pub(crate) fn new(http: Http, auth: impl Authorize + 'static) -> Self {
        Self { http: Arc::new(http), auth: Box::new(auth) }
    }

    /// The URL of `path` and `query` on this server, `/v2/_catalog?n=100`; the reason when it leads elsewhere.
    pub(crate) fn url(&self, path_and_query: &str) -> Result<Url, String> {
        self.http.url(path_and_query)
    }

    /// Names `what` is asked for, in errors.
    pub(crate) fn subject(&self, what: impl Into<String>) -> Subject {
        self.http.subject(what)
    }

    /// A GET request for `path` and `query` of this server: `/api/v1/repository?page=1`, for `what`.
    pub(crate) fn get(
        &self,
        path_and_query: &str,
        what: impl Into<String>,
    ) -> Result<Request, RegistryError> {
        self.http.request(Method::GET, path_and_query, what)
    }

    /// A POST request that sends `content`.
    pub(crate) fn post(
        &self,
        path_and_query: &str,
        content: Content,
        what: impl Into<String>,
    ) -> Result<Request, RegistryError> {
        let request = self.http.request(Method::POST, path_and_query, what)?;
        Ok(Request { content: Some(content), ..request })
    }

    /// Sends `request` and reads the whole answer, which may have at most `limit` bytes when it is a success. The
    /// answer can still be a refusal; see [`Self::success`].
    pub(crate) async fn fetch(&self, request: &Request, limit: usize) -> Result<Answer, RegistryError> {
        let mut tried = 0;
        loop {
            match self.fetch_once(request, limit).await {
                Err(error) => self.wait_after(error, &mut tried).await?,
                answer => return answer,
            }
        }
    }

    /// The same of an answer that is a success and holds JSON; gives its headers as well.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: &Request,
        limit: usize,
    ) -> Result<(T, HeaderMap), RegistryError> {
        let answer = self.success(self.fetch(request, limit).await?, request)?;
        let read = serde_json::from_slice(&answer.body);
        let read =
            read.map_err(|error| request.subject.invalid(format!("it is not as documented: {error}")))?;
        Ok((read, answer.headers))
    }

    async fn fetch_once(&self, request: &Request, limit: usize) -> Result<Answer, RegistryError> {
        let response = self.send(request, Some(self.http.timeouts.whole)).await?;
        let answer = Answer::read(response, limit, &request.subject).await?;
        if is_transient(answer.status) { self.success(answer, request) } else { Ok(answer) }
    }

    /// Sends `request` and gives the answer before its body, which can take any time. The answer is a success, or has
    /// the status `tolerated`.
    pub(crate) async fn open(
        &self,
        request: &Request,
        tolerated: Option<StatusCode>,
    ) -> Result<reqwest::Response, RegistryError> {
        let mut tried = 0;
        loop {
            match self.open_once(request, tolerated).await {
                Err(error) => self.wait_after(error, &mut tried).await?,
                response => return response,
            }
        }
    }

    async fn open_once(
        &self,
        request: &Request,
        tolerated: Option<StatusCode>,
    ) -> Result<reqwest::Response, RegistryError> {
        let response = self.send(request, None).await?;
        if response.status().is_success() || Some(response.status()) == tolerated {
            return Ok(response);
        }
        let answer = Answer::read(response, 0, &request.subject).await?;
        Err(self
            .success(answer, request)
            .err()
            .unwrap_or_else(|| request.subject.invalid("it is no success")))
    }

    /// `answer` when it is a success, else the error that it means.
    pub(crate) fn success(&self, answer: Answer, request: &Request) -> Result<Answer, RegistryError> {
        answer.success(&request.subject, self.http.now())
    }

    /// Waits until the next try after `error`, of which there were `tried` before; gives the error back when another
    /// try makes no sense.
    async fn wait_after(&self, error: RegistryError, tried: &mut u32) -> Result<(), RegistryError> {
        *tried += 1;
        if *tried >= TRIES || !matches!(error, RegistryError::Unavailable { .. }) {
            return Err(error);
        }
        self.pause(*tried).await;
        Ok(())
    }

    /// How long an answer that is no blob may take.
    pub(crate) fn patience(&self) -> Duration {
        self.http.timeouts.whole
    }

    /// Waits before the next try, after `tried` of them.
    pub(crate) async fn pause(&self, tried: u32) {
        pause(&self.http.ports, tried).await;
    }

    /// Sends `request` with what is known about its authentication, and once more when it is challenged.
    async fn send(
        &self,
        request: &Request,
        timeout: Option<Duration>,
    ) -> Result<reqwest::Response, RegistryError> {
        let (http, scope, subject) = (&*self.http, &request.scope, &request.subject);
        let offered = self.auth.prepare(http, scope, subject).await?;
        let response = http.once(request, timeout, offered.clone()).await?;
        if !self.auth.is_asked_by(response.status()) {
            return Ok(response);
        }
        match self.auth.answer(http, response.headers(), scope, offered.as_ref(), subject).await? {
            Some(answer) => http.once(request, timeout, Some(answer)).await,
            None => Ok(response),
        }
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

/// The connections to a server, and to where it redirects. Nothing is decompressed on the way, because
/// digests are of the bytes as they are stored.
fn client(
    surroundings: &Arc<Surroundings>,
    timeouts: Timeouts,
    ca: &[reqwest::Certificate],
) -> reqwest::Result<reqwest::Client> {
    let of_redirects = Arc::clone(surroundings);
    let redirects = Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("too many redirects");
        }
        match of_redirects.check_redirect(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(reason) => attempt.error(reason),
        }
    });
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
