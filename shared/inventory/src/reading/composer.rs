//! The packages of Composer, as `composer.lock` and `installed.json` list them.
//!
//! Specification: <https://getcomposer.org/doc/04-schema.md>.

use serde::de::{MapAccess, SeqAccess};
use tidewatch_core::package::{Package, PackageType};

use super::json::{self, Visit};
use super::licenses::Licenses;
use super::once::Once;
use super::{excerpt, short_text};

/// A list of packages.
pub(crate) struct PackageList<'p> {
    /// Where they go.
    pub(crate) packages: &'p mut Once,
    /// Id of the reader that reads them.
    pub(crate) reader: &'static str,
}

impl Visit for PackageList<'_> {
    fn element<'de, A: SeqAccess<'de>>(&mut self, elements: &mut A) -> Result<bool, A::Error> {
        let mut entry = Entry::default();
        let has_more = json::element(elements, &mut entry)?;
        if has_more && !self.packages.is_full() {
            entry.add(self.packages, self.reader);
        }
        Ok(has_more)
    }
}

#[derive(Default)]
struct Entry {
    name: Option<String>,
    version: Option<String>,
    licenses: Licenses,
}

impl Visit for Entry {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = json::text(fields)?,
            "version" => self.version = json::text(fields)?,
            "license" => json::value(fields, &mut self.licenses)?,
            _ => json::skip(fields)?,
        }
        Ok(())
    }
}

impl Entry {
    fn add(self, packages: &mut Once, reader: &str) {
        let (name, version) = (self.name.unwrap_or_default(), self.version.unwrap_or_default());
        let Some(name) = packages.problems().ok_or_add(short_text("package name", name.trim().as_bytes()))
        else {
            return;
        };
        if name.is_empty() {
            packages.problems().add(|| "holds a package without a name".to_owned());
            return;
        }
        let Some(version) = packages.problems().ok_or_add(short_text("version", version.trim().as_bytes()))
        else {
            return;
        };
        if version.is_empty() {
            packages.problems().add(|| format!("names no version of {}", excerpt(&name)));
            return;
        }
        packages.add(Package {
            license: self.licenses.into_license(),
            ..Package::new(PackageType::Composer, name, version, reader)
        });
    }
}
