//! What names resolve to. A name that a registry leads to is not followed to an address inside the network: whoever decides
//! about a name decides about its address.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::hosts::Surroundings;

/// The variables by which people name proxies: the HTTP client reads the same.
const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Resolves names for one server.
pub(crate) struct GuardedResolver {
    surroundings: Arc<Surroundings>,
    proxies: Arc<BTreeSet<String>>,
}

/// A name that resolves only to addresses where nobody is to be led to.
#[derive(Debug)]
pub(crate) struct RefusedName(String);

impl fmt::Display for RefusedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it leads to {}, which is on a loopback, link-local or private address", self.0)
    }
}

impl std::error::Error for RefusedName {}

impl GuardedResolver {
    pub(crate) fn new(surroundings: Arc<Surroundings>) -> Self {
        Self { surroundings, proxies: Arc::new(proxies()) }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (surroundings, proxies) = (Arc::clone(&self.surroundings), Arc::clone(&self.proxies));
        Box::pin(async move {
            let name = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
            let admitted = admitted(&surroundings, &proxies, name, found)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// Those of the addresses of `name` that may be connected to.
fn admitted(
    surroundings: &Surroundings,
    proxies: &BTreeSet<String>,
    name: &str,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, RefusedName> {
    if surroundings.is_own(name) {
        surroundings.found_at(found.iter().map(SocketAddr::ip));
        return Ok(found);
    }
    if proxies.contains(&name.to_ascii_lowercase()) {
        return Ok(found);
    }
    let admitted: Vec<SocketAddr> =
        found.into_iter().filter(|address| surroundings.admit(address.ip())).collect();
    if admitted.is_empty() { Err(RefusedName(name.to_owned())) } else { Ok(admitted) }
}

/// The hosts of the proxies of the environment.
#[expect(clippy::disallowed_methods, reason = "the HTTP client takes its proxies from there by itself")]
fn proxies() -> BTreeSet<String> {
    let named = PROXIES.iter().filter_map(|name| std::env::var(name).ok());
    named.filter_map(|proxy| host_of(&proxy)).collect()
}

/// The host of `http://proxy:3128`, or of `proxy:3128`.
fn host_of(proxy: &str) -> Option<String> {
    let url: Url =
        proxy.parse().ok().filter(Url::has_host).or_else(|| format!("http://{proxy}").parse().ok())?;
    url.host_str().map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(name: &str, addresses: &[&str]) -> Result<usize, String> {
        let surroundings = Surroundings::of("https://registry.example.com".parse().unwrap());
        let found = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
        let proxies = ["proxy.internal".to_owned()].into();
        let admitted = admitted(&surroundings, &proxies, name, found);
        admitted.map(|admitted| admitted.len()).map_err(|refused| refused.to_string())
    }

    #[test]
    fn a_name_that_a_registry_leads_to_does_not_resolve_into_the_network() {
        assert_eq!(resolve("storage.example.com", &["203.0.113.1", "2001:db8::1"]), Ok(2));
        assert_eq!(resolve("storage.example.com", &["203.0.113.1", "127.0.0.1"]), Ok(1));
        for address in ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "fd00:ec2::254"] {
            let refused = resolve("rebound.example.com", &[address]).unwrap_err();
            assert!(refused.contains("rebound.example.com"), "{refused}");
        }
    }

    #[test]
    fn the_registry_itself_and_proxies_may_be_anywhere() {
        assert_eq!(resolve("registry.example.com", &["10.0.0.1"]), Ok(1));
        assert_eq!(resolve("Proxy.internal", &["127.0.0.1"]), Ok(1));
    }

    #[test]
    fn a_proxy_is_named_with_and_without_a_scheme() {
        for proxy in ["http://proxy.internal:3128", "proxy.internal:3128", "http://u:p@Proxy.internal/"] {
            assert_eq!(host_of(proxy).as_deref(), Some("proxy.internal"), "{proxy}");
        }
        assert_eq!(host_of(""), None);
    }
}
