//! The packages that an SBOM lists, in SPDX and CycloneDX: read one by one, so that of the many megabytes of files and
//! relations that such documents have nothing is kept.
//!
//! Specification: <https://spdx.github.io/spdx-spec/v2.3/>, <https://cyclonedx.org/docs/1.6/json/>.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::lenient_json::{Object, Text, fold_list};
use super::short_text;
use super::spdx_json::SpdxPackage;
use crate::attestation::SbomPackage;

/// The most packages of one SBOM. None has as many as a layer may have packages.
const PACKAGES: usize = 50_000;

/// The packages of an SBOM so far.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    pub(crate) packages: Vec<SbomPackage>,
    /// How many were left out, because they had a value that is too long or there were too many.
    pub(crate) left_out: usize,
}

/// The packages of an SPDX document.
#[derive(Debug, Default)]
pub(crate) struct SpdxPackages(pub(crate) Packages);

/// The components of a CycloneDX document, and those within them, four levels deep: nobody writes more.
pub(crate) type Components = Level<Level<Level<Level<IgnoredAny>>>>;

/// Components whose own components are `N`.
#[derive(Debug)]
pub(crate) struct Level<N> {
    pub(crate) packages: Packages,
    inner: std::marker::PhantomData<N>,
}

#[derive(Deserialize)]
#[serde(default, bound(deserialize = "N: Default + Deserialize<'de>"))]
struct Component<N> {
    group: Text,
    name: Text,
    version: Text,
    purl: Text,
    components: N,
}

impl<N: Default> Default for Component<N> {
    fn default() -> Self {
        Self {
            group: Text::default(),
            name: Text::default(),
            version: Text::default(),
            purl: Text::default(),
            components: N::default(),
        }
    }
}

/// What lies within a component.
pub(crate) trait Nested {
    fn into_packages(self) -> Packages;
}

impl Nested for IgnoredAny {
    fn into_packages(self) -> Packages {
        Packages::default()
    }
}

impl<N> Nested for Level<N> {
    fn into_packages(self) -> Packages {
        self.packages
    }
}

impl<N> Default for Level<N> {
    fn default() -> Self {
        Self { packages: Packages::default(), inner: std::marker::PhantomData }
    }
}

impl Packages {
    fn add(&mut self, purl: &str, name: &str, version: &str) {
        let text = |value: &str| short_text("value", value.as_bytes()).ok();
        match (text(purl), text(name), text(version)) {
            (Some(purl), Some(name), Some(version)) if self.packages.len() < PACKAGES => {
                self.packages.push(SbomPackage {
                    purl: Some(purl).filter(|purl| !purl.is_empty()),
                    name,
                    version,
                });
            }
            _ => self.left_out += 1,
        }
    }

    fn append(&mut self, other: Self) {
        let room = PACKAGES.saturating_sub(self.packages.len());
        self.left_out += other.left_out + other.packages.len().saturating_sub(room);
        self.packages.extend(other.packages.into_iter().take(room));
    }
}

impl<'de> Deserialize<'de> for SpdxPackages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let packages = fold_list(
            deserializer,
            Packages::default(),
            |packages, Object(package): Object<SpdxPackage>| {
                packages.add(&package.purl, &package.name.0, &package.version_info.0);
            },
        )?;
        Ok(Self(packages))
    }
}

impl<'de, N: Default + Nested + Deserialize<'de>> Deserialize<'de> for Level<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let packages = fold_list(
            deserializer,
            Packages::default(),
            |packages, Object(component): Object<Component<N>>| {
                let Component { group, name, version, purl, components } = component;
                let name = if group.0.is_empty() { name.0 } else { format!("{}/{}", group.0, name.0) };
                packages.add(&purl.0, &name, &version.0);
                packages.append(components.into_packages());
            },
        )?;
        Ok(Self { packages, ..Self::default() })
    }
}
