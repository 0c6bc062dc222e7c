//! Paths inside an image: cleaned, relative to its root, without a leading slash; the root itself is empty. Also how any
//! bytes of an image become text: what is no UTF-8, or would steer a terminal, is written `\xNN`, so that different
//! paths stay different.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How many symbolic links one path may lead through, as in Linux:
/// <https://man7.org/linux/man-pages/man7/path_resolution.7.html>.
const MAX_LINKS: usize = 40;

/// What each look-up on the way of a path costs beside the bytes of the path so far.
const STEP_BYTES: usize = 16;

/// The most bytes that one path may cost to resolve; a path of 4,096 bytes without links costs at most half of them.
const MAX_RESOLVED_BYTES: u64 = 16 << 20;

/// `name` in `directory`.
pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Directory and name of a path.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Bytes as text, `\xNN` for each byte of what is no UTF-8 and of control characters. Everything that comes out of an
/// image becomes text here, because it ends in terminals and logs.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_control(character) {
                escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// [`text`], borrowed where it is the same, as it nearly always is.
pub(crate) fn borrowed_text(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(same) if bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) => Cow::Borrowed(same),
        _ => Cow::Owned(text(bytes)),
    }
}

/// Whether a terminal takes the character for a command, or for one to write lines in another order than they have.
/// The latter: <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// A path of an archive as text, cleaned. Most paths are clean already but for a beginning `./` and a slash at the end,
/// and cost nothing.
pub(crate) fn of_archive(bytes: &[u8]) -> Cow<'_, str> {
    let plain = bytes.strip_prefix(b"./").unwrap_or(bytes);
    let plain = plain.strip_suffix(b"/").unwrap_or(plain);
    match str::from_utf8(plain) {
        Ok(path) if is_clean(path) => Cow::Borrowed(path),
        _ => Cow::Owned(clean(&text(bytes))),
    }
}

/// Whether a path is of printable ASCII, and cleaning changes nothing.
fn is_clean(path: &str) -> bool {
    path.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
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

/// A tree of directories and links, in which a path can be followed.
pub(crate) trait Links {
    /// What tells a directory from others.
    type Directory: Clone;
    /// The root.
    fn root(&self) -> Self::Directory;
    /// What stands at `name` in `directory`; `path` is its whole path.
    fn step(&self, directory: &Self::Directory, name: &str, path: &str) -> Step<'_, Self::Directory>;
}

/// What stands at a path on the way to another.
#[derive(Clone, Debug)]
pub(crate) enum Step<'a, D> {
    /// A directory, or what is to become one.
    Enter(D),
    /// A symbolic link, with its target.
    Link(&'a str),
    /// Nothing, or what is no directory.
    Missing,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// To this path, which need not exist, in directories that do.
    Path(String),
    /// To nothing: a directory on the way does not exist.
    Missing,
    /// Through too many links.
    Loop,
    /// Further than a path, or all paths together, may cost.
    TooFar,
}

/// What resolving paths may still cost, in bytes of the paths that are looked up. Without it a hostile layer makes every
/// entry cost the length of its path times that of all its links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    bytes: u64,
}

impl Budget {
    pub(crate) const fn new(bytes: u64) -> Self {
        Self { bytes }
    }

    /// Whether there is nothing left.
    pub(crate) const fn is_spent(self) -> bool {
        self.bytes == 0
    }

    /// Takes `bytes`; says whether there were as many. Else nothing is left.
    fn spend(&mut self, bytes: usize) -> bool {
        let left = u64::try_from(bytes).ok().and_then(|bytes| self.bytes.checked_sub(bytes));
        self.bytes = left.unwrap_or(0);
        left.is_some()
    }
}

/// Follows the symbolic links in `path`, a cleaned one, also in its last part. What it costs is taken from `budget`.
pub(crate) fn resolve(path: &str, budget: &mut Budget, links: &impl Links) -> Resolution {
    let mut own = Budget::new(MAX_RESOLVED_BYTES.min(budget.bytes));
    let before = own.bytes;
    let resolution = follow(path, &mut own, links);
    budget.bytes -= before - own.bytes;
    resolution
}

