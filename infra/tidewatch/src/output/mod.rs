//! What people and programs see: tables, JSON documents and progress.

mod document;
mod progress;
mod table;
mod text;

pub(crate) use document::{document_text, print_document};
pub(crate) use progress::{Progress, ProgressBars, while_waiting};
pub(crate) use table::{Table, ago, cell, number_cell, severity_cell, severity_word_cell, state_cell};
pub(crate) use text::{visible, visible_lines};

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
