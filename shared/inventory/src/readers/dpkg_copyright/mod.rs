//! The licences of Debian's packages: `usr/share/doc/PACKAGE/copyright`, by fields or in free words.
//!
//! Specification of the fields: <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>. Of free words, those
//! count that are always the same: <https://www.debian.org/doc/debian-policy/ch-docs.html#copyright-information>.

mod prose;

use std::collections::BTreeSet;

use super::{Access, Evidence, Reader};
use crate::license;
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::stanza::field;
use crate::reading::{InputFile, Reading, TEXT_BYTES};

/// The most different licences of one package; Linux, of which all is in one package, has about 50.
const LICENSES: usize = 300;

pub(super) const READER: Reader = Reader {
    id: "dpkg-copyright",
    paths: &[PathPattern::new("usr/share/doc/*/copyright")],
    evidence: Evidence::About,
    file_bytes: 4 << 20,
    access: Access::Whole(read),
};

/// The licence of the package; none where the file does not say it in words that are known, which is no problem.
fn read(file: &InputFile<'_>) -> Reading {
    let license = by_fields(file.bytes).or_else(|| prose::license(file.bytes));
    Reading { license, ..Reading::default() }
}

/// What all files of the package and its head are under.
fn by_fields(bytes: &[u8]) -> Option<String> {
    let fields = Fields::of(bytes);
    let used = if fields.of_files.is_empty() { fields.others } else { fields.of_files };
    let texts = used.into_iter().take(LICENSES).map(paths::text);
    let expressions: Vec<String> = texts.filter_map(|text| license::expression_or_reference(&text)).collect();
    license::expression_of_all(expressions.iter().map(String::as_str))
}

/// The first lines of the fields `License`, which are names.
#[derive(Default)]
struct Fields<'a> {
    /// Of the head of the file, and of stanzas that name files.
    of_files: BTreeSet<&'a [u8]>,
    /// Of stanzas that hold the text of a licence. They count where no files have any.
    others: BTreeSet<&'a [u8]>,
}

/// The stanza that is read.
#[derive(Default)]
struct Stanza<'a> {
    has_files: bool,
    license: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut fields = Self::default();
        let (mut stanza, mut is_head) = (Stanza::default(), false);
        // A mark of byte order is what some editors begin with.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for line in bytes.split(|byte| *byte == b'\n') {
            match line.first() {
                None | Some(b'\r') => {
                    fields.add(&std::mem::take(&mut stanza), is_head);
                    is_head = false;
                }
                Some(b'F' | b'f' | b'L' | b'l') => match field(line) {
                    Some((name, value)) if name.eq_ignore_ascii_case(b"License") && !value.is_empty() => {
                        stanza.license = stanza.license.or(Some(value));
                    }
                    Some((name, _)) if name.eq_ignore_ascii_case(b"Files") => stanza.has_files = true,
                    Some((name, _)) if name.to_ascii_lowercase().starts_with(b"format") => is_head = true,
                    _ => {}
                },
                Some(_) => {}
            }
        }
        fields.add(&stanza, is_head);
        fields
    }

    fn add(&mut self, stanza: &Stanza<'a>, is_head: bool) {
        let Some(license) = stanza.license.filter(|license| license.len() <= TEXT_BYTES) else { return };
        let fields = if stanza.has_files || is_head { &mut self.of_files } else { &mut self.others };
        fields.insert(license);
    }
}

#[cfg(test)]
mod tests;
