//! CSV for spreadsheets and databases, as RFC 4180 has it: a line of titles, then one for each row.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc4180>

use csv::Writer;

use super::write_out;
use crate::failure::Failure;

/// Prints rows under these titles. What is not known is left empty.
pub(crate) fn print_csv<const N: usize>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<(), Failure> {
    write_out(&csv_text(titles, rows)?)
}

fn csv_text<const N: usize>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<String, Failure> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(titles)?;
    for row in rows {
        writer.write_record(&row)?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::new(error.into_error()))?;
    Ok(String::from_utf8(bytes)?)
}

/// The cell of something that may not be known.
pub(crate) fn known(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_cell_is_quoted() {
        let rows = [["a,b".to_owned(), "say \"x\"\nand y".to_owned()], [known(None::<u8>), known(Some(3))]];
        let text = csv_text(["one", "two"], rows).unwrap();
        assert_eq!(text, "one,two\n\"a,b\",\"say \"\"x\"\"\nand y\"\n,3\n");
    }
}
