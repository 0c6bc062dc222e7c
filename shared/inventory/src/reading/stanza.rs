//! Stanzas: blocks of lines that a blank line ends, the form of the databases of dpkg and apk.

/// The most lines of one stanza; what follows is another. The largest packages have some ten thousand files.
const LINES: usize = 500_000;

/// The stanzas of a file, each as its lines without their ends. The last one is left out when the file is cut off there:
/// it may lack anything.
pub(crate) fn stanzas(bytes: &[u8], complete: bool) -> impl Iterator<Item = Vec<&[u8]>> {
    let bytes = if complete { bytes } else { bytes.get(..last_blank_line(bytes)).unwrap_or_default() };
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    std::iter::from_fn(move || {
        let first = lines.by_ref().find(|line| !is_blank(line))?;
        let rest = lines.by_ref().take_while(|line| !is_blank(line)).take(LINES);
        Some(std::iter::once(first).chain(rest).collect())
    })
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Position after the last blank line.
fn last_blank_line(bytes: &[u8]) -> usize {
    bytes.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |position| position + 2)
}

/// A field `NAME:VALUE` of a line; blanks around the value are dropped.
pub(crate) fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((name, value.get(1..)?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_end_at_blank_lines_and_a_cut_one_is_left_out() {
        let bytes = b"\n\na:1\nb:2\r\n\n\n \nc:3\n\nd:4\ne";
        let all: Vec<_> = stanzas(bytes, true).collect();
        assert_eq!(all, [vec![&b"a:1"[..], b"b:2"], vec![b"c:3"], vec![b"d:4", b"e"]]);
        assert_eq!(stanzas(bytes, false).count(), 2);
        assert_eq!(stanzas(b"a:1\nb", false).count(), 0);
    }
}
