//! Why an image could not be scanned, and whether that is its own fault.

use tidewatch_assessment::AssessmentError;
use tidewatch_core::ports::queue::QueueError;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::{Retry, Retryable};
use tidewatch_inventory::LayerError;
use tidewatch_store::records::RecordError;

/// An image could not be scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The registry did not give something of it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A layer did not arrive as its digest says.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// Its manifest is not that of an image.
    #[error("failed to read manifest {digest}: {reason}")]
    Manifest {
        /// The manifest.
        digest: tidewatch_core::Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// More of a layer came than there is of it.
    #[error("failed to read layer {layer}: more than {limit} bytes came")]
    OversizedLayer {
        /// The layer.
        layer: tidewatch_core::Digest,
        /// Its size by the manifest, or the most that is read of any layer.
        limit: u64,
    },
    /// A layer takes too long.
    #[error("failed to read layer {layer} within {} s", limit.as_secs())]
    SlowLayer {
        /// The layer.
        layer: tidewatch_core::Digest,
        /// How long it may take.
        limit: std::time::Duration,
    },
    /// The function is about to be ended.
    #[error("failed to finish before the time of the function ended")]
    OutOfTime,
    /// The registry is not in the configuration any more.
    #[error("registry {0} is not in the configuration any more")]
    UnknownRegistry(tidewatch_core::names::RegistryId),
    /// It could not be matched and judged.
    #[error(transparent)]
    Assessment(#[from] AssessmentError),
    /// A worker thread ended before its work.
    #[error("failed to finish {0} on a worker thread")]
    Thread(&'static str),
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message could not be sent.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Retryable for ScanError {
    fn retry(&self) -> Retry {
        match self {
            Self::Registry(error) => error.retry(),
            Self::Layer(error) => error.retry(),
            Self::Assessment(error) => error.retry(),
            Self::Record(error) => error.retry(),
            Self::Queue(error) => error.retry(),
            Self::Manifest { .. } | Self::UnknownRegistry(_) => Retry::Never,
            Self::OversizedLayer { .. } | Self::SlowLayer { .. } | Self::OutOfTime | Self::Thread(_) => {
                Retry::Again
            }
        }
    }
}

impl ScanError {
    /// Whether it says something about the image, not about our own stores, our configuration, or a registry that
    /// cannot be reached or refuses us: only then the attempt counts. A record that cannot be read or written is no
    /// better the next time, and a thread that ended may have met something in the image that it cannot take.
    pub(crate) fn is_of_the_image(&self) -> bool {
        match self {
            Self::Registry(error) => {
                matches!(error, RegistryError::NotFound { .. } | RegistryError::Invalid { .. })
            }
            Self::Record(error) => error.retry() == Retry::Never,
            Self::Queue(error) => error.retry() == Retry::Never,
            Self::Assessment(error) => error.is_of_the_image(),
            Self::UnknownRegistry(_) | Self::OutOfTime => false,
            Self::Layer(_)
            | Self::Manifest { .. }
            | Self::OversizedLayer { .. }
            | Self::SlowLayer { .. }
            | Self::Thread(_) => true,
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
        assert!(!ScanError::from(RecordError::from(out)).is_of_the_image());
        let over = TableError::Invalid { reason: "an item of 500000 bytes, over 409600".to_owned() };
        let over = ScanError::from(RecordError::from(over));
        assert_eq!((over.is_of_the_image(), over.retry()), (true, Retry::Never), "it gives up at once");
    }
}
