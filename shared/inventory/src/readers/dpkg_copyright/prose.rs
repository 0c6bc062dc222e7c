//! Copyright files in free words: they refer to the texts that every Debian has in `/usr/share/common-licenses`, or hold
//! the text of a licence that is known by its sentences.

use crate::license;

/// Where the common texts are.
const COMMON: &str = "/usr/share/common-licenses/";

/// The most references that are looked at.
const REFERENCES: usize = 1000;

/// What a licence that may be any later version says.
const ANY_LATER: [&str; 3] = ["any later version", "or later", "or newer"];

/// Licences that are known by what they say: all the sentences of the first list, and none of the second.
/// Texts: <https://spdx.org/licenses/>.
const SENTENCES: &[(&str, &[&str], &[&str])] = &[
    (
        "MIT",
        &[
            "permission is hereby granted, free of charge, to any person obtaining a copy",
            "the above copyright notice and this permission notice shall be",
        ],
        &["except as contained in this notice"],
    ),
    (
        "X11",
        &[
            "permission is hereby granted, free of charge, to any person obtaining a copy",
            "the above copyright notice and this permission notice shall be",
            "except as contained in this notice",
        ],
        &[],
    ),
    ("OpenSSL", &[BSD, "\"openssl toolkit\""], &[]),
    (
        "TCL",
        &["the authors hereby grant permission to use, copy, modify, distribute, and license this software"],
        &[],
    ),
    ("public-domain", &["is in the public domain"], &[]),
    ("BSD-4-Clause", &[BSD, "all advertising materials"], &["\"openssl toolkit\""]),
    ("BSD-3-Clause", &[BSD, "may be used to endorse or promote products"], &["all advertising materials"]),
    (
        "BSD-3-Clause",
        &[BSD, "may not be used to endorse or promote products"],
        &["all advertising materials"],
    ),
    (
        "BSD-2-Clause",
        &[BSD, "redistributions in binary form must reproduce"],
        &["to endorse or promote products", "all advertising materials"],
    ),
    (
        "ISC",
        &[
            "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted",
        ],
        &[],
    ),
    (
        "ISC",
        &[
            "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted",
        ],
        &[],
    ),
    (
        "HPND",
        &[
            "permission to use, copy, modify, and distribute this software and its documentation for any purpose and without fee is hereby granted",
        ],
        &[],
    ),
    (
        "HPND-sell-variant",
        &[
            "permission to use, copy, modify, distribute, and sell this software and its documentation for any purpose is hereby granted without fee",
        ],
        &[],
    ),
    (
        "Zlib",
        &["altered source versions must be plainly marked as such, and must not be misrepresented"],
        &[],
    ),
    ("Apache-2.0", &["licensed under the apache license, version 2.0"], &[]),
    ("MPL-2.0", &["mozilla public license, v. 2.0"], &[]),
];

const BSD: &str =
    "redistribution and use in source and binary forms, with or without modification, are permitted";

/// The licences that the file refers to or holds, as one expression.
pub(super) fn license(bytes: &[u8]) -> Option<String> {
    let text = one_line(bytes);
    let names = references(&text).into_iter().chain(sentences(&text).map(str::to_owned));
    let names: Vec<String> = names.collect();
    license::expression_of_all(names.iter().map(String::as_str))
}

/// The text in lower case on one line, without the marks of comments before its lines.
fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace().filter(|word| !matches!(*word, "*" | "#" | "//" | "|" | ";;")) {
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(word);
    }
    line.make_ascii_lowercase();
    line
}

fn sentences(text: &str) -> impl Iterator<Item = &'static str> + '_ {
    let holds = |sentence: &&str| text.contains(*sentence);
    let known =
        SENTENCES.iter().filter(move |(_, all, none)| all.iter().all(holds) && !none.iter().any(holds));
    known.map(|(id, _, _)| *id)
}

/// The licences whose common texts are referred to. The text of the GPL is the same for who allows later versions and
/// for who does not: the sentence about them decides, for all that the file refers to.
fn references(text: &str) -> Vec<String> {
    let allows_later = ANY_LATER.iter().any(|words| text.contains(words));
    let mut names: Vec<String> = Vec::new();
    for (position, _) in text.match_indices(COMMON).take(REFERENCES) {
        let name = text.get(position + COMMON.len()..).unwrap_or_default();
        let end =
            name.find(|character: char| !character.is_ascii_alphanumeric() && !"-.".contains(character));
        let name = name.get(..end.unwrap_or(name.len())).unwrap_or_default().trim_end_matches(['.', '-']);
        let Some(name) = common(name, text, allows_later) else { continue };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The licence of the common text `name`; `None` when it is none of these.
fn common(name: &str, text: &str, allows_later: bool) -> Option<String> {
    let family = name.split(|character: char| !character.is_ascii_alphabetic()).next()?;
    if !matches!(family, "gpl" | "lgpl" | "gfdl") {
        return license::expression(name);
    }
    let version = name.get(family.len()..)?.trim_start_matches('-');
    let version = if version.is_empty() { version_in_words(family, text) } else { Some(version) };
    let later = if allows_later { "+" } else { "" };
    license::expression(
        &version.map_or_else(|| family.to_owned(), |version| format!("{family}-{version}{later}")),
    )
}

/// The version that the words name where the reference is to the newest: `version 2 of the License`. `None` when they name
/// none, or another family's as well, because it might be of either.
fn version_in_words<'a>(family: &str, text: &'a str) -> Option<&'a str> {
    let families =
        ["/gpl", "/lgpl", "/gfdl"].iter().filter(|name| text.contains(&format!("common-licenses{name}")));
    if families.count() > 1 {
        return None;
    }
    let versions: &[&str] = if family == "gfdl" { &["1.1", "1.2", "1.3"] } else { &["1", "2", "2.1", "3"] };
    let mut named = text.match_indices("version ").take(REFERENCES).filter_map(|(position, word)| {
        let rest = text.get(position + word.len()..)?;
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.');
        let version = rest.get(..end.unwrap_or(rest.len()))?.trim_end_matches(['.']);
        versions.contains(&version).then_some(version)
    });
    named.next()
}
