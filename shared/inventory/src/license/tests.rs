use proptest::prelude::*;
use spdx::identifiers::{EXCEPTIONS, LICENSES};

use super::*;

#[test]
fn the_words_of_every_ecosystem_mean_an_expression() {
    for (words, meaning) in [
        // Debian.
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2", "GPL-2.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
        ("GPL-1+ or Artistic, and Expat", "(GPL-1.0-or-later OR Artistic-1.0-Perl) AND MIT"),
        ("Expat", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("public-domain", "LicenseRef-public-domain"),
        ("GPL-2+ with Font exception", "GPL-2.0-or-later WITH Font-exception-2.0"),
        ("GPL-3+-WITH-BISON-EXCEPTION", "GPL-3.0-or-later WITH Bison-exception-2.2"),
        ("GPL-3+ with AutoConf exception", "GPL-3.0-or-later WITH Autoconf-exception-3.0"),
        ("GPL-2 with Linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note"),
        ("GPL-2+ with OpenSSL exception", "LicenseRef-GPL-2.0-or-later-with-OpenSSL-exception"),
        (
            "CDDL-1.1 or GPL-2 with Classpath exception",
            "CDDL-1.1 OR GPL-2.0-only WITH Classpath-exception-2.0",
        ),
        ("LGPLv3+_or_GPLv2+", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("BSL-1.0 and HP and SGI", "BSL-1.0 AND LicenseRef-HP AND LicenseRef-SGI"),
        // RPM.
        ("GPLv2+ and LGPLv2+", "GPL-2.0-or-later AND LGPL-2.0-or-later"),
        ("ASL 2.0", "Apache-2.0"),
        ("GPL+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
        ("(GPL+ or Artistic) and BSD", "(GPL-1.0-or-later OR Artistic-1.0-Perl) AND LicenseRef-BSD"),
        (
            "GPLv3+ with exceptions and Public Domain",
            "LicenseRef-GPL-3.0-or-later-with-exceptions AND LicenseRef-public-domain",
        ),
        ("MIT and zlib and Python", "MIT AND Zlib AND Python-2.0"),
        // Alpine.
        ("GPL-2.0-or-later AND MIT", "GPL-2.0-or-later AND MIT"),
        ("GPL-2.0-only", "GPL-2.0-only"),
        ("GPL2+", "GPL-2.0-or-later"),
        // Python.
        ("License :: OSI Approved :: Apache Software License", "Apache-2.0"),
        ("License :: OSI Approved :: GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
        ("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
        (
            "License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)",
            "LGPL-2.0-or-later",
        ),
        ("License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
        ("License :: OSI Approved :: Python Software Foundation License", "PSF-2.0"),
        ("License :: OSI Approved :: ISC License (ISCL)", "ISC"),
        ("License :: CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "CC0-1.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("BSD 3-Clause License", "BSD-3-Clause"),
        ("New BSD License", "BSD-3-Clause"),
        ("GNU GPL v3 or (at your option) any later version", "GPL-3.0-or-later"),
        // npm, gems, crates.
        ("(MIT OR Apache-2.0)", "MIT OR Apache-2.0"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("(MIT AND (BSD-2-Clause OR CC0-1.0))", "MIT AND (BSD-2-Clause OR CC0-1.0)"),
        ("GPL-3.0+", "GPL-3.0-or-later"),
        ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception"),
        ("MIT, Ruby or GPL-2", "MIT OR Ruby OR GPL-2.0-only"),
        ("MIT, Ruby", "MIT AND Ruby"),
        ("MIT or MIT", "MIT"),
    ] {
        assert_eq!(expression(words).as_deref(), Some(meaning), "{words}");
    }
}

#[test]
fn what_names_no_known_licence_is_no_expression() {
    for words in [
        "",
        "SEE LICENSE IN LICENSE.md",
        "UNLICENSED",
        "BSD",
        "BSD License",
        "Proprietary",
        "License :: OSI Approved",
        "License :: Other/Proprietary License",
        "MIT and the terms that you find in the file COPYING",
        "MIT (see COPYING)",
        "(MIT",
        "MIT)",
        "MIT or",
        "and MIT",
        "()",
    ] {
        assert_eq!(expression(words), None, "{words}");
    }
}

#[test]
fn a_name_whose_text_is_beside_it_is_a_reference() {
    assert_eq!(expression_or_reference("permissive").as_deref(), Some("LicenseRef-permissive"));
    assert_eq!(expression_or_reference("FOO-2+").as_deref(), Some("LicenseRef-FOO-2-or-later"));
    assert_eq!(expression_or_reference("Permission is hereby granted, free of charge"), None);
}

#[test]
fn a_package_has_an_expression_or_its_own_words() {
    for (value, license) in [
        ("MIT", Some("MIT")),
        ("BSD License", Some("BSD License")),
        ("SEE LICENSE IN LICENSE.md", Some("SEE LICENSE IN LICENSE.md")),
        ("MIT License\n\nCopyright (c) 2020 Somebody\n\nPermission is hereby granted", Some("MIT")),
        ("\n   Apache License\n   Version 2.0, January 2004\n", Some("Apache-2.0")),
        ("Copyright 2020 Somebody\nAll rights reserved", Some("Copyright 2020 Somebody")),
        ("a\x1b[2Jb", Some("a\\x1b[2Jb")),
        ("UNKNOWN", None),
        (" \n", None),
    ] {
        assert_eq!(license_of(value.as_bytes()).as_deref(), license, "{value}");
    }
    assert_eq!(license_of("é".repeat(5000).as_bytes()).unwrap(), "é".repeat(200));
}

#[test]
fn several_licences_are_joined() {
    assert_eq!(any_of(["MIT", "Ruby", "MIT"]).as_deref(), Some("MIT OR Ruby"));
    assert_eq!(any_of(["MIT", "something of our own"]).as_deref(), Some("MIT or something of our own"));
    assert_eq!(any_of(["", "UNKNOWN"]), None);
}

#[test]
fn names_whose_texts_are_beside_them_are_joined_in_order_and_once() {
    let names = [
        "GPL-2+",
        "Expat",
        "permissive",
        "MIT",
        "GPL-1+ or Artistic",
        "Artistic or GPL-1+",
        "Expat and GPL-2+",
    ];
    assert_eq!(
        expression_of_all(names).as_deref(),
        Some(
            "(Artistic-1.0-Perl OR GPL-1.0-or-later) AND GPL-2.0-or-later AND LicenseRef-permissive AND MIT"
        ),
    );
    assert_eq!(expression_of_all(["MIT", "a sentence of many words"]), None);
    assert_eq!(expression_of_all([]), None);
}

#[test]
fn every_id_of_spdx_is_itself_in_any_case() {
    let is_current = |license: &&spdx::License| license.flags & spdx::flags::IS_DEPRECATED == 0;
    // Of the licences of GNU the list has families as well, which are no ids.
    let is_family = |name: &str| spdx::license_id(&format!("{name}-only")).is_some();
    for license in LICENSES.iter().filter(is_current).filter(|license| !is_family(license.name)) {
        for words in [license.name.to_owned(), license.name.to_lowercase(), license.name.to_uppercase()] {
            assert_eq!(expression(&words).as_deref(), Some(license.name), "{words}");
        }
    }
    for exception in EXCEPTIONS.iter().filter(|exception| exception.flags & spdx::flags::IS_DEPRECATED == 0) {
        let words = format!("GPL-3.0-or-later WITH {}", exception.name);
        assert_eq!(expression(&words).as_deref(), Some(words.as_str()));
    }
}

#[test]
fn every_deprecated_id_of_gnu_has_its_new_one() {
    for (old, new) in [
        ("GPL-1.0", "GPL-1.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("LGPL-2.1", "LGPL-2.1-only"),
        ("AGPL-3.0", "AGPL-3.0-only"),
        ("GFDL-1.3", "GFDL-1.3-only"),
        ("GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("GPL-2.0-with-autoconf-exception", "GPL-2.0-only WITH Autoconf-exception-2.0"),
        ("GPL-3.0-with-GCC-exception", "GPL-3.0-only WITH GCC-exception-3.1"),
    ] {
        assert_eq!(expression(old).as_deref(), Some(new), "{old}");
    }
}

#[test]
fn what_is_nested_or_long_without_end_is_no_expression() {
    assert_eq!(expression(&format!("{}MIT{}", "(".repeat(10), ")".repeat(10))).as_deref(), Some("MIT"));
    assert_eq!(expression(&format!("{}MIT{}", "(".repeat(1000), ")".repeat(1000))), None);
    assert_eq!(expression(&"MIT ".repeat(5000)), None);
    assert_eq!(expression(&"MIT or ".repeat(500)), None);
}

fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "MIT",
        "GPL-2+",
        "GPLv2+",
        "Artistic",
        "BSD",
        "and",
        "or",
        "with",
        "AND",
        "OR",
        "WITH",
        "(",
        ")",
        ",",
        "/",
        "+",
        "|",
        "classpath",
        "exception",
        "LicenseRef-x",
        "License ::",
        "Apache",
        "2.0",
        "version",
        "-with-",
        "_or_",
        "é",
        "-",
    ]);
    let glue = prop::sample::select(vec!["", " "]);
    prop::collection::vec((word, glue), 0..12)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, glue)| [word, glue]).collect())
}

proptest! {
    #[test]
    fn an_expression_is_one_of_spdx_and_means_itself(text in prop_oneof![words(), ".{0,60}"]) {
        for found in [expression(&text), expression_or_reference(&text)].into_iter().flatten() {
            prop_assert!(spdx::Expression::parse(&found).is_ok(), "{found}");
            prop_assert_eq!(expression_or_reference(&found), Some(found));
        }
    }

    #[test]
    fn a_licence_is_an_expression_or_the_beginning_of_own_words(text in prop_oneof![words(), ".{0,60}"]) {
        if let Some(found) = license_of(text.as_bytes()) {
            let is_own = crate::paths::text(text.as_bytes()).contains(&found);
            prop_assert!(spdx::Expression::parse(&found).is_ok() || is_own, "{found:?}");
            prop_assert_eq!(license_of(found.as_bytes()), Some(found));
        }
    }
}
