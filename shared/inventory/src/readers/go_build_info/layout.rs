//! Where the parts of a program are in its file and in memory, from the headers at the beginning of the file.
//!
//! Formats: ELF <https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html>, PE
//! <https://learn.microsoft.com/en-us/windows/win32/debug/pe-format>, Mach-O
//! <https://github.com/apple-oss-distributions/xnu/blob/main/EXTERNAL_HEADERS/mach-o/loader.h>.

/// Bytes at the beginning of a file that are looked at. Go's own headers of Mach-O, the largest ones, take some 3 KiB.
const HEAD: usize = 16 << 10;

/// The most parts of one program.
const PARTS: usize = 64;

/// The parts of a program; none until its headers came by, or when they say nothing.
#[derive(Debug, Default)]
pub(super) struct Layout {
    head: Vec<u8>,
    words: Words,
    parts: Vec<Part>,
}

/// What is loaded as one.
#[derive(Clone, Copy, Debug)]
struct Part {
    offset: u64,
    bytes: u64,
    address: u64,
    /// The program may write it, and not execute it.
    writable: bool,
}

/// How a program writes numbers of the size of an address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Words {
    /// 4 or 8.
    pub(super) bytes: usize,
    /// The most significant byte comes first.
    pub(super) big_endian: bool,
}

impl Words {
    /// The number `number` of those that `bytes` are.
    pub(super) fn at(self, bytes: &[u8], number: usize) -> Option<u64> {
        self.number(bytes, number.checked_mul(self.bytes)?, self.bytes)
    }

    /// The number of `length` bytes at `offset`.
    fn number(self, bytes: &[u8], offset: usize, length: usize) -> Option<u64> {
        let bytes = bytes.get(offset..offset.checked_add(length)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }
}

impl Layout {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.head.len() >= HEAD {
            return;
        }
        self.head.extend_from_slice(bytes.get(..bytes.len().min(HEAD - self.head.len())).unwrap_or_default());
        if let Some((words, parts)) = parts_of(&self.head) {
            (self.words, self.parts) = (words, parts);
            self.parts.retain(|part| part.bytes > 0);
        }
    }

    /// Whether the byte at `offset` lies in data that the program may write.
    pub(super) fn is_writable(&self, offset: u64) -> bool {
        self.parts.iter().any(|part| part.writable && part.has_offset(offset))
    }

    /// Whether any of the `length` bytes from `position` on lies in data that the program may write.
    pub(super) fn has_writable(&self, position: u64, length: usize) -> bool {
        let end = position.saturating_add(length as u64);
        let has = |part: &Part| position < part.offset.saturating_add(part.bytes) && part.offset < end;
        self.parts.iter().any(|part| part.writable && has(part))
    }

    /// Where the byte with the address `address` is in the file.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        let part = self
            .parts
            .iter()
            .find(|part| address.checked_sub(part.address).is_some_and(|distance| distance < part.bytes))?;
        part.offset.checked_add(address - part.address)
    }

    /// The address of the byte at `offset` of the file.
    pub(super) fn address(&self, offset: u64) -> Option<u64> {
        let part = self.parts.iter().find(|part| part.has_offset(offset))?;
        part.address.checked_add(offset - part.offset)
    }

    /// Gives `take` the offset and the value of every word that ends in `bytes`, those from `position` on; `before` are the
    /// bytes before them.
    pub(super) fn words_in(
        &self,
        position: u64,
        bytes: &[u8],
        before: &[u8],
        mut take: impl FnMut(u64, u64),
    ) {
        let size = self.words.bytes as u64;
        if size == 0 {
            return;
        }
        let begun = usize::try_from(position % size).unwrap_or(0);
        let mut rest = bytes;
        if begun > 0 {
            let new = (self.words.bytes - begun).min(bytes.len());
            let old = before.get(before.len().saturating_sub(begun)..).unwrap_or_default();
            let (start, after) = bytes.split_at_checked(new).unwrap_or_default();
            if let Some(word) = self.words.at(&[old, start].concat(), 0) {
                take(position - begun as u64, word);
            }
            rest = after;
        }
        let start = position + (bytes.len() - rest.len()) as u64;
        for (number, word) in rest.chunks_exact(self.words.bytes).enumerate() {
            if let Some(word) = self.words.at(word, 0) {
                take(start + number as u64 * size, word);
            }
        }
    }
}

impl Part {
    fn has_offset(&self, offset: u64) -> bool {
        offset.checked_sub(self.offset).is_some_and(|distance| distance < self.bytes)
    }
}

