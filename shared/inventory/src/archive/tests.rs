//! The walker against archives made by hand, against the crate `tar` as an oracle, and against damage.

use std::io::Read as _;

use proptest::prelude::*;

use super::*;

/// Keeps every entry, and the content of every file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Collected {
    entries: Vec<(ArchiveEntry, Option<Vec<u8>>)>,
    cut: bool,
}

impl EntrySink for Collected {
    fn entry(&mut self, entry: ArchiveEntry) -> bool {
        let content = (entry.kind == EntryKind::File).then(Vec::new);
        let wanted = content.is_some();
        self.entries.push((entry, content));
        wanted
    }

    fn content(&mut self, bytes: &[u8]) {
        self.entries.last_mut().unwrap().1.as_mut().unwrap().extend_from_slice(bytes);
    }

    fn content_end(&mut self, complete: bool) {
        self.cut |= !complete;
    }
}

impl Collected {
    fn names(&self) -> Vec<String> {
        self.entries.iter().map(|(entry, _)| crate::paths::text(&entry.path)).collect()
    }
}

fn walk(archive: &[u8], chunk: usize) -> (Collected, Result<(), ArchiveError>) {
    let mut collected = Collected::default();
    let mut walker = Walker::new();
    for part in archive.chunks(chunk) {
        if let Err(error) = walker.push(part, &mut collected) {
            walker.abort(&mut collected);
            return (collected, Err(error));
        }
    }
    let result = walker.finish(&mut collected);
    (collected, result)
}

