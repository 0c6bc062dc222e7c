//! Lists are compressed here as cargo-auditable does it, and put among the bytes of a program.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

use super::*;

const LIST: &str = r#"{"packages":[{"name":"aho-corasick","version":"0.7.20","source":"crates.io","dependencies":[2]},{"name":"autocfg","version":"1.5.1","source":"crates.io","kind":"build"},{"name":"memchr","version":"2.8.3","source":"crates.io","kind":"runtime"},{"name":"tool","version":"0.1.0","source":"local","dependencies":[0,1],"root":true}],"format":1}"#;

const CRATES: [&str; 3] = ["aho-corasick@0.7.20", "memchr@2.8.3", "tool@0.1.0"];

fn compress(text: &str, level: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A program with `section` in it, as its last bytes or before others.
fn program(section: &[u8], after: usize) -> Vec<u8> {
    let code = |length: usize| {
        (0..length).map(|at| b"\x78\x9c\x78\x00\x01\x5e\x78\xda"[at % 8]).collect::<Vec<u8>>()
    };
    [b"\x7fELF".as_slice(), &[0; 300], &code(333), section, &code(after)].concat()
}

fn scan(program: &[u8], piece: usize) -> Reading {
    let mut scan = (SCANNER.start)();
    program.chunks(piece).for_each(|bytes| scan.push(bytes));
    scan.finish(true, usize::MAX)
}

/// The crates, the same whatever the size of the pieces is.
fn crates(program: &[u8]) -> Vec<String> {
    let names = |piece| {
        let reading = scan(program, piece);
        assert!(reading.problems.is_empty(), "{piece} {:?}", reading.problems);
        reading.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect()
    };
    let whole: Vec<String> = names(program.len());
    for piece in [1, 2, 3, 64, 100, 639, 640, 641, 2000] {
        assert_eq!(names(piece), whole, "{piece}");
    }
    whole
}

#[test]
fn the_crates_of_a_program_are_those_that_run_in_it_and_the_program_itself() {
    for level in [1, 6, 7, 9] {
        for after in [0, 5, 3000] {
            assert_eq!(crates(&program(&compress(LIST, level), after)), CRATES, "{level} {after}");
        }
    }
}

#[test]
fn a_long_list_and_the_shortest_one_are_read() {
    let entry = |number: usize| {
        format!(r#"{{"name":"crate-{number}","version":"1.0.{number}","source":"crates.io"}}"#)
    };
    let entries: Vec<String> = (0..3000).map(entry).collect();
    let list = format!(r#"{{"packages":[{}]}}"#, entries.join(","));
    assert_eq!(crates(&program(&compress(&list, 7), 100)).len(), 3000);
    assert!(crates(&program(&compress(r#"{"packages":[]}"#, 7), 100)).is_empty());
}

#[test]
fn other_streams_and_no_streams_are_no_list() {
    for text in ["{\"package\":[]}", "", "some text, some other text"] {
        assert!(crates(&program(&compress(text, 7), 1000)).is_empty());
    }
    let both = [compress("x", 7), compress(LIST, 7)].concat();
    assert_eq!(crates(&program(&both, 1000)), CRATES);
}

#[test]
fn an_entry_that_cannot_be_used_does_not_lose_the_others() {
    let list = r#"{"packages":[7,{"name":"a"},{"name":{},"version":"1"},{"name":"b","version":"1.0.0","source":null,"kind":null,"new":[{}]}]}"#;
    let reading = scan(&program(&compress(list, 7), 1000), 100);
    let names: Vec<&str> = reading.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["b"]);
    assert_eq!(reading.problems.into_reasons(), ["names no version of \"a\""]);
}

#[test]
fn a_list_that_is_damaged_or_too_long_is_a_problem_or_none() {
    let whole = program(&compress(LIST, 7), 0);
    let reading = scan(&whole[..whole.len() - 10], 4096);
    assert!(reading.packages.is_empty());
    assert!(!reading.problems.is_empty());
    let reading = scan(&program(&compress("{\"packages\":[}", 7), 1000), 4096);
    assert!(
        reading.problems.into_reasons()[0]
            .starts_with("holds a list of crates that is no JSON that can be read: ")
    );
    let bomb = format!("{{\"packages\":[{}]}}", " ".repeat(LIST_BYTES));
    let reading = scan(&program(&compress(&bomb, 9), 1000), 4096);
    assert!(reading.packages.is_empty());
    assert_eq!(reading.problems.into_reasons(), ["holds a list of crates of more than 4194304 bytes"]);
}

#[test]
fn after_a_list_that_breaks_nothing_is_a_list_whatever_the_pieces_are() {
    let list = compress(LIST, 7);
    let broken = [&list[..150], &[0xff; 600], &list].concat();
    let program = program(&broken, 700);
    for piece in [1, 7, 300, 640, 1000, usize::MAX] {
        let reading = scan(&program, piece);
        assert!(reading.packages.is_empty());
        assert_eq!(reading.problems.into_reasons(), ["holds a list of crates that is damaged"], "{piece}");
    }
}

#[test]
fn a_program_of_nothing_but_beginnings_costs_little() {
    let begun = &compress(LIST, 7)[..30];
    for part in [b"\x78\x9c\x8d\x93".as_slice(), begun, &compress(LIST, 7)[..150]] {
        let mut scan = Auditable::default();
        let piece = part.repeat((32 << 10) / part.len());
        for _ in 0..40 {
            scan.push(&piece);
        }
        assert!(scan.search.memory() < 1 << 20);
        assert!(scan.search.gave_up() || scan.is_damaged);
        assert!(!Box::new(scan).finish(true, 5).problems.is_empty());
    }
}

#[test]
fn the_seeds_are_what_is_built_here() {
    let strange = r#"{"packages":[7,{"name":"a"},{"name":"b","version":"1.0.0","source":null,"kind":null}]}"#;
    for (name, program) in [
        ("list", program(&compress(LIST, 7), 10)),
        ("stored", program(&compress(LIST, 0), 10)),
        ("best", program(&compress(strange, 9), 3000)),
        ("two", program(&[compress("x", 7), compress(LIST, 1)].concat(), 100)),
    ] {
        crate::seeds::check("cargo-auditable", name, &program);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_broken_list_is_read_without_a_panic_and_whatever_the_pieces_are(
        changes in prop::collection::vec((0..500_usize, any::<u8>()), 0..3),
        piece in 1..500_usize,
    ) {
        let mut program = program(&compress(LIST, 7), 10);
        for (at, byte) in changes {
            if let Some(place) = program.get_mut(600 + at) {
                *place = byte;
            }
        }
        prop_assert_eq!(scan(&program, piece), scan(&program, usize::MAX));
    }
}
