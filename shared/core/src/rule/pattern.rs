//! Patterns over `REPOSITORY[:TAG]`.
//!
//! A pattern is a glob, anchored and case-sensitive: `*` matches inside one part of a path, `**` any number of whole
//! parts, `?` one character, `{a,b}` either, `[…]` a class. An empty repository or tag part means any.
//! `contains:TEXT` matches TEXT anywhere in `repository:tag`; `regex:RE` is a linear-time regular expression over it.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{RepositoryName, Tag};

/// `REPOSITORY[:TAG]`, anchored, case-sensitive. Put it in quotes: `*` and `:` mean something in YAML.
///
/// | form | matches |
/// |---|---|
/// | `*` | any characters within one part of the path |
/// | `**` | any number of whole parts, also none; it stands alone between slashes: `team/**` matches `team` and `team/a/b` |
/// | `?` | one character |
/// | `{a,b}` | either; `web{,-api}` matches `web` and `web-api` |
/// | `[0-9]`, `[!a]` | one character of a class, or not of it |
/// | empty repository or tag | any: `:latest`, `team/**`, `team/web:` |
/// | `contains:TEXT` | TEXT anywhere in `repository:tag` |
/// | `regex:EXPRESSION` | a regular expression found anywhere in `repository:tag`; anchor it with `^` and `$`. [Syntax](https://docs.rs/regex/latest/regex/#syntax), linear time |
///
/// A backslash has no special meaning in globs.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    extend("minLength" = 1),
    extend("examples" = ["team/web:1.*", "{web,api}:v[0-9]*", "**/api", ":*-prod", r"regex:^team/.*:1\.[0-9]+$"])
)]
pub struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Clone)]
enum Matcher {
    /// Globs for the repository (any one of several) and the tag; `None` matches any.
    Glob {
        repository: Option<Vec<GlobMatcher>>,
        tag: Option<GlobMatcher>,
    },
    Contains(String),
    Regex(Regex),
}

/// A text that is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {text:?} as a pattern: {reason}")]
pub struct PatternError {
    text: String,
    reason: String,
}

impl Pattern {
    /// Says whether the pattern matches a tag of a repository.
    pub fn matches(&self, repository: &RepositoryName, tag: &Tag) -> bool {
        match &self.matcher {
            Matcher::Glob { repository: repositories, tag: tags } => {
                let any =
                    |globs: &Vec<GlobMatcher>| globs.iter().any(|glob| glob.is_match(repository.as_str()));
                repositories.as_ref().is_none_or(any)
                    && tags.as_ref().is_none_or(|glob| glob.is_match(tag.as_str()))
            }
            Matcher::Contains(text) => format!("{repository}:{tag}").contains(text),
            Matcher::Regex(regex) => regex.is_match(&format!("{repository}:{tag}")),
        }
    }

    /// Says whether the pattern matches `path`, which stands for a repository, at `tag`. Without a tag, what asks for one
    /// does not match.
    pub(crate) fn matches_path(&self, path: &str, tag: Option<&Tag>) -> bool {
        let whole = || tag.map_or_else(|| path.to_owned(), |tag| format!("{path}:{tag}"));
        match &self.matcher {
            Matcher::Glob { repository, tag: tags } => {
                let any = |globs: &Vec<GlobMatcher>| globs.iter().any(|glob| glob.is_match(path));
                repository.as_ref().is_none_or(any)
                    && tags.as_ref().is_none_or(|glob| tag.is_some_and(|tag| glob.is_match(tag.as_str())))
            }
            Matcher::Contains(text) => whole().contains(text),
            Matcher::Regex(regex) => regex.is_match(&whole()),
        }
    }

    /// Says whether some tag of the repository could match: `false` spares the listing of its tags.
    pub fn may_match_repository(&self, repository: &RepositoryName) -> bool {
        match &self.matcher {
            Matcher::Glob { repository: Some(globs), .. } => {
                globs.iter().any(|glob| glob.is_match(repository.as_str()))
            }
            _ => true,
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: String| PatternError { text: text.to_owned(), reason };
        let matcher = if let Some(part) = text.strip_prefix("contains:") {
            if part.is_empty() {
                return Err(error("`contains:` needs a text".to_owned()));
            }
            Matcher::Contains(part.to_owned())
        } else if let Some(expression) = text.strip_prefix("regex:") {
            Matcher::Regex(Regex::new(expression).map_err(|source| error(source.to_string()))?)
        } else {
            let (repository, tag) = split(text);
            if repository.is_empty() && tag.is_none_or(str::is_empty) {
                return Err(error("it is empty; use `**` for every image".to_owned()));
            }
            Matcher::Glob {
                repository: (!repository.is_empty())
                    .then(|| repository_globs(repository))
                    .transpose()
                    .map_err(error)?,
                tag: tag.filter(|tag| !tag.is_empty()).map(glob).transpose().map_err(error)?,
            }
        };
        Ok(Self { text: text.to_owned(), matcher })
    }
}

/// Splits at the colon that stands outside of brackets and braces.
fn split(text: &str) -> (&str, Option<&str>) {
    let mut depth = 0_usize;
    for (position, character) in text.char_indices() {
        match character {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => return (&text[..position], Some(&text[position + 1..])),
            _ => {}
        }
    }
    (text, None)
}

/// `team/**` also matches `team` itself, since `**` is any number of parts; globset wants one there at least.
fn repository_globs(text: &str) -> Result<Vec<GlobMatcher>, String> {
    let mut globs = vec![glob(text)?];
    // Several of them in a row are as good as one.
    if let Some(parent) = text.strip_suffix("/**").map(|rest| rest.trim_end_matches("/**")) {
        globs.push(glob(parent)?);
    }
    Ok(globs)
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    let stray = text.split('/').find(|part| part.contains("**") && *part != "**");
    if let Some(part) = stray {
        return Err(format!("`**` must stand alone between slashes, not as {part:?}"));
    }
    GlobBuilder::new(&within_parts(text)?)
        .literal_separator(true)
        .backslash_escape(false)
        .empty_alternates(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| error.kind().to_string())
}

/// The glob with classes that do not match a slash: globset's do, when they are negated or have a range around it.
fn within_parts(text: &str) -> Result<String, String> {
    let mut within = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let (before, class) = rest.split_at(open + 1);
        within.push_str(before);
        let is_negated = class.starts_with(['!', '^']);
        let start = usize::from(is_negated);
        // A bracket at the beginning is one of the class.
        let first = class[start..].chars().next().map_or(0, char::len_utf8);
        let Some(end) = class[start + first..].find(']').map(|end| start + first + end) else {
            within.push_str(class);
            return Ok(within);
        };
        let characters: Vec<char> = class[start..end].chars().collect();
        let mut ranges = characters.windows(3).filter(|range| range[1] == '-');
        if ranges.any(|range| (range[0]..=range[2]).contains(&'/')) {
            return Err(format!("the class [{}] has a range around `/`", &class[..end]));
        }
        within.push_str(&class[..start]);
        if is_negated {
            within.push('/');
        }
        within.push_str(&class[start..=end]);
        rest = &class[end + 1..];
    }
    within.push_str(rest);
    Ok(within)
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests;
