//! Reads `tidewatch.yaml` and finds everything that is wrong with it in one go, each problem with its line and column.
//!
//! The text becomes a tree whose nodes know their position ([`yaml`], [`document`]). The tree is read into the domain's
//! [`Config`]; at an error its place is repaired, so that the next one shows ([`check`]). What a message of serde is
//! about is known to [`fault`], the wording for people to [`wording`].

mod check;
mod document;
mod fault;
#[cfg(test)]
mod tests;
mod wording;
mod yaml;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use tidewatch_core::config::Config;

use self::document::Position;

/// The largest file that is read, in bytes.
const SIZE_LIMIT: usize = 1024 * 1024;

/// Something that is wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileProblem {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column in characters, from 1.
    pub(crate) column: usize,
    /// What is wrong, a lower-case fragment on one line.
    pub(crate) message: String,
    /// How to put it right, where that can be guessed.
    pub(crate) hint: Option<String>,
}

impl FileProblem {
    fn new(at: Position, message: impl Into<String>) -> Self {
        Self { line: at.line, column: at.column, message: message.into(), hint: None }
    }

    fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFileError {
    /// The file cannot be read at all: it is not there, or its permissions forbid it.
    #[error("failed to read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is no valid configuration.
    #[error("{}", Listing { path, problems })]
    Problems {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong, at least one, sorted by position.
        problems: Vec<FileProblem>,
    },
}

/// The problems of a file for people: `PATH:LINE:COLUMN: message`, as editors and CI systems link it, and what to do.
struct Listing<'a> {
    path: &'a Path,
    problems: &'a [FileProblem],
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        for FileProblem { line, column, message, hint } in self.problems {
            writeln!(f, "{path}:{line}:{column}: {message}")?;
            if let Some(hint) = hint {
                writeln!(f, "    {hint}")?;
            }
        }
        match self.problems.len() {
            1 => f.write_str("1 problem: correct it, then run the command again"),
            count => write!(f, "{count} problems: correct them, then run the command again"),
        }
    }
}

/// Reads the configuration in the file at `path`: UTF-8, at most 1 MiB, one YAML 1.2 document.
pub(crate) fn read(path: &Path) -> Result<Config, ConfigFileError> {
    let bytes =
        read_limited(path).map_err(|source| ConfigFileError::Read { path: path.to_owned(), source })?;
    decode(&bytes)
        .and_then(parse)
        .map_err(|problems| ConfigFileError::Problems { path: path.to_owned(), problems })
}

/// One byte more than the limit is read at most, by which [`parse`] notices that the file is too large.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(SIZE_LIMIT).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<&str, Vec<FileProblem>> {
    if bytes.len() > SIZE_LIMIT {
        return Err(vec![too_large()]);
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let at = Position::end_of(&String::from_utf8_lossy(valid));
        vec![FileProblem::new(at, "the file is not UTF-8 from here on").with_hint("save it as UTF-8")]
    })
}

/// Reads a configuration from a text: at most 1 MiB, one YAML 1.2 document. The problems, at least one, are sorted by
/// position; what only follows from another problem is not among them.
pub(crate) fn parse(text: &str) -> Result<Config, Vec<FileProblem>> {
    if text.len() > SIZE_LIMIT {
        return Err(vec![too_large()]);
    }
    let loaded = yaml::load(text);
    let mut problems = loaded.problems;
    let checked = loaded.document.map(check::check);
    match checked {
        Some(Ok(config)) if problems.is_empty() => return Ok(config),
        Some(Err(found)) => problems.extend(found),
        Some(Ok(_)) | None => {}
    }
    problems.sort();
    // A bad value behind an anchor is met once for each alias.
    problems.dedup();
    Err(problems)
}

fn too_large() -> FileProblem {
    FileProblem::new(Position::START, "the file is larger than 1 MiB")
}
