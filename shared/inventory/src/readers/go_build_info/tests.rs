//! Programs are made here, byte by byte, in the forms of each version of Go.

use proptest::prelude::*;

use super::search::{MAGIC, TEXT_END, TEXT_START};
use super::*;

const MODULES: &str =
    "path\texample.org/tool\nmod\texample.org/tool\t(devel)\t\ndep\tgolang.org/x/sys\tv0.1.0\th1:abc=\n";

/// Where the read-only data of the programs here are, in the file and in memory.
const STRINGS: (u64, u64) = (0x1000, 0x40_1000);

/// The same of data that may be written.
const DATA: (u64, u64) = (0x3000, 0x80_3000);

/// A form of ELF.
#[derive(Clone, Copy, Debug)]
struct Form {
    wide: bool,
    big_endian: bool,
}

const FORMS: [Form; 4] = [
    Form { wide: true, big_endian: false },
    Form { wide: true, big_endian: true },
    Form { wide: false, big_endian: false },
    Form { wide: false, big_endian: true },
];

impl Form {
    fn number(self, number: u64, bytes: usize) -> Vec<u8> {
        let big = number.to_be_bytes()[8 - bytes..].to_vec();
        if self.big_endian { big } else { big.into_iter().rev().collect() }
    }

    fn word(self, number: u64) -> Vec<u8> {
        self.number(number, if self.wide { 8 } else { 4 })
    }

    fn segment(self, flags: u64, (offset, address): (u64, u64), bytes: usize) -> Vec<u8> {
        let (kind, flags) = (self.number(1, 4), self.number(flags, 4));
        let (offset, address, bytes) = (self.word(offset), self.word(address), self.word(bytes as u64));
        if self.wide {
            [kind, flags, offset, address.clone(), address, bytes.clone(), bytes, self.word(0x1000)].concat()
        } else {
            [kind, offset, address.clone(), address, bytes.clone(), bytes, flags, self.word(0x1000)].concat()
        }
    }

    /// A program with these read-only data, and these that may be written.
    fn program(self, strings: &[u8], data: &[u8]) -> Vec<u8> {
        let class = if self.wide { 2 } else { 1 };
        let mut program = [0x7f, b'E', b'L', b'F', class, if self.big_endian { 2 } else { 1 }, 1].to_vec();
        program.resize(16, 0);
        let (header, entry) = if self.wide { (64, 56) } else { (52, 32) };
        let parts = [
            self.number(2, 2),
            self.number(62, 2),
            self.number(1, 4),
            self.word(0x40_1000),
            self.word(header),
            self.word(0),
            self.number(0, 4),
            self.number(header, 2),
            self.number(entry, 2),
            self.number(2, 2),
        ];
        program.extend(parts.concat());
        program.resize(usize::try_from(header).unwrap(), 0);
        program.extend(self.segment(4, STRINGS, strings.len()));
        program.extend(self.segment(6, DATA, data.len()));
        for ((offset, _), bytes) in [(STRINGS, strings), (DATA, data)] {
            assert!(program.len() <= usize::try_from(offset).unwrap());
            program.resize(usize::try_from(offset).unwrap(), 0);
            program.extend(bytes);
        }
        program
    }

    fn header(self, flags: u8, pointers: [u64; 2]) -> Vec<u8> {
        let mut header =
            [MAGIC.as_slice(), &[if self.wide { 8 } else { 4 }, flags | u8::from(self.big_endian)]].concat();
        header.extend(pointers.map(|pointer| self.word(pointer)).concat());
        header.resize(32, 0);
        header
    }

    /// Build information since Go 1.18.
    fn inline(self, version: &str, modules: &str) -> Vec<u8> {
        let text = text(modules);
        [self.header(2, [0, 0]), varint(version.len()), version.into(), varint(text.len()), text].concat()
    }