/// A header block and its content, filled up to whole blocks.
fn raw_entry(type_flag: u8, path: &[u8], content: &[u8], change: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    header.set_size(content.len() as u64);
    header.as_mut_bytes()[156] = type_flag;
    change(header.as_mut_bytes());
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn plain(type_flag: u8, path: &str, content: &str) -> Vec<u8> {
    raw_entry(type_flag, path.as_bytes(), content.as_bytes(), |_| {})
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let records: Vec<String> = records
        .iter()
        .map(|(key, value)| {
            // The length counts its own digits.
            let rest = key.len() + value.len() + 3;
            let length = (rest..rest + 10).find(|length| length - length.to_string().len() == rest).unwrap();
            format!("{length} {key}={value}\n")
        })
        .collect();
    let text = records.concat();
    plain(b'x', "PaxHeaders/x", &text)
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

#[test]
fn pax_records_replace_path_target_and_size_of_the_next_entry_only() {
    let long = "d/".repeat(200);
    let archive = [
        pax(&[("path", &long), ("mtime", "1.5")]),
        plain(b'0', "short", "one"),
        pax(&[("linkpath", "far/away")]),
        plain(b'2', "link", ""),
        pax(&[("size", "3")]),
        raw_entry(b'0', b"sized", b"two", |block| block[124..136].copy_from_slice(b"00000000000\0")),
        plain(b'0', "plain", "3"),
        end(),
    ]
    .concat();
    let (collected, result) = walk(&archive, 100);
    assert_eq!(result, Ok(()));
    assert_eq!(collected.names(), [long.as_str(), "link", "sized", "plain"]);
    assert_eq!(collected.entries[1].0.kind, EntryKind::Symlink(b"far/away".to_vec()));
    assert_eq!(collected.entries[2].1.as_deref(), Some(&b"two"[..]));
}

#[test]
fn a_global_header_changes_nothing() {
    let mut global = pax(&[("path", "global")]);
    global[156] = b'g';
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(&global[..512]);
    header.set_cksum();
    global[..512].copy_from_slice(header.as_bytes());
    let (collected, result) = walk(&[global, plain(b'0', "own", ""), end()].concat(), 512);
    assert_eq!(result, Ok(()));
    assert_eq!(collected.names(), ["own"]);
}

#[test]
fn gnu_long_names_and_base_256_sizes_are_read() {
    let (path, target) = ("p".repeat(300), "t".repeat(300));
    let archive = [
        plain(b'L', "././@LongLink", &format!("{path}\0")),
        plain(b'K', "././@LongLink", &format!("{target}\0")),
        plain(b'2', "short", ""),
        raw_entry(b'0', b"sized", b"12345", |block| {
            block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
        }),
        end(),
    ]
    .concat();
    let (collected, result) = walk(&archive, 1);
    assert_eq!(result, Ok(()));
    assert_eq!(collected.names(), [path.as_str(), "sized"]);
    assert_eq!(collected.entries[0].0.kind, EntryKind::Symlink(target.into_bytes()));
    assert_eq!(collected.entries[1].1.as_deref(), Some(&b"12345"[..]));
}

#[test]
fn the_prefix_counts_only_in_ustar() {
    let prefixed = |block: &mut [u8; 512]| block[345..348].copy_from_slice(b"dir");
    let gnu = |block: &mut [u8; 512]| {
        prefixed(block);
        block[257..265].copy_from_slice(b"ustar  \0");
    };
    let archive = [raw_entry(b'0', b"a", b"", prefixed), raw_entry(b'0', b"b", b"", gnu), end()].concat();
    assert_eq!(walk(&archive, 700).0.names(), ["dir/a", "b"]);
}

#[test]
fn links_and_directories_have_no_content_whatever_their_size_says() {
    let sized = |block: &mut [u8; 512]| block[124..136].copy_from_slice(b"00000001000\0");
    let archive = [
        raw_entry(b'5', b"dir/", b"", sized),
        raw_entry(b'1', b"hard", b"", sized),
        raw_entry(0, b"old/", b"", sized),
        plain(b'0', "file", "x"),
        end(),
    ]
    .concat();
    let (collected, result) = walk(&archive, 512);
    assert_eq!(result, Ok(()));
    assert_eq!(collected.names(), ["dir/", "hard", "old/", "file"]);
    assert_eq!(collected.entries[2].0.kind, EntryKind::Directory);
}

#[test]
fn sparse_files_of_every_form_are_told_and_passed_over() {
    let map_block = |continues: u8| {
        let mut block = vec![0; 512];
        block[504] = continues;
        block
    };
    let mut old_gnu = raw_entry(b'S', b"old", b"", |block| {
        block[124..136].copy_from_slice(b"00000000004\0");
        block[482] = 1;
    });
    old_gnu.extend([map_block(1), map_block(0), b"data".to_vec(), vec![0; 508]].concat());
    let archive = [
        old_gnu,
        pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "real")]),
        plain(b'0', "GNUSparseFile.1/real", "1\n0\n4\n"),
        pax(&[("GNU.sparse.map", "0,4")]),
        plain(b'0', "zero-one", "data"),
        plain(b'0', "after", "x"),
        end(),
    ]
    .concat();
    let (collected, result) = walk(&archive, 333);
    assert_eq!(result, Ok(()));
    assert_eq!(collected.names(), ["old", "real", "zero-one", "after"]);
    let kinds: Vec<&EntryKind> = collected.entries.iter().map(|(entry, _)| &entry.kind).collect();
    assert_eq!(
        kinds,
        [&EntryKind::SparseFile, &EntryKind::SparseFile, &EntryKind::SparseFile, &EntryKind::File]
    );
}

#[test]
fn damage_is_told_and_what_came_before_stays() {
    let first = plain(b'0', "first", "content");
    let cases = [
        (plain(b'0', "x", "y").split_off(1), ArchiveError::Checksum),
        ([vec![0; 512], plain(b'0', "x", "")].concat(), ArchiveError::LoneZeroBlock),
        (plain(b'x', "x", "no record"), ArchiveError::PaxRecord),
        (plain(b'0', "x", &"y".repeat(600))[..700].to_vec(), ArchiveError::Truncated),
        (plain(b'0', "x", "")[..100].to_vec(), ArchiveError::Truncated),
        (plain(b'L', "x", &"y".repeat(2 << 20)), ArchiveError::MetaTooLarge(2 << 20)),
        (
            raw_entry(b'0', b"x", b"", |block| block[124..136].copy_from_slice(&[0xff; 12])),
            ArchiveError::Number("size"),
        ),
    ];
    for (damaged, expected) in cases {
        let (collected, result) = walk(&[first.clone(), damaged].concat(), 512);
        assert_eq!(result, Err(expected));
        assert_eq!(collected.entries[0].1.as_deref(), Some(&b"content"[..]));
    }
}

