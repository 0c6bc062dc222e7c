//! The header of a package: numbered fields, as an index of places in a block of data. A database keeps it without the
//! magic bytes that it has in a package file.
//!
//! Format: <https://rpm-software-management.github.io/rpm/manual/format_header.html>; tags:
//! <https://rpm-software-management.github.io/rpm/manual/tags.html>.

use tidewatch_core::package::{Package, PackageType};

use super::bytes::Order;
use super::damage::Damage;
use super::{OWNED_FILES, READER, source_package};
use crate::license::license_of;
use crate::reading::{OwnedDirectory, OwnedFiles, excerpt, short_text};

/// Bytes of an entry of the index: tag, type, place in the data, and number of values.
const ENTRY_BYTES: usize = 16;

/// The most directories of one package; Linux' own documentation has 5,000.
const DIRECTORIES: usize = 100_000;

/// A field that matters.
#[derive(Clone, Copy)]
struct Tag(u32, &'static str);

const NAME: Tag = Tag(1000, "name");
const VERSION: Tag = Tag(1001, "version");
const RELEASE: Tag = Tag(1002, "release");
const EPOCH: Tag = Tag(1003, "epoch");
const LICENSE: Tag = Tag(1014, "licence");
const ARCH: Tag = Tag(1022, "architecture");
const OLD_FILE_NAMES: Tag = Tag(1027, "list of files");
const SOURCE_RPM: Tag = Tag(1044, "source package");
const DIRECTORY_INDEXES: Tag = Tag(1116, "list of files");
const BASE_NAMES: Tag = Tag(1117, "list of files");
const DIRECTORY_NAMES: Tag = Tag(1118, "list of directories");

/// Types of values: numbers of four bytes, and three of texts that end with a zero.
const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

/// What rpm calls the keys that it trusts, in its own list of packages.
const PUBLIC_KEY: &[u8] = b"gpg-pubkey";

/// The header of a package.
pub(super) struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    /// The header that `record` is.
    pub(super) fn new(record: &'a [u8]) -> Result<Self, Damage> {
        let split = || {
            let (entries, bytes) = (Order::Big.u32(record, 0)?, Order::Big.u32(record, 4)?);
            let index_bytes = usize::try_from(entries).ok()?.checked_mul(ENTRY_BYTES)?;
            let (index, rest) = record.get(8..)?.split_at_checked(index_bytes)?;
            Some(Self { index, data: rest.get(..usize::try_from(bytes).ok()?)? })
        };
        split().ok_or(Damage::Record("that is no package header"))
    }

    /// The package; `None` when it is a key.
    pub(super) fn package(&self) -> Result<Option<Package>, Damage> {
        let name = self.text(NAME)?;
        if name == PUBLIC_KEY {
            return Ok(None);
        }
        let name = short_text("package name", name)?;
        if name.is_empty() {
            return Err(Damage::NoName);
        }
        let part = |tag: Tag| match self.short(tag)? {
            Some(text) => Ok(text),
            None => Err(Damage::NoVersion(excerpt(&name), tag.1)),
        };
        let (version, release) = (part(VERSION)?, part(RELEASE)?);
        let version = match self.numbers(EPOCH)?.next() {
            Some(epoch) => format!("{epoch}:{version}-{release}"),
            None => format!("{version}-{release}"),
        };
        Ok(Some(Package {
            architecture: self.short(ARCH)?,
            source: self.short(SOURCE_RPM)?.and_then(|file_name| source_package(&file_name)),
            license: license_of(self.text(LICENSE)?),
            ..Package::new(PackageType::Rpm, name, version, READER.id)
        }))
    }

    /// Adds the files of the package to `owned`, and takes their number from `room`, the number that may still be added.
    pub(super) fn add_files(&self, owned: &mut OwnedFiles, room: &mut usize) -> Result<(), Damage> {
        let directories = self.directories()?;
        let mut indexes = self.numbers(DIRECTORY_INDEXES)?;
        for name in self.texts(BASE_NAMES)? {
            let index = indexes.next().and_then(|index| usize::try_from(index).ok());
            let directory = index.and_then(|index| directories.get(index));
            let directory = directory.ok_or(Damage::Field("list of files"))?;
            *room = room.checked_sub(1).ok_or(Damage::ManyFiles(OWNED_FILES))?;
            if let Ok(name) = short_text("file name", name) {
                owned.add_in(directory, &name);
            }
        }
        // Packages from before the year 2000 list whole paths.
        for path in self.texts(OLD_FILE_NAMES)? {
            *room = room.checked_sub(1).ok_or(Damage::ManyFiles(OWNED_FILES))?;
            owned.add(&crate::paths::text(path));
        }
        Ok(())
    }

    fn directories(&self) -> Result<Vec<OwnedDirectory>, Damage> {
        let names = self.texts(DIRECTORY_NAMES)?.take(DIRECTORIES);
        Ok(names.map(|name| OwnedDirectory::new(&crate::paths::text(name))).collect())
    }

    /// The place of the field's values in the data, when it has one of `types`. Entries are the immutable region, as the
    /// package was built, then what was added when it was installed, which counts where both have a field.
    fn entry(&self, tag: Tag, types: &[u32]) -> Option<(usize, usize)> {
        let mut entries = self.index.chunks_exact(ENTRY_BYTES).rev();
        let entry = entries.find(|entry| Order::Big.u32(entry, 0) == Some(tag.0))?;
        let number = |at| usize::try_from(Order::Big.u32(entry, at)?).ok();
        let is_expected = Order::Big.u32(entry, 4).is_some_and(|value_type| types.contains(&value_type));
        if is_expected { Some((number(8)?, number(12)?)) } else { None }
    }

    /// The field's text, which is the first of several; empty when it has none.
    fn text(&self, tag: Tag) -> Result<&'a [u8], Damage> {
        match self.entry(tag, &[STRING, STRING_ARRAY, I18N_STRING]) {
            Some((place, 1..)) => {
                let rest = self.data.get(place..).ok_or(Damage::Field(tag.1))?;
                let end = memchr::memchr(0, rest).ok_or(Damage::Field(tag.1))?;
                Ok(rest.get(..end).unwrap_or_default())
            }
            Some((_, 0)) | None => Ok(&[]),
        }
    }

    /// The field's text for a terminal; `None` when it is empty.
    fn short(&self, tag: Tag) -> Result<Option<String>, Damage> {
        let text = short_text(tag.1, self.text(tag)?)?;
        // What rpm prints for a field that is not there is a value in some packages.
        Ok(Some(text).filter(|text| !text.is_empty() && text != "(none)"))
    }

    /// The field's texts, as many as there are.
    fn texts(&self, tag: Tag) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>, Damage> {
        let (place, count) = self.entry(tag, &[STRING_ARRAY]).unwrap_or((0, 0));
        let rest = self.data.get(place..).ok_or(Damage::Field(tag.1))?;
        let ends = memchr::memchr_iter(0, rest).take(count);
        Ok(ends.scan(0, move |start, end| {
            let text = rest.get(*start..end);
            *start = end + 1;
            text
        }))
    }

    /// The field's numbers, as many as there are.
    fn numbers(&self, tag: Tag) -> Result<impl Iterator<Item = u32> + use<'a>, Damage> {
        let (place, count) = self.entry(tag, &[INT32]).unwrap_or((0, 0));
        let numbers = self.data.get(place..).ok_or(Damage::Field(tag.1))?;
        Ok(numbers.chunks_exact(4).take(count).filter_map(|number| Order::Big.u32(number, 0)))
    }
}
