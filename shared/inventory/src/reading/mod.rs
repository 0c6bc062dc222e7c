//! What readers are given and what they give: a file with its bytes, the packages that it names, and whatever of it could
//! not be used. Also the forms that several readers share.

pub(crate) mod composer;
mod dependency;
pub(crate) mod json;
pub(crate) mod lenient_json;
pub(crate) mod licenses;
pub(crate) mod npm;
pub(crate) mod once;
pub(crate) mod openvex;
mod owned;
pub(crate) mod pom;
pub(crate) mod purl;
pub(crate) mod pypi;
pub(crate) mod sbom;
pub(crate) mod spdx_json;
pub(crate) mod stanza;
pub(crate) mod toml_packages;

use tidewatch_core::package::{Distribution, Package};
use tidewatch_core::vex::VexDocument;

use crate::contents::Contents;
use crate::paths;

pub(crate) use owned::{OwnedDirectory, OwnedFiles};

pub(crate) use dependency::is_of_a_dependency;

/// The most problems that one file reports one by one.
pub(crate) const PROBLEMS: usize = 20;

/// The most bytes of a name, a version, or whatever else one value is. Longer ones are no such thing.
pub(crate) const TEXT_BYTES: usize = 1024;

/// A whole file, in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputFile<'a> {
    /// Its path in the image.
    pub(crate) path: &'a str,
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// Whether the bytes are all of the file: else its end is cut off, maybe in the middle of a record.
    pub(crate) complete: bool,
    /// The most packages to give.
    pub(crate) packages: usize,
}

/// A whole file that may be read at any place. It is never cut off: one that is too large is not read at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RandomFile<'a> {
    /// Its path in the image.
    pub(crate) path: &'a str,
    /// Its bytes.
    pub(crate) contents: &'a Contents,
    /// The most packages to give.
    pub(crate) packages: usize,
}

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The packages that it says are installed, or asks for, without locations.
    pub(crate) packages: Vec<Package>,
    /// The distribution that it names.
    pub(crate) distribution: Option<Distribution>,
    /// The files that its packages have put in place.
    pub(crate) owned: OwnedFiles,
    /// The licence that it says a package has, as an SPDX expression where that can be told.
    pub(crate) license: Option<String>,
    /// What it says of vulnerabilities.
    pub(crate) vex: Vec<VexDocument>,
    /// What could not be used.
    pub(crate) problems: Problems,
}

impl Reading {
    /// Adds a package. When the file has given `most` packages, as many as it may, that is a problem, and the answer
    /// `false`: it is not to be read on.
    pub(crate) fn add(&mut self, package: Package, most: usize) -> bool {
        let has_room = self.packages.len() < most;
        if has_room {
            self.packages.push(package);
        } else {
            self.problems
                .add(|| format!("has more packages than its layer may have: the first {most} were read"));
        }
        has_room
    }
}

/// Problems of one file: the first ones in words, the rest by number, so that a file of garbage stays small.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    reasons: Vec<String>,
    more: usize,
}

impl Problems {
    /// Adds a problem, a lower-case fragment.
    pub(crate) fn add(&mut self, reason: impl FnOnce() -> String) {
        if self.reasons.len() < PROBLEMS { self.reasons.push(reason()) } else { self.more += 1 }
    }

    /// What `result` holds; an error is added.
    pub(crate) fn ok_or_add<T, E: std::fmt::Display>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(|| error.to_string())).ok()
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// The reasons, and how many more there were.
    pub(crate) fn into_reasons(mut self) -> Vec<String> {
        if self.more > 0 {
            self.reasons.push(format!("has {} more problems", self.more));
        }
        self.reasons
    }
}

/// A value that is too long for what it is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("holds a {0} of more than {TEXT_BYTES} bytes")]
pub(crate) struct TooLong(&'static str);

/// The value of the field `name` as text that is fit for a terminal; an error when it is longer than [`TEXT_BYTES`].
pub(crate) fn short_text(name: &'static str, value: &[u8]) -> Result<String, TooLong> {
    // What is escaped becomes longer.
    let text = (value.len() <= TEXT_BYTES).then(|| paths::text(value));
    text.filter(|text| text.len() <= TEXT_BYTES).ok_or(TooLong(name))
}

/// At most the first 80 characters of what an image says, for a problem.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A whole file without a limit of its packages.
#[cfg(test)]
pub(crate) const fn file<'a>(path: &'a str, bytes: &'a [u8]) -> InputFile<'a> {
    InputFile { path, bytes, complete: true, packages: usize::MAX }
}
