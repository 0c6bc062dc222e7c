//! The SQL of the table: opening the file, reading items, and writing one.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};
use tidewatch_core::ports::table::{
    Attributes, Cursor, Item, Key, Page, Query, SortRange, TIME_TO_LIVE, TableError, Value,
};

use super::encoding;

const SCHEMA: &str = include_str!("schema.sql");
const APPLICATION: i64 = 0x5457_6974;
const VERSION: i64 = 1;

/// How long a statement waits for another connection of this process, which holds the file for moments only: while its log
/// is made or taken over.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How many pages the log grows by before they go to the database: 64 MiB. Keys are all over the database, so the more of them
/// go at once, the fewer pages are written again and again.
const CHECKPOINT_PAGES: u32 = 16384;

/// What connections keep of the database in memory, in KiB: the one that writes reads most of what it changes.
const WRITER_CACHE_KIB: i64 = 64 << 10;
const READER_CACHE_KIB: i64 = 8 << 10;

/// The most bytes of attributes in a page; like DynamoDB it gives the item that goes over this, and no more.
const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// The end of a range of sort keys: no text has this byte.
const BEHIND_EVERY_TEXT: u8 = 0xff;

/// Why a file was not opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// It is a database of another program, or of the time before this format.
    Foreign,
    /// The format has this version, which is newer.
    Version(i64),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The port's error for one of SQLite.
pub(super) fn unavailable(error: rusqlite::Error) -> TableError {
    TableError::Unavailable { source: error.into() }
}

/// Opens the file for writing, and makes what is missing in it.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit returns when its log is on the disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    let transaction = connection.transaction()?;
    let number = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (number("application_id")?, number("user_version")?) {
        (0, 0) if tables == 0 => transaction.execute_batch(SCHEMA)?,
        (APPLICATION, VERSION) => {}
        (APPLICATION, newer) => return Err(OpenError::Version(newer)),
        _ => return Err(OpenError::Foreign),
    }
    transaction.commit()?;
    Ok(connection)
}

/// Opens a file that is open for writing, for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

/// The attributes of the item at `key`.
pub(super) fn attributes(connection: &Connection, key: &Key) -> Result<Option<Attributes>, TableError> {
    let sql = "SELECT attributes FROM items WHERE pk = ?1 AND sk = ?2";
    let mut select = connection.prepare_cached(sql).map_err(unavailable)?;
    let found = select.query_row(params![key.partition.as_bytes(), key.sort.as_bytes()], |row| {
        Ok(encoding::decode(row.get_ref(0)?.as_blob()?))
    });
    found.optional().map_err(unavailable)?.transpose()
}

/// The item at `key`.
pub(super) fn item(connection: &Connection, key: &Key) -> Result<Option<Item>, TableError> {
    let attributes = attributes(connection, key)?;
    Ok(attributes.map(|attributes| Item { key: key.clone(), attributes }))
}

/// The items at `keys`, without those that are not there.
pub(super) fn items(connection: &Connection, keys: &[Key]) -> Result<Vec<Item>, TableError> {
    keys.iter().filter_map(|key| item(connection, key).transpose()).collect()
}

/// One page of items. Like DynamoDB it gives a cursor whenever the page is full, also when nothing follows.
pub(super) fn page(connection: &Connection, query: &Query) -> Result<Page, TableError> {
    let sql = if query.descending {
        "SELECT sk, attributes FROM items WHERE pk = ?1 AND sk >= ?2 AND sk < ?3 ORDER BY sk DESC LIMIT ?4"
    } else {
        "SELECT sk, attributes FROM items WHERE pk = ?1 AND sk >= ?2 AND sk < ?3 ORDER BY sk LIMIT ?4"
    };
    let (first, end) = bounds(query);
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(sql).map_err(unavailable)?;
    let rows = select.query(params![query.partition.as_bytes(), first, end, limit]);
    let mut rows = rows.map_err(unavailable)?;
    let (mut items, mut bytes) = (Vec::new(), 0);
    while bytes < MAX_PAGE_BYTES
        && let Some(row) = rows.next().map_err(unavailable)?
    {
        let (item, size) = found(&query.partition, row)?;
        items.push(item);
        bytes += size;
    }
    let is_full = items.len() == query.limit || bytes >= MAX_PAGE_BYTES;
    let next = items.last().filter(|_| is_full).map(|item: &Item| Cursor(item.key.sort.clone()));
    Ok(Page { items, next })
}

