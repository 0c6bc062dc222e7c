//! Tar archives for the targets: damaged ones mended as far as it takes to get beyond the first header, and new ones.

const BLOCK_BYTES: usize = 512;

/// One entry of an archive.
#[derive(Debug, Default)]
pub struct Entry<'a> {
    pub path: &'a str,
    /// The type flag of the header.
    pub kind: u8,
    pub link: &'a str,
    pub content: &'a [u8],
}

/// `bytes`, with the right checksum in every header that is reached by the sizes before it.
pub fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut archive = bytes.to_vec();
    let mut rest = &mut archive[..];
    while let Some((block, after)) = rest.split_at_mut_checked(BLOCK_BYTES) {
        if block.iter().any(|byte| *byte != 0) {
            set_checksum(block);
        }
        let has_content = !matches!(block[156], b'1'..=b'6');
        let size = if has_content { size_of(block).next_multiple_of(BLOCK_BYTES) } else { 0 };
        rest = after.get_mut(size..).unwrap_or_default();
    }
    archive
}

/// The bytes of an archive with `entries`. Names and links longer than their fields are cut off.
pub fn archive<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Vec<u8> {
    let mut archive = Vec::new();
    for entry in entries {
        let mut block = [0; BLOCK_BYTES];
        put(&mut block[..100], entry.path.as_bytes());
        put(&mut block[100..108], b"0000644");
        put(&mut block[124..136], format!("{:011o}", entry.content.len()).as_bytes());
        block[156] = entry.kind;
        put(&mut block[157..257], entry.link.as_bytes());
        put(&mut block[257..265], b"ustar\x0000");
        set_checksum(&mut block);
        archive.extend_from_slice(&block);
        archive.extend_from_slice(entry.content);
        archive.resize(archive.len().next_multiple_of(BLOCK_BYTES), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK_BYTES, 0);
    archive
}

fn put(field: &mut [u8], bytes: &[u8]) {
    field.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
}

fn set_checksum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block[148..156], format!("{sum:06o}\0 ").as_bytes());
}

fn size_of(block: &[u8]) -> usize {
    let digits = block[124..136].iter().filter(|byte| (b'0'..=b'7').contains(byte));
    digits.fold(0, |size, digit| size * 8 + usize::from(digit - b'0')).min(1 << 40)
}
