//! Fetches by HTTP: conditional requests, and redirects only on the same server.

use std::io::ErrorKind;

use reqwest::header::{ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::{FetchError, Fetched, Fetcher, Sink, Until, Validators};
use crate::progress::Progress;
use crate::settings::{Settings, SettingsError};

/// How many redirects are followed.
const REDIRECTS: usize = 5;
const USER_AGENT: &str = concat!("tidewatch/", env!("CARGO_PKG_VERSION"));

pub(super) fn client(settings: &Settings) -> Result<Client, SettingsError> {
    Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.read_timeout)
        .redirect(Policy::custom(follow))
        .build()
        .map_err(SettingsError::Client)
}

impl Fetcher {
    pub(super) async fn get_from_web(
        &self,
        url: &Url,
        known: &Validators,
        until: Until,
        progress: &mut Progress<'_>,
    ) -> Result<Fetched, FetchError> {
        let Some(mut response) = self.open(url, known, until).await? else { return Ok(Fetched::Unchanged) };
        let length = response.content_length();
        if length.is_some_and(|length| length > self.limit) {
            return Err(self.too_large(url));
        }
        progress.expect(length);
        let headers = response.headers();
        let validators = Validators {
            etag: text(headers, ETAG.as_str()),
            last_modified: text(headers, LAST_MODIFIED.as_str()),
        };
        let mut sink = Sink::new(&self.folder, self.limit, progress)?;
        while let Some(chunk) = response.chunk().await.map_err(|source| transport(url, source))? {
            sink.write(&chunk).await.map_err(|error| match error.kind() {
                ErrorKind::FileTooLarge => self.too_large(url),
                _ => error.into(),
            })?;
        }
        Ok(Fetched::Changed(sink.finish(validators).await?))
    }

    pub(super) async fn read_from_web(
        &self,
        url: &Url,
        limit: u64,
        until: Until,
    ) -> Result<Vec<u8>, FetchError> {
        let unchanged = || FetchError::Status { url: url.clone(), status: StatusCode::NOT_MODIFIED };
        let mut response = self.open(url, &Validators::default(), until).await?.ok_or_else(unchanged)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|source| transport(url, source))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                return Err(FetchError::TooLarge { place: url.to_string(), limit });
            }
        }
        Ok(bytes)
    }

    /// The answer, whose body is still to come; `None` when it is what `known` is of. The HTTP client sees to it that
    /// the body has the length that was announced.
    async fn open(
        &self,
        url: &Url,
        known: &Validators,
        until: Until,
    ) -> Result<Option<Response>, FetchError> {
        let mut request = self.http.get(url.clone()).timeout(until.left());
        if let Some(etag) = &known.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(last_modified) = &known.last_modified {
            request = request.header(IF_MODIFIED_SINCE, last_modified);
        }
        let response = request.send().await.map_err(|source| transport(url, source))?;
        match response.status() {
            StatusCode::OK => Ok(Some(response)),
            // Who did not ask whether it has changed can make nothing of this.
            StatusCode::NOT_MODIFIED if *known != Validators::default() => Ok(None),
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                let target =
                    text(response.headers(), LOCATION.as_str()).unwrap_or_else(|| "nowhere".to_owned());
                Err(FetchError::Redirect { url: url.clone(), target })
            }
            status => Err(FetchError::Status { url: url.clone(), status }),
        }
    }
}

/// Follows a redirect only to the server that was asked.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let same = attempt.previous().first().is_some_and(|asked| asked.origin() == attempt.url().origin());
    if same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

fn transport(url: &Url, source: reqwest::Error) -> FetchError {
    FetchError::Transport { url: url.clone(), source: source.without_url() }
}

/// The value of a header that is text.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
