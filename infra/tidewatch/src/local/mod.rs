//! Local mode: the same functions as deployed, in one process, on an embedded DynamoDB, a queue in a file and a folder
//! of objects. Killed at any time, it goes on where it was.

mod builds;
mod http;
mod instance;
mod workers;

pub(crate) use builds::BuildFolder;
pub(crate) use http::{Functions, serve};
pub(crate) use instance::{Instance, OwnedInstance};
pub(crate) use workers::{Settings, Workers};
