//! Tables for people: plain columns, colours only where they help and only on a terminal.

use std::io::IsTerminal as _;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement};
use jiff::Timestamp;
use tidewatch_core::Severity;
use tidewatch_core::result::ResultState;

use super::visible;

/// A table that is printed to standard output.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// A table with these column titles.
    pub(crate) fn new<const N: usize>(titles: [&str; N]) -> Self {
        Self::laid_out(&titles, true)
    }

    /// The same, for a file when it is not for the `terminal`.
    pub(crate) fn laid_out(titles: &[&str], terminal: bool) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_header(titles.iter().map(Cell::new));
        let terminal = terminal && std::io::stdout().is_terminal();
        let arrangement = if terminal { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
        table.set_content_arrangement(arrangement);
        if !terminal {
            table.force_no_tty();
        }
        Self(table)
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.0.add_row(cells.into_iter().collect::<Vec<_>>());
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        anstream::println!("{}", self.text());
    }

    /// Its text.
    pub(crate) fn text(&self) -> String {
        self.0.trim_fmt()
    }
}

/// The cell of a text, which may come from anywhere.
#[expect(clippy::needless_pass_by_value, reason = "texts are often made for the cell; `&&str` reads badly")]
pub(crate) fn cell(text: impl ToString) -> Cell {
    Cell::new(visible(&text.to_string()))
}

/// The cell of a number.
pub(crate) fn number_cell(number: impl ToString) -> Cell {
    cell(number).set_alignment(CellAlignment::Right)
}

/// The cell of a number of vulnerabilities; zero is quiet.
pub(crate) fn severity_cell(severity: Severity, count: u64) -> Cell {
    let cell = number_cell(count);
    match (count, severity_color(severity)) {
        (0, _) | (_, None) => cell,
        (_, Some(color)) => cell.fg(color),
    }
}

/// The cell of a severity's word.
pub(crate) fn severity_word_cell(severity: Severity) -> Cell {
    let cell = cell(severity);
    match severity_color(severity) {
        Some(color) => cell.fg(color),
        None => cell,
    }
}

fn severity_color(severity: Severity) -> Option<Color> {
    match severity {
        Severity::Critical => Some(Color::Red),
        Severity::High => Some(Color::DarkYellow),
        Severity::Medium => Some(Color::Yellow),
        Severity::Low => Some(Color::Blue),
        Severity::Unspecified => None,
    }
}

/// The cell of a state.
pub(crate) fn state_cell(state: ResultState) -> Cell {
    let cell = cell(state);
    match state {
        ResultState::Scanned => cell.fg(Color::Green),
        ResultState::Partial | ResultState::Unsupported | ResultState::Eol => cell.fg(Color::Yellow),
        ResultState::Failed => cell.fg(Color::Red),
        ResultState::Pending => cell,
    }
}

/// How long ago something was, in one unit: `now`, `5m ago`, `in 3h`.
pub(crate) fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(time).as_secs();
    let length = match seconds.unsigned_abs() {
        0..60 => return "now".to_owned(),
        s @ 60..3_600 => format!("{}m", s / 60),
        s @ 3_600..172_800 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    };
    if seconds > 0 { format!("{length} ago") } else { format!("in {length}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_one_unit() {
        let now: Timestamp = "2026-06-15T12:00:00Z".parse().unwrap();
        let tell = |time: &str| ago(time.parse().unwrap(), now);
        assert_eq!(tell("2026-06-15T11:59:30Z"), "now");
        assert_eq!(tell("2026-06-15T11:30:00Z"), "30m ago");
        assert_eq!(tell("2026-06-14T12:00:00Z"), "24h ago");
        assert_eq!(tell("2026-06-01T12:00:00Z"), "14d ago");
        assert_eq!(tell("2026-06-15T15:00:00Z"), "in 3h");
    }
}
