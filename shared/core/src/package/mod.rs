//! Packages as an image holds them, and the distribution that gave them.

mod distribution;
mod pattern;
mod purl;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

pub use distribution::Distribution;
pub use pattern::{PackagePattern, PackagePatternError};

/// The kind of a package: its purl type.
///
/// Types: <https://github.com/package-url/purl-spec/blob/main/PURL-TYPES.rst>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PackageType {
    /// An Alpine package, from an apk database.
    Apk,
    /// A component of a Bitnami image.
    Bitnami,
    /// A Rust crate.
    Cargo,
    /// A PHP package.
    Composer,
    /// A Conda package.
    Conda,
    /// A Debian package, from a dpkg database.
    Deb,
    /// A Ruby gem.
    Gem,
    /// A Go module; the standard library is `stdlib`, with the version of Go as Go writes it: `go1.21.3`.
    Golang,
    /// A Java artifact, as Maven names it.
    Maven,
    /// A JavaScript package.
    Npm,
    /// A .NET package.
    Nuget,
    /// A Python package.
    Pypi,
    /// A package of RPM.
    Rpm,
}

impl PackageType {
    /// Every type, sorted.
    pub const ALL: [Self; 13] = [
        Self::Apk,
        Self::Bitnami,
        Self::Cargo,
        Self::Composer,
        Self::Conda,
        Self::Deb,
        Self::Gem,
        Self::Golang,
        Self::Maven,
        Self::Npm,
        Self::Nuget,
        Self::Pypi,
        Self::Rpm,
    ];

    /// The purl type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Bitnami => "bitnami",
            Self::Cargo => "cargo",
            Self::Composer => "composer",
            Self::Conda => "conda",
            Self::Deb => "deb",
            Self::Gem => "gem",
            Self::Golang => "golang",
            Self::Maven => "maven",
            Self::Npm => "npm",
            Self::Nuget => "nuget",
            Self::Pypi => "pypi",
            Self::Rpm => "rpm",
        }
    }

    /// Whether it is the package of a distribution, whose advisories depend on the release.
    pub const fn is_of_distribution(self) -> bool {
        matches!(self, Self::Apk | Self::Deb | Self::Rpm)
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
    /// Name of the package, as the tools of its type write it: `curl`, `@scope/name`, `golang.org/x/net`,
    /// `group:artifact` of Maven, `vendor/name` of Composer; of Python normalised
    /// (<https://packaging.python.org/en/latest/specifications/name-normalization/>).
    pub name: String,
    /// Version as the package database writes it; of RPM `[EPOCH:]VERSION-RELEASE`.
    pub version: String,
    /// Architecture as the package database writes it: `amd64`, `x86_64`, `all`; of a gem its platform, of a Conda
    /// package the folder of its channel.
    pub architecture: Option<String>,
    /// The source package; `None` when the database names none, which means that it is the package itself.
    pub source: Option<SourcePackage>,
    /// The licence, as an SPDX expression where it can be told, else in the package's own words; `None` when nothing
    /// says it. Specification: <https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// SHA-1 of the file that is the package, in hexadecimal digits: of Java archives, by which repositories know them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// The file or files that say that it is installed, in order.
    pub locations: Vec<Location>,
    /// Id of the reader that found it: `dpkg`, `apk`.
    pub reader: String,
}

impl Package {
    /// A package of which nothing but its name and version is known, found by the reader `reader`.
    pub fn new(
        package_type: PackageType,
        name: impl Into<String>,
        version: impl Into<String>,
        reader: impl Into<String>,
    ) -> Self {
        Self {
            package_type,
            name: name.into(),
            version: version.into(),
            architecture: None,
            source: None,
            license: None,
            sha1: None,
            locations: Vec::new(),
            reader: reader.into(),
        }
    }

    /// Name of the source package, which is the package's own where none is named.
    pub fn source_name(&self) -> &str {
        self.source.as_ref().map_or(&self.name, |source| &source.name)
    }

    /// Version of the source package, which is the package's own where none is named.
    pub fn source_version(&self) -> &str {
        self.source.as_ref().map_or(&self.version, |source| &source.version)
    }
}
