//! What findings depend on, as keys: those of an image, and those that a change of an index is about. An image has to be
//! matched again when it has one of the latter.
//!
//! A key is a hash of 64 bits. That two things share one only makes images be matched again for nothing.

use std::collections::BTreeSet;

use tidewatch_core::Digest;
use tidewatch_core::package::{Distribution, Package};

use crate::ecosystem::{Family, families_for};
use crate::index::{Index, IndexError, changed_packages};
use crate::subject::subjects;

/// The key of a package, by its canonical ecosystem and normal name, which are those of the index. With an empty name, of
/// whether there are advisories for that ecosystem at all.
pub fn package_key(ecosystem: &str, name: &str) -> u64 {
    let length = ecosystem.len().to_string();
    Digest::of([&length, ecosystem, name].join("/").as_bytes()).spread()
}

/// The key of a family: of whether there is an index of it.
pub fn family_key(family: &str) -> u64 {
    Digest::of(["family", family].join("/").as_bytes()).spread()
}

/// The keys of an image of this `distribution` with these `packages`.
pub fn keys_of(distribution: Option<&Distribution>, packages: &[Package]) -> BTreeSet<u64> {
    let mut keys = BTreeSet::new();
    // Those of the distribution count where there is no package.
    for family in families_for(distribution, packages).into_iter().chain(families_for(distribution, &[])) {
        keys.insert(family_key(family));
        let scope = Family::of_id(family).and_then(|family| (family.scope)(distribution));
        keys.extend(scope.map(|ecosystem| package_key(&ecosystem, "")));
    }
    for subjects in packages.iter().filter_map(|package| subjects(distribution, package)) {
        keys.insert(package_key(&subjects.ecosystem, ""));
        keys.extend(subjects.keys.iter().map(|subject| package_key(&subject.ecosystem, &subject.name)));
    }
    keys
}

/// The keys that the change from `old` to `new` is about, two indexes of one family; sorted. Where there was none, all
/// that need the family.
pub fn changed_keys(family: &str, old: Option<&Index>, new: &Index) -> Result<Vec<u64>, IndexError> {
    let Some(old) = old else { return Ok(vec![family_key(family)]) };
    let changed = changed_packages(old, new)?;
    let keys: BTreeSet<u64> = changed.iter().map(|(ecosystem, name)| package_key(ecosystem, name)).collect();
    Ok(keys.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use tidewatch_core::basis::MATCHING;

    use super::*;
    use crate::ecosystem::FAMILIES;

    /// What is stored was looked up by the families of then.
    #[test]
    fn another_family_for_packages_of_images_is_another_number() {
        let families = FAMILIES.iter().filter_map(|family| {
            Some(format!("{} {} {:?}", family.id, family.package_type?.as_str(), family.names))
        });
        let families = Digest::of(families.collect::<Vec<_>>().join("\n").as_bytes()).hex();
        assert_eq!(
            (MATCHING, &families[..8]),
            (1, "7406e27a"),
            "raise MATCHING, and note the families of the new number here"
        );
    }

    #[test]
    fn keys_tell_packages_ecosystems_and_families_apart() {
        let keys = [
            package_key("Debian:12", "openssl"),
            package_key("Debian:1", "2openssl"),
            package_key("Debian:12", ""),
            package_key("", "Debian:12"),
            package_key("6/family", "debian"),
            family_key("debian"),
        ];
        assert_eq!(BTreeSet::from(keys).len(), keys.len());
    }
}
