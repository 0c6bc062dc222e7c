//! Real interleavings without threads: futures that share a table and go on one table operation at a time, in an order
//! that the test decides. The same order gives the same run, so that a failing one can be repeated and shrunk.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Item, Key, Page, Query, TableError, Update, Write};

/// How often a task is polled before it counts as stuck: it waits for something other than its turn.
const MOST_STEPS: usize = 100_000;

/// A table that pauses before each operation: the future that asked returns `Pending` once, and does the operation when
/// it is polled again. Under [`Interleaving`] a poll is therefore one operation and what is computed from it.
pub struct PausingTable {
    table: Arc<dyn Table>,
}

impl PausingTable {
    /// Pauses in front of `table`, whose operations must not wait themselves.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }
}

/// Tasks that have been started, each standing before its next table operation.
pub struct Interleaving<'a, T> {
    tasks: Vec<Option<Pin<Box<dyn Future<Output = T> + 'a>>>>,
}

impl<T> Default for Interleaving<'_, T> {
    fn default() -> Self {
        Self { tasks: Vec::new() }
    }
}

impl<'a, T> Interleaving<'a, T> {
    /// No tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task, which does nothing before its first step. Gives its number: tasks count from 0.
    pub fn start(&mut self, task: impl Future<Output = T> + 'a) -> usize {
        self.tasks.push(Some(Box::pin(task)));
        self.tasks.len() - 1
    }

    /// The numbers of the tasks that have not ended, in the order of their start.
    pub fn running(&self) -> Vec<usize> {
        (0..self.tasks.len()).filter(|task| self.tasks[*task].is_some()).collect()
    }

    /// Lets a task do one operation. Gives its output when that was the end of it; nothing happens to an ended task.
    pub fn step(&mut self, task: usize) -> Option<T> {
        let future = self.tasks[task].as_mut()?;
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => None,
            Poll::Ready(output) => {
                self.tasks[task] = None;
                Some(output)
            }
        }
    }

    /// Lets a task go on to its end. Gives `None` when it had ended before.
    pub fn finish(&mut self, task: usize) -> Option<T> {
        for _ in 0..MOST_STEPS {
            match self.step(task) {
                None if self.tasks[task].is_some() => {}
                output => return output,
            }
        }
        panic!("task {task} does not end");
    }

    /// Ends a task where it stands, as a crash does: what it has written stays, and it writes nothing more.
    pub fn kill(&mut self, task: usize) {
        self.tasks[task] = None;
    }
}

/// Returns `Pending` once. It wakes whoever polled it, since futures that hold several others poll only those that
/// asked for it.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl Table for PausingTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        pause().await;
        self.table.get(key).await
    }

    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        pause().await;
        self.table.get_batch(keys).await
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<(), TableError> {
        pause().await;
        self.table.put(item, condition).await
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), TableError> {
        pause().await;
        self.table.delete(key, condition).await
    }

    async fn update(&self, key: &Key, update: Update, condition: Condition) -> Result<Item, TableError> {
        pause().await;
        self.table.update(key, update, condition).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        pause().await;
        self.table.transact(writes).await
    }

    async fn query(&self, query: Query) -> Result<Page, TableError> {
        pause().await;
        self.table.query(query).await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Notes its name twice, with a pause before each.
    async fn noting(name: char, notes: &RefCell<String>) -> char {
        for _ in 0..2 {
            pause().await;
            notes.borrow_mut().push(name);
        }
        name
    }

    #[test]
    fn tasks_go_on_in_the_order_of_the_steps() {
        let notes = RefCell::new(String::new());
        let mut tasks = Interleaving::new();
        let (a, b) = (tasks.start(noting('a', &notes)), tasks.start(noting('b', &notes)));
        let ended: Vec<_> = [a, b, a, b, b, a].into_iter().map(|task| tasks.step(task)).collect();
        assert_eq!(ended, [None, None, None, None, Some('b'), Some('a')]);
        assert_eq!(*notes.borrow(), "abba");
        assert!(tasks.running().is_empty());
    }

    #[test]
    fn a_killed_task_does_nothing_more() {
        let notes = RefCell::new(String::new());
        let mut tasks = Interleaving::new();
        let task = tasks.start(noting('a', &notes));
        tasks.step(task);
        tasks.step(task);
        tasks.kill(task);
        assert_eq!(tasks.finish(task), None);
        assert_eq!(*notes.borrow(), "a");
    }
}
