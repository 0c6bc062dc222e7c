//! One server of a registry, as a client that says who it is, and tries again what can succeed in a moment.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::ports::{Clock, Randomness, Sleeper};
use url::Url;

use crate::answer::{Answer, Subject, is_transient};
use crate::auth::Authorize;
use crate::server::{Content, Http, Request};

/// How often a request is tried in all. Few: whoever asked tries again later anyway.
pub(crate) const TRIES: u32 = 3;
/// The longest pause after the first try; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

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

/// One server of a registry, and who it is told that the client is.
pub(crate) struct Endpoint {
    http: Arc<Http>,
    auth: Box<dyn Authorize>,
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
        let read = Answer::read(response, 0, &request.subject);
        let answer = tokio::time::timeout(self.http.timeouts.whole, read).await;
        let answer = answer.map_err(|_| request.subject.unavailable("a refusal that does not end"))??;
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
        // What another server asks for, to which this one has redirected, it does not get.
        if !self.auth.is_asked_by(response.status()) || !http.is_own(response.url()) {
            return Ok(response);
        }
        match self.auth.answer(http, response.headers(), scope, offered.as_ref(), subject).await? {
            Some(answer) => http.once(request, timeout, Some(answer)).await,
            None => Ok(response),
        }
    }
}
