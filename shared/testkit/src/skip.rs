//! Says that a test is skipped so that people see it: the test runner keeps what passing tests print to itself.

use std::fmt::Display;
use std::io::Write as _;

/// Says on standard error, past the test runner, that a test is skipped because of `reason`.
pub fn skipped(reason: impl Display) {
    // Nobody reads a standard error that is closed.
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED: {reason}");
}
