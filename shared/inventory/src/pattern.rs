//! Which paths a reader reads, and the reader of a path: one look-up in a table by name, because every entry of every
//! layer asks.

use std::collections::HashMap;

use crate::paths::split;

/// A set of paths, as a pattern of parts between slashes: `*` stands for any text within a part, and `**/` at the
/// beginning for any directories, or none. `etc/os-release`, `usr/share/doc/*/copyright`, `**/*.jar`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern(&'static str);

impl PathPattern {
    /// The pattern `pattern`.
    pub(crate) const fn new(pattern: &'static str) -> Self {
        Self(pattern)
    }

    /// Whether a file at `path`, a cleaned one, is to be read.
    pub(crate) fn matches(self, path: &str) -> bool {
        let Some(anywhere) = self.0.strip_prefix("**/") else { return matches_parts(self.0, path) };
        let parts = anywhere.matches('/').count();
        let mut slashes = path.rmatch_indices('/').map(|(position, _)| position + 1);
        let end = slashes.nth(parts).and_then(|start| path.get(start..));
        match end {
            Some(end) => matches_parts(anywhere, end),
            None => path.matches('/').count() == parts && matches_parts(anywhere, path),
        }
    }

    /// The one path that it stands for, or the directory whose files it stands for: what has to be looked up to find what
    /// there is to read. `None` when the paths may be anywhere.
    pub(crate) fn place(self) -> Option<Place> {
        match self.0.split_once('*') {
            None => Some(Place::File(self.0)),
            Some((directory, "")) => Some(Place::Directory(directory.strip_suffix('/')?)),
            Some(_) => None,
        }
    }

    /// The last part of its paths.
    #[cfg(test)]
    pub(crate) fn name(self) -> &'static str {
        split(self.0).1
    }

    /// A path that it matches.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn example(self) -> String {
        self.0.replace("**", "opt/app").replace('*', "a")
    }
}

/// What has to be looked up to find what there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file.
    File(&'static str),
    /// The files of a directory.
    Directory(&'static str),
}

fn matches_parts(pattern: &str, path: &str) -> bool {
    let (mut parts, mut patterns) = (path.split('/'), pattern.split('/'));
    loop {
        match (parts.next(), patterns.next()) {
            (Some(part), Some(pattern)) if matches_part(pattern, part) => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether a part of a path matches one of a pattern. Each text between two stars may be taken at its first place.
fn matches_part(pattern: &str, part: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == part };
    let Some(mut left) = part.strip_prefix(start) else { return false };
    let mut texts = rest.split('*').peekable();
    while let Some(text) = texts.next() {
        if texts.peek().is_none() {
            return left.ends_with(text);
        }
        let Some(position) = left.find(text) else { return false };
        left = left.get(position + text.len()..).unwrap_or_default();
    }
    true
}

/// Finds the first of many patterns that matches a path.
#[derive(Debug)]
pub(crate) struct PatternTable {
    /// Patterns whose last part is a name.
    by_name: HashMap<&'static str, Vec<Line>>,
    /// Patterns whose last part is `*.EXTENSION`, or ends so.
    by_extension: HashMap<&'static str, Vec<Line>>,
    /// All others.
    others: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    number: usize,
    pattern: PathPattern,
}

impl PatternTable {
    /// A table of `patterns`, each with the number that a match gives.
    pub(crate) fn new(patterns: impl IntoIterator<Item = (usize, PathPattern)>) -> Self {
        let mut table = Self { by_name: HashMap::new(), by_extension: HashMap::new(), others: Vec::new() };
        for (number, pattern) in patterns {
            let line = Line { number, pattern };
            let name = split(pattern.0).1;
            match (name.contains('*'), extension(name)) {
                (false, _) => table.by_name.entry(name).or_default().push(line),
                (true, Some(end)) if !end.contains('*') => {
                    table.by_extension.entry(end).or_default().push(line);
                }
                (true, _) => table.others.push(line),
            }
        }
        table
    }

    /// The lowest number of a pattern that matches `path`, a cleaned one.
    pub(crate) fn find(&self, path: &str) -> Option<usize> {
        let name = split(path).1;
        let by_name = self.by_name.get(name).into_iter().flatten();
        let by_extension = extension(name).and_then(|end| self.by_extension.get(end)).into_iter().flatten();
        by_name
            .chain(by_extension)
            .chain(&self.others)
            .filter(|line| line.pattern.matches(path))
            .map(|line| line.number)
            .min()
    }
}

/// What follows the last dot of a name.
fn extension(name: &str) -> Option<&str> {
    Some(name.rsplit_once('.')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_whole_path_part_by_part() {
        for (pattern, path, matches) in [
            ("etc/os-release", "etc/os-release", true),
            ("etc/os-release", "usr/etc/os-release", false),
            ("var/lib/x/*", "var/lib/x/a", true),
            ("var/lib/x/*", "var/lib/x/a/b", false),
            ("usr/share/doc/*/copyright", "usr/share/doc/bash/copyright", true),
            ("usr/share/doc/*/copyright", "usr/share/doc/bash/x/copyright", false),
            ("**/package.json", "package.json", true),
            ("**/package.json", "app/node_modules/x/package.json", true),
            ("**/package.json", "app/my-package.json", false),
            ("**/*.dist-info/METADATA", "usr/lib/x-1.dist-info/METADATA", true),
            ("**/*.dist-info/METADATA", "x-1.dist-info/METADATA", true),
            ("**/*.dist-info/METADATA", "METADATA", false),
            ("**/*.jar", "a/b.jar", true),
            ("**/*.jar", "a.jar/b", false),
            ("**/.spdx-*.spdx", "opt/.spdx-redis.spdx", true),
            ("**/a*b*c", "axbyc", true),
            ("**/a*b*c", "axyc", false),
        ] {
            assert_eq!(PathPattern::new(pattern).matches(path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_of_one_file_or_of_the_files_of_one_directory_has_a_place() {
        assert_eq!(PathPattern::new("etc/os-release").place(), Some(Place::File("etc/os-release")));
        assert_eq!(PathPattern::new("var/lib/x/*").place(), Some(Place::Directory("var/lib/x")));
        assert_eq!(PathPattern::new("**/*.jar").place(), None);
        assert_eq!(PathPattern::new("usr/share/doc/*/copyright").place(), None);
    }

    #[test]
    fn of_several_patterns_the_first_line_decides() {
        let patterns = ["**/x.json", "**/*.json", "a/*", "**/*.tar.*"];
        let table =
            PatternTable::new(patterns.into_iter().enumerate().map(|(n, p)| (n, PathPattern::new(p))));
        for (path, number) in [
            ("a/x.json", Some(0)),
            ("a/y.json", Some(1)),
            ("a/y", Some(2)),
            ("b/y.tar.gz", Some(3)),
            ("b/y", None),
            ("json", None),
        ] {
            assert_eq!(table.find(path), number, "{path}");
        }
    }
}
