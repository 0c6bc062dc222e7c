//! Merges the inventories of an image's layers into one: what is visible counts, each package once.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/main/layer.md#applying-changesets>.

mod count;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use tidewatch_core::package::{Distribution, Location, Package, PackageType};
use tidewatch_core::problem::Problem;

use crate::inventory::{ImageInventory, LayerInventory};
#[cfg(doc)]
use crate::limits::IMAGE_PACKAGES;
use crate::paths::Resolution;
use crate::pattern::Place;
use crate::readers::{Evidence, READERS, Reader, reader_for};
use count::{Counted, Standing};
use view::{ImageView, Seen};

/// Where Debian's packages keep their licences, each in a directory of its name.
const COPYRIGHT: (&str, &str) = ("usr/share/doc", "copyright");

/// The reader of the files that name the distribution.
const OS_RELEASE: &str = "os-release";

/// The inventory of the image whose layers are `layers`, the base first. It has at most [`IMAGE_PACKAGES`] packages; that
/// there are more is one of its problems.
pub fn merge<'a>(layers: impl IntoIterator<Item = &'a LayerInventory>) -> ImageInventory {
    let layers: Vec<&LayerInventory> = layers.into_iter().collect();
    let view = ImageView::mount(layers.iter().copied());
    let mut problems: BTreeSet<Problem> =
        layers.iter().flat_map(|layer| layer.problems.iter().cloned()).collect();
    let counted = Counted::of(&view);
    // Before other links may have spent the budget.
    let distribution = distribution(&view).cloned();
    let mut packages = distinct(counted.packages(Standing::Counts));
    license_of_debian(&view, &mut packages);
    problems.extend(counted.problems());
    problems.extend(link_problems(&view, &counted, distribution.is_some()));
    problems.extend(counted.package_problem());
    let owned = distinct(counted.packages(Standing::Owned));
    let vex = view.files().flat_map(|(_, file)| file.content.vex.iter().cloned()).collect();
    ImageInventory { distribution, packages, owned, vex, problems: problems.into_iter().collect() }
}

/// The distribution that the first readable file names.
fn distribution<'a>(view: &ImageView<'a>) -> Option<&'a Distribution> {
    let places = READERS.iter().flat_map(|reader| reader.paths).filter_map(|path| path.place());
    places
        .filter_map(|place| match place {
            Place::File(path) => view.open(path),
            Place::Directory(_) => None,
        })
        .find_map(|file| file.content.distribution.as_ref())
}

/// What makes a package the same as another.
type Identity<'a> = (PackageType, &'a str, &'a str, Option<&'a str>, Option<(&'a str, &'a str)>);

fn identity(package: &Package) -> Identity<'_> {
    (
        package.package_type,
        &package.name,
        &package.version,
        package.architecture.as_deref(),
        package.source.as_ref().map(|source| (source.name.as_str(), source.version.as_str())),
    )
}

/// Every package once, with all its locations: what the first of its files says of it, and what the others add.
fn distinct<'a>(found: impl Iterator<Item = (Location, &'a Package)>) -> Vec<Package> {
    let mut packages: BTreeMap<Identity<'a>, (&'a Package, BTreeSet<Location>)> = BTreeMap::new();
    let mut added: BTreeMap<Identity<'a>, (Option<&'a String>, Option<&'a String>)> = BTreeMap::new();
    for (location, package) in found {
        let key = identity(package);
        packages.entry(key).or_insert_with(|| (package, BTreeSet::new())).1.insert(location);
        let (license, sha1) = added.entry(key).or_default();
        *license = license.or(package.license.as_ref());
        *sha1 = sha1.or(package.sha1.as_ref());
    }
    packages
        .into_iter()
        .map(|(key, (package, locations))| {
            let (license, sha1) = added.get(&key).copied().unwrap_or_default();
            Package {
                license: license.cloned(),
                sha1: sha1.cloned(),
                locations: locations.into_iter().collect(),
                ..package.clone()
            }
        })
        .collect()
}

