//! The packages of a file that names one package many times, as lock files do.

use std::collections::HashSet;

use tidewatch_core::package::Package;

use super::{Problems, Reading};

/// Collects packages, each once.
#[derive(Debug)]
pub(crate) struct Once {
    reading: Reading,
    seen: HashSet<(String, String, Option<String>)>,
    most: usize,
    is_full: bool,
}

impl Once {
    /// No packages yet, and at most `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { reading: Reading::default(), seen: HashSet::new(), most, is_full: false }
    }

    /// Adds a package unless it is there already. Those of one file differ in name, version and architecture. The first
    /// of too many is a problem.
    pub(crate) fn add(&mut self, package: Package) {
        let key = (package.name.clone(), package.version.clone(), package.architecture.clone());
        if !self.is_full && !self.seen.contains(&key) {
            self.is_full = !self.reading.add(package, self.most);
            self.seen.insert(key);
        }
    }

    /// Whether no more packages are taken, so that reading on is of no use.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// What could not be used so far.
    pub(crate) const fn problems(&mut self) -> &mut Problems {
        &mut self.reading.problems
    }

    /// All that was collected.
    pub(crate) fn into_reading(self) -> Reading {
        self.reading
    }
}

#[cfg(test)]
mod tests {
    use tidewatch_core::package::PackageType;

    use super::*;

    fn package(name: &str) -> Package {
        Package::new(PackageType::Npm, name, "1.0.0", "reader")
    }

    #[test]
    fn a_package_counts_once_and_too_many_are_one_problem() {
        let mut once = Once::new(2);
        for name in ["a", "a", "b", "a"] {
            once.add(package(name));
        }
        assert!(!once.is_full());
        for name in ["c", "d", "e"] {
            once.add(package(name));
        }
        assert!(once.is_full());
        let reading = once.into_reading();
        assert_eq!(reading.packages, [package("a"), package("b")]);
        assert_eq!(reading.problems.into_reasons().len(), 1);
    }
}
