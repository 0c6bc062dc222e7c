//! What people and programs see: tables, JSON documents and progress.

mod document;
mod progress;
mod table;

pub(crate) use document::print_document;
pub(crate) use progress::ProgressBars;
pub(crate) use table::{Table, ago, number_cell, severity_cell, severity_word_cell, state_cell};

/// Prints a line for people on standard error, so that standard output holds results only.
pub(crate) fn advise(quiet: bool, line: &str) {
    if !quiet {
        anstream::eprintln!("{line}");
    }
}
