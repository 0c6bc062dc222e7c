//! Local mode: the same functions as deployed, in one process, on a table and a queue in files and a folder
//! of objects. Killed at any time, it goes on where it was.

mod event_log;
mod folder;
mod http;
mod workers;

pub(crate) use folder::{OwnedInstance, exists, make_folder, open};
pub(crate) use http::{Functions, serve};
pub(crate) use workers::{Settings, Workers};
