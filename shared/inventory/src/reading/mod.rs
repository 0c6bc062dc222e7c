//! What readers are given and what they give: a file with its bytes, the packages that it names, and whatever of it could
//! not be used. Also the forms that several readers share.

pub(crate) mod stanza;

use tidewatch_core::package::{Distribution, Package};

use crate::contents::Contents;
use crate::path_set::PathHash;
use crate::paths;

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

/// The files that packages have put in place, as hashes of their paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnedFiles(Vec<PathHash>);

/// A directory in which packages have put files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnedDirectory {
    hash: PathHash,
    /// Where it is since /usr was merged, for the places from before, where only links are left.
    merged: Option<PathHash>,
}

impl OwnedDirectory {
    /// The directory at `path`, from the root, with or without a slash at its beginning and end.
    pub(crate) fn new(path: &str) -> Self {
        let path = paths::clean(path);
        let top = path.split('/').next().unwrap_or_default();
        let is_merged = matches!(top, "bin" | "lib" | "lib32" | "lib64" | "libx32" | "sbin");
        let merged = is_merged.then(|| PathHash::of(&paths::join("usr", &path)));
        Self { hash: PathHash::of(&path), merged }
    }
}

impl OwnedFiles {
    /// Adds the file or directory at `path`, from the root, with or without a leading slash.
    pub(crate) fn add(&mut self, path: &str) {
        let place = OwnedDirectory::new(path);
        self.0.extend([Some(place.hash), place.merged].into_iter().flatten());
    }

    /// Adds the file or directory `name` in `directory`, without the cost of the directory's path; only a name that is
    /// one part of a path.
    pub(crate) fn add_in(&mut self, directory: &OwnedDirectory, name: &str) {
        if !matches!(name, "" | "." | "..") && !name.contains('/') {
            let places = [Some(directory.hash), directory.merged].into_iter().flatten();
            self.0.extend(places.map(|place| place.join(name)));
        }
    }

    /// The hashes, in any order.
    pub(crate) fn into_hashes(self) -> Vec<PathHash> {
        self.0
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
