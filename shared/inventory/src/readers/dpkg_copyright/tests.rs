use super::*;
use crate::reading::file;

fn license(text: &str) -> Option<String> {
    let reading = read(&file("usr/share/doc/x/copyright", text.as_bytes()));
    assert_eq!(Reading { license: None, ..reading }, Reading::default());
    read(&file("usr/share/doc/x/copyright", text.as_bytes())).license
}

#[test]
fn the_fields_of_all_files_and_of_the_head_count_once_and_in_order() {
    let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
                Upstream-Name: curl\nLicense: curl\n\n\
                Files: *\nCopyright: 1996-2023, Daniel Stenberg\nLicense: curl\n\n\
                Files: lib/x.c\n lib/y.c\nCopyright: 2001, Somebody\nLicense: BSD-3-clause\n Redistribution and use\n .\n License: no\n\n\
                Files: debian/*\nLicense: GPL-2+ or Artistic\n\n\
                License: ISC\n Permission to use\n";
    assert_eq!(
        license(text).as_deref(),
        Some("(Artistic-1.0-Perl OR GPL-2.0-or-later) AND BSD-3-Clause AND curl")
    );
}

#[test]
fn a_name_that_only_the_file_explains_is_a_reference_and_a_sentence_is_nothing() {
    let text = "Format: x\n\nFiles: *\nLicense: permissive-fsf\n\nFiles: a\nLicense: Expat\n\n\
                Files: b\nLicense: Permission to use this is granted to everybody\n";
    assert_eq!(license(text).as_deref(), Some("LicenseRef-permissive-fsf AND MIT"));
}

#[test]
fn where_no_files_are_named_the_licences_themselves_count() {
    let text = "Format: x\r\n\r\nLicense: Expat\r\n Permission\r\n\r\nlicense: GPL-2\r\n";
    assert_eq!(license(text).as_deref(), Some("GPL-2.0-only AND MIT"));
}

#[test]
fn free_words_refer_to_the_common_licences() {
    for (text, expected) in [
        ("On Debian systems, see `/usr/share/common-licenses/Apache-2.0'.", Some("Apache-2.0")),
        ("The text is in /usr/share/common-licenses/GPL-2.", Some("GPL-2.0-only")),
        (
            "either version 2, or (at your option) any later\n version. See /usr/share/common-licenses/GPL-2.",
            Some("GPL-2.0-or-later"),
        ),
        (
            "version 3 of the License, or (at your option) any\nlater version.\n/usr/share/common-licenses/GPL",
            Some("GPL-3.0-or-later"),
        ),
        ("see /usr/share/common-licenses/GPL", Some("GPL-1.0-or-later")),
        (
            "version 2.1 or any later version: /usr/share/common-licenses/LGPL, /usr/share/common-licenses/GPL",
            Some("GPL-1.0-or-later AND LGPL-2.0-or-later"),
        ),
        (
            "/usr/share/common-licenses/Artistic or /usr/share/common-licenses/GPL-1",
            Some("Artistic-1.0-Perl AND GPL-1.0-only"),
        ),
        ("see /usr/share/common-licenses/ for more", None),
        ("It is free.", None),
        ("", None),
    ] {
        assert_eq!(license(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn the_text_of_a_licence_is_known_by_its_sentences() {
    let mit = "Permission is hereby granted, free of charge, to any person obtaining a copy\n * of this software\n * \
               The above copyright notice and this permission notice shall be included";
    let bsd = "Redistribution and use in source and binary forms, with or without\n   modification, are permitted provided\n\
               2. Redistributions in binary form must reproduce the above";
    for (text, expected) in [
        (mit.to_owned(), "MIT"),
        (format!("{mit}\nExcept as contained in this notice, the name"), "X11"),
        (bsd.to_owned(), "BSD-2-Clause"),
        (format!("{bsd} Neither the name of X may be used to endorse or promote products"), "BSD-3-Clause"),
        (format!("{bsd} All advertising materials mentioning"), "BSD-4-Clause"),
        (format!("{mit} and {bsd}"), "BSD-2-Clause AND MIT"),
        (format!("{bsd} All advertising materials ... The names \"OpenSSL Toolkit\" and"), "OpenSSL"),
        (
            "The authors hereby grant permission to use, copy, modify, distribute,\nand license this software".to_owned(),
            "TCL",
        ),
        ("This database is in the public domain.".to_owned(), "LicenseRef-public-domain"),
    ] {
        assert_eq!(license(&text).as_deref(), Some(expected));
    }
}

#[test]
fn what_is_no_text_or_has_no_end_says_nothing() {
    assert_eq!(read(&file("usr/share/doc/x/copyright", b"\xff\xfe\x00L\x00i")).license, None);
    assert_eq!(license(&format!("Files: *\nLicense: {}\n", "x".repeat(5000))), None);
    let many: Vec<String> = (0..5000).map(|number| format!("Files: *\nLicense: x{number}\n\n")).collect();
    let found = license(&many.concat()).unwrap();
    assert_eq!(found.split(" AND ").count(), 300);
}
