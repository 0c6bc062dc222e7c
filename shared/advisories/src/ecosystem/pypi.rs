//! PyPI, the packages of Python: PYSEC records and GitHub's.

use std::borrow::Cow;

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};
use crate::order::pypi;

pub(super) static FAMILY: Family = Family {
    id: "pypi",
    ecosystem: "PyPI",
    package_type: Some(PackageType::Pypi),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    name: normal,
    compare: pypi::compare,
    ..LANGUAGE
};

/// Names have no case, and runs of `-`, `_` and `.` are one `-`:
/// <https://packaging.python.org/en/latest/specifications/name-normalization/>
fn normal(name: &str) -> Cow<'_, str> {
    let is_separator = |c: char| matches!(c, '-' | '_' | '.');
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        if !is_separator(c) {
            normal.extend(c.to_lowercase());
        } else if !normal.ends_with('-') {
            normal.push('-');
        }
    }
    Cow::Owned(normal)
}
