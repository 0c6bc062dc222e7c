//! The names of licences and exceptions: SPDX's ids and full names, and the words that packages use instead, compared
//! without what people write in different ways: case, punctuation, `the`, `license`, `version`, `v2` or `2.0`.

use std::collections::HashMap;
use std::sync::LazyLock;

use spdx::identifiers::{EXCEPTIONS, LICENSES};

/// What packages write, and what SPDX calls it. Of Debian:
/// <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/#license-short-name>; of Fedora and its kin:
/// <https://docs.fedoraproject.org/en-US/legal/all-allowed/> with the older short names; of Python:
/// <https://github.com/pypa/trove-classifiers>. A name of the GPL without a version means any, as its text says.
const WORDS: &[(&str, &str)] = &[
    ("Affero GPL 3", "AGPL-3.0-only"),
    ("Affero GPL 3 or later", "AGPL-3.0-or-later"),
    ("Apache", "Apache-2.0"),
    ("Apache Software", "Apache-2.0"),
    ("Apache Software 1.1", "Apache-1.1"),
    ("Apache Software 2.0", "Apache-2.0"),
    ("ASL", "Apache-2.0"),
    ("ASL 1.0", "Apache-1.0"),
    ("ASL 1.1", "Apache-1.1"),
    ("ASL 2.0", "Apache-2.0"),
    ("AL 2.0", "Apache-2.0"),
    ("Artistic", "Artistic-1.0-Perl"),
    ("Artistic clarified", "ClArtistic"),
    ("Boost", "BSL-1.0"),
    ("Boost Software", "BSL-1.0"),
    ("BSD 2", "BSD-2-Clause"),
    ("2-clause BSD", "BSD-2-Clause"),
    ("Simplified BSD", "BSD-2-Clause"),
    ("FreeBSD", "BSD-2-Clause"),
    ("BSD-2-Clause-FreeBSD", "BSD-2-Clause"),
    ("BSD-2-Clause-NetBSD", "BSD-2-Clause"),
    ("BSD 3", "BSD-3-Clause"),
    ("3-clause BSD", "BSD-3-Clause"),
    ("New BSD", "BSD-3-Clause"),
    ("Revised BSD", "BSD-3-Clause"),
    ("Modified BSD", "BSD-3-Clause"),
    ("BSD 4", "BSD-4-Clause"),
    ("4-clause BSD", "BSD-4-Clause"),
    ("BSD with advertising", "BSD-4-Clause"),
    ("bzip2-1.0.5", "bzip2-1.0.6"),
    ("CC0", "CC0-1.0"),
    ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "CC0-1.0"),
    ("CPLv1", "CPL-1.0"),
    ("CDDL", "CDDL-1.0"),
    ("EDL", "BSD-3-Clause"),
    ("EDL-1.0", "BSD-3-Clause"),
    ("Eclipse Distribution 1.0", "BSD-3-Clause"),
    ("Eclipse Public 1.0", "EPL-1.0"),
    ("Eclipse Public 2.0", "EPL-2.0"),
    ("Expat", "MIT"),
    ("FreeType", "FTL"),
    ("FSF all permissive", "FSFAP"),
    ("all permissive", "FSFAP"),
    ("FSF unlimited", "FSFULLR"),
    ("FSF unlimited permission", "FSFULLR"),
    ("Free Documentation", "GFDL-1.1-or-later"),
    ("GFDL", "GFDL-1.1-or-later"),
    ("GFDL-NIV-1.1", "GFDL-1.1-no-invariants-only"),
    ("GFDL-NIV-1.1+", "GFDL-1.1-no-invariants-or-later"),
    ("GFDL-NIV-1.2", "GFDL-1.2-no-invariants-only"),
    ("GFDL-NIV-1.2+", "GFDL-1.2-no-invariants-or-later"),
    ("GFDL-NIV-1.3", "GFDL-1.3-no-invariants-only"),
    ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
    ("GFDL-1.3+-no-invariant", "GFDL-1.3-no-invariants-or-later"),
    ("GPL", "GPL-1.0-or-later"),
    ("GPL+", "GPL-1.0-or-later"),
    ("GPL any", "GPL-1.0-or-later"),
    ("General Public", "GPL-1.0-or-later"),
    ("HPND-style", "HPND"),
    ("ISCL", "ISC"),
    ("LGPL", "LGPL-2.0-or-later"),
    ("LGPL+", "LGPL-2.0-or-later"),
    ("Lesser General Public", "LGPL-2.0-or-later"),
    ("Library General Public", "LGPL-2.0-or-later"),
    ("Library or Lesser General Public", "LGPL-2.0-or-later"),
    ("Lesser General Public 2", "LGPL-2.0-only"),
    ("Lesser General Public 2+", "LGPL-2.0-or-later"),
    ("Lesser GPL 2.1", "LGPL-2.1-only"),
    ("Lesser GPL 2.1+", "LGPL-2.1-or-later"),
    ("Lesser GPL 3", "LGPL-3.0-only"),
    ("Lesser GPL 3+", "LGPL-3.0-or-later"),
    ("Library GPL 2", "LGPL-2.0-only"),
    ("Library GPL 2+", "LGPL-2.0-or-later"),
    ("LPGL-2.1+", "LGPL-2.1-or-later"),
    ("MIT/X11", "MIT"),
    ("X11/MIT", "MIT"),
    ("MIT/Expat", "MIT"),
    ("Expat/MIT", "MIT"),
    ("MIT (Expat)", "MIT"),
    ("MIT X", "MIT"),
    ("Mozilla Public 1.1", "MPL-1.1"),
    ("Mozilla Public 2.0", "MPL-2.0"),
    ("NCSA/UIUC", "NCSA"),
    ("OFL", "OFL-1.1"),
    ("SIL Open Font", "OFL-1.1"),
    ("SIL OFL 1.1", "OFL-1.1"),
    ("OpenLDAP", "OLDAP-2.8"),
    ("OpenLDAP-2.8", "OLDAP-2.8"),
    ("Perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    ("Perl 5", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    ("same as Perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    ("same terms as Perl itself", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    ("PSF", "PSF-2.0"),
    ("PSFL", "PSF-2.0"),
    ("Python Software Foundation", "PSF-2.0"),
    ("Python", "Python-2.0"),
    ("public domain", PUBLIC_DOMAIN),
    ("PD", PUBLIC_DOMAIN),
    ("StandardML-NJ", "SMLNJ"),
    ("TCL/TK", "TCL"),
    ("Universal Permissive", "UPL-1.0"),
    ("Unlicense (Unlicense)", "Unlicense"),
    ("Zlib with acknowledgement", "zlib-acknowledgement"),
    ("zlib/libpng", "Zlib"),
];

/// What nobody owns has no licence, and so no id of SPDX.
const PUBLIC_DOMAIN: &str = "LicenseRef-public-domain";

/// What packages write of exceptions. Of Autoconf's the version of the licence decides.
const EXCEPTION_WORDS: &[(&str, &str)] = &[
    ("autoconf exception 2", "Autoconf-exception-2.0"),
    ("autoconf exception 3", "Autoconf-exception-3.0"),
    ("bison exception", "Bison-exception-2.2"),
    ("bootloader exception", "Bootloader-exception"),
    ("classpath exception", "Classpath-exception-2.0"),
    ("font exception", "Font-exception-2.0"),
    ("GCC exception 2", "GCC-exception-2.0"),
    ("GCC exception 3", "GCC-exception-3.1"),
    ("GCC runtime library exception 3", "GCC-exception-3.1"),
    ("libtool exception", "Libtool-exception"),
    ("linux syscall note exception", "Linux-syscall-note"),
    ("texinfo exception", "Texinfo-exception"),
];

/// The SPDX id that `name` means, or several joined by ` OR `.
pub(super) fn license(name: &str) -> Option<String> {
    static TABLE: LazyLock<HashMap<String, &str>> = LazyLock::new(|| {
        let current = || LICENSES.iter().filter(|license| license.flags & spdx::flags::IS_DEPRECATED == 0);
        let full_names = current().map(|license| (license.full_name, license.name));
        let ids = current().map(|license| (license.name, license.name));
        // The later lines count.
        let lines = full_names.chain(WORDS.iter().copied()).chain(ids);
        lines.map(|(words, id)| (key(words), id)).collect()
    });
    if is_reference(name) {
        return Some(name.to_owned());
    }
    let key = key(name);
    if let Some(id) = TABLE.get(&key) {
        return Some((*id).to_owned());
    }
    // Versions of the licences of GNU have ids of their own.
    let id = TABLE
        .get(key.strip_suffix(" +")?)
        .filter(|id| spdx::license_id(id).is_some_and(|id| !id.is_gnu()))?;
    Some(format!("{id}+"))
}

/// The SPDX id of the exception `name` from the SPDX licence `license`.
pub(super) fn exception(name: &str, license: &str) -> Option<&'static str> {
    static TABLE: LazyLock<HashMap<String, &str>> = LazyLock::new(|| {
        let ids = EXCEPTIONS.iter().map(|exception| (exception.name, exception.name));
        let lines = ids.chain(EXCEPTION_WORDS.iter().copied());
        lines.map(|(words, id)| (key(words), id)).collect()
    });
    let key = key(name);
    let version = license.split('-').nth(1).and_then(|version| version.split('.').next()).unwrap_or_default();
    TABLE.get(&key).or_else(|| TABLE.get(&format!("{key} {version}"))).copied()
}

