//! The names of things, checked once where they enter: organisations, registries, rules, repositories, tags.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text that is not a valid name of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {text:?} as {kind}: expected {expected}")]
pub struct NameError {
    text: String,
    kind: &'static str,
    expected: &'static str,
}

/// Declares a name: a string that was checked by `$valid` when it was made. `$schema` and `$pattern` say the same to
/// editors, as a JSON Schema that names of one form share.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:expr, $valid:expr, $schema:tt, $pattern:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(rename = $schema, description = sentence($expected), extend("pattern" = $pattern))]
        pub struct $name(String);

        impl $name {
            /// The form as a regular expression: what it matches, and nothing else, is a name.
            pub const PATTERN: &'static str = $pattern;
        }

        impl $name {
            /// The name as a text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { text: text.to_owned(), kind: $kind, expected: $expected })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

const EXPECTED_ID: &str = "1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit";

const ID_PATTERN: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";
const REPOSITORY_PATTERN: &str = r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$";
const TAG_PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$";

/// A fragment as a sentence.
fn sentence(fragment: &str) -> String {
    let mut characters = fragment.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

name!(
    /// An organisation: the tenant that owns registries, rules, tokens and metrics.
    OrgName, "an organisation", EXPECTED_ID, is_id, "Name", ID_PATTERN
);
name!(
    /// A registry of the configuration.
    RegistryId, "a registry id", EXPECTED_ID, is_id, "Name", ID_PATTERN
);
name!(
    /// A rule of the configuration.
    RuleId, "a rule id", EXPECTED_ID, is_id, "Name", ID_PATTERN
);
name!(
    /// A policy: the label `id` of the metrics.
    PolicyId, "a policy id", EXPECTED_ID, is_id, "Name", ID_PATTERN
);
name!(
    /// An exception of the configuration.
    ExceptionId, "an exception id", EXPECTED_ID, is_id, "Name", ID_PATTERN
);
name!(
    /// A stream: the label `streamName` of the metrics.
    StreamName, "a stream name", EXPECTED_ID, is_id, "Name", ID_PATTERN
);
name!(
    /// A repository within its registry, `team/web`, as the distribution specification allows it:
    /// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>.
    RepositoryName, "a repository", "path components of a-z, 0-9 and single separators (`.`, `_`, `__`, `-`), joined by `/`",
    is_repository, "Repository", REPOSITORY_PATTERN
);
name!(
    /// A tag, as the distribution specification allows it:
    /// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>.
    Tag, "a tag", "1 to 128 of letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`", is_tag,
    "Tag", TAG_PATTERN
);

impl Tag {
    /// The tag that is meant where none is named.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// A tag that stands for a digest where an image has none: no image is pushed with it
    /// (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema>).
    pub fn of_digest(digest: &crate::Digest) -> Self {
        Self(format!("sha256-{}", digest.hex()))
    }
}

impl StreamName {
    /// The stream that always exists: of each repository the scanned image with the newest push.
    pub fn latest_indexed() -> Self {
        Self("latest-indexed".to_owned())
    }
}

fn is_id(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_repository(text: &str) -> bool {
    text.len() <= 255 && text.split('/').all(is_path_component)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edges = [text.bytes().next(), text.bytes().next_back()];
    edges.into_iter().all(|edge| edge.is_some_and(alphanumeric))
        && text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    proptest! {
        #[test]
        fn the_patterns_of_the_schema_match_what_is_taken_and_nothing_else(text in "[aZ0._/-]{0,8}|[a-z0-9-]{60,68}") {
            let matches = |pattern: &str| Regex::new(pattern).unwrap().is_match(&text);
            prop_assert_eq!(matches(OrgName::PATTERN), text.parse::<OrgName>().is_ok());
            prop_assert_eq!(matches(RepositoryName::PATTERN), text.parse::<RepositoryName>().is_ok());
            prop_assert_eq!(matches(Tag::PATTERN), text.parse::<Tag>().is_ok());
        }
    }

    #[test]
    fn repositories_follow_the_distribution_specification() {
        for good in ["web", "team/web", "a/b/c", "a__b", "a--b", "a.b_c-d", "0/1"] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good:?} was refused");
        }
        for bad in ["", "/a", "a/", "a//b", "A", "a..b", "a___b", "-a", "a-", "a:b", "../a", "a b"] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn tags_follow_the_distribution_specification() {
        let long = "a".repeat(129);
        for good in ["latest", "1.4.2", "_x", "V1-rc.1", &long[..128]] {
            assert!(good.parse::<Tag>().is_ok(), "{good:?} was refused");
        }
        for bad in ["", ".x", "-x", "a/b", "a:b", "a b", long.as_str()] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn ids_cannot_hold_the_separator_of_store_keys() {
        for bad in ["", "a#b", "A", "-a", "a/b"] {
            assert!(bad.parse::<OrgName>().is_err(), "{bad:?} was taken");
        }
    }
}
