//! What an image holds, written for people and for programs: one file for each format. The same inventory and the same
//! time give the same bytes.

mod cyclonedx;
mod json;
mod license;
mod root;
mod spdx;
mod table;
#[cfg(test)]
mod tests;
mod tsv;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use tidewatch_core::package::Package;
use tidewatch_core::{Digest, problem::Problem};

use crate::cli::Format;
use crate::failure::Failure;
use crate::source::ReadImage;

/// What is to be written.
pub(crate) struct Sbom<'a> {
    /// The reference as it was given.
    pub(crate) reference: &'a str,
    /// What it led to.
    pub(crate) image: &'a ReadImage,
    /// Whether packages are left out that are part of another one.
    pub(crate) without_owned: bool,
    /// The time that bills of materials carry.
    pub(crate) created: Timestamp,
}

/// How a table is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// With every column.
    pub(crate) wide: bool,
    /// For the terminal that standard output is, if it is one.
    pub(crate) terminal: bool,
}

impl<'a> Sbom<'a> {
    /// The text in a format; it ends with the end of a line unless it is empty.
    pub(crate) fn text(&self, format: Format, layout: Layout) -> Result<String, Failure> {
        match format {
            Format::Table => Ok(table::text(self, layout)),
            Format::Json => json::text(self),
            Format::Tsv => Ok(tsv::text(self)),
            Format::Cyclonedx => pretty(&cyclonedx::document(self)?),
            Format::Spdx => pretty(&spdx::document(self)?),
            Format::Csv => Err(Failure::wrong_use(anyhow::anyhow!("packages are not printed as CSV"))
                .hint("choose --format tsv")),
        }
    }

    /// The packages that are part of another one, as far as they are listed.
    fn owned(&self) -> &'a [Package] {
        if self.without_owned { &[] } else { &self.image.inventory.owned }
    }

    /// All packages that are listed. One that counts in one place and is part of another package elsewhere is there once.
    fn listed(&self) -> impl Iterator<Item = &'a Package> + use<'a> {
        let counted = &self.image.inventory.packages;
        let identity = |package: &Package| {
            let Package { package_type, name, version, architecture, .. } = package.clone();
            (package_type, name, version, architecture)
        };
        let known: BTreeSet<_> = counted.iter().map(identity).collect();
        counted.iter().chain(self.owned().iter().filter(move |package| !known.contains(&identity(package))))
    }

    fn problems(&self) -> &[Problem] {
        &self.image.inventory.problems
    }

    fn purl(&self, package: &Package) -> String {
        package.purl(self.image.inventory.distribution.as_ref())
    }
}

/// Reads a time: RFC 3339, or seconds since 1970 as in
/// [`SOURCE_DATE_EPOCH`](https://reproducible-builds.org/specs/source-date-epoch/).
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let seconds = text.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    seconds.or_else(|| text.parse().ok()).ok_or_else(|| {
        format!("failed to read {text:?} as a time: expected 2026-01-31T12:00:00Z, or seconds since 1970")
    })
}

/// A time with seconds, as bills of materials want it.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn pretty(document: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

/// A UUID that follows from `content`, so that the same document has the same one, and another has another.
///
/// Specification: <https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8>
fn uuid(content: &impl Serialize) -> Result<String, Failure> {
    let mut hex: Vec<char> = Digest::of(&serde_json::to_vec(content)?).hex().chars().take(32).collect();
    // The version, and the variant in the two highest bits of its digit.
    for (at, digit) in [(12, '8'), (16, 'a')] {
        if let Some(place) = hex.get_mut(at) {
            *place = digit;
        }
    }
    let hex: String = hex.into_iter().collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    Ok(parts.join("-"))
}

/// The name and version of the program that writes.
const TOOL: (&str, &str) = ("tidewatch", env!("CARGO_PKG_VERSION"));