    /// A program of Go before 1.18. The headers of the strings stand before the build information where a linker of C was
    /// used, and else behind it.
    fn old(self, version: &str, modules: &str, headers_first: bool) -> Vec<u8> {
        let modules = text(modules);
        let strings = [b"gid=", version.as_bytes(), b"go1.1", b"go1.99.1", &modules].concat();
        let (size, other) = (if self.wide { 16 } else { 8 }, 4 + version.len() + 13);
        let headers = [
            self.word(STRINGS.1 + 4),
            self.word(version.len() as u64),
            self.word(STRINGS.1 + other as u64),
            self.word(modules.len() as u64),
        ]
        .concat();
        let at = |offset: u64| DATA.1 + offset;
        let data = if headers_first {
            [headers, self.header(0, [at(0), at(size)])].concat()
        } else {
            [self.header(0, [at(32), at(32 + size)]), headers].concat()
        };
        self.program(&strings, &data)
    }
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

fn text(modules: &str) -> Vec<u8> {
    if modules.is_empty() { Vec::new() } else { [TEXT_START, modules.as_bytes(), TEXT_END].concat() }
}

fn scan(program: &[u8], piece: usize) -> Reading {
    let mut scan = (SCANNER.start)();
    program.chunks(piece).for_each(|bytes| scan.push(bytes));
    scan.finish(true, usize::MAX)
}

/// The packages, the same whatever the size of the pieces is.
fn packages(program: &[u8]) -> Vec<String> {
    let names = |piece| {
        let reading = scan(program, piece);
        assert!(reading.problems.is_empty(), "{:?}", reading.problems);
        reading.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect()
    };
    let whole: Vec<String> = names(program.len());
    for piece in [1, 7, 15, 16, 17, 100, 4096] {
        assert_eq!(names(piece), whole, "{piece}");
    }
    whole
}

const ALL: [&str; 3] = ["example.org/tool@(devel)", "golang.org/x/sys@v0.1.0", "stdlib@go1.16.3"];

#[test]
fn the_build_information_of_todays_go_is_read_from_every_form_of_elf() {
    for form in FORMS {
        let data = [vec![0; 32], form.inline("go1.16.3", MODULES)].concat();
        assert_eq!(packages(&form.program(&text(MODULES), &data)), ALL, "{form:?}");
    }
}

#[test]
fn the_build_information_of_go_before_1_18_is_read_from_every_form_of_elf() {
    for form in FORMS {
        for headers_first in [false, true] {
            assert_eq!(
                packages(&form.old("go1.16.3", MODULES, headers_first)),
                ALL,
                "{form:?} {headers_first}"
            );
        }
    }
}

#[test]
fn a_program_without_modules_is_its_standard_library() {
    for program in
        [FORMS[0].program(b"", &FORMS[0].inline("go1.19.8", "")), FORMS[0].old("go1.19.8", "", false)]
    {
        assert_eq!(packages(&program), ["stdlib@go1.19.8"]);
    }
}

#[test]
fn a_program_whose_version_cannot_be_told_has_its_modules() {
    let unknown = FORMS[0].old("devel +0123abc Mon Aug 7", MODULES, false);
    assert_eq!(packages(&unknown), ALL[..2]);
    // Position-independent programs have their addresses filled in when they are loaded.
    let data = [FORMS[0].header(0, [DATA.1 + 32, DATA.1 + 48]), vec![0; 32]].concat();
    let strings = [b"go1.16.3".as_slice(), &text(MODULES)].concat();
    assert_eq!(packages(&FORMS[0].program(&strings, &data)), ALL[..2]);
    // Go 1.12 recorded modules, and no build information.
    assert_eq!(packages(&FORMS[0].program(&text(MODULES), b"")), ALL[..2]);
}

#[test]
fn the_magic_alone_and_a_program_within_a_program_do_not_count() {
    let form = FORMS[0];
    assert!(packages(&form.program(&[MAGIC.as_slice(), b"no header here"].concat(), b"")).is_empty());
    assert!(packages(&form.program(b"", &[vec![0; 8], form.inline("go1.16.3", "")].concat())).is_empty());
    let embedded = form.inline("go1.20.1", "path\tx\nmod\texample.org/inner\tv1.0.0\n");
    let program = form.program(&embedded, &form.inline("go1.16.3", MODULES));
    assert_eq!(packages(&program), ALL);
}

#[test]
fn windows_and_mac_programs_are_read_like_those_of_linux() {
    let form = FORMS[0];
    let mut windows = vec![0; 0x3000];
    windows[..2].copy_from_slice(b"MZ");
    windows[60] = 0x80;
    let section = |flags: u32, address: u32, size: u32, offset: u32| {
        let numbers = [size, address, size, offset, 0, 0, 0, flags];
        [vec![b'.'; 8], numbers.iter().flat_map(|number| number.to_le_bytes()).collect()].concat()
    };
    let header = [
        b"PE\0\0\x64\x86\x02\0".to_vec(),
        vec![0; 12],
        b"\xf0\0\x22\x02\x0b\x02".to_vec(),
        vec![0; 22],
        0x40_0000_u64.to_le_bytes().to_vec(),
        vec![0; 0xf0 - 32],
        section(0x4000_0040, 0x1000, 0x1000, 0x1000),
        section(0xc000_0040, 0x40_3000, 0x1000, 0x3000),
    ]
    .concat();
    windows[0x80..0x80 + header.len()].copy_from_slice(&header);
    let linux = form.old("go1.16.3", MODULES, false);
    windows[0x1000..].copy_from_slice(&linux[0x1000..0x3000]);
    windows.extend(&linux[0x3000..]);
    windows.resize(0x4000, 0);
    assert_eq!(packages(&windows), ALL);

    let segment = |protection: u32, (offset, address): (u64, u64)| {
        let words = [address, 0x1000, offset, 0x1000].map(u64::to_le_bytes).concat();
        let numbers = [protection, protection, 0, 0].map(u32::to_le_bytes).concat();
        [[0x19, 72_u32].map(u32::to_le_bytes).concat(), vec![b'_'; 16], words, numbers].concat()
    };
    let header = [0xfeed_facf_u32, 0x0100_0007, 3, 2, 2, 144, 0, 0].map(u32::to_le_bytes).concat();
    let mut mac = [header, segment(1, STRINGS), segment(3, DATA)].concat();
    mac.resize(0x1000, 0);
    mac.extend(&linux[0x1000..]);
    assert_eq!(packages(&mac), ALL);
}

#[test]
fn modules_that_are_missing_are_a_problem_and_the_standard_library_counts() {
    let form = FORMS[0];
    let mut program = form.program(b"", &form.inline("go1.16.3", MODULES));
    program.truncate(program.len() - 1);
    for (complete, problems) in [(true, 1), (false, 0)] {
        let mut scan = (SCANNER.start)();
        scan.push(&program);
        let reading = scan.finish(complete, usize::MAX);
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(reading.problems.into_reasons().len(), problems);
    }
}

#[test]
fn a_hostile_program_costs_little_memory() {
    let form = FORMS[0];
    let header = form.header(0, [1, 1]);
    let huge = [form.header(2, [0, 0]), vec![0xff; 32]].concat();
    let long = [form.header(2, [0, 0]), varint(1 << 40), b"go1.1".to_vec()].concat();
    let magic = [MAGIC.as_slice(), &[8, 2]].concat();
    let start = [TEXT_START.as_slice(), b"\n"].concat();
    let texts = text("path\tx\n");
    for part in [b"go1.1".as_slice(), &header, &huge, &long, &magic, TEXT_START, TEXT_END, &start, &texts] {
        let mut scan = BuildInfo::default();
        let piece = part.repeat((32 << 10) / part.len());
        let data = form.program(b"", &part.repeat(100));
        scan.push(&data);
        for _ in 0..80 {
            scan.push(&piece);
        }
        assert!(scan.memory() < 3 << 20, "{part:?}: {}", scan.memory());
        assert!(Box::new(scan).finish(true, 5).packages.len() <= 5);
    }
}

impl BuildInfo {
    /// Roughly the bytes that are kept.
    fn memory(&self) -> usize {
        self.texts.memory() + self.strings.memory() + self.headers.memory()
    }
}

#[test]
fn the_seeds_are_what_is_built_here() {
    let [wide, .., narrow] = FORMS;
    let modules = format!("{MODULES}=>\texample.org/fork\tv1.0.0\th1:x=\nbuild\tvcs.revision=0123\n");
    for (name, program) in [
        ("inline", wide.program(b"", &wide.inline("go1.21.0 X:boringcrypto", &modules))),
        ("inline-narrow", narrow.program(b"", &[vec![0; 16], narrow.inline("go1.16.3", MODULES)].concat())),
        ("old", wide.old("go1.16.3", MODULES, true)),
        ("old-narrow", narrow.old("go1.16.3", MODULES, false)),
        ("modules", wide.program(&text(MODULES), b"")),
    ] {
        crate::seeds::check("go-build-info", name, &program);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_broken_program_is_read_without_a_panic_and_whatever_the_pieces_are(
        old in any::<bool>(),
        form in 0..4_usize,
        changes in prop::collection::vec((0..0x3200_usize, any::<u8>()), 0..8),
        piece in 1..500_usize,
    ) {
        let form = FORMS[form];
        let mut program = if old {
            form.old("go1.16.3", MODULES, true)
        } else {
            form.program(b"", &form.inline("go1.16.3", MODULES))
        };
        for (at, byte) in changes {
            // Most of what matters is at the beginning of each part.
            let at = if at < 0x1000 { at % 0x80 } else if at < 0x3000 { 0x1000 + at % 0x100 } else { at };
            if let Some(place) = program.get_mut(at) {
                *place = byte;
            }
        }
        prop_assert_eq!(scan(&program, piece), scan(&program, usize::MAX));
    }
}
