//! What is read of an organisation, for the command and for the HTTP routes alike.
//!
//! Everything that grows with the number of images comes in pages: a page reads so many members at most, and so many
//! reports, whatever it is asked for.

mod cursor;
mod error;
mod explanation;
mod identity;
mod image;
mod images;
mod members;
mod numbers;
mod policy;
mod rows;
mod streams;
mod vulnerability;

use tidewatch_core::Timestamp;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_store::Records;
use tidewatch_store::records::InForce;

pub use cursor::{Cursor, CursorError};
pub use error::ReadError;
pub use identity::{ImageIdentity, ImageIdentityError};
pub use images::ImageQuery;
pub use policy::PolicyQuery;

/// The most rows of a page.
pub const MOST_ROWS: usize = 1_000;

/// How many rows a page has where nobody says.
pub const DEFAULT_ROWS: usize = 100;

/// The most members that are looked at for one page.
const MOST_MEMBERS: usize = 2_000;

/// The most reports that are read for one page.
const MOST_REPORTS: usize = 200;

/// How many members are read at once.
const MEMBERS_AT_ONCE: usize = 100;

/// How many reports are read at the same time, and so how many are in memory.
const REPORTS_AT_ONCE: usize = 8;

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The most rows, from 1 to [`MOST_ROWS`].
    pub limit: usize,
    /// Where to go on; `None` at the beginning.
    pub from: Option<Cursor>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: DEFAULT_ROWS, from: None }
    }
}

/// Reads the results of one organisation, by what is in force when it was made: configuration, VEX documents, and tables.
pub struct Results {
    records: Records,
    org: OrgName,
    in_force: InForce,
    now: Timestamp,
}

impl Results {
    /// Reads the results of `org` as of `now`. [`ReadError::Organisation`] when it has no configuration.
    pub async fn of(records: Records, org: OrgName, now: Timestamp) -> Result<Self, ReadError> {
        let in_force = records.in_force(&org, None).await?;
        let in_force = in_force.ok_or_else(|| ReadError::Organisation(org.clone()))?;
        Ok(Self { records, org, in_force, now })
    }

    /// Refuses a stream that is none of the organisation's.
    async fn check_stream(&self, stream: &StreamName) -> Result<(), ReadError> {
        let known = self.records.streams(&self.org, &self.in_force.applied.config).await?.names;
        if known.contains(stream) {
            return Ok(());
        }
        Err(ReadError::Stream { stream: stream.clone(), known })
    }
}