/// The licences of Debian's packages stand in files of their own.
fn license_of_debian(view: &ImageView<'_>, packages: &mut [Package]) {
    let (directory, name) = COPYRIGHT;
    for package in packages.iter_mut().filter(|package| package.package_type == PackageType::Deb) {
        let file = view.open(&format!("{directory}/{}/{name}", package.name));
        package.license = file.and_then(|file| file.content.license.clone());
    }
}

/// Links that lead to places whose content was not read. What they hold is unknown, which is not nothing; but of the many
/// files that may name the distribution one is enough.
fn link_problems(view: &ImageView<'_>, counted: &Counted<'_>, is_named: bool) -> Vec<Problem> {
    let matters = |reader: &Reader| !(is_named && reader.id == OS_RELEASE);
    let places = READERS.iter().filter(|reader| matters(reader)).flat_map(|reader| {
        reader.paths.iter().filter_map(move |path| match path.place()? {
            Place::File(path) => Some((path, reader, false)),
            Place::Directory(path) => Some((path, reader, true)),
        })
    });
    let links = view.links().filter_map(|(path, depth)| {
        let reader = reader_for(path).filter(|reader| matters(reader))?;
        let counts = match reader.evidence {
            Evidence::Distribution => true,
            Evidence::Installed => !counted.owns(path, depth),
            Evidence::LockFile(_) | Evidence::About => false,
        };
        counts.then_some((path, reader, false))
    });
    places
        .chain(links)
        .filter_map(|(path, reader, is_directory)| {
            let reason = match view.resolve(path) {
                Resolution::Path(real) if real == path => return None,
                Resolution::Path(real) if is_directory => directory_problem(view, reader, &real)?,
                Resolution::Path(real) => file_problem(view, reader, &real)?,
                Resolution::TooFar => "leads through more links than are followed".to_owned(),
                Resolution::Missing | Resolution::Loop => return None,
            };
            Some(Problem::new(path, reason))
        })
        .collect()
}

/// Why what a link to the file `real` leads to was not read by `reader`.
fn file_problem(view: &ImageView<'_>, reader: &Reader, real: &str) -> Option<String> {
    match view.look_up(real) {
        Seen::File(file) if file.content.reader == reader.id => None,
        Seen::File(file) => Some(format!("leads to {real}, which is read as {}", file.content.reader)),
        Seen::Other => Some(format!("leads to {real}, which is not read")),
        Seen::Directory | Seen::Link | Seen::Nothing => None,
    }
}

/// Why what a link to the directory `real` leads to was not read by `reader`.
fn directory_problem(view: &ImageView<'_>, reader: &Reader, real: &str) -> Option<String> {
    let is_read = reader
        .paths
        .iter()
        .any(|path| matches!(path.place(), Some(Place::Directory(directory)) if directory == real));
    let exists = matches!(view.look_up(real), Seen::Directory);
    (exists && !is_read).then(|| format!("leads to {real}, whose files are not read"))
}

#[cfg(test)]
mod tests {
    use tidewatch_core::Digest;

    use super::*;
    use crate::inventory::READER_VERSION;
    use crate::path_set::{PathHash, PathSet};

    #[test]
    fn links_that_lead_further_than_an_image_may_ask_for_are_a_problem() {
        let link = "var/lib/dpkg/status.d/x";
        let set = |paths: &[&str]| paths.iter().map(|path| PathHash::of(path)).collect();
        let layer = LayerInventory {
            reader_version: READER_VERSION,
            layer: Digest::of(b""),
            files: BTreeMap::new(),
            links: [(link.to_owned(), "../status.d/".repeat(300))].into(),
            leaves: set(&[link]),
            directories: set(&["var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/status.d"]),
            opaque: PathSet::default(),
            whiteouts: PathSet::default(),
            problems: Vec::new(),
        };
        let view = ImageView::mount([&layer]);
        let problems = || link_problems(&view, &Counted::of(&view), false);
        assert!(problems().is_empty());
        view.limit(10_000);
        assert_eq!(problems(), [Problem::new(link, "leads through more links than are followed")]);
    }
}
