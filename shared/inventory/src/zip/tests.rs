//! Archives as the crate `zip` writes and reads them, and damaged ones by hand.

use std::io::{Cursor, Read as _, Write as _};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::*;

pub(crate) const DEFLATED: SimpleFileOptions =
    SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Deflated);
pub(crate) const STORED: SimpleFileOptions =
    SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Stored);

/// An archive that the crate `zip` writes.
pub(crate) fn archive(members: &[(&str, &[u8])], options: SimpleFileOptions, comment: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.set_comment(comment).unwrap();
    for (name, bytes) in members {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Names and bytes of all members, or the first error.
fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ZipError> {
    read_within(bytes, &mut Allowance::for_length(1 << 30))
}

fn read_within(bytes: &[u8], allowance: &mut Allowance) -> Result<Vec<(String, Vec<u8>)>, ZipError> {
    let contents = Contents::from(bytes.to_vec());
    let archive = Archive::open(Window::all(&contents))?;
    let mut entries = archive.entries();
    let mut members = Vec::new();
    while let Some(entry) = entries.next(allowance)? {
        let name = String::from_utf8_lossy(entry.name).into_owned();
        members.push((name, archive.bytes(&entry.member, 1 << 20, allowance)?));
    }
    Ok(members)
}

fn failure(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

/// Where the record with the signature `signature` begins.
fn position(bytes: &[u8], signature: &[u8]) -> usize {
    memchr::memmem::find(bytes, signature).unwrap()
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes[at..at + with.len()].copy_from_slice(with);
}

fn two() -> Vec<(String, Vec<u8>)> {
    vec![("a".to_owned(), b"first".to_vec()), ("b/c".to_owned(), vec![b'x'; 5000])]
}

fn two_packed(options: SimpleFileOptions, comment: &str) -> Vec<u8> {
    archive(&[("a", b"first"), ("b/c", &[b'x'; 5000])], options, comment)
}

#[test]
fn stored_and_deflated_members_are_read_whatever_comment_the_archive_has() {
    for comment in ["", "a comment", "PK\x05\x06 in a comment", &"long ".repeat(10_000)] {
        for options in [STORED, DEFLATED] {
            assert_eq!(read(&two_packed(options, comment)).unwrap(), two());
        }
    }
}

#[test]
fn bytes_before_the_archive_and_after_it_do_not_matter() {
    let script = b"#!/bin/bash\nexec java -jar \"$0\"\nexit\n".repeat(40);
    let mut bytes = script.clone();
    bytes.extend(two_packed(DEFLATED, ""));
    assert_eq!(read(&bytes).unwrap(), two());
    let padded = [bytes.as_slice(), &[0; 100]].concat();
    assert_eq!(read(&padded).unwrap(), two());

    // As `zip -A` leaves it: the offsets count the script.
    let mut writer = Cursor::new(script.clone());
    writer.set_position(script.len() as u64);
    let mut writer = ZipWriter::new(writer);
    for (name, bytes) in two() {
        writer.start_file(name, DEFLATED).unwrap();
        writer.write_all(&bytes).unwrap();
    }
    assert_eq!(read(&writer.finish().unwrap().into_inner()).unwrap(), two());
}

/// An archive in ZIP64 form, as streams of more than 4 GiB have it, by hand: the numbers in the old records are all ones.
fn zip64(before: &[u8]) -> Vec<u8> {
    let mut bytes = two_packed(STORED, "");
    let directory = position(&bytes, b"PK\x01\x02");
    let end = position(&bytes, &END);
    // Of the first entry sizes and offset go into an extra field, which comes after its name, `a`.
    overwrite(&mut bytes, directory + 20, &[0xff; 8]);
    overwrite(&mut bytes, directory + 30, &28_u16.to_le_bytes());
    overwrite(&mut bytes, directory + 42, &[0xff; 4]);
    let mut extra = vec![1, 0, 24, 0];
    extra.extend([5_u64, 5, 0].iter().flat_map(|number| number.to_le_bytes()));
    let after_name = directory + 46 + 1;
    let mut whole = [before, &bytes[..after_name], &extra, &bytes[after_name..end]].concat();
    let directory_bytes = (end - directory + extra.len()) as u64;
    let end_64 = (end + extra.len()) as u64;
    whole.extend(END_64);
    whole.extend(44_u64.to_le_bytes());
    whole.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    whole.extend([2, 2, directory_bytes, directory as u64].iter().flat_map(|number| number.to_le_bytes()));
    whole.extend(LOCATOR_64);
    whole.extend([0; 4]);
    whole.extend(end_64.to_le_bytes());
    whole.extend(1_u32.to_le_bytes());
    whole.extend(END);
    whole.extend([0, 0, 0, 0]);
    whole.extend([0xff; 12]);
    whole.extend([0, 0]);
    whole
}

#[test]
fn zip64_numbers_are_read_also_behind_other_bytes() {
    for before in [b"".as_slice(), b"#!/bin/sh\n"] {
        assert_eq!(read(&zip64(before)).unwrap(), two());
    }
    let mut without_end = zip64(b"");
    let at = position(&without_end, &END_64);
    without_end[at] = 0;
    assert_eq!(failure(&without_end), "is a damaged ZIP archive: its ZIP64 end is not where it has to be");
}

#[test]
fn what_is_no_archive_and_what_cannot_be_read_have_names() {
    assert_eq!(failure(b""), "is no ZIP archive");
    assert_eq!(failure(&vec![b'x'; 100_000]), "is no ZIP archive");
    let whole = two_packed(DEFLATED, "");
    assert_eq!(failure(&whole[..whole.len() - 5]), "is no ZIP archive");

    let directory = position(&whole, b"PK\x01\x02");
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = whole.clone();
        overwrite(&mut bytes, at, with);
        failure(&bytes)
    };
    assert_eq!(changed(directory + 8, &[1]), "is encrypted");
    assert_eq!(changed(directory + 10, &[12]), "is compressed by method 12, which is not read");
    assert_eq!(changed(directory + 16, &[0; 4]), "is a damaged ZIP archive: a member has another checksum");
    assert_eq!(
        changed(directory, b"XX"),
        "is a damaged ZIP archive: its central directory holds what is no entry"
    );
    assert_eq!(changed(directory + 42, &[9]), "is a damaged ZIP archive: a member is not where it has to be");
    assert_eq!(changed(directory + 20, &[0xfe, 0xff, 0xff]), "is a damaged ZIP archive: a member is cut off");
    assert_eq!(
        changed(directory + 28, &[0xff, 3]),
        "is a damaged ZIP archive: its central directory is cut off"
    );
    // The data of the first member follow 30 bytes and its name. 7 is no kind of block.
    assert_eq!(changed(31, &[7]), "is a damaged ZIP archive: a member cannot be inflated");
    let end = position(&whole, &END);
    assert_eq!(
        changed(end + 12, &[0xff; 3]),
        "is a damaged ZIP archive: its central directory is larger than itself"
    );
    assert_eq!(
        changed(end + 16, &[0xff; 3]),
        "is a damaged ZIP archive: its central directory is not where it has to be"
    );
}

#[test]
fn a_member_that_lies_about_its_size_is_inflated_to_the_limit_and_no_further() {
    let mut bytes = archive(&[("a", &vec![0; 3 << 20])], DEFLATED, "");
    let directory = position(&bytes, b"PK\x01\x02");
    overwrite(&mut bytes, directory + 24, &[1, 0, 0, 0]);
    assert_eq!(failure(&bytes), "has more than 1048576 bytes");
    let contents = Contents::from(bytes);
    let archive = Archive::open(Window::all(&contents)).unwrap();
    let mut allowance = Allowance::for_length(1 << 30);
    let member = archive.entries().next(&mut allowance).unwrap().unwrap().member;
    assert_eq!(archive.beginning(&member, 1000, &mut allowance).unwrap().len(), 1000);
}

#[test]
fn an_archive_may_cost_no_more_than_its_length_allows() {
    // 1,800 KiB of zeros in 2 KB: over the MiB that every archive has and 16 times its length.
    let zeros = vec![0; 900 << 10];
    let bomb = archive(&[("a", &zeros), ("b", &zeros)], DEFLATED, "");
    let mut allowance = Allowance::for_length(bomb.len() as u64);
    let error = read_within(&bomb, &mut allowance).unwrap_err();
    assert_eq!(error.to_string(), "holds more bytes than a ZIP archive of its size may");

    let mut allowance = Allowance { entries: 1, bytes: u64::MAX, is_spent: false };
    let error = read_within(&two_packed(STORED, ""), &mut allowance).unwrap_err();
    assert_eq!(error.to_string(), "holds more entries than a ZIP archive of its size may");
}

#[test]
fn entries_whose_data_overlap_are_read_and_each_costs() {
    let bytes = archive(&[("a", &[7; 1000]), ("b", &[7; 1000])], STORED, "");
    let first = position(&bytes, b"PK\x01\x02");
    let second = first + 46 + 1;
    let mut overlapping = bytes.clone();
    // The second entry is at the place of the first.
    overwrite(&mut overlapping, second + 42, &[0; 4]);
    let mut allowance = Allowance { entries: 10, bytes: 1500, is_spent: false };
    assert!(read_within(&overlapping, &mut allowance).is_err());
    assert_eq!(read(&overlapping).unwrap()[1].1, [7; 1000]);
}

#[test]
fn of_two_end_records_the_one_that_ends_the_file_counts() {
    let hidden = archive(&[("hidden", b"x")], STORED, "");
    // The comment is a whole archive, and a byte.
    let mut bytes = two_packed(STORED, "");
    let length = bytes.len();
    overwrite(&mut bytes, length - 2, &u16::try_from(hidden.len() + 1).unwrap().to_le_bytes());
    bytes.extend([hidden.as_slice(), b"\n"].concat());
    assert_eq!(read(&bytes).unwrap(), two());
}

#[test]
fn names_that_are_too_long_are_passed_over() {
    let long = "n".repeat(directory::NAME_BYTES + 1);
    let bytes = archive(&[("a", b"1"), (&long, b"2"), ("b", b"3")], STORED, "");
    let names: Vec<String> = read(&bytes).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_central_directory_larger_than_the_buffer_is_read_through_it() {
    let names: Vec<String> = (0..3000).map(|number| format!("com/example/Class{number}.class")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    let read: Vec<String> =
        read(&archive(&members, STORED, "")).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(read, names);
}

#[test]
fn a_stored_archive_is_read_where_it_lies() {
    let inner = two_packed(DEFLATED, "inner");
    let contents = Contents::from(archive(&[("x", b"x"), ("inner.jar", &inner)], STORED, ""));
    let mut allowance = Allowance::for_length(contents.length());
    let archive = Archive::open(Window::all(&contents)).unwrap();
    let mut entries = archive.entries();
    entries.next(&mut allowance).unwrap();
    let member = entries.next(&mut allowance).unwrap().unwrap().member;
    let window = archive.stored(&member).unwrap().unwrap();
    assert_eq!(window.length(), inner.len() as u64);
    let nested = Archive::open(window).unwrap();
    let mut entries = nested.entries();
    let member = entries.next(&mut allowance).unwrap().unwrap().member;
    assert_eq!(nested.bytes(&member, 100, &mut allowance).unwrap(), b"first");
    assert!(nested.stored(&member).unwrap().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn archives_are_read_as_the_crate_zip_reads_them(
        members in prop::collection::btree_map(
            "[a-zA-Z0-9_./-]{1,20}", (prop::collection::vec(0_u8..4, 0..3000), any::<bool>(), any::<bool>()), 0..12,
        ),
        before in prop::collection::vec(any::<u8>(), 0..100),
        comment in "[ -~]{0,40}",
    ) {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.set_comment(comment).unwrap();
        for (name, (bytes, deflated, large)) in &members {
            let options = if *deflated { DEFLATED } else { STORED };
            writer.start_file(name, options.large_file(*large)).unwrap();
            writer.write_all(bytes).unwrap();
        }
        let bytes = [before, writer.finish().unwrap().into_inner()].concat();
        let mut oracle = ZipArchive::new(Cursor::new(bytes.clone())).unwrap();
        let expected: Vec<(String, Vec<u8>)> = (0..oracle.len())
            .map(|number| {
                let mut file = oracle.by_index(number).unwrap();
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                (String::from_utf8_lossy(file.name_raw()).into_owned(), bytes)
            })
            .collect();
        prop_assert_eq!(read(&bytes).unwrap(), expected);
    }

    #[test]
    fn no_damage_makes_reading_panic_or_give_more_than_it_may(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        for mut bytes in [two_packed(DEFLATED, "comment"), zip64(b"")] {
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            let mut allowance = Allowance { entries: 100, bytes: 100_000, is_spent: false };
            let _ = read_within(&bytes, &mut allowance);
            let _ = read_within(&bytes[cut.index(bytes.len())..], &mut allowance);
            bytes.truncate(cut.index(bytes.len()));
            let _ = read_within(&bytes, &mut allowance);
        }
    }
}
