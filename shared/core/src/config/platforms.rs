//! Of how many platforms of an image the numbers count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Of how many platforms of an image the gauges count the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(title = "Counted platforms")]
pub enum CountPlatforms {
    /// One of each image: linux/amd64 where it is there, else the first of `platforms` that it has.
    #[default]
    One,
    /// Each of `platforms` that it has, as an image of its own: in `latest-indexed`, the newest image of each repository on
    /// each platform. An environment counts what was put there, one platform of each image, whatever this says.
    All,
}

impl CountPlatforms {
    /// Whether it is what counts without the key.
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::One)
    }
}
