//! A blob as it arrives. When the connection breaks, the rest is asked for at the registry again, not where it
//! redirected to: signed URLs run out.
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-blobs>,
//! <https://www.rfc-editor.org/rfc/rfc9110#name-range-requests>

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use tidewatch_core::ports::registry::{BlobStream, RegistryError};
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::server::Request;

/// How often a blob may break off without getting ahead by [`PROGRESS`] bytes.
const BREAKS: u32 = 3;
/// As many bytes show that going on is worth it.
const PROGRESS: u64 = 1 << 20;
/// As many bytes have to come while a whole answer that is no blob may take: a server that gives less, and never nothing, would
/// hold up a worker for ever.
const LEAST: u64 = 64 << 10;

type Body = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// A blob that is being read.
struct Reading {
    endpoint: Arc<Endpoint>,
    request: Request,
    body: Body,
    /// The length of the whole blob, when the registry said it.
    length: Option<u64>,
    /// Bytes that were handed on.
    delivered: u64,
    /// Bytes of `body` that were handed on before it.
    skip: u64,
    /// Breaks since there was progress, and how much was delivered then.
    breaks: u32,
    progress: u64,
    /// How long was waited for bytes since the pace was looked at, and how many have come since then. What the reader does in
    /// between does not count.
    waited: Duration,
    came: u64,
}

/// Opens the blob that `request` asks for. An error now is one of opening; later ones are items of the stream.
pub(crate) async fn open(endpoint: Arc<Endpoint>, request: Request) -> Result<BlobStream, RegistryError> {
    let response = endpoint.open(&request, None).await?;
    let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let reading = Reading {
        endpoint,
        request,
        body: body(response),
        length,
        delivered: 0,
        skip: 0,
        breaks: 0,
        progress: 0,
        waited: Duration::ZERO,
        came: 0,
    };
    Ok(Box::pin(stream::try_unfold(reading, |mut reading| async move {
        let chunk = reading.next().await?;
        Ok(chunk.map(|chunk| (chunk, reading)))
    })))
}

fn body(response: reqwest::Response) -> Body {
    Box::pin(response.bytes_stream())
}

impl Reading {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let began = Instant::now();
            let next = self.body.next().await;
            self.waited += began.elapsed();
            match next {
                Some(Ok(mut chunk)) => {
                    self.keep_pace(chunk.len() as u64)?;
                    let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len());
                    self.skip -= skipped as u64;
                    let chunk = chunk.split_off(skipped);
                    self.delivered += chunk.len() as u64;
                    if !chunk.is_empty() {
                        return Ok(Some(chunk));
                    }
                }
                Some(Err(error)) => self.resume(error).await?,
                None if self.skip > 0 => {
                    return Err(self.request.subject.invalid("it is shorter than before"));
                }
                None => return Ok(None),
            }
        }
    }

    /// Gives a server up that keeps the connection and gives next to nothing.
    fn keep_pace(&mut self, came: u64) -> Result<(), RegistryError> {
        self.came += came;
        if self.waited < self.endpoint.patience() {
            return Ok(());
        }
        if self.came < LEAST && self.length.is_none_or(|length| length > self.delivered + self.came) {
            let reason = format!("{} bytes came in {} s", self.came, self.waited.as_secs());
            return Err(self.request.subject.unavailable(reason));
        }
        (self.waited, self.came) = (Duration::ZERO, 0);
        Ok(())
    }

    /// Goes on where `error` broke off, or gives up with it.
    async fn resume(&mut self, error: reqwest::Error) -> Result<(), RegistryError> {
        if self.delivered - self.progress >= PROGRESS {
            self.progress = self.delivered;
            self.breaks = 0;
        }
        self.breaks += 1;
        if self.breaks > BREAKS {
            return Err(self.request.subject.transport(error));
        }
        if self.length == Some(self.delivered) {
            self.body = Box::pin(stream::empty());
            self.skip = 0;
            return Ok(());
        }
        self.endpoint.pause(self.breaks).await;
        self.request.from = Some(self.delivered).filter(|delivered| *delivered > 0);
        let mut response = self.endpoint.open(&self.request, Some(StatusCode::RANGE_NOT_SATISFIABLE)).await?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            self.request.from = None;
            response = self.endpoint.open(&self.request, None).await?;
        }
        self.skip = match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response, self.delivered) => 0,
            StatusCode::PARTIAL_CONTENT => {
                return Err(self.request.subject.invalid("it is another range than asked for"));
            }
            _ => self.delivered,
        };
        self.body = body(response);
        Ok(())
    }
}

/// Whether `response` is a part that begins with byte `start`: `Content-Range: bytes 5-9/10`.
fn starts_at(response: &reqwest::Response, start: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok());
    first == Some(start)
}
