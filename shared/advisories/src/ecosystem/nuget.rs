//! NuGet, the packages of .NET: GitHub's records. Names have no case:
//! <https://learn.microsoft.com/nuget/reference/nuspec#id>

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};
use crate::order::nuget;

pub(super) static FAMILY: Family = Family {
    id: "nuget",
    ecosystem: "NuGet",
    package_type: Some(PackageType::Nuget),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    name: |name| name.to_lowercase().into(),
    compare: nuget::compare,
    ..LANGUAGE
};
