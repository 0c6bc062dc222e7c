//! Which hosts a registry may send the client to. What a registry answers is not trusted: a realm gets credentials and
//! a redirect is fetched from inside the network of the scanner, so neither may lead to where only insiders get, such
//! as the metadata service of a cloud. Only addresses that stand in the URL are judged here, not what names resolve to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The realm of a challenge as a URL that may be asked for a token with the credentials of `registry`: over https, or
/// over http when the registry itself is configured so; and on no loopback, link-local or private address, unless that
/// is the registry's own host.
pub(crate) fn check_realm(registry: &Url, realm: &str) -> Result<Url, String> {
    let realm: Url = realm.parse().map_err(|_| format!("its token server {realm:?} is no URL"))?;
    let reason = if !is_scheme_allowed(registry, &realm) {
        "is not reached over https"
    } else if !realm.username().is_empty() || realm.password().is_some() {
        "names a user"
    } else if registry.host() != realm.host() && is_inside(&realm) {
        "is on a loopback, link-local or private address"
    } else {
        return Ok(realm);
    };
    Err(format!("its token server {} {reason}", place(&realm)))
}

/// Whether a redirect of `registry` to `target` may be followed; the reason when not. Object storage on a private
/// address is common and gets no credentials, so only what no storage is on is refused.
pub(crate) fn check_redirect(registry: &Url, target: &Url) -> Result<(), String> {
    let reason = if !is_scheme_allowed(registry, target) {
        "is not reached over https"
    } else if registry.host() != target.host() && is_local(target) {
        "is on a loopback or link-local address"
    } else {
        return Ok(());
    };
    Err(format!("its redirect to {} {reason}", place(target)))
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

/// Whether the host is a loopback, link-local or private address.
fn is_inside(url: &Url) -> bool {
    is_local(url)
        || match address(url) {
            Some(IpAddr::V4(address)) => address.is_private() || is_shared(address),
            Some(IpAddr::V6(address)) => address.is_unique_local(),
            None => false,
        }
}

/// Whether the host is a loopback or link-local address, or no address of a host at all.
fn is_local(url: &Url) -> bool {
    if let Some(Host::Domain(name)) = url.host() {
        let name = name.trim_end_matches('.');
        return name == "localhost" || name.ends_with(".localhost");
    }
    match address(url) {
        Some(IpAddr::V4(address)) => is_local_v4(address),
        Some(IpAddr::V6(address)) => is_local_v6(address),
        None => false,
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

    #[test]
    fn a_realm_on_another_public_host_is_asked_over_https_only() {
        let registry = url("https://registry.example.com");
        assert!(check_realm(&registry, "https://auth.example.com/token?x=1").is_ok());
        for realm in [
            "http://auth.example.com/token",
            "ftp://auth.example.com",
            "/token",
            "",
            "https://u:p@example.com",
        ] {
            assert!(check_realm(&registry, realm).is_err(), "{realm:?} was taken");
        }
        assert!(check_realm(&url("http://registry.example.com"), "http://auth.example.com/token").is_ok());
    }

    #[test]
    fn a_realm_inside_the_network_is_refused_however_it_is_written() {
        let registry = url("https://registry.example.com");
        for host in [
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
        ] {
            assert!(check_realm(&registry, &format!("https://{host}/token")).is_err(), "{host} was taken");
        }
    }

    #[test]
    fn a_realm_on_the_host_of_the_registry_is_taken_wherever_that_is() {
        for registry in
            ["http://127.0.0.1:5000", "http://10.0.0.5", "http://[::1]:5000", "http://localhost:5000"]
        {
            let host = url(registry);
            assert!(
                check_realm(&host, &format!("http://{}/token", host.host().unwrap())).is_ok(),
                "{registry}"
            );
        }
        assert!(check_realm(&url("http://127.0.0.1:5000"), "http://127.0.0.2/token").is_err());
    }

    #[test]
    fn redirects_reach_private_storage_but_no_metadata_service_and_no_plain_http() {
        let registry = url("https://registry.example.com");
        for target in
            ["https://bucket.example.com/b?signature=x", "https://10.0.0.6/b", "https://[fd12::1]/b"]
        {
            assert_eq!(check_redirect(&registry, &url(target)), Ok(()), "{target}");
        }
        for target in [
            "http://bucket.example.com/b",
            "https://169.254.169.254/b",
            "https://127.0.0.1/b",
            "https://[fd00:ec2::254]/",
        ] {
            assert!(check_redirect(&registry, &url(target)).is_err(), "{target} was followed");
        }
        let reason =
            check_redirect(&registry, &url("http://bucket.example.com/b?signature=secret")).unwrap_err();
        assert!(!reason.contains("secret"), "{reason}");
    }
}
