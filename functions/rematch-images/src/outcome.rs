//! What became of the images of a message, for its log.

use tidewatch_core::image::ImageId;
use tidewatch_core::names::OrgName;

/// What became of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rematched {
    /// It has a new result.
    Anew,
    /// What was found is what was found before: nothing was written.
    Same,
    /// Its result rests on what is in force already.
    Current,
    /// It has no result yet: its scan is to come.
    Unscanned,
    /// It cannot be matched from what is stored, for this reason: that is left to its next scan.
    Left(String),
}

/// How many images became what.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    anew: usize,
    same: usize,
    current: usize,
    unscanned: usize,
    /// Left to the next scan, or records that could not be read.
    left: usize,
    /// The first of those, and why.
    first_left: Option<String>,
}

impl Outcome {
    pub(crate) fn note(&mut self, image: &ImageId, rematched: &Rematched) {
        match rematched {
            Rematched::Anew => self.anew += 1,
            Rematched::Same => self.same += 1,
            Rematched::Current => self.current += 1,
            Rematched::Unscanned => self.unscanned += 1,
            Rematched::Left(reason) => self.leave(format!("{image}: {reason}")),
        }
    }

    /// Notes something that could not be read.
    pub(crate) fn leave(&mut self, what: String) {
        self.left += 1;
        self.first_left.get_or_insert(what);
    }

    pub(crate) fn log(&self, org: &OrgName) {
        let Self { anew, same, current, unscanned, left, first_left } = self;
        if let Some(first) = first_left {
            tracing::warn!(
                org.name = %org, images.left = left, image.first = first,
                "images cannot be matched again before their next scan"
            );
        }
        tracing::debug!(
            org.name = %org, images.rematched = anew, images.same = same, images.current = current,
            images.unscanned = unscanned, images.left = left, "images matched again"
        );
    }
}