fn parts_of(head: &[u8]) -> Option<(Words, Vec<Part>)> {
    match head.get(..4)? {
        b"\x7fELF" => elf(head),
        [b'M', b'Z', ..] => pe(head),
        b"\xcf\xfa\xed\xfe" => mach_o(head, Words { bytes: 8, big_endian: false }),
        b"\xce\xfa\xed\xfe" => mach_o(head, Words { bytes: 4, big_endian: false }),
        b"\xfe\xed\xfa\xcf" => mach_o(head, Words { bytes: 8, big_endian: true }),
        b"\xfe\xed\xfa\xce" => mach_o(head, Words { bytes: 4, big_endian: true }),
        _ => None,
    }
}

fn elf(head: &[u8]) -> Option<(Words, Vec<Part>)> {
    let bytes = match head.get(4)? {
        1 => 4,
        2 => 8,
        _ => return None,
    };
    let words = Words { bytes, big_endian: *head.get(5)? == 2 };
    let number = |offset: usize, length: usize| words.number(head, offset, length);
    let wide = bytes == 8;
    let (table, size, count) = if wide { (32, 54, 56) } else { (28, 42, 44) };
    let table = usize::try_from(number(table, bytes)?).ok()?;
    let (size, count) = (usize::try_from(number(size, 2)?).ok()?, usize::try_from(number(count, 2)?).ok()?);
    let part = |entry: usize| {
        let (flags, offset, address, length) = if wide { (4, 8, 16, 32) } else { (24, 4, 8, 16) };
        let word = |at: usize| number(entry.checked_add(at)?, bytes);
        let flags = number(entry.checked_add(flags)?, 4)?;
        let (kind, offset, address, length) =
            (number(entry, 4)?, word(offset)?, word(address)?, word(length)?);
        // Flags: 1 is to execute, 2 to write. Kind 1 is what is loaded.
        Some((kind == 1, Part { offset, bytes: length, address, writable: flags & 3 == 2 }))
    };
    let parts = (0..count.min(PARTS)).map_while(|number| part(table.checked_add(number.checked_mul(size)?)?));
    Some((words, parts.filter(|(is_loaded, _)| *is_loaded).map(|(_, part)| part).collect()))
}

fn pe(head: &[u8]) -> Option<(Words, Vec<Part>)> {
    let little = Words { bytes: 4, big_endian: false };
    let number = |offset: usize, length: usize| little.number(head, offset, length);
    let start = usize::try_from(number(60, 4)?).ok()?;
    let header = head.get(start..)?.strip_prefix(b"PE\0\0")?;
    let count = usize::try_from(little.number(header, 2, 2)?).ok()?;
    let optional = usize::try_from(little.number(header, 16, 2)?).ok()?;
    let (bytes, base) = match little.number(header, 20, 2)? {
        0x10b => (4, little.number(header, 48, 4)?),
        0x20b => (8, little.number(header, 44, 8)?),
        _ => return None,
    };
    let part = |section: usize| {
        let at = |offset: usize| little.number(header, section.checked_add(offset)?, 4);
        let flags = at(36)?;
        Some(Part {
            offset: at(20)?,
            bytes: at(16)?,
            address: base.checked_add(at(12)?)?,
            // IMAGE_SCN_CNT_INITIALIZED_DATA and IMAGE_SCN_MEM_WRITE without IMAGE_SCN_MEM_EXECUTE.
            writable: flags & 0xa000_0040 == 0x8000_0040,
        })
    };
    let parts = (0..count.min(PARTS)).map_while(|number| part(20 + optional + number * 40)).collect();
    Some((Words { bytes, ..little }, parts))
}

fn mach_o(head: &[u8], words: Words) -> Option<(Words, Vec<Part>)> {
    let wide = words.bytes == 8;
    let number = |offset: usize, length: usize| words.number(head, offset, length);
    let count = number(16, 4)?;
    let mut at = if wide { 32 } else { 28 };
    let mut parts = Vec::new();
    for _ in 0..count {
        let (Some(command), Some(size)) = (number(at, 4), number(at + 4, 4)) else { break };
        let segment = if wide { 0x19 } else { 1 };
        if command == segment {
            let word = |number: usize| words.at(head.get(at + 24..)?, number);
            let protection = number(at + 24 + 4 * words.bytes + 4, 4);
            let (Some(address), Some(offset), Some(bytes), Some(protection)) =
                (word(0), word(2), word(3), protection)
            else {
                break;
            };
            // Protection: 2 is to write, 4 to execute.
            parts.push(Part { offset, bytes, address, writable: protection & 6 == 2 });
        }
        let next = usize::try_from(size).ok().filter(|size| *size >= 8).and_then(|size| at.checked_add(size));
        let Some(next) = next.filter(|next| *next < HEAD && parts.len() < PARTS) else { break };
        at = next;
    }
    Some((words, parts))
}
