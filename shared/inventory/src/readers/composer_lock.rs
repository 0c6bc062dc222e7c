//! The lock file of Composer, `composer.lock`. What only developers need (`packages-dev`) does not count.
//!
//! Specification: <https://getcomposer.org/doc/01-basic-usage.md#commit-your-composer-lock-file-to-version-control>.

use serde::de::MapAccess;

use tidewatch_core::package::PackageType;

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::composer::PackageList;
use crate::reading::json::{self, Visit};
use crate::reading::once::Once;
use crate::reading::{InputFile, Reading, is_of_a_dependency};

pub(super) const READER: Reader = Reader {
    id: "composer-lock",
    paths: &[PathPattern::new("**/composer.lock")],
    evidence: Evidence::LockFile(PackageType::Composer),
    file_bytes: 32 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut packages = Once::new(file.packages);
    if !is_of_a_dependency(file.path) {
        let list = PackageList { packages: &mut packages, reader: READER.id };
        let result = json::visit(file.bytes, &mut Lock(list));
        packages.problems().ok_or_add(result);
    }
    packages.into_reading()
}

struct Lock<'p>(PackageList<'p>);

impl Visit for Lock<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        if key == "packages" { json::value(fields, &mut self.0) } else { json::skip(fields) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const LOCK: &str = r#"{
      "_readme": ["This file locks the dependencies of your project to a known state"],
      "content-hash": "0a1b",
      "packages": [
        {"name": "monolog/monolog", "version": "2.9.1", "license": ["MIT"], "require": {"php": ">=7.2"}},
        {"name": "symfony/yaml", "version": "v6.4.0", "license": ["MIT"]}
      ],
      "packages-dev": [{"name": "phpunit/phpunit", "version": "9.6.13"}],
      "aliases": [], "minimum-stability": "stable", "platform": [], "plugin-api-version": "2.6.0"
    }"#;

    #[test]
    fn a_lock_file_asks_for_its_packages_and_not_for_those_of_developers() {
        let reading = read(&file("var/www/composer.lock", LOCK.as_bytes()));
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn what_is_no_json_is_a_problem() {
        let reading = read(&file("composer.lock", b"<<<<<<< HEAD"));
        assert_eq!(reading.problems.into_reasons().len(), 1);
    }
}
