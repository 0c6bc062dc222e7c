//! The package database of rpm in its three forms: SQLite, SUSE's NDB, and the hash of Berkeley DB. Which one it is shows
//! in its content, because files were renamed and distributions changed from one to another; each record of any of them
//! is the header of one package.
//!
//! Specification: <https://github.com/rpm-software-management/rpm/tree/rpm-4.20.x/lib/backend>, as nothing else describes
//! what rpm writes.

mod berkeley;
mod bytes;
mod damage;
mod extent;
mod header;
mod ndb;
mod sqlite;
#[cfg(test)]
mod tests;
mod wal;

use std::ops::ControlFlow;

use tidewatch_core::package::SourcePackage;

use super::{Access, Evidence, Reader};
use crate::contents::Contents;
use crate::pattern::PathPattern;
use crate::reading::{RandomFile, Reading};
use bytes::Order;
use damage::Damage;
use header::Header;

pub(super) const READER: Reader = Reader {
    id: "rpm",
    paths: &[
        PathPattern::new("usr/lib/sysimage/rpm/Packages"),
        PathPattern::new("usr/lib/sysimage/rpm/Packages.db"),
        PathPattern::new("usr/lib/sysimage/rpm/rpmdb.sqlite"),
        PathPattern::new("usr/share/rpm/Packages"),
        PathPattern::new("usr/share/rpm/Packages.db"),
        PathPattern::new("usr/share/rpm/rpmdb.sqlite"),
        PathPattern::new("var/lib/rpm/Packages"),
        PathPattern::new("var/lib/rpm/Packages.db"),
        PathPattern::new("var/lib/rpm/rpmdb.sqlite"),
    ],
    evidence: Evidence::Distribution,
    file_bytes: 512 << 20,
    access: Access::RandomWith { companion: "-wal", read },
};

/// The most bytes of one record, which is held in memory: the headers of packages with 100,000 files have half of it.
const RECORD_BYTES: u64 = 16 << 20;

/// The most files that the packages of one database are known to own: a workstation with everything has 500,000.
const OWNED_FILES: usize = 1_000_000;

/// Takes a record of a database, or what is wrong in the place of some, and says whether to read on.
type Take<'a> = dyn FnMut(Result<&[u8], Damage>) -> ControlFlow<()> + 'a;

/// Gives a record to `take`.
fn give(take: &mut Take<'_>, record: Result<Vec<u8>, Damage>) -> ControlFlow<()> {
    match record {
        Ok(bytes) => take(Ok(&bytes)),
        Err(damage) => take(Err(damage)),
    }
}

/// The form of a database.
enum Form {
    Sqlite,
    Ndb,
    Berkeley(Order),
}

fn read(file: &RandomFile<'_>, wal: Option<&RandomFile<'_>>) -> Reading {
    let (mut reading, mut files) = (Reading::default(), OWNED_FILES);
    let mut take = |record: Result<&[u8], Damage>| {
        let taken = record.and_then(Header::new).and_then(|header| {
            let Some(package) = header.package()? else { return Ok(ControlFlow::Continue(())) };
            if !reading.add(package, file.packages) {
                return Ok(ControlFlow::Break(()));
            }
            header.add_files(&mut reading.owned, &mut files)?;
            Ok(ControlFlow::Continue(()))
        });
        reading.problems.ok_or_add(taken).unwrap_or(ControlFlow::Continue(()))
    };
    // Whether it ended early does not matter: then there was a problem.
    let _ = match Form::of(file.contents) {
        Ok(Form::Sqlite) => sqlite::read(file.contents, wal.map(|wal| wal.contents), &mut take),
        Ok(Form::Ndb) => ndb::read(file.contents, &mut take),
        Ok(Form::Berkeley(order)) => berkeley::read(file.contents, order, &mut take),
        Err(damage) => take(Err(damage)),
    };
    reading
}

impl Form {
    fn of(contents: &Contents) -> Result<Self, Damage> {
        let mut start = [0; 16];
        let length = contents.read_at(0, &mut start)?;
        if length == 0 {
            return Err(Damage::Unsupported("is empty"));
        }
        if &start == sqlite::MAGIC {
            return Ok(Self::Sqlite);
        }
        if start.starts_with(ndb::MAGIC) {
            return Ok(Self::Ndb);
        }
        for order in [Order::Little, Order::Big] {
            match order.u32(&start, 12) {
                Some(berkeley::HASH_MAGIC) => return Ok(Self::Berkeley(order)),
                Some(berkeley::BTREE_MAGIC) => {
                    return Err(Damage::Unsupported(
                        "is a b-tree of Berkeley DB, in which rpm keeps no packages",
                    ));
                }
                _ => {}
            }
        }
        Err(Damage::Unsupported("is no SQLite, NDB or Berkeley DB database"))
    }
}

/// The source package from the name of its file, `NAME-VERSION-RELEASE.src.rpm` or `….nosrc.rpm`. The file's name has no
/// epoch.
pub(super) fn source_package(file_name: &str) -> Option<SourcePackage> {
    let stem = file_name.strip_suffix(".rpm")?;
    let stem = stem.strip_suffix(".src").or_else(|| stem.strip_suffix(".nosrc"))?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let is_whole = ![name, version, release].contains(&"");
    is_whole.then(|| SourcePackage { name: name.to_owned(), version: format!("{version}-{release}") })
}
