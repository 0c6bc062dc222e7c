//! What people and programs see: tables, JSON documents and progress.

mod csv;
mod document;
mod progress;
mod table;
mod text;

use std::io::{self, Write as _};

use crate::failure::Failure;

pub(crate) use csv::{known, print_csv};
pub(crate) use document::{document_text, print_document};
pub(crate) use progress::{Progress, ProgressBars, while_waiting};
pub(crate) use table::{Table, ago, cell, number_cell, severity_cell, severity_word_cell, state_cell};
pub(crate) use text::{visible, visible_lines};

/// Writes to standard output. Whoever reads it may have seen enough.
pub(crate) fn write_out(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(anyhow::Error::new(error).context("failed to write the result")))
        }
        _ => Ok(()),
    }
}

/// Prints a line for people on standard error, so that standard output holds results only.
pub(crate) fn advise(quiet: bool, line: &str) {
    if !quiet {
        anstream::eprintln!("{}", visible(line));
    }
}

/// Prints a line of a result for people.
pub(crate) fn print_line(line: &str) {
    anstream::println!("{}", visible(line));
}
