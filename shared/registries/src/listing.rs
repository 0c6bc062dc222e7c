//! Pages of a listing, and the link from one to the next.
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#content-discovery>,
//! <https://www.rfc-editor.org/rfc/rfc8288>

use std::fmt::Display;
use std::str::FromStr;

use http::header::LINK;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tidewatch_core::ports::registry::{ListPage, RegistryError};
use url::{Position, Url};

use crate::auth::Scope;
use crate::endpoint::Endpoint;
use crate::pages;
use crate::server::Request;

/// Bytes that a page may have. Some registries give all tags on one page, whatever is asked.
const PAGE_LIMIT: usize = 16 << 20;

/// A listing of a registry.
pub(crate) struct Listing {
    /// `/v2/_catalog`.
    pub(crate) path: String,
    /// How many entries to ask for.
    pub(crate) page_size: u16,
    pub(crate) scope: Scope,
    /// `tags of team/web`.
    pub(crate) what: String,
}

/// What listings hold. `null` stands for none.
#[derive(Deserialize)]
struct Page {
    #[serde(alias = "repositories", deserialize_with = "pages::list")]
    tags: Vec<String>,
}

/// The page of `listing` at `cursor`, which is the `next` of the page before.
///
/// An entry that is no name cannot be asked for either; it is logged and left out.
pub(crate) async fn page<T: FromStr<Err: Display>>(
    endpoint: &Endpoint,
    listing: Listing,
    cursor: Option<&str>,
) -> Result<ListPage<T>, RegistryError> {
    let subject = endpoint.subject(listing.what);
    let first = format!("{}?n={}", listing.path, listing.page_size);
    let url = endpoint.url(cursor.unwrap_or(&first)).map_err(|reason| subject.invalid(reason))?;
    let request = endpoint.get(url[Position::BeforePath..].as_ref(), subject.what.clone())?;
    let mut request = Request { scope: listing.scope, ..request };
    let mut answer = endpoint.fetch(&request, PAGE_LIMIT).await?;
    if answer.status == StatusCode::BAD_REQUEST && cursor.is_none() {
        // Some registries refuse a page size that is over their own, instead of giving less.
        request.url.set_query(None);
        answer = endpoint.fetch(&request, PAGE_LIMIT).await?;
    }
    let answer = endpoint.success(answer, &request)?;
    let page: Page = serde_json::from_slice(&answer.body)
        .map_err(|error| request.subject.invalid(format!("it is no listing: {error}")))?;
    let next = match next(&answer.headers) {
        None => None,
        Some(link) => {
            Some(follow(endpoint, &request.url, link).map_err(|reason| request.subject.invalid(reason))?)
        }
    };
    let entries = pages::names(&request.subject, page.tags);
    Ok(ListPage { entries, next })
}

/// The cursor for a link that was found on the page at `url`.
pub(crate) fn follow(endpoint: &Endpoint, url: &Url, link: &str) -> Result<String, String> {
    let target = url.join(link).map_err(|error| format!("its next page {link:?} is no URL: {error}"))?;
    let next = endpoint.url(target.as_str()).map_err(|reason| format!("its next page is wrong: {reason}"))?;
    if next == *url {
        return Err("its next page is itself".to_owned());
    }
    Ok(next[Position::BeforePath..Position::AfterQuery].to_owned())
}

/// The target of the link to the next page: `</v2/_catalog?last=a>; rel="next"`.
pub(crate) fn next(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(next_in)
}

/// The target of the link to the next page in one header, which can hold several links.
fn next_in(mut header: &str) -> Option<&str> {
    loop {
        let (target, rest) = header.split_once('<')?.1.split_once('>')?;
        // The parameters end where the next link begins.
        let (parameters, following) = rest.split_once('<').unwrap_or((rest, ""));
        let is_next = parameters.split([';', ',']).filter_map(|parameter| parameter.split_once('=')).any(
            |(key, value)| {
                key.trim().eq_ignore_ascii_case("rel")
                    && value
                        .trim()
                        .trim_matches('"')
                        .split(' ')
                        .any(|relation| relation.eq_ignore_ascii_case("next"))
            },
        );
        if is_next {
            return Some(target);
        }
        header = rest.get(rest.len() - following.len() - usize::from(!following.is_empty())..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_page_is_found_among_the_links() {
        for (header, expected) in [
            ("</v2/_catalog?last=a&n=2>; rel=\"next\"", Some("/v2/_catalog?last=a&n=2")),
            ("<https://r.example/v2/x>;rel=next", Some("https://r.example/v2/x")),
            ("<?last=a,b;c>; title=\"x\"; REL=\"prev Next\"", Some("?last=a,b;c")),
            ("</first>; rel=\"first\", </second>; rel=\"next\"", Some("/second")),
            ("</first>; rel=\"first\"", None),
            ("</first>", None),
            ("rel=next", None),
            ("<", None),
            ("", None),
        ] {
            assert_eq!(next_in(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_link_makes_the_client_panic_or_loop(text in "[<>;,=\" a-z]{0,60}") {
            let _ = next_in(&text);
        }
    }
}
