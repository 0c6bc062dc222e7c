//! An environment in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::environment::{EnvironmentEntry, ImageReference};
use crate::names::StreamName;

/// A stream of images that run somewhere.
///
/// One with `images` belongs to this file: `tidewatch env` does not change it. One without is only named here, so that it
/// has series from the first scrape on, and belongs to the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Environment")]
pub struct EnvironmentConfig {
    /// The label `streamName` of its metrics; not `latest-indexed`.
    pub id: StreamName,
    /// The images in it. A tag is pinned to what it points to when it comes into the file. Several images of one
    /// repository stand beside each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<ImageReference>>,
    /// Whether its series are served before those of other environments when there are more than fit.
    #[serde(default)]
    pub pinned: bool,
}

impl EnvironmentConfig {
    /// The entries that the file wants, put there at `now`; `None` for an environment that belongs to the command.
    pub fn entries(&self, now: Timestamp) -> Option<Vec<EnvironmentEntry>> {
        let images = self.images.as_ref()?;
        let of_repository = |wanted: &ImageReference| {
            let same = |image: &&ImageReference| {
                (&image.registry, &image.repository) == (&wanted.registry, &wanted.repository)
            };
            images.iter().filter(same).count()
        };
        let entry = |image: &ImageReference| EnvironmentEntry {
            kept: of_repository(image) > 1,
            ..EnvironmentEntry::new(image.clone(), now)
        };
        Some(images.iter().map(entry).collect())
    }
}
