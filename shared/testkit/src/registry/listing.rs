//! Pages of repositories and tags.
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#content-discovery>

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LINK};
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::State;
use super::fault::Fault;
use super::serve::problem;

impl State {
    /// A page of the repositories. As in the reference implementation, more than 1,000 entries are refused.
    pub(super) fn catalog(&self, query: &str) -> Response<Body> {
        let names = self.content.repositories.keys();
        if Page::of(query).size.is_some_and(|size| size > 1000) {
            return problem(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", "n is over 1000");
        }
        self.page("/v2/_catalog", query, names, |entries| json!({"repositories": entries}))
    }

    /// A page of the tags of a repository. As in the reference implementation, no tags are `null`.
    pub(super) fn tags(&self, name: &str, path: &str, query: &str) -> Response<Body> {
        let Some(repository) = self.content.repositories.get(name) else {
            return problem(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry");
        };
        self.page(path, query, repository.tags.keys(), |entries| {
            let tags = if entries.is_empty() { Value::Null } else { json!(entries) };
            json!({"name": name, "tags": tags})
        })
    }

    /// An index of the manifests that name this one as their subject; empty where there are none, as the specification wants it.
    pub(super) fn referrers(&self, name: &str, digest: &str) -> Response<Body> {
        if self.faults.has(&Fault::NoReferrers) {
            return problem(StatusCode::NOT_FOUND, "NOT_FOUND", "page not found");
        }
        let repository = self.content.repositories.get(name);
        let manifests = repository.into_iter().flat_map(|repository| &repository.manifests);
        let referrers: Vec<Value> = manifests
            .filter_map(|(of, manifest)| {
                let document: Value = serde_json::from_slice(&manifest.bytes).ok()?;
                (document["subject"]["digest"] == digest).then(|| {
                    let artifact_type =
                        document.get("artifactType").unwrap_or(&document["config"]["mediaType"]);
                    json!({
                        "mediaType": manifest.media_type, "digest": of, "size": manifest.bytes.len(),
                        "artifactType": artifact_type, "annotations": document["annotations"],
                    })
                })
            })
            .collect();
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": referrers});
        let mut response = Response::new(Body::from(index.to_string()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        response
    }

    fn page<'a>(
        &self,
        path: &str,
        query: &str,
        entries: impl Iterator<Item = &'a String>,
        body: impl FnOnce(Vec<&'a String>) -> Value,
    ) -> Response<Body> {
        let Page { size, last } = Page::of(query);
        if size.is_some() && self.faults.has(&Fault::RefusePageSize) {
            return problem(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", "n is not supported");
        }
        let size = size.map_or(self.page_size, |size| size.min(self.page_size));
        let mut rest =
            entries.skip_while(|entry| last.as_ref().is_some_and(|last| *entry <= last)).peekable();
        let entries: Vec<&String> = rest.by_ref().take(size).collect();
        let next = entries.last().filter(|_| rest.peek().is_some()).map(|last| {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("last", last)
                .append_pair("n", &size.to_string())
                .finish();
            format!("{path}?{query}")
        });
        let next = self.faults.foreign_link().map(str::to_owned).or(next);
        let mut response = Response::new(Body::from(body(entries).to_string()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(link) = next.and_then(|next| format!("<{next}>; rel=\"next\"").parse().ok()) {
            response.headers_mut().insert(LINK, link);
        }
        response
    }
}

/// What a request asks of a listing.
struct Page {
    size: Option<usize>,
    last: Option<String>,
}

impl Page {
    fn of(query: &str) -> Self {
        let mut page = Self { size: None, last: None };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "n" => page.size = value.parse().ok(),
                "last" => page.last = Some(value.into_owned()),
                _ => {}
            }
        }
        page
    }
}