/// The item of a row of [`page`], and the bytes of its attributes.
fn found(partition: &str, row: &Row<'_>) -> Result<(Item, usize), TableError> {
    let column = |index| match row.get_ref(index) {
        Ok(ValueRef::Blob(bytes)) => Ok(bytes),
        Ok(other) => {
            Err(unavailable(rusqlite::Error::InvalidColumnType(index, "items".to_owned(), other.data_type())))
        }
        Err(error) => Err(unavailable(error)),
    };
    let sort = std::str::from_utf8(column(0)?);
    let sort = sort.map_err(|error| TableError::Unavailable { source: error.into() })?;
    let bytes = column(1)?;
    Ok((Item { key: Key::new(partition, sort), attributes: encoding::decode(bytes)? }, bytes.len()))
}

/// The least sort key of the rest of a query, and the one behind its greatest.
fn bounds(query: &Query) -> (Vec<u8>, Vec<u8>) {
    let (mut first, mut end) = match &query.sort {
        SortRange::Prefix(prefix) => {
            (prefix.as_bytes().to_vec(), [prefix.as_bytes(), &[BEHIND_EVERY_TEXT]].concat())
        }
        SortRange::UpTo(last) => (Vec::new(), behind(last)),
    };
    match &query.after {
        Some(cursor) if query.descending => end = cursor.0.as_bytes().to_vec(),
        Some(cursor) => first = behind(&cursor.0),
        None => {}
    }
    (first, end)
}

/// The least bytes that are greater than those of `text`.
fn behind(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// Puts a whole item.
pub(super) fn put(connection: &Connection, key: &Key, attributes: &Attributes) -> Result<(), TableError> {
    let sql = "INSERT INTO items (pk, sk, attributes, expires) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (pk, sk) DO UPDATE SET attributes = excluded.attributes, expires = excluded.expires";
    let expires = match attributes.get(TIME_TO_LIVE) {
        Some(Value::Number(seconds)) => Some(*seconds),
        _ => None,
    };
    let encoded = encoding::encode(attributes)?;
    let mut insert = connection.prepare_cached(sql).map_err(unavailable)?;
    let values = params![key.partition.as_bytes(), key.sort.as_bytes(), encoded, expires];
    insert.execute(values).map(drop).map_err(unavailable)
}

/// Removes the item at `key`, which need not be there.
pub(super) fn delete(connection: &Connection, key: &Key) -> Result<(), TableError> {
    let sql = "DELETE FROM items WHERE pk = ?1 AND sk = ?2";
    let mut delete = connection.prepare_cached(sql).map_err(unavailable)?;
    delete.execute(params![key.partition.as_bytes(), key.sort.as_bytes()]).map(drop).map_err(unavailable)
}

/// Removes up to `most` items whose time to live has passed at `now`, in seconds since 1970, and says how many they were.
pub(super) fn delete_expired(connection: &Connection, now: i64, most: u32) -> Result<usize, TableError> {
    let sql = "DELETE FROM items WHERE (pk, sk) IN
               (SELECT pk, sk FROM items WHERE expires <= ?1 ORDER BY expires LIMIT ?2)";
    let mut delete = connection.prepare_cached(sql).map_err(unavailable)?;
    delete.execute(params![now, most]).map_err(unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder.path().join("table.sqlite")).ok().unwrap();
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0));
        assert_eq!(pragma("journal_mode").unwrap(), "wal");
        // FULL: <https://sqlite.org/pragma.html#pragma_synchronous>
        let synchronous = connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0));
        assert_eq!(synchronous.unwrap(), 2);
    }
}
