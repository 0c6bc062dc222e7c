//! Name and version of an archive by the custom of Maven's repositories, `NAME-VERSION.jar`.

/// What the name of a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileName {
    /// Empty where it is none.
    pub(super) name: String,
    pub(super) version: Option<String>,
}

impl FileName {
    /// Takes the last part of a path apart.
    pub(super) fn of(path: &str) -> Self {
        let file = path.rsplit('/').next().unwrap_or_default();
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let Some((name, version)) = by_dash(stem) else { return Self::default() };
        let (name, version) = match version {
            Some(version) => (name, Some(version)),
            None => by_any_separator(name),
        };
        Self { name: name.to_owned(), version: version.map(str::to_owned) }
    }
}

/// Splits at the first dash that a version follows. `None` when what is before it is no name: words of letters, digits,
/// underscores and dots that begin with a letter, with a dash between them.
fn by_dash(stem: &str) -> Option<(&str, Option<&str>)> {
    let mut begins_word = true;
    for (position, character) in stem.char_indices() {
        match character {
            '-' if position > 0 => {
                let rest = stem.get(position + 1..).unwrap_or_default();
                if let (name, true) = (stem.get(..position)?, is_version(&rest.to_ascii_lowercase())) {
                    return Some((name, Some(rest)));
                }
                if begins_word {
                    return None;
                }
                begins_word = true;
            }
            'a'..='z' | 'A'..='Z' => begins_word = false,
            '0'..='9' | '_' | '.' if !begins_word => {}
            _ => return None,
        }
    }
    (!stem.is_empty()).then_some((stem, None))
}

/// Splits at the first dot, underscore or dash that a version follows: some files are named so.
fn by_any_separator(name: &str) -> (&str, Option<&str>) {
    let mut separators = name.match_indices(['.', '_', '-']);
    let split = separators.find_map(|(position, _)| {
        let version = name.get(position + 1..).filter(|version| is_version(version))?;
        Some((name.get(..position)?, version))
    });
    split.map_or((name, None), |(name, version)| (name, Some(version)))
}

/// Whether a version begins here: a digit, `build` with a number, or nothing but `r` or `rc` with a number.
fn is_version(text: &str) -> bool {
    let begins_with_digit = |text: &str| text.starts_with(|character: char| character.is_ascii_digit());
    let revision = text.strip_prefix('r').map(|rest| rest.strip_prefix('c').unwrap_or(rest));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    begins_with_digit(text)
        || text.strip_prefix("build").is_some_and(begins_with_digit)
        || revision.is_some_and(is_number)
}
