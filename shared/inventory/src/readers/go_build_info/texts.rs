//! The texts that say which modules a program is made of, by the marks before and behind each.

use memchr::memmem::Finder;

use super::search::{TEXT_END, TEXT_START};

/// The most bytes of one text. Kubernetes has some 30 KiB.
const TEXT_BYTES: usize = 2 << 20;

/// The most bytes of all texts of one program. Since Go 1.18 there are two that are equal.
const ALL_BYTES: usize = 2 * TEXT_BYTES;

/// The most texts of one program.
const TEXTS: usize = 8;

/// The texts of a program.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The one whose end did not come by yet.
    open: Option<Text>,
    kept: Vec<Text>,
}

/// One text, without its marks.
#[derive(Debug)]
struct Text {
    /// Offset of the mark before it.
    at: u64,
    bytes: Vec<u8>,
}

impl Text {
    /// Length with the marks.
    const fn length(&self) -> u64 {
        (TEXT_START.len() + self.bytes.len() + TEXT_END.len()) as u64
    }
}

impl Texts {
    /// Takes the next bytes, those from `position` on, in which the marks at the offsets `starts` end.
    pub(super) fn push(&mut self, position: u64, bytes: &[u8], starts: &[u64]) {
        if self.open.is_none() && starts.is_empty() {
            return;
        }
        let begin = |at: u64| {
            usize::try_from((at + TEXT_START.len() as u64).saturating_sub(position)).unwrap_or(usize::MAX)
        };
        let part = |start: usize, end: Option<&u64>| {
            let end = end.map_or(bytes.len(), |end| begin(*end).saturating_sub(TEXT_START.len()));
            bytes.get(start..end).unwrap_or_default()
        };
        self.append(part(0, starts.first()));
        for (number, at) in starts.iter().enumerate() {
            // No text has another in it: what was begun before is none.
            self.open = Some(Text { at: *at, bytes: Vec::new() });
            self.append(part(begin(*at), starts.get(number + 1)));
        }
    }

    /// The text at the offset and of the length that are given, which count its marks.
    pub(super) fn at(&self, (at, length): (u64, u64)) -> Option<&[u8]> {
        let text = self.kept.iter().find(|text| text.at == at && text.length() == length)?;
        Some(&text.bytes)
    }

    /// The one text that there is, once or several times.
    pub(super) fn only(&self) -> Option<&[u8]> {
        let first = self.kept.first()?;
        self.kept.iter().all(|text| text.bytes == first.bytes).then_some(&first.bytes)
    }

    /// Whether a text begins at the offset `at`, with `length` bytes with its marks.
    pub(super) fn is_at(&self, at: u64, length: u64) -> bool {
        self.at((at, length)).is_some()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn append(&mut self, bytes: &[u8]) {
        let kept: usize = self.kept.iter().map(|text| text.bytes.len()).sum();
        let Some(text) = &mut self.open else { return };
        let most = TEXT_BYTES.min(ALL_BYTES.saturating_sub(kept)) + TEXT_END.len();
        let searched = text.bytes.len().saturating_sub(TEXT_END.len() - 1);
        let room = most.saturating_sub(text.bytes.len());
        text.bytes.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        let end = text.bytes.get(searched..).and_then(|new| Finder::new(TEXT_END).find(new));
        if let Some(end) = end {
            text.bytes.truncate(searched + end);
            text.bytes.shrink_to_fit();
            // What is recorded ends with a line.
            let text = self.open.take().filter(|text| text.bytes.ends_with(b"\n"));
            if self.kept.len() < TEXTS {
                self.kept.extend(text);
            }
        } else if text.bytes.len() >= most {
            self.open = None;
        }
    }
}

#[cfg(test)]
impl Texts {
    /// Roughly the bytes that are kept.
    pub(super) fn memory(&self) -> usize {
        self.kept.iter().chain(&self.open).map(|text| text.bytes.capacity()).sum()
    }
}
