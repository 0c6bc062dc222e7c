//! Databases of Berkeley DB, made here.

use super::*;

const PAGE_BYTES: usize = 512;

/// A database that is being made, in one byte order.
struct Builder {
    order: Order,
    pages: Vec<Vec<u8>>,
}

impl Builder {
    fn number(&self, number: u32) -> [u8; 4] {
        if self.order == Order::Big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn short(&self, number: usize) -> [u8; 2] {
        let number = u16::try_from(number).unwrap();
        if self.order == Order::Big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn put(&self, page: &mut [u8], place: usize, number: u32) {
        page[place..place + 4].copy_from_slice(&self.number(number));
    }

    /// A page with its number, the page after it, two numbers and its type.
    fn page(&self, number: usize, next: usize, numbers: [usize; 2], page_type: u8) -> Vec<u8> {
        let mut page = vec![0; PAGE_BYTES];
        self.put(&mut page, 8, u32::try_from(number).unwrap());
        self.put(&mut page, 16, u32::try_from(next).unwrap());
        page[20..22].copy_from_slice(&self.short(numbers[0]));
        page[22..24].copy_from_slice(&self.short(numbers[1]));
        page[25] = page_type;
        page
    }

    /// Adds a chain of pages with `bytes`, and gives the first.
    fn chain(&mut self, bytes: &[u8]) -> usize {
        let first = self.pages.len();
        let parts: Vec<&[u8]> = bytes.chunks(PAGE_BYTES - 26).collect();
        for (position, part) in parts.iter().enumerate() {
            let number = self.pages.len();
            let next = if position + 1 < parts.len() { number + 1 } else { 0 };
            let mut page = self.page(number, next, [1, part.len()], 7);
            page[26..26 + part.len()].copy_from_slice(part);
            self.pages.push(page);
        }
        first
    }

    /// A page of a bucket, with keys and values; values that do not fit are in chains.
    fn bucket(&mut self, number: usize, next: usize, records: &[(u32, &[u8])]) {
        let mut page = self.page(number, next, [2 * records.len(), 0], 13);
        let (mut place, mut end) = (26, PAGE_BYTES);
        for (key, value) in records {
            let key = [&[1], &key.to_ne_bytes()[..]].concat();
            let value = if value.len() <= 100 {
                [&[1], *value].concat()
            } else {
                let first = u32::try_from(self.chain(value)).unwrap();
                let length = u32::try_from(value.len()).unwrap();
                [&[3, 0, 0, 0][..], &self.number(first), &self.number(length)].concat()
            };
            for item in [key, value] {
                page[end - item.len()..end].copy_from_slice(&item);
                end -= item.len();
                page[place..place + 2].copy_from_slice(&self.short(end));
                place += 2;
            }
        }
        self.pages[number] = page;
    }

    fn build(mut self) -> Vec<u8> {
        let mut meta = std::mem::take(&mut self.pages[0]);
        self.put(&mut meta, 32, u32::try_from(self.pages.len() - 1).unwrap());
        self.pages[0] = meta;
        self.pages.concat()
    }
}

/// A database of four buckets. The first has two pages and the counter; the third is empty, the last was never used.
fn database(order: Order, records: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = Builder { order, pages: vec![vec![0; PAGE_BYTES]; 8] };
    let mut meta = builder.page(0, 0, [0, 0], 8);
    // Pages 1 and 2 are the first buckets, 5 and 6 those that came with the doubling; 3 is the second page of the first.
    let fields = [
        (12, 0x0006_1561),
        (16, 9),
        (20, 512),
        (72, 3),
        (76, 3),
        (80, 1),
        (96, 1),
        (100, 1),
        (104, 3),
        (108, 99),
    ];
    for (place, number) in fields {
        builder.put(&mut meta, place, number);
    }
    builder.pages[0] = meta;
    let middle = records.len().div_ceil(3);
    let numbered: Vec<(u32, &[u8])> = (1..).zip(records.iter().map(Vec::as_slice)).collect();
    let mut parts = numbered.chunks(middle.max(1));
    let mut first = vec![(0, &[2, 0, 0, 0][..])];
    first.extend(parts.next().unwrap_or_default());
    builder.bucket(1, 3, &first);
    builder.bucket(3, 0, parts.next().unwrap_or_default());
    builder.bucket(2, 0, parts.next().unwrap_or_default());
    builder.bucket(5, 0, &[]);
    builder.build()
}

fn packages(order: Order) -> Vec<u8> {
    let long = "x".repeat(3000);
    database(
        order,
        &[
            HeaderBuilder::new("long").text(1004, &long).build(),
            HeaderBuilder::new("page").text(1004, &long[..486 - 8 - 4 * 16 - 17]).build(),
            HeaderBuilder::new("short").build(),
            HeaderBuilder::new("last").text(1004, &long).build(),
        ],
    )
}

fn names_of(database: &[u8]) -> (Vec<String>, Vec<String>) {
    names_and_problems(read_bytes(database))
}

#[test]
fn packages_are_found_in_all_buckets_and_in_either_byte_order() {
    for order in [Order::Little, Order::Big] {
        let (names, problems) = names_of(&packages(order));
        assert_eq!((names.len(), problems.as_slice()), (4, &[][..]));
        assert_eq!(names, ["long", "page", "short", "last"]);
    }
}

#[test]
fn a_chain_that_leads_in_a_circle_ends_in_a_problem() {
    let mut database = packages(Order::Little);
    // The second page of the first chain leads to the first one.
    let second = 9 * PAGE_BYTES + 16;
    database[second..second + 4].copy_from_slice(&8_u32.to_le_bytes());
    let (names, problems) = names_of(&database);
    assert_eq!(names, ["page", "short", "last"]);
    assert_eq!(problems, ["leads to page 8 more than once"]);
}

#[test]
fn buckets_that_lead_in_a_circle_end_in_a_problem() {
    let mut database = packages(Order::Little);
    let second = 3 * PAGE_BYTES + 16;
    database[second..second + 4].copy_from_slice(&1_u32.to_le_bytes());
    assert_eq!(names_of(&database).1, ["leads to page 1 more than once"]);
}

#[test]
fn a_page_or_entry_that_is_none_is_a_problem_and_the_others_count() {
    // Pages 8 to 14 are the chain of the first package, which lies after the counter at the end of page 1.
    for (page, place, bytes, problem) in [
        (8, 25, &[13][..], "has a page 8 that is no part of a record"),
        (8, 22, &[255, 255], "has a page 8 that is no part of a record"),
        (8, 8, &[9], "has a page 8 that has the number of another"),
        (8, 16, &[0], "leads to page 0, which it does not have"),
        (1, 512 - 5 - 5 - 5 - 12, &[4], "has a page 1 with an entry of a kind that rpm does not write"),
        (
            1,
            512 - 5 - 5 - 5 - 1,
            &[255],
            "holds a record of 4278193169 bytes, of which none may have more than 16777216",
        ),
        (1, 26 + 6, &[255, 255], "has a page 1 with an entry that does not lie in it"),
    ] {
        let mut database = packages(Order::Little);
        let place = page * PAGE_BYTES + place;
        database[place..place + bytes.len()].copy_from_slice(bytes);
        let (names, problems) = names_of(&database);
        assert_eq!(problems[0], problem);
        assert!(
            !names.contains(&"long".to_owned()) && names.ends_with(&["short".to_owned(), "last".to_owned()])
        );
    }
}

#[test]
fn a_database_of_another_kind_is_a_problem() {
    for (place, byte, problem) in [
        (16, 7, "is a hash of Berkeley DB of another version than 8 to 10"),
        (20, 1, "is a hash of Berkeley DB without a size of pages"),
        (24, 1, "is a hash of Berkeley DB with encryption, checksums or partitions"),
        (26, 1, "is a hash of Berkeley DB with encryption, checksums or partitions"),
        (75, 255, "leads to page 4278190083, which it does not have"),
    ] {
        let mut database = packages(Order::Little);
        database[place] = byte;
        assert_eq!(names_of(&database), (vec![], vec![problem.to_owned()]));
    }
}

#[test]
fn a_database_that_is_cut_off_anywhere_has_a_problem() {
    check_cut_off_anywhere(&packages(Order::Big));
}

#[test]
fn the_seeds_are_what_is_built_here() {
    crate::seeds::check("rpm-berkeley", "little", &packages(Order::Little));
    crate::seeds::check("rpm-berkeley", "big", &packages(Order::Big));
    crate::seeds::check("rpm-berkeley", "small", &database(Order::Little, &seed_headers()));
}

proptest! {
    #[test]
    fn no_change_makes_the_reader_panic(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..20)) {
        check_changed(&packages(Order::Little), &changes);
    }
}
