//! The list itself. Schema: <https://github.com/rust-secure-code/cargo-auditable/blob/master/cargo-auditable.schema.json>.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use tidewatch_core::package::{Package, PackageType};

use super::SCANNER;
use crate::reading::{Reading, TooLong, excerpt, short_text};

/// A crate that the program is made of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Crate {
    name: String,
    version: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct List {
    packages: Crates,
}

/// The crates of a list that are in the program; what only built it is left out.
struct Crates(Vec<Crate>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Crate(Crate),
    Other(IgnoredAny),
}

impl<'de> Deserialize<'de> for Crates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Crates;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of crates")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Crates, A::Error> {
                let mut crates = Vec::new();
                while let Some(entry) = entries.next_element()? {
                    match entry {
                        Entry::Crate(entry) if entry.kind.as_deref() != Some("build") => crates.push(entry),
                        Entry::Crate(_) | Entry::Other(IgnoredAny) => {}
                    }
                }
                Ok(Crates(crates))
            }
        }

        deserializer.deserialize_seq(Entries)
    }
}

/// The crates of the list `text`.
pub(super) fn read(text: &[u8]) -> Result<Vec<Crate>, serde_json::Error> {
    serde_json::from_slice::<List>(text).map(|list| list.packages.0)
}

/// Adds `crates` as packages, at most `most`.
pub(super) fn add(crates: Vec<Crate>, most: usize, reading: &mut Reading) {
    for entry in crates {
        let Some(package) = reading.problems.ok_or_add(entry.package()) else { continue };
        if package.version.is_empty() || package.name.is_empty() {
            reading.problems.add(|| format!("names no version of {:?}", excerpt(&package.name)));
        } else if !reading.add(package, most) {
            break;
        }
    }
}

impl Crate {
    fn package(&self) -> Result<Package, TooLong> {
        let name = short_text("name of a crate", self.name.as_bytes())?;
        let version = short_text("version", self.version.as_bytes())?;
        Ok(Package::new(PackageType::Cargo, name, version, SCANNER.id))
    }
}
