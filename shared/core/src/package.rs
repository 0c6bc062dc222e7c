//! Packages as an image holds them, and the distribution that gave them.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The kind of a package: its purl type.
///
/// Types: <https://github.com/package-url/purl-spec/blob/main/PURL-TYPES.rst>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageType {
    /// An Alpine package, from an apk database.
    Apk,
    /// A Debian package, from a dpkg database.
    Deb,
}

impl PackageType {
    /// The purl type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Deb => "deb",
        }
    }
}

/// The distribution that an image is built on, from its os-release file.
///
/// Specification: <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Distribution {
    /// `ID`, lower case: `debian`, `alpine`.
    pub id: String,
    /// `VERSION_ID` as it stands: `12`, `3.19.1`. `None` on rolling releases and where the file does not say.
    pub version_id: Option<String>,
    /// `PRETTY_NAME`, for people. Empty where the file does not say.
    pub pretty_name: String,
}

impl Distribution {
    /// The release as advisories name it: `12` for Debian 12, `3.19` for Alpine 3.19.1, `edge` for Alpine's rolling
    /// release; of other distributions `VERSION_ID` as it stands. `None` where no release is named, as in Debian testing.
    pub fn advisory_release(&self) -> Option<String> {
        let version = self.version_id.as_deref().unwrap_or_default();
        let mut numbers = version.split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next());
        let release = match self.id.as_str() {
            // Snapshots of edge call themselves 3.19_alpha20230901.
            "alpine" if version.contains('_') || self.pretty_name.ends_with(" edge") => "edge".to_owned(),
            "alpine" => minor.map_or_else(|| major.to_owned(), |minor| format!("{major}.{minor}")),
            // Releases before 7 kept their second number.
            "debian" if major.parse::<u32>().is_ok_and(|major| major < 7) => {
                format!("{major}.{}", minor.unwrap_or("0"))
            }
            "debian" => major.to_owned(),
            _ => version.to_owned(),
        };
        Some(release).filter(|release| !release.is_empty())
    }
}

/// The source package that a binary package was built from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourcePackage {
    /// Name of the source package; Debian's and Alpine's advisories name these.
    pub name: String,
    /// Version of the source package.
    pub version: String,
}

/// Where a package was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The layer that holds the file, by its digest as it lies in the registry.
    pub layer: Digest,
    /// Path of the file in the image, without a leading slash: `var/lib/dpkg/status`.
    pub path: String,
}

/// One installed package of an image. Two copies of one package are one package with two locations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Package {
    /// The purl type.
    #[serde(rename = "type")]
    pub package_type: PackageType,
    /// Name of the package as installed.
    pub name: String,
    /// Version as the package database writes it.
    pub version: String,
    /// Architecture as the package database writes it: `amd64`, `x86_64`, `all`.
    pub architecture: Option<String>,
    /// The source package; `None` when the database names none, which means that it is the package itself.
    pub source: Option<SourcePackage>,
    /// The file or files that say that it is installed, in order.
    pub locations: Vec<Location>,
    /// Id of the reader that found it: `dpkg`, `apk`.
    pub reader: String,
}

impl Package {
    /// Name of the source package, which is the package's own where none is named.
    pub fn source_name(&self) -> &str {
        self.source.as_ref().map_or(&self.name, |source| &source.name)
    }

    /// Version of the source package, which is the package's own where none is named.
    pub fn source_version(&self) -> &str {
        self.source.as_ref().map_or(&self.version, |source| &source.version)
    }

    /// The package URL, `pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12`; for `distribution` the one of
    /// the image. Specification: <https://github.com/package-url/purl-spec>.
    pub fn purl(&self, distribution: Option<&Distribution>) -> String {
        let mut purl = format!("pkg:{}", self.package_type.as_str());
        if let Some(distribution) = distribution {
            purl.push('/');
            purl.push_str(&percent_encode(&distribution.id));
        }
        purl.push('/');
        purl.push_str(&percent_encode(&self.name));
        purl.push('@');
        purl.push_str(&percent_encode(&self.version));
        let distro = distribution.map(|distribution| match &distribution.version_id {
            Some(version) => format!("{}-{version}", distribution.id),
            None => distribution.id.clone(),
        });
        let qualifiers = [("arch", self.architecture.clone()), ("distro", distro)];
        let qualifiers = qualifiers.into_iter().filter_map(|(key, value)| Some((key, value?)));
        for (position, (key, value)) in qualifiers.enumerate() {
            purl.push(if position == 0 { '?' } else { '&' });
            purl.push_str(key);
            purl.push('=');
            purl.push_str(&percent_encode(&value));
        }
        purl
    }
}

/// Percent-encodes what the purl specification wants encoded: all but letters, digits, `.`, `-`, `_`, `~` and `:`.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advisories_name_a_release_by_the_custom_of_its_distribution() {
        for (id, version_id, pretty_name, release) in [
            ("debian", Some("12"), "Debian GNU/Linux 12 (bookworm)", Some("12")),
            ("debian", Some("12.5"), "", Some("12")),
            ("debian", None, "Debian GNU/Linux trixie/sid", None),
            ("alpine", Some("3.19.1"), "Alpine Linux v3.19", Some("3.19")),
            ("alpine", Some("3.19"), "", Some("3.19")),
            ("alpine", Some("3.19_alpha20230901"), "Alpine Linux edge", Some("edge")),
            ("ubuntu", Some("22.04"), "Ubuntu 22.04.4 LTS", Some("22.04")),
        ] {
            let distribution = Distribution {
                id: id.to_owned(),
                version_id: version_id.map(str::to_owned),
                pretty_name: pretty_name.to_owned(),
            };
            assert_eq!(distribution.advisory_release().as_deref(), release, "{distribution:?}");
        }
    }

    #[test]
    fn a_purl_names_distribution_and_architecture_and_encodes_the_version() {
        let package = Package {
            package_type: PackageType::Deb,
            name: "libstdc++6".to_owned(),
            version: "1:12.2.0-14+deb12u1".to_owned(),
            architecture: Some("amd64".to_owned()),
            source: None,
            locations: Vec::new(),
            reader: "dpkg".to_owned(),
        };
        let debian = Distribution {
            id: "debian".to_owned(),
            version_id: Some("12".to_owned()),
            ..Distribution::default()
        };
        assert_eq!(
            package.purl(Some(&debian)),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"
        );
    }
}
