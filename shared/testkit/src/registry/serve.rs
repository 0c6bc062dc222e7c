//! The HTTP side: which request is which, and what it is answered with.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    LOCATION, RANGE, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use tidewatch_core::Digest;
use tidewatch_core::names::RepositoryName;

use super::fault::{Fault, Outage};
use super::{RecordedRequest, State, lock, seconds};

/// The header that names the digest of a manifest or blob.
const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The routes of the registry on `state`.
pub(super) fn router(state: Arc<Mutex<State>>) -> Router {
    Router::new().fallback(move |request: Request| {
        let state = Arc::clone(&state);
        async move {
            let outage = {
                let mut state = lock(&state);
                state.record(&request);
                state.faults.outage()
            };
            match outage {
                None => lock(&state).answer(&request),
                Some(Outage::Hang) => std::future::pending().await,
                Some(Outage::Status(status)) => {
                    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    problem(status, "UNKNOWN", "the test asked for this")
                }
                Some(Outage::Throttle(retry_after)) => {
                    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "slow down");
                    if let Some(value) = retry_after.and_then(|after| seconds(after).parse().ok()) {
                        response.headers_mut().insert(RETRY_AFTER, value);
                    }
                    response
                }
            }
        }
    })
}

/// An answer that refuses, in the form of the specification.
pub(super) fn problem(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What a path of the distribution specification asks for.
enum Route<'a> {
    Ping,
    Token,
    Catalog,
    Tags(&'a str),
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Referrers(&'a str, &'a str),
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/v2/" | "/v2" => return Some(Self::Ping),
            "/token" => return Some(Self::Token),
            "/v2/_catalog" => return Some(Self::Catalog),
            _ => {}
        }
        let path = path.strip_prefix("/v2/")?;
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Some(Self::Tags(name));
        }
        let (rest, reference) = path.rsplit_once('/')?;
        let (name, kind) = rest.rsplit_once('/')?;
        match kind {
            "manifests" => Some(Self::Manifest(name, reference)),
            "blobs" => Some(Self::Blob(name, reference)),
            "referrers" => Some(Self::Referrers(name, reference)),
            _ => None,
        }
    }

    /// The repository that it is about.
    const fn repository(&self) -> Option<&'a str> {
        match self {
            Self::Tags(name) | Self::Manifest(name, _) | Self::Blob(name, _) | Self::Referrers(name, _) => {
                Some(name)
            }
            Self::Ping | Self::Token | Self::Catalog => None,
        }
    }

    /// The scope that a token needs for it.
    fn scope(&self) -> String {
        match (self, self.repository()) {
            (_, Some(name)) => format!("repository:{name}:pull"),
            (Self::Catalog, _) => "registry:catalog:*".to_owned(),
            _ => String::new(),
        }
    }
}

impl State {
    fn record(&mut self, request: &Request) {
        let range = request.headers().get(RANGE).and_then(|value| value.to_str().ok());
        self.requests.push(RecordedRequest {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            range: range.map(str::to_owned),
            authorized: request.headers().contains_key(AUTHORIZATION),
        });
    }

    fn answer(&mut self, request: &Request) -> Response<Body> {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let headers = request.headers();
        let Some(route) = Route::of(path) else {
            return self.violation(request, "it is not in the reading API");
        };
        if let Some(reason) = misuse(&route, request) {
            return self.violation(request, reason);
        }
        if matches!(route, Route::Token) {
            return self
                .give_token(headers, query)
                .unwrap_or_else(|| self.violation(request, "there is no token server"));
        }
        if let Some(refusal) = self.refuse(headers, &route.scope()) {
            return refusal;
        }
        match route {
            Route::Ping | Route::Token => Response::new(Body::from("{}")),
            Route::Catalog => self.catalog(query),
            Route::Tags(name) => self.tags(name, path, query),
            Route::Manifest(name, reference) => self.manifest(name, reference, request.method()),
            Route::Blob(name, digest) => self.blob(name, digest, request),
            Route::Referrers(name, digest) => self.referrers(name, digest),
        }
    }

    fn violation(&mut self, request: &Request, reason: &str) -> Response<Body> {
        self.violations.push(format!("{} {}: {reason}", request.method(), request.uri()));
        problem(StatusCode::INTERNAL_SERVER_ERROR, "UNSUPPORTED", reason)
    }

