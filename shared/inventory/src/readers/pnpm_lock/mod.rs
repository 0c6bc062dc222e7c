//! The lock file of pnpm, `pnpm-lock.yaml`, versions 5 to 9. Packages that only developers need (`dev`) do not count; version
//! 9 does not mark them. YAML is read event by event: nothing is built of it, and no alias is followed.
//!
//! Specification: <https://github.com/pnpm/spec/tree/master/lockfile>.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser};

use tidewatch_core::package::PackageType;

use super::{Access, Evidence, Reader};
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::npm;
use crate::reading::once::Once;
use crate::reading::{InputFile, Reading, excerpt, is_of_a_dependency};

/// The deepest nesting; pnpm writes 6 levels at most, and the parser needs memory for each.
const DEPTH: usize = 64;

pub(super) const READER: Reader = Reader {
    id: "pnpm-lock",
    paths: &[PathPattern::new("**/pnpm-lock.yaml")],
    evidence: Evidence::LockFile(PackageType::Npm),
    file_bytes: 16 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut packages = Once::new(file.packages);
    if is_of_a_dependency(file.path) {
        return packages.into_reading();
    }
    // Only comments of a lock file are no ASCII, and what is cut may end within a character.
    let text = String::from_utf8_lossy(file.bytes);
    let mut lock = Lock { version: None, entry: Entry::default(), packages: &mut packages };
    if let Err(error) = lock.read(&text) {
        packages.problems().add(|| error);
    }
    packages.into_reading()
}

/// The state of reading one file.
struct Lock<'p> {
    /// The major version of the lock file.
    version: Option<u32>,
    /// The package that is being read.
    entry: Entry,
    packages: &'p mut Once,
}

/// One of `packages`.
#[derive(Default)]
struct Entry {
    name: Option<String>,
    version: Option<String>,
    is_dev: bool,
}

/// A mapping or list that is open.
struct Level<'y> {
    is_mapping: bool,
    /// The key whose value comes next.
    key: Option<Cow<'y, str>>,
}

impl Lock<'_> {
    /// Reads all documents: newer versions of pnpm put a document about themselves before that of the project.
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut levels = Vec::<Level<'_>>::new();
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            match event.map_err(|error| format!("is no YAML that can be read: {error}"))?.0 {
                Event::DocumentStart(_) => levels.clear(),
                Event::Scalar(value, ..) => self.scalar(&mut levels, value)?,
                Event::Alias(_) => self.scalar(&mut levels, Cow::Borrowed(""))?,
                Event::MappingStart(..) => levels.push(Level { is_mapping: true, key: None }),
                Event::SequenceStart(..) => levels.push(Level { is_mapping: false, key: None }),
                Event::MappingEnd | Event::SequenceEnd => {
                    levels.pop();
                    self.value_end(&mut levels)?;
                }
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            }
            if levels.len() > DEPTH {
                return Err(format!("is nested more than {DEPTH} deep"));
            }
            if self.packages.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// Takes a key, or a value that has no parts.
    fn scalar<'y>(&mut self, levels: &mut [Level<'y>], value: Cow<'y, str>) -> Result<(), String> {
        let Some(level) = levels.last_mut() else { return Ok(()) };
        if !level.is_mapping {
            return Ok(());
        }
        if level.key.is_none() {
            level.key = Some(value);
            return Ok(());
        }
        match keys(levels).as_slice() {
            ["lockfileVersion"] => self.version = major_version(&value),
            ["packages", _, "name"] => self.entry.name = Some(value.into_owned()),
            ["packages", _, "version"] => self.entry.version = Some(value.into_owned()),
            ["packages", _, "dev"] => self.entry.is_dev = value == "true",
            _ => {}
        }
        self.value_end(levels)
    }

    /// A value has ended; that of a key of `packages` is a package.
    fn value_end(&mut self, levels: &mut [Level<'_>]) -> Result<(), String> {
        if let ["packages", key] = keys(levels).as_slice() {
            let entry = std::mem::take(&mut self.entry);
            let version = self.version.ok_or("names no lockfileVersion that is known before its packages")?;
            entry.add(key, version, self.packages);
        }
        if let Some(level) = levels.last_mut() {
            // What has parts may also be a key, and is then one without a text.
            let is_key = level.is_mapping && level.key.is_none();
            level.key = is_key.then_some(Cow::Borrowed(""));
        }
        Ok(())
    }
}

/// The keys that lead to the value that comes now, as far as they can be of a package; none when a list is among them.
fn keys<'k>(levels: &'k [Level<'_>]) -> Vec<&'k str> {
    const MOST: usize = 3;
    if levels.len() > MOST {
        return Vec::new();
    }
    let keys: Option<Vec<&str>> = levels.iter().map(|level| level.key.as_deref()).collect();
    keys.unwrap_or_default()
}

/// 5 of `5.4`, `5.3-inlineSpecifiers` and `'5.4'`.
fn major_version(text: &str) -> Option<u32> {
    text.split('.').next()?.parse().ok()
}

impl Entry {
    fn add(self, key: &str, lock_version: u32, packages: &mut Once) {
        if self.is_dev {
            return;
        }
        let from_key = name_and_version(key, lock_version);
        // What comes from elsewhere than the registry has an address as its key, and says both in its fields.
        let name = self.name.as_deref().or(from_key.map(|(name, _)| name));
        let version = self.version.as_deref().or(from_key.map(|(_, version)| version));
        if let Some(name) = name {
            npm::add(packages, name, version, READER.id);
        } else {
            let key = excerpt(&paths::text(excerpt(key).as_bytes()));
            packages.problems().add(|| format!("names the package {key:?} in no way that is known"));
        }
    }
}

/// Name and version in the key of a package: `/NAME/VERSION_PEERS` in version 5, `/NAME@VERSION(PEERS)` in versions 6 and 7,
/// `NAME@VERSION` since. An address may stand before the first slash of older ones.
fn name_and_version(key: &str, lock_version: u32) -> Option<(&str, &str)> {
    let key = key.split('(').next().unwrap_or(key);
    if lock_version >= 9 {
        return npm::split_name(key.strip_prefix('/').unwrap_or(key));
    }
    // Without a slash at the beginning it is another registry, or the address of a repository or file.
    let path = match key.strip_prefix('/') {
        Some(path) => path,
        None => key.split_once('/').filter(|(host, _)| host.contains('.') && !host.contains(':'))?.1,
    };
    if lock_version >= 6 {
        return npm::split_name(path);
    }
    let (name, version) = path.rsplit_once('/')?;
    Some((name, version.split('_').next().unwrap_or(version)))
}

#[cfg(test)]
mod tests;
