//! The registry, a process of its own: the reading half of the distribution specification over HTTP, without
//! authentication, and a count of the requests by their kind.
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LINK};
use axum::http::{Method, Response, StatusCode};
use bytes::Bytes;
use serde_json::json;
use tidewatch_core::Digest;
use tidewatch_testkit::image::{BuiltImage, Manifest};
use tokio::net::TcpListener;

use crate::fleet::{self, Fleet};

/// The most entries of a page, as in the reference implementation.
const MOST_ENTRIES: usize = 1_000;
/// The entries of a page for which no number was asked.
const ENTRIES: usize = 100;

/// What is asked beside the specification: to move tags, and for the counts.
pub(crate) const MOVE: &str = "/move";
pub(crate) const COUNTS: &str = "/counts";

/// How often each kind of request was made.
pub(crate) type Counts = BTreeMap<String, u64>;

struct Registry {
    content: RwLock<Content>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Content {
    /// Of each repository what its tags point to.
    tags: HashMap<String, BTreeMap<String, Digest>>,
    /// Sorted.
    repositories: Vec<String>,
    manifests: HashMap<Digest, Manifest>,
    /// Layers and configurations, and whether it is a layer.
    blobs: HashMap<Digest, (Bytes, bool)>,
}

impl Content {
    fn add(&mut self, image: BuiltImage) {
        self.manifests.extend(image.manifests);
        for (digest, bytes) in image.blobs {
            let is_layer = !bytes.starts_with(b"{");
            self.blobs.entry(digest).or_insert((bytes, is_layer));
        }
    }
}

/// Serves so many repositories on a free port, and prints the address when it is ready.
#[expect(clippy::print_stdout, reason = "whoever started the process reads the address there")]
pub(crate) async fn serve(repositories: usize) -> anyhow::Result<()> {
    let mut content = Content::default();
    let mut fleet = Fleet::default();
    for repository in 0..repositories {
        let mut tags = BTreeMap::new();
        for tag in 0..fleet::TAGS {
            let image = fleet.tagged(repository, tag, 0)?;
            tags.insert(fleet::tag(tag), image.digest);
            content.add(image);
        }
        content.tags.insert(fleet::repository(repository), tags);
    }
    content.repositories = content.tags.keys().cloned().collect();
    content.repositories.sort();
    let registry = Arc::new(Registry { content: RwLock::new(content), counts: Mutex::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().fallback(answer).with_state(registry)).await?;
    Ok(())
}

async fn answer(State(registry): State<Arc<Registry>>, request: Request) -> Response<Body> {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let answered = match path {
        MOVE => registry.move_tags().map(|moved| json_page(&json!(moved), None)),
        COUNTS => {
            Ok(json_page(&json!(*registry.counts.lock().unwrap_or_else(PoisonError::into_inner)), None))
        }
        path => Ok(registry.read(request.method(), path, query)),
    };
    answered.unwrap_or_else(|error| status(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

impl Registry {
    /// Moves one tag in a hundred, and gives how many images are behind those.
    fn move_tags(&self) -> anyhow::Result<usize> {
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        let (mut fleet, mut moved) = (Fleet::default(), 0);
        for repository in 0..content.repositories.len() {
            for tag in (0..fleet::TAGS).filter(|tag| fleet::moves(repository, *tag)) {
                let image = fleet.tagged(repository, tag, 1)?;
                let tags = content.tags.get_mut(&fleet::repository(repository)).context("no repository")?;
                tags.insert(fleet::tag(tag), image.digest);
                content.add(image);
                moved += 1 + usize::from(fleet::is_index(tag));
            }
        }
        Ok(moved)
    }

    fn read(&self, method: &Method, path: &str, query: &str) -> Response<Body> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let (kind, answer) = content.read(method, path, query);
        drop(content);
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(kind.to_owned()).or_default() += 1;
        answer
    }
}

impl Content {
    /// The kind of a request, and its answer.
    fn read(&self, method: &Method, path: &str, query: &str) -> (&'static str, Response<Body>) {
        let absent = || status(StatusCode::NOT_FOUND, String::new());
        let path = path.strip_prefix("/v2/").unwrap_or_default();
        if path == "_catalog" {
            let page = page("/v2/_catalog", query, self.repositories.iter(), "repositories");
            return ("catalog pages", page);
        }
        if let Some(name) = path.strip_suffix("/tags/list") {
            let tags = self.tags.get(name);
            let answer = tags.map(|tags| page(&format!("/v2/{path}"), query, tags.keys(), "tags"));
            return ("tag pages", answer.unwrap_or_else(absent));
        }
        if let Some((name, reference)) = path.split_once("/manifests/") {
            let kind = if method == Method::HEAD { "HEAD manifest" } else { "GET manifest" };
            let tagged = || self.tags.get(name)?.get(reference).copied();
            let digest = reference.parse().ok().or_else(tagged);
            let found = digest.and_then(|digest| Some((digest, self.manifests.get(&digest)?)));
            let answer = found.map(|(digest, found)| manifest(method, &digest, found));
            return (kind, answer.unwrap_or_else(absent));
        }
        if let Some((_, digest)) = path.split_once("/blobs/") {
            let found = digest.parse().ok().and_then(|digest: Digest| self.blobs.get(&digest));
            let Some((bytes, is_layer)) = found else { return ("blobs that are not there", absent()) };
            let kind = if *is_layer { "GET layer" } else { "GET configuration" };
            return (kind, Response::new(Body::from(bytes.clone())));
        }
        ("others", absent())
    }
}

fn manifest(method: &Method, digest: &Digest, manifest: &Manifest) -> Response<Body> {
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(manifest.bytes.clone()) };
    let answer = Response::builder()
        .header(CONTENT_TYPE, &manifest.media_type)
        .header(CONTENT_LENGTH, manifest.bytes.len())
        .header("docker-content-digest", digest.to_string());
    answer.body(body).unwrap_or_default()
}

/// The page that `query` asks for, with a link to the next one.
fn page<'a>(
    path: &str,
    query: &str,
    entries: impl Iterator<Item = &'a String>,
    name: &str,
) -> Response<Body> {
    let (mut most, mut last) = (ENTRIES, None);
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "n" => most = value.parse().unwrap_or(ENTRIES).clamp(1, MOST_ENTRIES),
            "last" => last = Some(value.into_owned()),
            _ => {}
        }
    }
    let mut rest = entries.skip_while(|entry| last.as_ref().is_some_and(|last| *entry <= last)).peekable();
    let entries: Vec<&String> = rest.by_ref().take(most).collect();
    let next = entries.last().filter(|_| rest.peek().is_some());
    let next = next.map(|last| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("last", last)
            .append_pair("n", &most.to_string())
            .finish();
        format!("<{path}?{query}>; rel=\"next\"")
    });
    json_page(&json!({ name: entries }), next)
}

fn json_page(body: &serde_json::Value, link: Option<String>) -> Response<Body> {
    let answer = Response::builder().header(CONTENT_TYPE, "application/json");
    let answer = link.into_iter().fold(answer, |answer, link| answer.header(LINK, link));
    answer.body(Body::from(body.to_string())).unwrap_or_default()
}

fn status(status: StatusCode, body: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer
}
