//! The shapes of answers, as JSON: what the command prints and the HTTP routes send. Fields are added; what is there keeps
//! its meaning. What is not known is null, never zero.

mod explanation;
mod image;
mod page;

pub use explanation::{Explanation, Published, Row};
pub use image::{
    Base, FindingRow, ImageDetail, Images, Membership, PlaceRow, PolicyAnswer, SuppressedFinding,
};
pub use page::{
    AffectedImage, AffectedPackage, ImageName, ImagePage, ImageRow, PolicyImage, PolicyNumbers, PolicyPage,
    StreamRow, Streams, UnknownImage, VulnerabilityPage,
};
