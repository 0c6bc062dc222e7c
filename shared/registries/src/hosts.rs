//! Which hosts a registry may send the client to. What a registry answers is not trusted: a realm gets credentials and
//! a redirect is fetched from inside the network of the scanner, so neither may lead to where only insiders get, such
//! as the metadata service of a cloud. What names resolve to is looked at by `resolver`, before anything is connected.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};

use url::{Host, Url};

/// A server that the configuration names, and whether it is on a private address: then it may lead to others on such.
#[derive(Debug)]
pub(crate) struct Surroundings {
    server: Url,
    is_inside: AtomicBool,
}

impl Surroundings {
    /// Those of the server at `server`. Where that is a name, [`Self::found_at`] tells what it resolves to.
    pub(crate) fn of(server: Url) -> Self {
        let is_inside = address(&server).is_some_and(is_private_address).into();
        Self { server, is_inside }
    }

    /// Whether `name` is the server's own.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        self.server.host_str().is_some_and(|host| host.eq_ignore_ascii_case(name.trim_end_matches('.')))
    }

    /// Notes what the server's own name resolves to.
    pub(crate) fn found_at(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        if addresses.into_iter().any(is_private_address) {
            self.is_inside.store(true, Ordering::Relaxed);
        }
    }

    /// Whether another name that the server leads to may resolve to this address.
    pub(crate) fn admit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !is_local_address(address) && (!is_private_address(address) || self.is_inside.load(Ordering::Relaxed))
    }

    /// The realm of a challenge as a URL that may be asked for a token with the credentials of the server: over https, or
    /// over http when the server itself is configured so; and on no loopback or link-local address, and on a private one only
    /// where the server is on such a one, unless that is the server's own host.
    pub(crate) fn check_realm(&self, realm: &str) -> Result<Url, String> {
        let realm: Url = realm.parse().map_err(|_| format!("its token server {realm:?} is no URL"))?;
        let reason = if !realm.username().is_empty() || realm.password().is_some() {
            "names a user"
        } else if let Some(reason) = self.refusal(&realm) {
            reason
        } else {
            return Ok(realm);
        };
        Err(format!("its token server {} {reason}", place(&realm)))
    }

    /// Whether a redirect of the server to `target` may be followed; the reason when not. The same as for a realm.
    pub(crate) fn check_redirect(&self, target: &Url) -> Result<(), String> {
        match self.refusal(target) {
            Some(reason) => Err(format!("its redirect to {} {reason}", place(target))),
            None => Ok(()),
        }
    }

    fn refusal(&self, target: &Url) -> Option<&'static str> {
        if !is_scheme_allowed(&self.server, target) {
            Some("is not reached over https")
        } else if self.server.host() == target.host() {
            None
        } else if is_local(target) || !address(target).is_none_or(|address| self.admit(address)) {
            Some("is on a loopback, link-local or private address")
        } else {
            None
        }
    }
}

/// Whether both are reached over the same scheme, on the same host and port.
pub(crate) fn is_same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

fn is_scheme_allowed(registry: &Url, target: &Url) -> bool {
    target.has_host()
        && (target.scheme() == "https" || (target.scheme() == "http" && registry.scheme() == "http"))
}

/// Scheme, host and port: a query can hold a signature, and that is a secret.
fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn is_private_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_private() || is_shared(address),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// Whether the host is a loopback or link-local address, or no address of a host at all.
fn is_local(url: &Url) -> bool {
    if let Some(Host::Domain(name)) = url.host() {
        let name = name.trim_end_matches('.');
        return name == "localhost" || name.ends_with(".localhost");
    }
    address(url).is_some_and(is_local_address)
}

fn is_local_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => is_local_v6(address),
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
}

/// The address `fd00:ec2::254` is unique local, but it is the metadata service of a cloud.
fn is_local_v6(address: Ipv6Addr) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);
    address.is_unspecified()
        || address.is_loopback()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || address == METADATA
}

/// The shared address space of carriers and clouds, 100.64.0.0/10. Specification: <https://www.rfc-editor.org/rfc/rfc6598>
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}

/// The address that stands in the URL. An IPv4 address in the clothes of IPv6 is the IPv4 address.
fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(address.to_canonical()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn of(server: &str) -> Surroundings {
        Surroundings::of(url(server))
    }

    const INSIDE: [&str; 16] = [
        "127.0.0.1",
        "169.254.169.254",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "0x7f.1",
        "2130706433",
        "localhost",
        "metadata.localhost.",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
    ];

    #[test]
    fn a_realm_on_another_public_host_is_asked_over_https_only() {
        let registry = of("https://registry.example.com");
        assert!(registry.check_realm("https://auth.example.com/token?x=1").is_ok());
        for realm in [
            "http://auth.example.com/token",
            "ftp://auth.example.com",
            "/token",
            "",
            "https://u:p@example.com",
        ] {
            assert!(registry.check_realm(realm).is_err(), "{realm:?} was taken");
        }
        assert!(of("http://registry.example.com").check_realm("http://auth.example.com/token").is_ok());
    }

    #[test]
    fn a_realm_or_redirect_inside_the_network_is_refused_however_it_is_written() {
        let registry = of("https://registry.example.com");
        for host in INSIDE {
            let realm = format!("https://{host}/token");
            assert!(registry.check_realm(&realm).is_err(), "{host} was taken");
            assert!(registry.check_redirect(&url(&realm)).is_err(), "{host} was followed");
        }
    }

    #[test]
    fn a_realm_on_the_host_of_the_registry_is_taken_wherever_that_is() {
        for registry in
            ["http://127.0.0.1:5000", "http://10.0.0.5", "http://[::1]:5000", "http://localhost:5000"]
        {
            let realm = format!("http://{}/token", url(registry).host().unwrap());
            assert!(of(registry).check_realm(&realm).is_ok(), "{registry}");
        }
        assert!(of("http://127.0.0.1:5000").check_realm("http://127.0.0.2/token").is_err());
    }

    #[test]
    fn a_registry_inside_a_network_leads_to_its_neighbours_but_to_no_metadata_service() {
        let by_address = of("https://10.0.0.5");
        let by_name = of("https://registry.internal");
        by_name.found_at(["10.0.0.5".parse().unwrap()]);
        for registry in [by_address, by_name] {
            assert_eq!(registry.check_redirect(&url("https://10.0.0.6/b")), Ok(()));
            assert!(registry.admit("fd12::1".parse().unwrap()));
            for address in ["169.254.169.254", "127.0.0.1", "fd00:ec2::254", "::ffff:127.0.0.1"] {
                assert!(!registry.admit(address.parse().unwrap()), "{address} was admitted");
            }
        }
        let outside = of("https://registry.example.com");
        outside.found_at(["203.0.113.5".parse().unwrap()]);
        assert!(!outside.admit("10.0.0.6".parse().unwrap()));
        assert!(outside.admit("203.0.113.6".parse().unwrap()));
    }

    #[test]
    fn a_refusal_does_not_show_the_signature_of_a_url() {
        let registry = of("https://registry.example.com");
        assert_eq!(registry.check_redirect(&url("https://bucket.example.com/b?signature=x")), Ok(()));
        let reason =
            registry.check_redirect(&url("http://bucket.example.com/b?signature=secret")).unwrap_err();
        assert!(!reason.contains("secret"), "{reason}");
    }
}
