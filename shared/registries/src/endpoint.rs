//! The HTTP side of one registry: connections, authentication, and trying again what can succeed in a moment.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, RANGE};
use http::{HeaderValue, Method, StatusCode};
use reqwest::redirect::Policy;
use tidewatch_core::names::RegistryId;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::ports::{Clock, Randomness, Sleeper};
use url::Url;

use crate::answer::{Answer, Offered, Subject, is_transient};
use crate::auth::{Authenticator, Scope};
use crate::budget::Budget;
use crate::hosts;
use crate::secrets::Login;

/// How often a request is tried in all. Few: whoever asked tries again later anyway.
const TRIES: u32 = 3;
/// The longest pause after the first try; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
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

/// One registry over HTTP.
pub(crate) struct Endpoint {
    id: RegistryId,
    base: Url,
    http: reqwest::Client,
    auth: Authenticator,
    ports: Ports,
    timeouts: Timeouts,
    budget: Option<Arc<Budget>>,
}

/// A request, which can be sent more than once.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) scope: Scope,
    pub(crate) subject: Subject,
    pub(crate) accept: Option<HeaderValue>,
    /// The first byte that is wanted of a blob.
    pub(crate) from: Option<u64>,
}

impl Endpoint {
    /// The registry at `url`, of which nothing is asked yet. Its requests are paid for from `budget`.
    pub(crate) fn new(
        id: &RegistryId,
        url: &str,
        login: Option<Login>,
        ports: Ports,
        timeouts: Timeouts,
        budget: Option<Arc<Budget>>,
    ) -> Result<Self, RegistryError> {
        let misconfigured = |reason: String| RegistryError::Misconfigured { registry: id.clone(), reason };
        let base = base(url).map_err(misconfigured)?;
        let http =
            client(&base, timeouts).map_err(|error| misconfigured(format!("no HTTP client: {error}")))?;
        let auth = Authenticator::new(base.clone(), login, http.clone(), ports.clone(), timeouts);
        let auth = auth.within(budget.clone());
        Ok(Self { id: id.clone(), base, http, auth, ports, timeouts, budget })
    }

    /// The URL of `path` and `query` on this registry, `/v2/_catalog?n=100`; the reason when it leads elsewhere.
    pub(crate) fn url(&self, path_and_query: &str) -> Result<Url, String> {
        let url = self
            .base
            .join(path_and_query)
            .map_err(|error| format!("{path_and_query:?} is no URL: {error}"))?;
        if hosts::is_same_origin(&self.base, &url) && url.path().starts_with("/v2/") {
            Ok(url)
        } else {
            Err("it leads to another server".to_owned())
        }
    }

    /// Names `what` is asked for, in errors.
    pub(crate) fn subject(&self, what: String) -> Subject {
        Subject { registry: self.id.clone(), what }
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

    async fn fetch_once(&self, request: &Request, limit: usize) -> Result<Answer, RegistryError> {
        let response = self.send(request, Some(self.timeouts.whole)).await?;
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
        answer.success(&request.subject, self.auth.login(), self.ports.clock.now())
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

    /// Waits before the next try, after `tried` of them: a random time, so that many clients do not come at once.
    ///
    /// Reference: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
    pub(crate) async fn pause(&self, tried: u32) {
        let longest = FIRST_PAUSE.saturating_mul(1 << tried.saturating_sub(1).min(8));
        let mut random = [0];
        self.ports.randomness.fill(&mut random);
        let pause = longest.saturating_mul(u32::from(random[0]) + 1) / 256;
        self.ports.sleeper.sleep(pause).await;
    }

    /// Sends `request` with what is known about its authentication, and once more when it is challenged.
    async fn send(
        &self,
        request: &Request,
        timeout: Option<Duration>,
    ) -> Result<reqwest::Response, RegistryError> {
        let offered = self.auth.prepare(&request.scope, &request.subject).await?;
        let response = self.once(request, timeout, offered.clone()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match self.auth.answer(response.headers(), &request.scope, offered.as_ref(), &request.subject).await?
        {
            Some(answer) => self.once(request, timeout, Some(answer)).await,
            None => Ok(response),
        }
    }

    async fn once(
        &self,
        request: &Request,
        timeout: Option<Duration>,
        authorization: Option<HeaderValue>,
    ) -> Result<reqwest::Response, RegistryError> {
        let mut builder = self.http.request(request.method.clone(), request.url.clone());
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
        if let Some(budget) = &self.budget {
            budget.pay(&request.subject).await?;
        }
        let mut response = builder.send().await.map_err(|error| request.subject.transport(error))?;
        // What another server says, to which the registry has led, is no word of the registry.
        if let Some(budget) =
            self.budget.as_ref().filter(|_| hosts::is_same_origin(&self.base, response.url()))
        {
            budget.heed(response.status(), response.headers()).await;
        }
        response.extensions_mut().insert(Offered(authorization));
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

/// The connections to the registry at `base`, and to where it redirects. Nothing is decompressed on the way, because
/// digests are of the bytes as they are stored.
fn client(base: &Url, timeouts: Timeouts) -> reqwest::Result<reqwest::Client> {
    let registry = base.clone();
    let redirects = Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("too many redirects");
        }
        match hosts::check_redirect(&registry, attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(reason) => attempt.error(reason),
        }
    });
    reqwest::Client::builder()
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