fn follow(path: &str, budget: &mut Budget, tree: &impl Links) -> Resolution {
    if !budget.spend(path.len()) {
        return Resolution::TooFar;
    }
    let mut parts: Vec<&str> = path.rsplit('/').collect();
    let mut resolved = String::with_capacity(path.len());
    // The root, and each directory on the way with the length of its path.
    let mut directories = vec![(tree.root(), 0)];
    let mut links = 0;
    while let Some(part) = parts.pop() {
        if matches!(part, "" | ".") {
            continue;
        }
        if part == ".." {
            if directories.len() > 1 {
                directories.pop();
            }
            resolved.truncate(directories.last().map_or(0, |(_, length)| *length));
            continue;
        }
        let Some((directory, length)) = directories.last() else { return Resolution::Missing };
        let length = *length;
        if length > 0 {
            resolved.push('/');
        }
        resolved.push_str(part);
        if !budget.spend(STEP_BYTES + resolved.len()) {
            return Resolution::TooFar;
        }
        match tree.step(directory, part, &resolved) {
            Step::Enter(directory) => directories.push((directory, resolved.len())),
            // The last part of a path may be missing, or be a file.
            Step::Missing if parts.is_empty() => {}
            Step::Missing => return Resolution::Missing,
            Step::Link(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Resolution::Loop;
                }
                if !budget.spend(target.len()) {
                    return Resolution::TooFar;
                }
                if target.starts_with('/') {
                    directories.truncate(1);
                }
                resolved.truncate(directories.last().map_or(0, |(_, length)| *length));
                parts.extend(target.rsplit('/'));
            }
        }
    }
    Resolution::Path(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Links in a tree that has every directory.
    struct Table<F>(F);

    impl<F: Fn(&str) -> Option<&'static str>> Links for Table<F> {
        type Directory = ();

        fn root(&self) {}

        fn step(&self, (): &(), _name: &str, path: &str) -> Step<'_, ()> {
            (self.0)(path).map_or(Step::Enter(()), Step::Link)
        }
    }

    fn resolve_in(links: &[(&'static str, &'static str)], path: &str) -> Resolution {
        let find = |path: &str| links.iter().find(|(link, _)| *link == path).map(|(_, target)| *target);
        resolve(path, &mut Budget::new(u64::MAX), &Table(find))
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
    fn a_path_of_an_archive_is_text_and_clean() {
        for (path, cleaned) in [
            (&b"./usr/lib/"[..], "usr/lib"),
            (b"usr/lib", "usr/lib"),
            (b"./", ""),
            (b"/etc//x", "etc/x"),
            (b"a/./b/../c", "a/c"),
            (b"a\xff/b", "a\\xff/b"),
            (b"././a", "a"),
        ] {
            assert_eq!(of_archive(path), cleaned);
            assert_eq!(of_archive(path), clean(&text(path)));
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_stay_different() {
        assert_eq!(text(b"a\xffb"), "a\\xffb");
        assert_ne!(text(b"\xfe"), text(b"\xff"));
    }

    #[test]
    fn what_steers_a_terminal_is_escaped_and_other_text_stays() {
        assert_eq!(text(b"\x1b[2J\r\n\x7f"), "\\x1b[2J\\x0d\\x0a\\x7f");
        assert_eq!(text("a\u{9b}b\u{202e}c".as_bytes()), "a\\xc2\\x9bb\\xe2\\x80\\xaec");
        assert_eq!(text("größer/日本 1".as_bytes()), "größer/日本 1");
    }

    #[test]
    fn the_longest_path_can_be_resolved_and_one_that_grows_with_every_link_cannot() {
        let path = "x/".repeat(2047) + "x";
        assert_eq!(resolve_in(&[], &path), Resolution::Path(path.clone()));
        let target: &str = ("x/".repeat(2047) + "l").leak();
        let grow = Table(|path: &str| path.ends_with('l').then_some(target));
        assert_eq!(resolve("l", &mut Budget::new(u64::MAX), &grow), Resolution::TooFar);
    }

    #[test]
    fn paths_share_a_budget_that_links_without_an_effect_spend_as_well() {
        let target: &str = "./".repeat(2000).leak();
        let mut budget = Budget::new(6000);
        let mut resolve = || {
            let links = Table(|path: &str| (path == "l").then_some(target));
            (super::resolve("l", &mut budget, &links), budget.is_spent())
        };
        assert_eq!(resolve(), (Resolution::Path(String::new()), false));
        assert_eq!(resolve(), (Resolution::TooFar, true));
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
}