/// Whether it is a name that its document explains.
fn is_reference(name: &str) -> bool {
    let may_be = name.starts_with("LicenseRef-") || name.starts_with("DocumentRef-");
    may_be
        && !name.contains(char::is_whitespace)
        && spdx::Expression::parse(name).is_ok_and(|it| it.iter().count() == 1)
}

/// What is left of a name when two that mean the same are to be the same: words, numbers and `+`, joined by blanks.
pub(super) fn key(name: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_word: fn(char) -> bool = match first {
            '0'..='9' => |character| character.is_ascii_digit() || character == '.',
            '+' => |character| character == '+',
            first if first.is_alphabetic() => char::is_alphabetic,
            _ => |_| false,
        };
        let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end.max(first.len_utf8())).unwrap_or((rest, ""));
        if end > 0 {
            add_to_key(&mut words, word);
        }
        rest = after;
    }
    let key = words.join(" ");
    LATER
        .iter()
        .find_map(|later| key.strip_suffix(later))
        .map_or_else(|| key.clone(), |start| format!("{start} +"))
}

/// How people write `+`.
const LATER: [&str; 6] =
    [" or later", " or newer", " or greater", " or any later", " or at your option any later", " and later"];

fn add_to_key(words: &mut Vec<String>, word: &str) {
    let mut word = word.to_lowercase();
    if word.starts_with(|first: char| first.is_ascii_digit()) {
        while word.ends_with(".0") || word.ends_with('.') {
            word.pop();
            word.truncate(word.trim_end_matches('.').len());
        }
        // The v of `GPLv2`.
        if let Some(before) = words.last_mut().filter(|before| before.len() > 1 && before.ends_with('v')) {
            before.pop();
        }
    }
    if !matches!(word.as_str(), "the" | "license" | "licence" | "licenses" | "version" | "v" | "only" | "gnu")
    {
        words.push(word);
    }
}
