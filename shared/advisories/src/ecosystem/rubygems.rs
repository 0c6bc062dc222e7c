//! RubyGems: GitHub's records.

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};
use crate::order::rubygems;

pub(super) static FAMILY: Family = Family {
    id: "rubygems",
    ecosystem: "RubyGems",
    package_type: Some(PackageType::Gem),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    compare: rubygems::compare,
    ..LANGUAGE
};
