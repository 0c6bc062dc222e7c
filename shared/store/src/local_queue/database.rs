//! The SQL of the local queue. Every function is one transaction that takes the write lock at its beginning, so that
//! what it read is still so when it writes, also with other processes at work.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::QueueDepth;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use tidewatch_core::ports::queue::{Delivery, MAX_RECEIVES, OutgoingMessage, QueueName};

const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 1;

// The index of exhausted messages spells the number out.
const _: () = assert!(MAX_RECEIVES == 20);

/// How long a transaction waits for the one of another process. Each takes milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Names one delivery of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    message: i64,
    receives: u32,
}

impl Receipt {
    /// The receipt that `text` stands for; `None` when it is none of this queue.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (message, receives) = text.split_once('.')?;
        Some(Self { message: message.parse().ok()?, receives: receives.parse().ok()? })
    }
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.message, self.receives)
    }
}

/// Why a file was not opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The lock file beside it could not be made or locked.
    Lock(std::io::Error),
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// The format has this version, which is newer.
    Version(i64),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Whether SQLite gave up because another process held the file.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Opens the file and makes its tables where they are missing. One process at a time does so: SQLite gives up at once
/// where two give a new file its write-ahead log, however long it may wait. The lock is beside the file, because closing
/// another handle of the file itself would drop SQLite's own locks.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let lock = File::create(path.with_extension("lock")).map_err(OpenError::Lock)?;
    lock.lock().map_err(OpenError::Lock)?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL writes through to the disk before a send returns, as the port promises; NORMAL would keep messages over the
    // end of the process only, not over that of the machine. It costs one fsync for each call, not for each message.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = begin(&mut connection)?;
    match transaction.pragma_query_value(None, "user_version", |row| row.get(0))? {
        0 => transaction.execute_batch(SCHEMA)?,
        SCHEMA_VERSION => {}
        newer => return Err(OpenError::Version(newer)),
    }
    transaction.commit()?;
    Ok(connection)
}

/// Adds messages, visible from `now` and their delay on.
pub(super) fn send(
    connection: &mut Connection,
    queue: QueueName,
    messages: &[OutgoingMessage],
    now: i64,
) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    {
        let sql = "INSERT INTO messages (queue, body, visible_at) VALUES (?1, ?2, ?3)";
        let mut insert = transaction.prepare_cached(sql)?;
        for message in messages {
            insert.execute(params![queue.as_str(), message.body, super::later(now, message.delay)])?;
        }
    }
    transaction.commit()
}

