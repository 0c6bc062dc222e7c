//! The table of another process, over the socket that it serves.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Item, Key, Page, Query, TableError, Update, Write};

use super::socket::{self, Answer, Call};

/// A table that another process has open. What fails on the way to it is [`TableError::Unavailable`]; whether a write was
/// done then is not known, as with every store that is not in this process.
#[derive(Clone, Debug)]
pub struct JoinedTable {
    socket: PathBuf,
}

impl JoinedTable {
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    async fn ask(&self, call: Call) -> Result<Answer, TableError> {
        let answer = socket::ask(&self.socket, &call).await;
        match answer.map_err(|error| TableError::Unavailable { source: error.into() })? {
            Answer::Failed(failure) => Err(failure.into()),
            answer => Ok(answer),
        }
    }

    async fn write(&self, call: Call) -> Result<(), TableError> {
        match self.ask(call).await? {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(answer: &Answer) -> TableError {
    TableError::Unavailable { source: format!("an answer to another question: {answer:?}").into() }
}

#[async_trait]
impl Table for JoinedTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        match self.ask(Call::Get(key.clone())).await? {
            Answer::Item(item) => Ok(item),
            other => Err(unexpected(&other)),
        }
    }

    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        match self.ask(Call::GetBatch(keys.to_vec())).await? {
            Answer::Items(items) => Ok(items),
            other => Err(unexpected(&other)),
        }
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<(), TableError> {
        self.write(Call::Put(item, condition)).await
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), TableError> {
        self.write(Call::Delete(key.clone(), condition)).await
    }

    async fn update(&self, key: &Key, update: Update, condition: Condition) -> Result<Item, TableError> {
        match self.ask(Call::Update(key.clone(), update, condition)).await? {
            Answer::Item(Some(item)) => Ok(item),
            other => Err(unexpected(&other)),
        }
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        self.write(Call::Transact(writes)).await
    }

    async fn query(&self, query: Query) -> Result<Page, TableError> {
        match self.ask(Call::Query(query)).await? {
            Answer::Page(page) => Ok(page),
            other => Err(unexpected(&other)),
        }
    }
}
