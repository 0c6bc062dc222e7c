//! Databases of NDB, made here.

use super::*;

/// The checksum Adler-32, in its plainest form.
fn adler32(bytes: &[u8]) -> u32 {
    let (first, second) = bytes.iter().fold((1, 0), |(first, second), byte| {
        let first = (first + u32::from(*byte)) % 65_521;
        (first, (second + first) % 65_521)
    });
    second << 16 | first
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

const fn magic(text: [u8; 4]) -> u32 {
    u32::from_le_bytes(text)
}

/// A database of `records`, with a slot that is not used before each, in as few pages of slots as that takes.
pub(super) fn database(records: &[Vec<u8>]) -> Vec<u8> {
    let pages = (2 + 2 * records.len()).div_ceil(256);
    let mut slots = numbers(&[magic(*b"RpmP"), 0, 1, u32::try_from(pages).unwrap(), 1, 0, 0, 0]);
    let mut blobs = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let package = u32::try_from(number + 1).unwrap();
        let length = u32::try_from(record.len()).unwrap();
        let mut blob = numbers(&[magic(*b"BlbS"), package, 1_653_816_591, length]);
        blob.extend(record);
        blob.resize((blob.len() + 12).next_multiple_of(16) - 12, 0);
        blob.extend(numbers(&[adler32(&blob), length, magic(*b"BlbE")]));
        let place = u32::try_from((pages * 4096 + blobs.len()) / 16).unwrap();
        slots.extend(numbers(&[magic(*b"Slot"), 0, 0, 0]));
        slots.extend(numbers(&[magic(*b"Slot"), package, place, u32::try_from(blob.len() / 16).unwrap()]));
        blobs.extend(blob);
    }
    while slots.len() < pages * 4096 {
        slots.extend(numbers(&[magic(*b"Slot"), 0, 0, 0]));
    }
    slots.extend(blobs);
    slots
}

fn packages(names: &[&str]) -> Vec<u8> {
    let records: Vec<Vec<u8>> = names.iter().map(|name| HeaderBuilder::new(name).build()).collect();
    database(&records)
}

fn names_of(database: &[u8]) -> (Vec<String>, Vec<String>) {
    names_and_problems(read_bytes(database))
}

#[test]
fn packages_are_found_in_all_pages_of_slots() {
    let names: Vec<String> = (0..300).map(|number| format!("package-{number}")).collect();
    let database = packages(&names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(names_of(&database), (names, vec![]));
    assert_eq!(names_of(&packages(&[])), (vec![], vec![]));
}

#[test]
fn a_record_that_does_not_match_its_checksum_is_a_problem_and_the_others_count() {
    let mut database = packages(&["a", "b"]);
    // The second byte of the first record.
    database[4096 + 16 + 1] ^= 1;
    let (names, problems) = names_of(&database);
    assert_eq!(names, ["b"]);
    assert_eq!(problems, ["has a slot 3 whose record does not match its checksum"]);
}

#[test]
fn a_slot_or_record_that_is_none_is_a_problem_and_the_others_count() {
    let record = 4096;
    for (place, bytes, problem) in [
        (48, &b"Slut"[..], "has a slot 3 that is no slot"),
        (52, &[0; 4], "has a slot 3 that leads to no record"),
        (56, &[255, 0, 0, 0], "has a slot 3 that leads to no record"),
        (56, &[0, 255, 0, 0], "ends before byte 1044576, up to which it should go"),
        (60, &[1, 0, 0, 0], "has a slot 3 that leads to no record of its package"),
        (60, &[0; 4], "has a slot 3 that leads to no record of its package"),
        (60, &[255; 4], "holds a record of 68719476720 bytes, of which none may have more than 16777216"),
        (record, b"Blob", "has a slot 3 that leads to no record of its package"),
        (record + 4, &[7], "has a slot 3 that leads to no record of its package"),
        (record + 12, &[255; 4], "has a slot 3 that leads to no record of its package"),
    ] {
        let mut database = packages(&["a", "b"]);
        database[place..place + bytes.len()].copy_from_slice(bytes);
        let (names, problems) = names_of(&database);
        assert_eq!((names, problems), (vec!["b".to_owned()], vec![problem.to_owned()]), "{place} {bytes:?}");
    }
}

#[test]
fn slots_that_all_lead_to_one_record_cost_no_more_than_the_file() {
    let mut database = database(&vec![HeaderBuilder::new(&"a".repeat(1000)).build(); 100]);
    let first = database[48..64].to_vec();
    for slot in database[32..4096].chunks_exact_mut(16) {
        slot.copy_from_slice(&first);
    }
    let (names, problems) = names_of(&database);
    // The page of slots and 100 records of 1,104 bytes are 114,496 bytes, 28 pages with the last that is begun.
    assert_eq!(names.len(), 28 * 4096 / 1104);
    assert_eq!(problems[0], "has records that lie in one another");
}

#[test]
fn a_database_that_is_cut_off_anywhere_has_a_problem() {
    check_cut_off_anywhere(&packages(&["a", "b"]));
}

#[test]
fn the_seeds_are_what_is_built_here() {
    crate::seeds::check("rpm-ndb", "packages", &database(&seed_headers()));
    crate::seeds::check("rpm-ndb", "empty", &packages(&[]));
    crate::seeds::check("rpm-ndb", "names", &packages(&["a", "b"]));
}

proptest! {
    #[test]
    fn no_change_makes_the_reader_panic(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..20)) {
        check_changed(&packages(&["a", "b", "c"]), &changes);
    }
}