/// Takes up to `most` messages that are visible at `now` and hides them until `hidden_until`.
pub(super) fn receive(
    connection: &mut Connection,
    queue: QueueName,
    most: usize,
    now: i64,
    hidden_until: i64,
) -> rusqlite::Result<Vec<Delivery>> {
    let transaction = begin(connection)?;
    bury_exhausted(&transaction, queue, now)?;
    let deliveries = {
        let sql = "UPDATE messages SET visible_at = ?4, receives = receives + 1
                   WHERE id IN (SELECT id FROM messages WHERE queue = ?1 AND visible_at <= ?2
                                ORDER BY visible_at, id LIMIT ?3)
                   RETURNING id, body, receives";
        let mut take = transaction.prepare_cached(sql)?;
        let rows = take.query_map(params![queue.as_str(), now, limit(most), hidden_until], delivery)?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    transaction.commit()?;
    Ok(deliveries)
}

/// Removes the message whose last delivery `receipt` names.
pub(super) fn acknowledge(
    connection: &mut Connection,
    queue: QueueName,
    receipt: Receipt,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM messages WHERE id = ?1 AND queue = ?2 AND receives = ?3";
    let mut delete = connection.prepare_cached(sql)?;
    delete.execute(params![receipt.message, queue.as_str(), receipt.receives]).map(drop)
}

/// Makes the message whose last delivery `receipt` names visible at `visible_at`, if it is still hidden at `now`.
pub(super) fn release(
    connection: &mut Connection,
    queue: QueueName,
    receipt: Receipt,
    now: i64,
    visible_at: i64,
) -> rusqlite::Result<()> {
    let sql = "UPDATE messages SET visible_at = ?5
               WHERE id = ?1 AND queue = ?2 AND receives = ?3 AND visible_at > ?4";
    let mut update = connection.prepare_cached(sql)?;
    let values = params![receipt.message, queue.as_str(), receipt.receives, now, visible_at];
    update.execute(values).map(drop)
}

/// Makes every message of `queue` visible that was received and is still hidden at `now`.
pub(super) fn release_all(connection: &mut Connection, queue: QueueName, now: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE messages SET visible_at = ?2 WHERE queue = ?1 AND visible_at > ?2 AND receives > 0";
    connection.prepare_cached(sql)?.execute(params![queue.as_str(), now]).map(drop)
}

/// The dead letters of `queue`, oldest first.
pub(super) fn dead_letters(
    connection: &mut Connection,
    queue: QueueName,
    most: usize,
    now: i64,
) -> rusqlite::Result<Vec<Delivery>> {
    let transaction = begin(connection)?;
    bury_exhausted(&transaction, queue, now)?;
    let letters = {
        let sql = "SELECT id, body, receives FROM dead_letters WHERE queue = ?1 ORDER BY id LIMIT ?2";
        let mut select = transaction.prepare_cached(sql)?;
        let rows = select.query_map(params![queue.as_str(), limit(most)], delivery)?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    transaction.commit()?;
    Ok(letters)
}

/// How many messages of `queue` wait or are at work, and how many dead letters it has.
pub(super) fn depth(connection: &mut Connection, queue: QueueName, now: i64) -> rusqlite::Result<QueueDepth> {
    let transaction = begin(connection)?;
    bury_exhausted(&transaction, queue, now)?;
    let count = |sql: &str| {
        let mut select = transaction.prepare_cached(sql)?;
        select.query_row(params![queue.as_str()], |row| row.get::<_, u64>(0))
    };
    let depth = QueueDepth {
        messages: count("SELECT count(*) FROM messages WHERE queue = ?1")?,
        dead_letters: count("SELECT count(*) FROM dead_letters WHERE queue = ?1")?,
    };
    transaction.commit()?;
    Ok(depth)
}

/// Moves what was received too often and is visible again to the dead letters.
fn bury_exhausted(transaction: &Transaction<'_>, queue: QueueName, now: i64) -> rusqlite::Result<()> {
    let values = params![queue.as_str(), now];
    let exhausted = "FROM messages WHERE queue = ?1 AND visible_at <= ?2 AND receives >= 20";
    let copy = format!("INSERT INTO dead_letters SELECT queue, id, body, receives {exhausted}");
    if transaction.prepare_cached(&copy)?.execute(values)? > 0 {
        transaction.prepare_cached(&format!("DELETE {exhausted}"))?.execute(values)?;
    }
    Ok(())
}

fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

fn delivery(row: &rusqlite::Row<'_>) -> rusqlite::Result<Delivery> {
    let receipt = Receipt { message: row.get(0)?, receives: row.get(2)? };
    Ok(Delivery {
        message_id: receipt.message.to_string(),
        receipt: receipt.to_string(),
        body: row.get(1)?,
        receives: receipt.receives,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps of the plan for a statement, on a database with the schema.
    fn plan(sql: &str) -> String {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = explain.query_map([], |row| row.get::<_, String>(3)).unwrap();
        steps.map(Result::unwrap).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn receiving_reads_the_index_in_order_and_sorts_nothing() {
        let plan = plan(
            "SELECT id FROM messages WHERE queue = 'q' AND visible_at <= 1 ORDER BY visible_at, id LIMIT 1",
        );
        assert!(plan.contains("messages_by_visibility (queue=? AND visible_at<?)"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[test]
    fn burying_reads_only_what_is_exhausted() {
        let plan = plan("SELECT id FROM messages WHERE queue = 'q' AND visible_at <= 1 AND receives >= 20");
        assert!(plan.contains("messages_exhausted"), "{plan}");
    }

    #[test]
    fn a_receipt_reads_back_and_other_texts_are_none() {
        let receipt = Receipt { message: 7, receives: 2 };
        assert_eq!(Receipt::parse(&receipt.to_string()), Some(receipt));
        assert_eq!(["", "7", "7.x", "x.2", "7.2.1"].map(Receipt::parse), [None; 5]);
    }
}
