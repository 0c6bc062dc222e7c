//! The thread that writes. It takes all work that waits, does it in one SQL transaction, and answers when that is on the disk:
//! however many wait, the disk is waited for once. A write whose condition does not hold changes nothing and takes nothing of
//! the others with it; an error of SQLite undoes all of a transaction, and everybody in it is told.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction};
use tidewatch_core::ports::table::{Attributes, TableError, Write};
use tokio::sync::oneshot;

use super::database;
use crate::evaluate::{self, Outcome};

/// The most works in one SQL transaction.
const MAX_WORKS: usize = 256;

/// The most expired items that are removed in one SQL transaction, so that writers do not wait for long.
const SWEPT_AT_ONCE: u32 = 1000;

/// What is to be done, all of it or nothing.
#[derive(Debug)]
pub(super) enum Work {
    /// Checked writes, each of another key.
    Write(Vec<Write>),
    /// Removing items whose time to live has passed at this time, in seconds since 1970.
    Sweep(i64),
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    /// What an update has made of its item.
    updated: Option<Attributes>,
    /// How many items were swept.
    swept: usize,
}

type Answer = Result<Done, TableError>;

struct Job {
    work: Work,
    answer: oneshot::Sender<Answer>,
}

/// The thread, as those see it who want something written. Dropping it ends the thread, after what was sent before.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` only while it is dropped.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on a connection that nobody else uses.
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let (jobs, received) = channel();
        let thread = std::thread::Builder::new()
            .name("table-writer".to_owned())
            .spawn(move || write_until_closed(connection, &received))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Does `work`, and gives the attributes that the last update in it has left.
    pub(super) async fn do_work(&self, work: Work) -> Result<Option<Attributes>, TableError> {
        Ok(self.send(work).await?.updated)
    }

    /// Removes the items whose time to live has passed at `now`, in seconds since 1970, and says how many they were.
    pub(super) async fn sweep_expired(&self, now: i64) -> Result<usize, TableError> {
        let mut all = 0;
        loop {
            let swept = self.send(Work::Sweep(now)).await?.swept;
            all += swept;
            if swept < SWEPT_AT_ONCE as usize {
                return Ok(all);
            }
        }
    }

    async fn send(&self, work: Work) -> Answer {
        let (answer, answered) = oneshot::channel();
        let gone = || TableError::Unavailable { source: "the thread that writes has ended".into() };
        self.jobs.as_ref().and_then(|jobs| jobs.send(Job { work, answer }).ok()).ok_or_else(gone)?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // Whoever opens the file next must not meet this connection. A panic of the thread was printed by itself.
            let _ = thread.join();
        }
    }
}

fn write_until_closed(mut connection: Connection, received: &Receiver<Job>) {
    while let Ok(first) = received.recv() {
        let mut jobs = vec![first];
        jobs.extend(received.try_iter().take(MAX_WORKS - 1));
        let (works, answers): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.work, job.answer)).unzip();
        let done = commit_all(&mut connection, &works);
        let done = done.unwrap_or_else(|error| {
            let reason = error.to_string();
            works.iter().map(|_| Err(TableError::Unavailable { source: reason.as_str().into() })).collect()
        });
        for (answer, done) in answers.into_iter().zip(done) {
            // Who does not wait any more does not know whether it was done, as with every store.
            let _ = answer.send(done);
        }
    }
}

/// Does all `works` in one SQL transaction, and says of each what came of it; an error is one for all of them.
fn commit_all(connection: &mut Connection, works: &[Work]) -> Result<Vec<Answer>, TableError> {
    let transaction = connection.transaction().map_err(database::unavailable)?;
    let mut answers = Vec::with_capacity(works.len());
    for work in works {
        answers.push(match do_one(&transaction, work) {
            Err(error @ TableError::Unavailable { .. }) => return Err(error),
            answer => answer,
        });
    }
    transaction.commit().map_err(database::unavailable)?;
    Ok(answers)
}

fn do_one(transaction: &Transaction<'_>, work: &Work) -> Answer {
    match work {
        Work::Write(writes) => Ok(Done { updated: write_all(transaction, writes)?, ..Done::default() }),
        Work::Sweep(now) => {
            let swept = database::delete_expired(transaction, *now, SWEPT_AT_ONCE)?;
            Ok(Done { swept, ..Done::default() })
        }
    }
}

/// Does all `writes` or none: every outcome is known before the first change.
fn write_all(transaction: &Transaction<'_>, writes: &[Write]) -> Result<Option<Attributes>, TableError> {
    let current = |write: &Write| {
        if evaluate::depends_on_item(write) {
            database::attributes(transaction, write.key())
        } else {
            Ok(None)
        }
    };
    let current: Vec<_> = writes.iter().map(current).collect::<Result<_, _>>()?;
    let outcomes = evaluate::outcomes(writes.iter().zip(current.iter().map(Option::as_ref)))?;
    let mut updated = None;
    for (write, outcome) in writes.iter().zip(outcomes) {
        match outcome {
            Outcome::Stored(attributes) => {
                database::put(transaction, write.key(), &attributes)?;
                if let Write::Update(..) = write {
                    updated = Some(attributes.into_owned());
                }
            }
            Outcome::Removed => database::delete(transaction, write.key())?,
            Outcome::Unchanged => {}
        }
    }
    Ok(updated)
}
