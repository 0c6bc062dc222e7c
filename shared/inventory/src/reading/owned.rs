//! The files that packages have put in place, as hashes of their paths: there are very many.

use std::borrow::Cow;

use crate::path_set::PathHash;
use crate::paths;

/// The most paths of one file. A distribution with everything installed has some 500,000 files.
const MOST: usize = 2_000_000;

/// The files that packages have put in place, as hashes of their paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnedFiles {
    hashes: Vec<PathHash>,
    is_over: bool,
}

/// A place where packages have put files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnedDirectory {
    hash: PathHash,
    /// Where it is since /usr was merged, for the places from before, where only links are left.
    merged: Option<PathHash>,
}

impl OwnedDirectory {
    /// The directory at `path`, from the root, with or without a slash at its beginning and end.
    pub(crate) fn new(path: &str) -> Self {
        // Nearly all paths are clean but for slashes.
        let is_clean = !path.starts_with('.') && !path.contains("/.");
        let path = if is_clean { Cow::Borrowed(path) } else { Cow::Owned(paths::clean(path)) };
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        let is_merged =
            matches!(parts.peek(), Some(&("bin" | "lib" | "lib32" | "lib64" | "libx32" | "sbin")));
        let merged = is_merged.then(|| parts.fold(PathHash::ROOT.join("usr"), PathHash::join));
        Self { hash: PathHash::of(&path), merged }
    }
}

impl OwnedFiles {
    /// Adds the file or directory at `path`, from the root, with or without a leading slash.
    pub(crate) fn add(&mut self, path: &str) {
        let place = OwnedDirectory::new(path);
        self.extend([Some(place.hash), place.merged].into_iter().flatten());
    }

    fn extend(&mut self, hashes: impl Iterator<Item = PathHash>) {
        self.is_over |= self.hashes.len() >= MOST;
        if !self.is_over {
            self.hashes.extend(hashes);
        }
    }

    /// A problem when there were more than are kept.
    pub(crate) fn problem(&self) -> Option<String> {
        self.is_over
            .then(|| format!("names more than {MOST} files of packages: whose the others are is not known"))
    }

    /// Adds the file or directory `name` in `directory`, without the cost of the directory's path; only a name that is
    /// one part of a path.
    pub(crate) fn add_in(&mut self, directory: &OwnedDirectory, name: &str) {
        if !matches!(name, "" | "." | "..") && !name.contains('/') {
            let places = [Some(directory.hash), directory.merged].into_iter().flatten();
            self.extend(places.map(|place| place.join(name)));
        }
    }

    /// The hashes, in any order.
    pub(crate) fn into_hashes(self) -> Vec<PathHash> {
        self.hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path_set::PathSet;

    #[test]
    fn a_file_is_owned_where_it_is_listed_and_where_the_merge_of_usr_has_put_it() {
        let mut owned = OwnedFiles::default();
        owned.add("/lib/x86_64/libc.so.6");
        owned.add("/opt/./a/../b/");
        owned.add_in(&OwnedDirectory::new("/bin/"), "ls");
        owned.add_in(&OwnedDirectory::new("/bin/"), "../etc");
        let owned: PathSet = owned.into_hashes().into_iter().collect();
        for path in ["lib/x86_64/libc.so.6", "usr/lib/x86_64/libc.so.6", "opt/b", "bin/ls", "usr/bin/ls"] {
            assert!(owned.contains(path), "{path}");
        }
        assert_eq!(owned.len(), 5);
    }

    #[test]
    fn owned_paths_are_the_cleaned_ones_and_those_of_a_merged_usr() {
        let hashes = |path: &str| {
            let mut owned = OwnedFiles::default();
            owned.add(path);
            owned.into_hashes()
        };
        let of = |paths: &[&str]| paths.iter().map(|path| PathHash::of(path)).collect::<Vec<_>>();
        assert_eq!(hashes("/usr//bin/x"), of(&["usr/bin/x"]));
        assert_eq!(hashes("./usr/a/../bin/.x"), of(&["usr/bin/.x"]));
        assert_eq!(hashes("/lib/x"), of(&["lib/x", "usr/lib/x"]));
        assert_eq!(hashes("sbin"), of(&["sbin", "usr/sbin"]));
        assert_eq!(hashes("/library/x"), of(&["library/x"]));
        assert_eq!(hashes("/."), of(&[""]));
    }
}
