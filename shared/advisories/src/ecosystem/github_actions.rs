//! GitHub Actions: GitHub's records, by `owner/repository`, which GitHub takes in any case.

use super::{Family, LANGUAGE};
use crate::order::semver;

pub(super) static FAMILY: Family = Family {
    id: "github-actions",
    ecosystem: "GitHub Actions",
    name: |name| name.to_lowercase().into(),
    compare: semver::compare,
    ..LANGUAGE
};
