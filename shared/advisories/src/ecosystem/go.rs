//! Go: GO records and GitHub's, by module; the standard library is `stdlib`, the tools are `toolchain`. <https://go.dev/doc/security/vuln/database>

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};
use crate::order::go;

pub(super) static FAMILY: Family = Family {
    id: "go",
    ecosystem: "Go",
    package_type: Some(PackageType::Golang),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    compare: go::compare,
    ..LANGUAGE
};
