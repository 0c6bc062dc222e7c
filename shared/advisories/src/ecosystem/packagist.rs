//! Packagist, the packages of PHP, also those of Drupal's own repository: GitHub's and Drupal's records. Names have no case:
//! <https://getcomposer.org/doc/04-schema.md#name>

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};
use crate::order::packagist;

pub(super) static FAMILY: Family = Family {
    id: "packagist",
    ecosystem: "Packagist",
    package_type: Some(PackageType::Composer),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    name: |name| name.to_lowercase().into(),
    compare: packagist::compare,
    ..LANGUAGE
};