    fn manifest(&mut self, name: &str, reference: &str, method: &Method) -> Response<Body> {
        let found = self.content.repositories.get(name).and_then(|repository| repository.manifest(reference));
        let Some((digest, manifest)) = found else {
            return problem(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown");
        };
        let mut bytes = manifest.bytes.to_vec();
        if self.faults.has(&Fault::CorruptManifest { digest }) {
            bytes.push(b'\n');
        }
        let mut headers = HeaderMap::new();
        if let Some(media_type) =
            HeaderValue::from_str(&manifest.media_type).ok().filter(|value| !value.is_empty())
        {
            headers.insert(CONTENT_TYPE, media_type);
        }
        if !self.faults.has(&Fault::OmitDigestHeader) {
            insert(&mut headers, DOCKER_CONTENT_DIGEST, &digest.to_string());
        }
        insert(&mut headers, CONTENT_LENGTH, &bytes.len().to_string());
        let body = if method == Method::HEAD {
            Body::empty()
        } else {
            *self.content.manifest_pulls.entry(digest).or_default() += 1;
            Body::from(bytes)
        };
        respond(StatusCode::OK, headers, body)
    }

    fn blob(&mut self, name: &str, digest: &str, request: &Request) -> Response<Body> {
        let repository = self.content.repositories.get(name);
        let found = digest.parse::<Digest>().ok().zip(repository);
        let Some((digest, bytes)) =
            found.and_then(|(digest, found)| Some((digest, found.blobs.get(&digest)?.clone())))
        else {
            return problem(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        if let Some(to) = self.faults.redirect() {
            let mut headers = HeaderMap::new();
            insert(&mut headers, LOCATION, &format!("{to}{}", request.uri().path()));
            return respond(StatusCode::TEMPORARY_REDIRECT, headers, Body::empty());
        }
        let range = request.headers().get(RANGE);
        if range.is_none() && request.method() == Method::GET {
            *self.content.blob_pulls.entry(digest).or_default() += 1;
        }
        let bytes = if self.faults.has(&Fault::CorruptBlob { digest }) { corrupt(&bytes) } else { bytes };
        let honoured = range.filter(|_| !self.faults.has(&Fault::IgnoreRange));
        let from = match honoured.map(|range| range_start(range, bytes.len())) {
            None => 0,
            Some(Some(from)) if !self.faults.has(&Fault::RefuseRange) => from,
            Some(_) => {
                return problem(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", "range not satisfiable");
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        insert(&mut headers, DOCKER_CONTENT_DIGEST, &digest.to_string());
        insert(&mut headers, CONTENT_LENGTH, &(bytes.len() - from).to_string());
        let status = if honoured.is_some() {
            insert(&mut headers, CONTENT_RANGE, &format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()));
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        };
        if request.method() == Method::HEAD {
            return respond(status, headers, Body::empty());
        }
        let part = bytes.slice(from..);
        let body = match self.faults.cut(&digest) {
            Some(after) if after < part.len() => cut_off(part.slice(..after)),
            _ => Body::from(part),
        };
        respond(status, headers, body)
    }
}

/// Why a request to a route of the reading API is wrong nevertheless.
fn misuse(route: &Route<'_>, request: &Request) -> Option<&'static str> {
    let (method, headers) = (request.method(), request.headers());
    let readable = match route {
        Route::Manifest(..) | Route::Blob(..) => method == Method::GET || method == Method::HEAD,
        _ => method == Method::GET,
    };
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect::<String>();
    let encoding = headers.get(ACCEPT_ENCODING).is_some_and(|value| value != "identity");
    if !readable {
        Some("the method does not read")
    } else if route.repository().is_some_and(|name| name.parse::<RepositoryName>().is_err()) {
        Some("the repository is no name")
    } else if matches!(route, Route::Manifest(..)) && !accept.contains("vnd.oci.image.index.v1+json") {
        Some("a manifest is asked for without accepting an index")
    } else if encoding && matches!(route, Route::Manifest(..) | Route::Blob(..)) {
        Some("what is checked by its digest is asked for compressed")
    } else if headers.contains_key(RANGE) && !matches!(route, Route::Blob(..)) {
        Some("a range of something that is no blob")
    } else {
        None
    }
}

/// The first byte of `bytes=FROM-`; `None` when the range is none or lies behind the end.
fn range_start(range: &HeaderValue, length: usize) -> Option<usize> {
    let from = range.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?;
    from.parse().ok().filter(|from| *from < length)
}

fn corrupt(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(first) = bytes.first_mut() {
        *first ^= 0xff;
    }
    bytes.into()
}

/// A body that breaks off after `bytes`.
fn cut_off(bytes: Bytes) -> Body {
    let parts = futures::stream::unfold(Some(bytes), |bytes| async move {
        if let Some(bytes) = bytes {
            return Some((Ok(bytes), None));
        }
        // Lets the server send what it has before the connection breaks.
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        Some((Err(std::io::Error::other("the test asked for this")), None))
    });
    Body::from_stream(parts)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        headers.insert(name, value);
    }
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
