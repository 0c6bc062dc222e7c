//! Archives as different tools write them, and as hostile ones would.

use super::*;

/// Opens an archive with these bytes; it stays until the folder is dropped.
fn open(bytes: &[u8]) -> (tempfile::TempDir, Result<Archive, ArchiveError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.tar");
    std::fs::write(&path, bytes).unwrap();
    let opened = Archive::open(&path);
    (folder, opened)
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header
}

fn file(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &str) {
    let mut header = header(EntryType::Regular, content.len() as u64);
    archive.append_data(&mut header, name, content.as_bytes()).unwrap();
}

fn link(archive: &mut tar::Builder<Vec<u8>>, kind: EntryType, name: &str, target: &str) {
    archive.append_link(&mut header(kind, 0), name, target).unwrap();
}

/// What the archive has at a name.
fn content(archive: &Archive, name: &str) -> Option<String> {
    let Place { offset, length } = archive.place(name)?;
    let bytes = std::fs::read(archive.path()).unwrap();
    let (offset, length) = (usize::try_from(offset).unwrap(), usize::try_from(length).unwrap());
    Some(String::from_utf8(bytes[offset..offset + length].to_vec()).unwrap())
}

#[test]
fn a_member_is_found_by_its_name_in_whatever_way_the_archive_writes_it() {
    let mut archive = tar::Builder::new(Vec::new());
    let long = "long/".repeat(50) + "name";
    file(&mut archive, "./first", "1");
    file(&mut archive, &long, "2");
    archive.append_pax_extensions([("path", b"by/pax".as_slice()), ("size", b"3")]).unwrap();
    // The size of the header does not count.
    let mut wrong = header(EntryType::Regular, 0);
    wrong.set_path("short").unwrap();
    wrong.set_cksum();
    archive.append(&wrong, &b""[..]).unwrap();
    let mut bytes = archive.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend([b"333".as_slice(), &[0; 509]].concat());
    let mut rest = tar::Builder::new(bytes);
    file(&mut rest, "first", "the last counts");
    let (_folder, archive) = open(&rest.into_inner().unwrap());
    let archive = archive.unwrap();
    assert_eq!(content(&archive, "first").as_deref(), Some("the last counts"));
    assert_eq!(content(&archive, &long).as_deref(), Some("2"));
    assert_eq!(content(&archive, "by/pax").as_deref(), Some("333"));
    assert_eq!(content(&archive, "short"), None);
    assert!(archive.has("/./first") && !archive.has("second"));
}

#[test]
fn links_lead_to_members_and_not_in_circles() {
    let mut archive = tar::Builder::new(Vec::new());
    file(&mut archive, "a/layer.tar", "1");
    link(&mut archive, EntryType::Symlink, "b/layer.tar", "../a/layer.tar");
    link(&mut archive, EntryType::Link, "hard", "b/layer.tar");
    link(&mut archive, EntryType::Symlink, "one", "two");
    link(&mut archive, EntryType::Symlink, "two", "one");
    link(&mut archive, EntryType::Symlink, "out", "../../../../etc/passwd");
    let (_folder, archive) = open(&archive.into_inner().unwrap());
    let archive = archive.unwrap();
    assert_eq!(content(&archive, "b/layer.tar").as_deref(), Some("1"));
    assert_eq!(content(&archive, "hard").as_deref(), Some("1"));
    assert!(!archive.has("one") && !archive.has("out"));
}

#[test]
fn what_is_damaged_is_told_from_what_is_no_archive() {
    let mut archive = tar::Builder::new(Vec::new());
    file(&mut archive, "first", &"x".repeat(1000));
    file(&mut archive, "second", "1");
    let whole = archive.into_inner().unwrap();
    // Without the blocks of zeros it is whole.
    assert!(open(&whole[..whole.len() - 1024]).1.is_ok());
    assert!(
        matches!(open(&whole[..1100]).1, Err(ArchiveError::Truncated { member, .. }) if member == "first")
    );
    assert!(
        matches!(open(&whole[..1700]).1, Err(ArchiveError::Truncated { member, .. }) if member == "a header")
    );
    let mut damaged = whole.clone();
    damaged[1536] ^= 1;
    assert!(matches!(open(&damaged).1, Err(ArchiveError::Damaged { offset: 1536, .. })));
    assert!(matches!(open(&[b'x'; 600]).1, Err(ArchiveError::NoArchive { .. })));
    assert!(matches!(open(b"").1, Err(ArchiveError::NoArchive { .. })));
    assert!(matches!(open(&[0; 1024]).1, Err(ArchiveError::NoArchive { .. })));
    let gzip = [&[0x1f, 0x8b][..], &[0; 600]].concat();
    assert!(matches!(open(&gzip).1, Err(ArchiveError::Compressed { tool: "gzip", .. })));
}

#[test]
fn a_long_name_that_is_too_long_is_damage() {
    let mut archive = tar::Builder::new(Vec::new());
    let name = vec![b'x'; 2 << 20];
    let mut long = header(EntryType::GNULongName, name.len() as u64);
    long.set_cksum();
    archive.append(&long, &name[..]).unwrap();
    assert!(matches!(open(&archive.into_inner().unwrap()).1, Err(ArchiveError::Damaged { offset: 0, .. })));
}
