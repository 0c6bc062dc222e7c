//! From an inventory to a recorded result: matched against the advisories, judged by the policies, stored, and put into
//! the slots of every repository that holds the image.
//!
//! What a scan has just read and what was read before go the same way, so that both give the same result.

mod advisories;
mod assess;
mod error;
mod index;
mod news;
mod record;
pub mod text;

pub use advisories::AdvisoryIndexes;
pub use assess::{Against, Assessment, Subject, assess};
pub use error::AssessmentError;
pub use index::{index_record, store_index};
pub use record::{record, record_failed, record_members};
