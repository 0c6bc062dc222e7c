//! What headers say of packages, in whatever database; and which database is which.

use super::ndb::database;
use super::*;
use crate::reading::OwnedFiles;

fn read_headers(headers: &[Vec<u8>]) -> Reading {
    read_bytes(&database(headers))
}

#[test]
fn a_package_has_version_architecture_source_and_licence() {
    let bash = HeaderBuilder::empty()
        .text(1000, "bash")
        .text(1001, "5.1.8")
        .text(1002, "6.el9")
        .text(1014, "GPLv3+")
        .text(1022, "x86_64")
        .text(1044, "bash-5.1.8-6.el9.src.rpm");
    let libs = HeaderBuilder::empty()
        .text(1000, "bind-libs")
        .text(1001, "9.16.23")
        .text(1002, "40.el9_8.1")
        .numbers(1003, &[32])
        .text(1014, "MPLv2.0")
        .text(1022, "x86_64")
        .text(1044, "bind-9.16.23-40.el9_8.1.src.rpm");
    let reading = read_headers(&[bash.build(), libs.build(), HeaderBuilder::new("bare").build()]);
    insta::assert_json_snapshot!(reading.packages);
    assert!(reading.problems.is_empty());
}

#[test]
fn an_epoch_is_part_of_the_version_where_there_is_one_even_0() {
    let headers = [HeaderBuilder::new("a").numbers(1003, &[0]), HeaderBuilder::new("b").numbers(1003, &[])];
    let reading = read_headers(&headers.map(HeaderBuilder::build));
    let versions: Vec<&str> = reading.packages.iter().map(|package| package.version.as_str()).collect();
    assert_eq!(versions, ["0:1-2", "1-2"]);
}

#[test]
fn a_key_is_no_package() {
    let key = HeaderBuilder::empty().text(1000, "gpg-pubkey").text(1001, "3228467c").text(1002, "613798eb");
    let reading = read_headers(&[key.build(), HeaderBuilder::new("a").build()]);
    assert_eq!(names_and_problems(reading), (vec!["a".to_owned()], vec![]));
}

#[test]
fn what_was_added_at_installation_counts_over_what_was_built() {
    let header = HeaderBuilder::new("a").texts(1118, &["/opt/"]).numbers(1116, &[0]).texts(1117, &["file"]);
    let reading = read_headers(&[header.texts(1118, &["/srv/"]).build()]);
    assert_eq!(reading.owned, owned(&["/srv/file"]));
}

fn owned(paths: &[&str]) -> OwnedFiles {
    let mut owned = OwnedFiles::default();
    for path in paths {
        owned.add(path);
    }
    owned
}

#[test]
fn files_of_packages_are_owned_in_both_forms_of_the_list() {
    let header = HeaderBuilder::new("a")
        .texts(1118, &["/usr/bin/", "/lib64/"])
        .numbers(1116, &[1, 0, 1])
        .texts(1117, &["libm.so.6", "tool", "libc.so.6"]);
    let old = HeaderBuilder::new("b").texts(1027, &["/etc/old.conf", "/etc/old"]);
    let reading = read_headers(&[header.build(), old.build()]);
    assert!(reading.problems.is_empty());
    let paths = ["/lib64/libm.so.6", "/usr/bin/tool", "/lib64/libc.so.6", "/etc/old.conf", "/etc/old"];
    assert_eq!(reading.owned, owned(&paths));
}

#[test]
fn a_list_of_files_that_is_damaged_is_a_problem_and_the_package_counts() {
    let header = HeaderBuilder::new("a").texts(1118, &["/"]).numbers(1116, &[0, 1]).texts(1117, &["b", "c"]);
    assert_eq!(
        names_and_problems(read_headers(&[header.build()])),
        (
            vec!["a".to_owned()],
            vec!["holds a package header whose list of files does not lie in it".to_owned()]
        )
    );
}

#[test]
fn no_more_files_are_kept_than_a_database_may_own() {
    let header = HeaderBuilder::new("a").texts(1118, &["/"]).numbers(1116, &[0, 0, 0]);
    let record = header.texts(1117, &["a", "b", "c"]).build();
    let (mut files, mut room) = (OwnedFiles::default(), 2);
    let damage = Header::new(&record).unwrap().add_files(&mut files, &mut room).unwrap_err();
    assert_eq!(files, owned(&["a", "b"]));
    assert_eq!(
        damage.to_string(),
        "names more than 1000000 files of its packages: it is not known who owns the others"
    );
}

