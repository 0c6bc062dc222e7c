//! Installed PHP packages: the `installed.json` that Composer 1 and 2 write into the folder `composer` of their vendor
//! directory. Versions are those that Composer shows, with the `v` that many tags have.
//!
//! Specification: <https://getcomposer.org/doc/07-runtime.md#installed-versions>; of the form, what writes it:
//! <https://github.com/composer/composer/blob/main/src/Composer/Repository/FilesystemRepository.php>.

use serde::de::{MapAccess, SeqAccess};

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::composer::PackageList;
use crate::reading::json::{self, Visit};
use crate::reading::once::Once;
use crate::reading::{InputFile, Reading};

pub(super) const READER: Reader = Reader {
    id: "composer",
    paths: &[PathPattern::new("**/composer/installed.json")],
    evidence: Evidence::Installed,
    file_bytes: 32 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut packages = Once::new(file.packages);
    let list = PackageList { packages: &mut packages, reader: READER.id };
    let result = json::visit(file.bytes, &mut Installed(list));
    packages.problems().ok_or_add(result);
    packages.into_reading()
}

/// The file: the list itself in Composer 1, an object with it in Composer 2.
struct Installed<'p>(PackageList<'p>);

impl Visit for Installed<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        if key == "packages" { json::value(fields, &mut self.0) } else { json::skip(fields) }
    }

    fn element<'de, A: SeqAccess<'de>>(&mut self, elements: &mut A) -> Result<bool, A::Error> {
        self.0.element(elements)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::file;

    const PATH: &str = "var/www/vendor/composer/installed.json";

    fn read_text(text: &str) -> Reading {
        read(&file(PATH, text.as_bytes()))
    }

    const LIST: &str = r#"[
      {
        "name": "monolog/monolog", "version": "2.9.1", "version_normalized": "2.9.1.0",
        "source": {"type": "git", "url": "https://github.com/Seldaek/monolog.git", "reference": "f259"},
        "require": {"php": ">=7.2", "psr/log": "^1.0.1"}, "type": "library", "license": ["MIT"],
        "install-path": "../monolog/monolog"
      },
      {"name": "symfony/yaml", "version": "v6.4.0", "license": "MIT", "extra": {"branch-alias": []}},
      {"name": "phpunit/phpunit", "version": "9.6.13", "license": ["BSD-3-Clause"]},
      {"name": "tecnickcom/tcpdf", "version": "6.6.5", "license": ["LGPL-3.0-or-later", "GPL-2.0-only"]},
      {"name": "acme/theme", "version": "dev-main"}
    ]"#;

    #[test]
    fn composer_1_has_a_list_and_composer_2_an_object_with_it() {
        let one = read_text(LIST);
        insta::assert_json_snapshot!(one.packages);
        assert!(one.problems.is_empty());
        let two = format!(r#"{{"packages": {LIST}, "dev": true, "dev-package-names": ["phpunit/phpunit"]}}"#);
        assert_eq!(read_text(&two), one);
    }

    #[test]
    fn no_packages_are_no_problem() {
        for text in ["[]", r#"{"packages": [], "dev": false}"#, "{}"] {
            assert_eq!(read_text(text), Reading::default());
        }
    }

    #[test]
    fn a_package_without_name_or_version_is_a_problem_and_the_others_count() {
        let long = "x".repeat(1025);
        let reading = read_text(&format!(
            r#"[{{"name": "a/b"}}, {{"version": "1.0.0"}}, 5, {{"name": "{long}", "version": "1"}},
                {{"name": "c/d", "version": "1.0.0"}}]"#
        ));
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(
            reading.problems.into_reasons(),
            [
                "names no version of a/b",
                "holds a package without a name",
                "holds a package without a name",
                "holds a package name of more than 1024 bytes",
            ]
        );
    }

    #[test]
    fn what_was_read_of_a_cut_file_counts() {
        let reading = read_text(r#"[{"name": "a/b", "version": "1.0.0"}, {"name": "c/d""#);
        assert_eq!((reading.packages.len(), reading.problems.into_reasons().len()), (1, 1));
    }

    #[test]
    fn of_too_many_packages_the_first_are_read() {
        let entries: Vec<String> =
            (0..100_000).map(|number| format!(r#"{{"name": "a/{number}", "version": "1.0.0"}}"#)).collect();
        let text = format!("[{}, {{}}]", entries.join(","));
        let reading = read(&InputFile { packages: 10, ..file(PATH, text.as_bytes()) });
        assert_eq!((reading.packages.len(), reading.problems.into_reasons().len()), (10, 1));
    }

    proptest! {
        #[test]
        fn no_json_makes_it_panic(
            text in "(\\{|\\}|\\[|\\]|,|:|\"(packages|version|name|license|a|1)\"|null|1|\\{\"name\":\"a\",\"version\":\"1\"\\},){0,30}",
        ) {
            for package in read_text(&format!("[{text}")).packages {
                prop_assert!(!package.name.is_empty() && !package.version.is_empty());
            }
        }
    }
}
