//! The function `read-results`, and the library behind it: what stands in the results of an organisation, for the command
//! and for HTTP.
//!
//! [`Results`] reads; [`documents`] are what it gives; [`Series`] is a number of the metrics whose rows can be read.
//! [`ReadResults`] answers `GET /v1/org/{org}/…` with that as JSON to holders of a token with the scope `results:read`,
//! and describes itself at `/v1/openapi.json`. Nothing here writes.

pub mod documents;
mod http;
mod results;
mod series;

pub use http::{ReadResults, openapi};
pub use results::{
    Cursor, CursorError, DEFAULT_ROWS, ImageIdentity, ImageIdentityError, ImageQuery, MOST_ROWS, PageRequest,
    PolicyQuery, ReadError, Results,
};
pub use series::{FAMILIES, PolicyPart, Quantity, Series, SeriesError};