#[test]
fn a_header_without_name_or_version_is_a_problem_and_the_others_count() {
    let reading = read_headers(&[
        HeaderBuilder::empty().text(1001, "1").text(1002, "2").build(),
        HeaderBuilder::empty().text(1000, "b").text(1002, "2").build(),
        HeaderBuilder::empty().text(1000, "c").text(1001, "1").build(),
        HeaderBuilder::new(&"x".repeat(1025)).build(),
        b"what is this".to_vec(),
        HeaderBuilder::new("a").build(),
    ]);
    let (names, problems) = names_and_problems(reading);
    assert_eq!(names, ["a"]);
    assert_eq!(
        problems,
        [
            "holds a package header without a name",
            "names no version of b",
            "names no release of c",
            "holds a package name of more than 1024 bytes",
            "holds a record that is no package header",
        ]
    );
}

#[test]
fn packages_beyond_those_that_may_be_given_are_a_problem() {
    let headers = ["a", "b", "c"].map(|name| HeaderBuilder::new(name).build());
    let contents = Contents::from(database(&headers));
    let reading =
        read(&RandomFile { path: "var/lib/rpm/Packages.db", contents: &contents, packages: 2 }, None);
    assert_eq!(reading.packages.len(), 2);
    assert_eq!(
        reading.problems.into_reasons(),
        ["has more packages than its layer may have: the first 2 were read"]
    );
}

#[test]
fn the_source_package_is_in_the_name_of_its_file() {
    for (file_name, expected) in [
        ("bash-5.1.8-6.el9.src.rpm", Some(("bash", "5.1.8-6.el9"))),
        ("java-17-openjdk-17.0.9-1.el9.src.rpm", Some(("java-17-openjdk", "17.0.9-1.el9"))),
        ("nvidia-1-2.nosrc.rpm", Some(("nvidia", "1-2"))),
        ("bash-5.1.8-6.el9.x86_64.rpm", None),
        ("bash-5.1.8.src.rpm", None),
        ("-1-2.src.rpm", None),
        ("a-1-.src.rpm", None),
        ("(none)", None),
        ("", None),
    ] {
        let found = source_package(file_name);
        let found = found.as_ref().map(|source| (source.name.as_str(), source.version.as_str()));
        assert_eq!(found, expected, "{file_name}");
    }
}

#[test]
fn a_file_that_is_no_database_of_packages_is_a_problem() {
    let mut btree = vec![0; 4096];
    btree[12..16].copy_from_slice(&0x0005_3162_u32.to_le_bytes());
    for (bytes, problem) in [
        (&b""[..], "is empty"),
        (b"garbage", "is no SQLite, NDB or Berkeley DB database"),
        (&[0; 4096], "is no SQLite, NDB or Berkeley DB database"),
        (&btree, "is a b-tree of Berkeley DB, in which rpm keeps no packages"),
        (b"SQLite format 3\0", "ends before byte 100, up to which it should go"),
        (
            b"RpmP\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "is an NDB database of another version than 0",
        ),
    ] {
        assert_eq!(read_bytes(bytes).problems.into_reasons(), [problem]);
    }
}

proptest! {
    #[test]
    fn no_header_makes_the_reader_panic(
        index in prop::collection::vec((0..12_usize, 0..10_u32, 0..50_u32, 0..50_u32), 0..20),
        data in prop::collection::vec(prop::sample::select(&b"ab/\0\0\x01"[..]), 0..60),
    ) {
        let tags = [63, 1000, 1001, 1002, 1003, 1014, 1022, 1027, 1044, 1116, 1117, 1118];
        let index = index.into_iter().map(|(tag, value_type, place, count)| [tags[tag], value_type, place, count]);
        let header = HeaderBuilder { index: index.collect(), data }.build();
        let reading = read_headers(&[header]);
        prop_assert!(reading.packages.len() + reading.problems.into_reasons().len() <= 2);
    }
}
