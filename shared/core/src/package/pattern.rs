//! Package URLs as people write them to mean packages: with or without a version and qualifiers.
//!
//! Specification: <https://github.com/package-url/purl-spec/blob/main/PURL-SPECIFICATION.rst>

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A [package URL](https://github.com/package-url/purl-spec) that means packages. One without a version means every
/// version; the qualifiers that it has must be there, whatever others the package has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    with = "String",
    title = "Package",
    extend("pattern" = "^pkg:.+/.+$"),
    extend("examples" = ["pkg:deb/debian/xz-utils", "pkg:npm/%40acme/web@1.2.3", "pkg:deb/debian/curl?arch=amd64"])
)]
pub struct PackagePattern {
    text: String,
    purl: Purl,
}

/// The parts of a package URL, decoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Purl {
    package_type: String,
    /// Namespace and name, joined by `/`.
    name: String,
    version: Option<String>,
    qualifiers: BTreeMap<String, String>,
}

/// A text that is no package URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {0:?} as a package URL: expected pkg:TYPE/[NAMESPACE/]NAME[@VERSION][?QUALIFIERS]")]
pub struct PackagePatternError(String);

impl Purl {
    fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("pkg:")?.trim_start_matches('/');
        // The subpath names a file within the package.
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
        let (package_type, rest) = rest.split_once('/')?;
        // An `@` of a namespace is encoded, or stands before a slash.
        let (path, version) = match rest.rsplit_once('@') {
            Some((path, version)) if !path.is_empty() && !version.contains('/') => (path, Some(version)),
            _ => (rest, None),
        };
        let parts =
            path.split('/').filter(|part| !part.is_empty()).map(decoded).collect::<Option<Vec<_>>>()?;
        let qualifiers = qualifiers.split('&').filter_map(|pair| pair.split_once('='));
        let qualifiers = qualifiers
            .map(|(key, value)| Some((key.to_ascii_lowercase(), decoded(value)?)))
            .collect::<Option<_>>()?;
        let is_whole = !package_type.is_empty() && !parts.is_empty();
        is_whole.then_some(Self {
            package_type: package_type.to_ascii_lowercase(),
            name: parts.join("/"),
            version: match version {
                Some(version) => Some(decoded(version)?).filter(|version| !version.is_empty()),
                None => None,
            },
            qualifiers,
        })
    }
}

/// Without percent-encoding; `None` where that is broken.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = digits.to_ascii_uppercase();
            bytes.extend(data_encoding::HEXUPPER.decode(&digits).ok()?);
            rest = after;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

impl PackagePattern {
    /// Whether the package with this package URL is meant. A text that is no package URL is no package.
    pub fn matches(&self, purl: &str) -> bool {
        let Some(package) = Purl::read(purl) else { return false };
        let pattern = &self.purl;
        pattern.package_type == package.package_type
            && pattern.name == package.name
            && (pattern.version.is_none() || pattern.version == package.version)
            && pattern.qualifiers.iter().all(|(key, value)| package.qualifiers.get(key) == Some(value))
    }

    /// The name without its namespace: what a package URL that is meant has before its version.
    pub(crate) fn base_name(&self) -> &str {
        self.purl.name.rsplit('/').next().unwrap_or_default()
    }

    /// The namespace and the name.
    pub(crate) fn full_name(&self) -> &str {
        &self.purl.name
    }

    /// The purl type.
    pub(crate) fn package_type(&self) -> &str {
        &self.purl.package_type
    }

    /// The version, decoded.
    pub(crate) fn version(&self) -> Option<&str> {
        self.purl.version.as_deref()
    }

    /// A qualifier, decoded.
    pub(crate) fn qualifier(&self, key: &str) -> Option<&str> {
        self.purl.qualifiers.get(key).map(String::as_str)
    }
}

impl FromStr for PackagePattern {
    type Err = PackagePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let purl = Purl::read(text).ok_or_else(|| PackagePatternError(text.to_owned()))?;
        Ok(Self { text: text.to_owned(), purl })
    }
}

impl TryFrom<String> for PackagePattern {
    type Error = PackagePatternError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PackagePattern> for String {
    fn from(pattern: PackagePattern) -> Self {
        pattern.text
    }
}

impl fmt::Display for PackagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTALLED: &str = "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12";

    fn matches(pattern: &str, purl: &str) -> bool {
        pattern.parse::<PackagePattern>().unwrap().matches(purl)
    }

    #[test]
    fn version_and_qualifiers_may_be_left_out() {
        for pattern in [
            "pkg:deb/debian/libstdc++6",
            "pkg:deb/debian/libstdc%2b%2b6",
            "pkg:DEB/debian/libstdc++6@1:12.2.0-14+deb12u1",
            "pkg:deb/debian/libstdc++6?arch=amd64",
            INSTALLED,
        ] {
            assert!(matches(pattern, INSTALLED), "{pattern}");
        }
    }

    #[test]
    fn another_type_namespace_name_version_or_qualifier_is_another_package() {
        for pattern in [
            "pkg:rpm/debian/libstdc++6",
            "pkg:deb/ubuntu/libstdc++6",
            "pkg:deb/libstdc++6",
            "pkg:deb/debian/libstdc++",
            "pkg:deb/debian/libstdc++6@1:12",
            "pkg:deb/debian/libstdc++6?arch=arm64",
            "pkg:deb/debian/libstdc++6?epoch=1",
        ] {
            assert!(!matches(pattern, INSTALLED), "{pattern}");
        }
    }

    #[test]
    fn a_scope_of_npm_is_a_namespace_with_or_without_encoding() {
        for pattern in ["pkg:npm/%40acme/web", "pkg:npm/@acme/web", "pkg:npm/@acme/web@1.0.0"] {
            assert!(matches(pattern, "pkg:npm/%40acme/web@1.0.0"), "{pattern}");
            assert!(!matches(pattern, "pkg:npm/web@1.0.0"), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_package_url_is_refused_and_never_meant() {
        for bad in [
            "",
            "pkg:",
            "pkg:deb",
            "pkg:deb/",
            "deb/debian/xz",
            "pkg:/xz",
            "pkg:deb/debian/%zz",
            "pkg:deb/%f",
        ] {
            assert!(bad.parse::<PackagePattern>().is_err(), "{bad:?}");
        }
        assert!(!matches("pkg:deb/debian/xz", "xz"));
    }
}
