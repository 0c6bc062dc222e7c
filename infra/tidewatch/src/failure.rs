//! How the command fails: what went wrong, what to do next, and the exit code.

use std::process::ExitCode;

use owo_colors::OwoColorize as _;
use tidewatch_runtime::messages::describe;

use crate::output::visible_lines;

/// The exit codes, as documented in docs/COMMAND.md.
pub(crate) mod exit {
    /// The work failed.
    pub(crate) const FAILED: u8 = 1;
    /// The command line or the configuration is wrong; nothing was changed. The command-line parser uses it too.
    pub(crate) const WRONG_USE: u8 = 2;
    /// The work was done, and its result does not meet the condition that was asked for (`--fail-on`).
    pub(crate) const CONDITION_NOT_MET: u8 = 3;
}

/// A failure of the command.
#[derive(Debug)]
pub(crate) struct Failure {
    error: anyhow::Error,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// A failure by `error`.
    pub(crate) fn new(error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), hint: None, code: exit::FAILED }
    }

    /// A failure because of what the caller gave.
    pub(crate) fn wrong_use(error: impl Into<anyhow::Error>) -> Self {
        Self { code: exit::WRONG_USE, ..Self::new(error) }
    }

    /// The same failure, saying what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure, saying what to do next unless it says so already.
    pub(crate) fn hint_unless_given(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// What failed, with all its causes.
    pub(crate) fn text(&self) -> String {
        describe(self.error.as_ref())
    }

    /// What failed, when it is a `T`.
    pub(crate) fn cause<T: std::error::Error + Send + Sync + 'static>(&self) -> Option<&T> {
        self.error.downcast_ref()
    }

    /// Says on standard error what failed, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let error = visible_lines(&self.text());
        // The printing macros drop colours where standard error is no terminal.
        anstream::eprintln!("{} {error}", "error:".red().bold());
        if let Some(hint) = &self.hint {
            anstream::eprintln!(" {} {}", "next:".bold(), visible_lines(hint));
        }
        ExitCode::from(self.code)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}
