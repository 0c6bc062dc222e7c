//! Why an inventory could not become a result, and whether that is the image's fault.

use tidewatch_advisories::IndexError;
use tidewatch_core::{Digest, Retry, Retryable};
use tidewatch_store::records::RecordError;

/// An image could not be matched and judged, or its result not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum AssessmentError {
    /// The advisories could not be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An index that is in force is not there, or is not what its hash says.
    #[error("failed to use the advisory index {family} {hash}: {reason}")]
    IndexObject {
        /// The family.
        family: &'static str,
        /// Its content hash.
        hash: Digest,
        /// What is wrong.
        reason: &'static str,
    },
    /// The temporary folder for advisory indexes could not be used.
    #[error("failed to keep an advisory index in the temporary folder")]
    IndexFolder(#[source] std::io::Error),
    /// The thread that matched the image ended before its work.
    #[error("failed to finish assessing an image on a worker thread")]
    Thread,
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Retryable for AssessmentError {
    fn retry(&self) -> Retry {
        match self {
            Self::Index(error) => error.retry(),
            Self::Record(error) => error.retry(),
            Self::IndexObject { .. } | Self::IndexFolder(_) | Self::Thread => Retry::Again,
        }
    }
}

impl AssessmentError {
    /// Whether it says something about the image, not about our own stores. A record that cannot be read or written is
    /// no better the next time, and a thread that ended may have met something in the image that it cannot take.
    pub fn is_of_the_image(&self) -> bool {
        match self {
            Self::Record(error) => error.retry() == Retry::Never,
            Self::Thread => true,
            Self::Index(_) | Self::IndexObject { .. } | Self::IndexFolder(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewatch_core::ports::table::TableError;

    use super::*;

    #[test]
    fn a_table_that_cannot_be_reached_is_not_the_images_fault_and_an_item_that_no_table_takes_is() {
        let out = TableError::Unavailable { source: "no answer".into() };
        assert!(!AssessmentError::from(RecordError::from(out)).is_of_the_image());
        let over = TableError::Invalid { reason: "an item of 500000 bytes, over 409600".to_owned() };
        let over = AssessmentError::from(RecordError::from(over));
        assert_eq!((over.is_of_the_image(), over.retry()), (true, Retry::Never), "it gives up at once");
    }
}
