//! Fetches one archive: only when it has changed, into a temporary file, within limits.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tidewatch_core::{Digest, Retry, Retryable};
use tokio::io::AsyncWriteExt as _;
use url::Url;

use crate::settings::{Settings, SettingsError};

/// How many redirects are followed.
const REDIRECTS: usize = 5;
const USER_AGENT: &str = concat!("tidewatch/", env!("CARGO_PKG_VERSION"));

/// An archive could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server could not be reached, or its answer did not come to its end.
    #[error("failed to fetch {url}")]
    Transport {
        /// The archive.
        url: Url,
        /// What the HTTP client says.
        source: reqwest::Error,
    },
    /// The server answered something else.
    #[error("failed to fetch {url}: it answered {status}")]
    Status {
        /// The archive.
        url: Url,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The server sends elsewhere.
    #[error("failed to fetch {url}: it redirects to {target}, which is not followed")]
    Redirect {
        /// The archive.
        url: Url,
        /// Where it sends, as far as it says it.
        target: String,
    },
    /// The archive is too large.
    #[error("failed to fetch {url}: it has more than {limit} bytes")]
    TooLarge {
        /// The archive.
        url: Url,
        /// How many bytes it may have.
        limit: u64,
    },
    /// The archive could not be kept.
    #[error("failed to write the archive to a temporary file")]
    Disk(#[from] std::io::Error),
}

impl Retryable for FetchError {
    fn retry(&self) -> Retry {
        match self {
            Self::Transport { .. } | Self::Disk(_) => Retry::Again,
            Self::Status { status, .. } => {
                let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
                if status.is_server_error() || passes.contains(status) { Retry::Again } else { Retry::Never }
            }
            Self::Redirect { .. } | Self::TooLarge { .. } => Retry::Never,
        }
    }
}

/// What the last answer gave to ask with, whether the archive has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// The archive is the one that the validators are of.
    Unchanged,
    /// An archive.
    Archive(Download),
}

/// An archive in a temporary file, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) file: NamedTempFile,
    pub(crate) size: u64,
    pub(crate) hash: Digest,
    pub(crate) validators: Validators,
}

/// Fetches archives from one server.
#[derive(Clone, Debug)]
pub(crate) struct Archives {
    http: Client,
    prefix: Url,
    limit: u64,
}

impl Archives {
    /// The archives under `prefix`.
    pub(crate) fn new(prefix: &Url, settings: &Settings) -> Result<Self, SettingsError> {
        let http = Client::builder()
            .user_agent(USER_AGENT)
            .https_only(prefix.scheme() == "https")
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.read_timeout)
            .redirect(Policy::custom(follow))
            .build()
            .map_err(SettingsError::Client)?;
        Ok(Self { http, prefix: prefix.clone(), limit: settings.archive_limit })
    }

    /// Where the archive of `ecosystem` is.
    pub(crate) fn url(&self, ecosystem: &str) -> Url {
        let mut url = self.prefix.clone();
        // Only a URL without a host has no segments, and such a one is no setting.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(ecosystem).push("all.zip");
        }
        url
    }

    /// Fetches the archive at `url`, unless it is the one that `validators` are of, into a file in `folder`. It takes
    /// at most `within`.
    pub(crate) async fn get(
        &self,
        url: &Url,
        validators: &Validators,
        folder: &Path,
        within: Duration,
    ) -> Result<Fetched, FetchError> {
        let mut request = self.http.get(url.clone()).timeout(within);
        if let Some(etag) = &validators.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(last_modified) = &validators.last_modified {
            request = request.header(IF_MODIFIED_SINCE, last_modified);
        }
        let response = request.send().await.map_err(|source| transport(url, source))?;
        let status = response.status();
        match status {
            StatusCode::OK => self.download(url, response, folder).await.map(Fetched::Archive),
            // Who did not ask whether it has changed can make nothing of this.
            StatusCode::NOT_MODIFIED if *validators != Validators::default() => Ok(Fetched::Unchanged),
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                let target =
                    text(response.headers(), LOCATION.as_str()).unwrap_or_else(|| "nowhere".to_owned());
                Err(FetchError::Redirect { url: url.clone(), target })
            }
            status => Err(FetchError::Status { url: url.clone(), status }),
        }
    }

    /// The body. The HTTP client sees to it that it has the length that was announced.
    async fn download(
        &self,
        url: &Url,
        mut response: Response,
        folder: &Path,
    ) -> Result<Download, FetchError> {
        let too_large = || FetchError::TooLarge { url: url.clone(), limit: self.limit };
        if response.content_length().is_some_and(|length| length > self.limit) {
            return Err(too_large());
        }
        let headers = response.headers();
        let validators = Validators {
            etag: text(headers, ETAG.as_str()),
            last_modified: text(headers, LAST_MODIFIED.as_str()),
        };
        let temporary = tempfile::Builder::new().prefix("advisories-").suffix(".zip").tempfile_in(folder)?;
        let mut file = tokio::fs::File::from_std(temporary.reopen()?);
        let (mut size, mut hasher) = (0, Sha256::new());
        while let Some(chunk) = response.chunk().await.map_err(|source| transport(url, source))? {
            size += chunk.len() as u64;
            if size > self.limit {
                return Err(too_large());
            }
            hasher.update(&chunk);
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        let hash = Digest::from_bytes(hasher.finalize().into());
        Ok(Download { file: temporary, size, hash, validators })
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
