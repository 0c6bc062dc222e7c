//! Paths inside an image: cleaned, relative to its root, without a leading slash; the root itself is empty. Bytes that
//! are no UTF-8 are written `\xNN`, so that different paths stay different.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Bound;

/// How many symbolic links one path may lead through, as in Linux:
/// <https://man7.org/linux/man-pages/man7/path_resolution.7.html>.
const MAX_LINKS: usize = 40;

/// What a reader reads, as a set of paths.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PathPattern {
    /// The file at exactly this path.
    File(&'static str),
    /// Every file directly in `directory` whose name does not end with `except`.
    FilesIn {
        /// The directory.
        directory: &'static str,
        /// End of the names that are left out.
        except: &'static str,
    },
}

impl PathPattern {
    /// Whether a file at `path` is to be read.
    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::File(file) => *file == path,
            Self::FilesIn { directory, except } => below(path, directory)
                .is_some_and(|name| !name.is_empty() && !name.contains('/') && !name.ends_with(except)),
        }
    }

    /// Whether `path`, or a path below it, can be one to read: only then does it matter what is there.
    pub(crate) fn concerns(&self, path: &str) -> bool {
        self.matches(path) || self.place() == path || below(self.place(), path).is_some()
    }

    /// The path that has to be looked up to find what there is to read.
    pub(crate) const fn place(&self) -> &'static str {
        match self {
            Self::File(path) | Self::FilesIn { directory: path, .. } => path,
        }
    }
}

/// The rest of `path` below `directory`, which may be the root; `None` when it is not below it.
pub(crate) fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    if directory.is_empty() {
        return (!path.is_empty()).then_some(path);
    }
    path.strip_prefix(directory)?.strip_prefix('/')
}

/// `name` in `directory`.
pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Removes everything below `path` from a tree, and not what is at `path` itself.
pub(crate) fn remove_below<K: Borrow<str> + Clone + Ord, T>(tree: &mut BTreeMap<K, T>, path: &str) {
    let start = if path.is_empty() { String::new() } else { format!("{path}/") };
    let from_start = (Bound::Included(start.as_str()), Bound::Unbounded);
    let below = tree.range::<str, _>(from_start).map(|(path, _)| path).take_while(|path| {
        let path: &str = (*path).borrow();
        path.starts_with(&start)
    });
    for path in below.cloned().collect::<Vec<K>>() {
        tree.remove::<str>(path.borrow());
    }
}

/// Directory and name of a path.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Bytes as text: what is no UTF-8 is escaped.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A path of an archive, cleaned of `.`, `..`, and of slashes too many. `..` does not lead out of the root.
pub(crate) fn clean(path: &str) -> String {
    let mut cleaned = String::with_capacity(path.len());
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => cleaned.truncate(cleaned.rfind('/').unwrap_or(0)),
            part => {
                if !cleaned.is_empty() {
                    cleaned.push('/');
                }
                cleaned.push_str(part);
            }
        }
    }
    cleaned
}

/// What stands at a path on the way to another.
pub(crate) enum Step<'a> {
    /// A directory, or what is to become one.
    Enter,
    /// A symbolic link, with its target.
    Link(&'a str),
    /// Nothing, or what is no directory.
    Missing,
    /// It is not known what is there.
    Unknown,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// To this path, which need not exist, in directories that do.
    Path(String),
    /// To nothing: a directory on the way does not exist.
    Missing,
    /// To or through this path, of which nothing is known.
    Unknown(String),
    /// Through too many links.
    Loop,
}

/// Follows the symbolic links in `path`, a cleaned one, also in its last part; `step` says what stands at a path.
pub(crate) fn resolve<'a>(path: &str, step: impl Fn(&str) -> Step<'a>) -> Resolution {
    let mut parts: Vec<&str> = path.rsplit('/').collect();
    let mut resolved = String::new();
    let mut links = 0;
    while let Some(part) = parts.pop() {
        match part {
            "" | "." => continue,
            ".." => {
                resolved.truncate(resolved.rfind('/').unwrap_or(0));
                continue;
            }
            _ => {}
        }
        let candidate = join(&resolved, part);
        match step(&candidate) {
            Step::Enter => resolved = candidate,
            // The last part of a path may be missing, or be a file.
            Step::Missing if parts.is_empty() => resolved = candidate,
            Step::Missing => return Resolution::Missing,
            Step::Unknown => return Resolution::Unknown(candidate),
            Step::Link(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Resolution::Loop;
                }
                if target.starts_with('/') {
                    resolved.clear();
                }
                parts.extend(target.rsplit('/'));
            }
        }
    }
    Resolution::Path(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve_in(links: &[(&'static str, &'static str)], path: &str) -> Resolution {
        resolve(path, |candidate| {
            links
                .iter()
                .find(|(link, _)| *link == candidate)
                .map_or(Step::Enter, |(_, target)| Step::Link(target))
        })
    }

    #[test]
    fn a_path_is_cleaned_and_never_leaves_the_root() {
        for (path, cleaned) in [
            ("./etc//os-release", "etc/os-release"),
            ("/../a/../b/", "b"),
            ("./", ""),
            ("a/b/../../../c", "c"),
        ] {
            assert_eq!(clean(path), cleaned);
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_stay_different() {
        assert_eq!(text(b"a\xffb"), "a\\xffb");
        assert_ne!(text(b"\xfe"), text(b"\xff"));
    }

    #[test]
    fn links_are_followed_from_where_they_stand_or_from_the_root() {
        let links = [("etc/os-release", "../usr/lib/os-release"), ("lib", "/usr/lib")];
        assert_eq!(resolve_in(&links, "etc/os-release"), Resolution::Path("usr/lib/os-release".to_owned()));
        assert_eq!(resolve_in(&links, "lib/apk"), Resolution::Path("usr/lib/apk".to_owned()));
    }

    #[test]
    fn links_in_a_circle_end() {
        assert_eq!(resolve_in(&[("a", "b"), ("b", "a")], "a/x"), Resolution::Loop);
    }

    #[test]
    fn a_pattern_concerns_what_it_matches_and_the_directories_above() {
        let pattern = PathPattern::FilesIn { directory: "var/lib/x", except: ".sum" };
        for path in ["", "var", "var/lib", "var/lib/x", "var/lib/x/a"] {
            assert!(pattern.concerns(path), "{path}");
        }
        for path in ["va", "var/lib/xy", "var/lib/x/a.sum", "var/lib/x/a/b", "usr"] {
            assert!(!pattern.concerns(path), "{path}");
        }
    }
}
