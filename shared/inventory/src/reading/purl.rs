//! Package URLs as others write them.
//!
//! Specification: <https://github.com/package-url/purl-spec/blob/main/PURL-SPECIFICATION.rst>.

/// The parts of a package URL that matter here, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Purl {
    /// The type, in lower case.
    pub(crate) kind: String,
    /// Namespace, if any, and name, with slashes between the parts.
    pub(crate) name: String,
    /// The version; empty when there is none.
    pub(crate) version: String,
    /// The architecture, when the qualifiers name one.
    pub(crate) architecture: Option<String>,
}

impl Purl {
    /// The parts of `purl`, `pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIERS#SUBPATH`; `None` when it is none.
    pub(crate) fn parse(purl: &str) -> Option<Self> {
        let rest = purl.strip_prefix("pkg:")?.trim_start_matches('/');
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, rest) = rest.split_once('/')?;
        // A name may begin with an `@` that somebody has not encoded.
        let version_at =
            rest.rfind('@').filter(|position| *position > rest.rfind('/').map_or(0, |slash| slash + 1));
        let (name, version) = version_at.map_or((rest, ""), |at| rest.split_at(at));
        let architecture = qualifiers.split('&').find_map(|qualifier| qualifier.strip_prefix("arch="));
        let name = decode(name.trim_matches('/'))?;
        (!kind.is_empty() && !name.is_empty()).then_some(Self {
            kind: kind.to_ascii_lowercase(),
            name,
            version: decode(version.trim_start_matches('@'))?,
            architecture: architecture.and_then(decode).filter(|architecture| !architecture.is_empty()),
        })
    }
}

/// Text without percent encoding; `None` when it is not encoded well.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.extend(data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purl_has_type_name_version_and_architecture() {
        for (purl, parts) in [
            (
                "pkg:bitnami/postgresql@17.2.0-8?arch=arm64&distro=debian-12",
                ("bitnami", "postgresql", "17.2.0-8", "arm64"),
            ),
            (
                "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0%2bdeb?distro=debian-12&arch=amd64#x",
                ("deb", "debian/libstdc++6", "1:12.2.0+deb", "amd64"),
            ),
            ("pkg:NPM/%40babel/core@7.0.0", ("npm", "@babel/core", "7.0.0", "")),
            ("pkg:npm/@babel/core", ("npm", "@babel/core", "", "")),
            ("pkg://pypi/x@1", ("pypi", "x", "1", "")),
        ] {
            let found = Purl::parse(purl).unwrap();
            let architecture = found.architecture.as_deref().unwrap_or_default();
            assert_eq!(
                (found.kind.as_str(), found.name.as_str(), found.version.as_str(), architecture),
                parts
            );
        }
    }

    #[test]
    fn what_is_no_purl_is_none() {
        for text in [
            "",
            "pkg:",
            "pkg:npm",
            "pkg:npm/",
            "npm/x@1",
            "pkg:npm/x%4",
            "pkg:npm/x%zz",
            "pkg:npm/x%ff",
            "pkg:npm/%é",
        ] {
            assert_eq!(Purl::parse(text), None, "{text}");
        }
    }
}