#[test]
fn a_cut_content_is_ended_as_not_complete() {
    let archive = plain(b'0', "file", "content");
    let (collected, result) = walk(&archive[..515], 512);
    assert_eq!(result, Err(ArchiveError::Truncated));
    assert!(collected.cut);
    assert_eq!(collected.entries[0].1.as_deref(), Some(&b"con"[..]));
}

#[test]
fn an_archive_may_end_without_its_last_blocks() {
    let archive = plain(b'0', "file", "content");
    for length in [519, 1024] {
        let (collected, result) = walk(&archive[..length], 512);
        assert_eq!(result, Ok(()), "{length} bytes");
        assert!(!collected.cut);
    }
    assert_eq!(walk(&[], 1).1, Ok(()));
}

/// One entry to be written with the crate `tar`.
#[derive(Clone, Debug)]
enum Written {
    File(String, Vec<u8>),
    Directory(String),
    Symlink(String, String),
    HardLink(String, String),
}

fn written() -> impl Strategy<Value = Written> {
    let path = || "[a-zé]{1,30}(/[a-z._-]{1,60}[a-z]){0,6}";
    prop_oneof![
        (path(), prop::collection::vec(any::<u8>(), 0..1500))
            .prop_map(|(path, bytes)| Written::File(path, bytes)),
        path().prop_map(Written::Directory),
        (path(), path()).prop_map(|(path, target)| Written::Symlink(path, target)),
        (path(), path()).prop_map(|(path, target)| Written::HardLink(path, target)),
    ]
}

fn write_archive(entries: &[Written]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        match entry {
            Written::File(path, bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, path, &bytes[..]).unwrap();
            }
            Written::Directory(path) => {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, path, std::io::empty()).unwrap();
            }
            Written::Symlink(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
            }
            Written::HardLink(path, target) => {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

/// What the crate `tar` reads.
fn oracle(archive: &[u8]) -> Vec<(ArchiveEntry, Option<Vec<u8>>)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let kind = match entry.header().entry_type() {
            tar::EntryType::Directory => EntryKind::Directory,
            tar::EntryType::Symlink => EntryKind::Symlink(link.unwrap()),
            tar::EntryType::Link => EntryKind::HardLink(link.unwrap()),
            _ => EntryKind::File,
        };
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let content = (kind == EntryKind::File).then_some(content);
        (ArchiveEntry { path: entry.path_bytes().into_owned(), kind, size: entry.size() }, content)
    });
    entries.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_walker_reads_what_the_tar_crate_reads(
        entries in prop::collection::vec(written(), 0..12),
        chunk in 1usize..3000,
    ) {
        let archive = write_archive(&entries);
        let (collected, result) = walk(&archive, chunk);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(collected.entries, oracle(&archive));
    }

    #[test]
    fn damaged_archives_end_and_give_no_more_content_than_they_have(
        entries in prop::collection::vec(written(), 1..8),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        fix_checksums in any::<bool>(),
        chunk in 1usize..2000,
    ) {
        let mut archive = write_archive(&entries);
        for (position, byte) in damage {
            let position = position.index(archive.len());
            archive[position] = byte;
            if fix_checksums {
                let start = position / 512 * 512;
                let mut header = tar::Header::new_old();
                header.as_mut_bytes().copy_from_slice(&archive[start..start + 512]);
                header.set_cksum();
                archive[start..start + 512].copy_from_slice(header.as_bytes());
            }
        }
        let (collected, _) = walk(&archive, chunk);
        let content: usize = collected.entries.iter().filter_map(|(_, content)| content.as_ref()).map(Vec::len).sum();
        prop_assert!(content <= archive.len());
        prop_assert!(collected.entries.len() <= archive.len() / 512);
        prop_assert_eq!(collected, walk(&archive, archive.len()).0);
    }
}
