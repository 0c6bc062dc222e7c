//! The SQL of the local queue. Every function is one transaction that takes the write lock at its beginning, so that
//! what it read is still so when it writes, also with other processes at work.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tidewatch_core::ports::queue::{Delivery, MAX_RECEIVES, OutgoingMessage, QueueName};
use tidewatch_core::ports::queue_depths::QueueDepth;

use crate::group_sync::GroupSync;

const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 1;

// The index of exhausted messages spells the number out.
const _: () = assert!(MAX_RECEIVES == 20);

/// What [`depth`] counts, of the queue `?1` at `?2`. Of messages that can be received only an index is read, however many
/// wait; of hidden and exhausted ones, which are few, the rows.
const VISIBLE: &str = "SELECT count(*) FROM messages WHERE queue = ?1 AND visible_at <= ?2";
const EXHAUSTED: &str =
    "SELECT count(*) FROM messages WHERE queue = ?1 AND visible_at <= ?2 AND receives >= 20";
const IN_FLIGHT: &str = "SELECT count(*) FROM messages WHERE queue = ?1 AND visible_at > ?2 AND receives > 0";
const DELAYED: &str = "SELECT count(*) FROM messages WHERE queue = ?1 AND visible_at > ?2 AND receives = 0";
const LONGEST_VISIBLE: &str =
    "SELECT visible_at FROM messages WHERE queue = ?1 AND visible_at <= ?2 AND receives < 20
                               ORDER BY visible_at LIMIT 1";
// A statement is given both parameters, and must use both.
const DEAD: &str = "SELECT count(*) FROM dead_letters WHERE queue = ?1 AND ?2 IS NOT NULL";

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
    /// The lock file beside it could not be made or locked, or its log not be opened.
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
pub(super) fn open(path: &Path) -> Result<(Connection, GroupSync), OpenError> {
    let lock = File::create(path.with_extension("lock")).map_err(OpenError::Lock)?;
    lock.lock().map_err(OpenError::Lock)?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit does not wait for the disk. A send does, as the port promises; what was received, acknowledged or released a
    // power cut may take back, and then messages come again.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let transaction = begin(&mut connection)?;
    match transaction.pragma_query_value(None, "user_version", |row| row.get(0))? {
        0 => transaction.execute_batch(SCHEMA)?,
        SCHEMA_VERSION => {}
        newer => return Err(OpenError::Version(newer)),
    }
    transaction.commit()?;
    let log = GroupSync::of(path).map_err(OpenError::Lock)?;
    Ok((connection, log))
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

/// How much of `queue` there is at `now`. Nothing is written: what is exhausted counts as the dead letter that it becomes
/// when its queue is next received from.
pub(super) fn depth(connection: &mut Connection, queue: QueueName, now: i64) -> rusqlite::Result<QueueDepth> {
    // All statements read the same state of the file; nobody who writes waits for them.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let count = |sql: &str| {
        let mut select = transaction.prepare_cached(sql)?;
        select.query_row(params![queue.as_str(), now], |row| row.get::<_, u64>(0))
    };
    let exhausted = count(EXHAUSTED)?;
    let first: Option<i64> = {
        let mut select = transaction.prepare_cached(LONGEST_VISIBLE)?;
        select.query_row(params![queue.as_str(), now], |row| row.get(0)).optional()?
    };
    let waited = first.map_or(0, |since| u64::try_from((now - since) / 1000).unwrap_or(0));
    let depth = QueueDepth {
        visible: count(VISIBLE)?.saturating_sub(exhausted),
        in_flight: count(IN_FLIGHT)?,
        delayed: count(DELAYED)?,
        dead_letters: count(DEAD)?.saturating_add(exhausted),
        longest_wait_seconds: Some(waited),
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
    fn counting_what_waits_reads_an_index_and_no_row_that_is_visible() {
        let of = |sql: &str| plan(&sql.replace("?1", "'q'").replace("?2", "1"));
        let expected = [
            (VISIBLE, "COVERING INDEX messages_by_visibility (queue=? AND visible_at<?)"),
            (EXHAUSTED, "INDEX messages_exhausted"),
            (IN_FLIGHT, "INDEX messages_by_visibility (queue=? AND visible_at>?)"),
            (DELAYED, "INDEX messages_by_visibility (queue=? AND visible_at>?)"),
            (LONGEST_VISIBLE, "INDEX messages_by_visibility (queue=? AND visible_at<?)"),
        ];
        for (sql, read) in expected {
            let plan = of(sql);
            assert!(plan.contains(read) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }

    #[test]
    fn a_receipt_reads_back_and_other_texts_are_none() {
        let receipt = Receipt { message: 7, receives: 2 };
        assert_eq!(Receipt::parse(&receipt.to_string()), Some(receipt));
        assert_eq!(["", "7", "7.x", "x.2", "7.2.1"].map(Receipt::parse), [None; 5]);
    }
}
