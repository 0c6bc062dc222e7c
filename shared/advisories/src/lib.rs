//! OSV advisories: records, version ordering, the compiled index, matching and severity.
//!
//! [`build()`] compiles a folder of OSV archives into one read-only [`Index`] for each [`Family`] of ecosystems;
//! [`match_packages`] finds the vulnerabilities of installed packages in them. [`Reading`] reads a single archive, to be
//! compiled when the scores of the others are known. Everything is synchronous. A new
//! ecosystem is one file in `ecosystem/` and its line in [`FAMILIES`], and an order in `order/` where none fits.

pub mod archive;
pub mod build;
mod draft;
pub mod ecosystem;
pub mod evaluate;
pub mod index;
pub mod kev;
pub mod keys;
pub mod matching;
pub mod nvd;
pub mod order;
pub mod query;
pub mod reading;
pub mod record;
pub mod severity;
mod source;
mod statement;
pub mod subject;
pub mod updateinfo;

pub use build::{Build, BuildError, BuildOptions, BuiltFamily, Progress, build};
pub use ecosystem::{FAMILIES, Family, Names, canonical, families_for};
pub use index::{
    Advisory, FORMAT, Index, IndexError, IndexInfo, IndexSet, Statement, Statements, changed_packages,
};
pub use keys::{changed_keys, family_key, keys_of, package_key};
pub use matching::{Coverage, Lookup, Matches, Memo, Memos, look_up, match_packages};
pub use query::{Answer, Question};
pub use reading::{ArchiveError, ReadOptions, Reading};
pub use severity::{ScoreTable, ScoreTableError};
pub use subject::{Subject, Subjects, subjects, subjects_of};
