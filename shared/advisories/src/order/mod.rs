//! The order of versions, one file for each scheme. A version that its scheme cannot order is an error: it becomes a
//! problem of the image, and is never taken for "not affected".
//!
//! Versions are hostile input: each order takes time linear in their length, numbers can have any length, and nothing
//! is allocated but for rare forms (`go1.21rc2`, Python versions before PEP 440).

use std::cmp::Ordering;

pub mod apk;
pub mod bitnami;
pub mod conda;
pub mod cran;
pub mod dpkg;
mod ecosystems;
pub mod go;
pub mod hackage;
pub mod maven;
pub mod npm;
pub mod nuget;
mod number;
pub mod packagist;
pub mod pub_dev;
pub mod pypi;
pub mod rpm;
pub mod rubygems;
pub mod semver;
mod text;

#[cfg(test)]
mod tests;

/// Compares two versions of one scheme: [`Ordering::Less`] when the first is the older one. Within the versions that
/// the scheme can order this is a total order (but see [`packagist::compare`]); versions that are written differently
/// can be equal.
pub type Compare = fn(&str, &str) -> Result<Ordering, OrderError>;

/// A named order of versions.
#[derive(Debug)]
pub struct Order {
    /// The scheme that it follows: `dpkg`.
    pub name: &'static str,
    /// Compares two versions.
    pub compare: Compare,
}

/// Every order, sorted by name.
pub static ORDERS: &[&Order] = &[
    &apk::ORDER,
    &bitnami::ORDER,
    &conda::ORDER,
    &cran::ORDER,
    &dpkg::ORDER,
    &go::ORDER,
    &hackage::ORDER,
    &maven::ORDER,
    &npm::ORDER,
    &nuget::ORDER,
    &packagist::ORDER,
    &pub_dev::ORDER,
    &pypi::ORDER,
    &rpm::ORDER,
    &rubygems::ORDER,
    &semver::ORDER,
];

impl Order {
    /// The order with this name, such as `dpkg`, in capitals or not.
    pub fn of_name(name: &str) -> Option<&'static Self> {
        ORDERS.iter().copied().find(|order| order.name.eq_ignore_ascii_case(name))
    }

    /// The order of an ecosystem by OSV's name of it, with or without a release and in capitals or not: `Debian:12`,
    /// `npm`. `None` for an ecosystem that is not known, or whose versions have no order, such as `OSS-Fuzz`.
    /// Names: <https://ossf.github.io/osv-schema/#defined-ecosystems>
    pub fn of_ecosystem(ecosystem: &str) -> Option<&'static Self> {
        ecosystems::order_of(ecosystem)
    }
}

/// A version that its scheme cannot order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to order {version:?} as a version of {scheme}: {reason}")]
pub struct OrderError {
    version: String,
    scheme: &'static str,
    reason: &'static str,
}

impl OrderError {
    /// `version` cannot be ordered by `scheme`, because of `reason`, a lower-case fragment.
    pub(crate) fn new(version: &str, scheme: &'static str, reason: &'static str) -> Self {
        Self { version: version.to_owned(), scheme, reason }
    }

    /// The version that cannot be ordered, as it was given.
    pub fn version(&self) -> &str {
        &self.version
    }
}
