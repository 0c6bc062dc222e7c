//! Which of the visible files count: a package of a language does not count beside the package of the distribution that
//! put it there, and a lock file only where nothing of what it asks for is installed.

use std::collections::{BTreeSet, HashMap};

use tidewatch_core::package::{Location, Package, PackageType};
use tidewatch_core::problem::Problem;

use super::view::{ImageView, VisibleFile};
use crate::limits::IMAGE_PACKAGES;
use crate::path_set::PathHash;
use crate::paths::split;
use crate::readers::{Evidence, reader_with_id};

/// The visible files, each with what it counts for.
pub(super) struct Counted<'a> {
    files: Vec<(&'a str, VisibleFile<'a>, Standing)>,
    /// What packages of the distribution have put in place, each with how far below the top the topmost list is that
    /// names it.
    owned: HashMap<PathHash, usize>,
}

/// What a file counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its packages count.
    Counts,
    /// A package of the distribution has put it there, and counts for it.
    Owned,
    /// What it asks for is installed, or something else is instead.
    Superseded,
}

impl<'a> Counted<'a> {
    pub(super) fn of(view: &ImageView<'a>) -> Self {
        let mut owned = HashMap::new();
        for (_, file) in view.files() {
            for hash in file.content.owned.hashes() {
                let topmost = owned.entry(hash).or_insert(file.depth);
                *topmost = file.depth.min(*topmost);
            }
        }
        let mut counted = Self { files: Vec::new(), owned };
        let standing = |path: &str, file: VisibleFile<'_>| match evidence_of(file) {
            Evidence::Installed if counted.owns(path, file.depth) => Standing::Owned,
            Evidence::LockFile(_) if counted.owns(path, file.depth) => Standing::Superseded,
            _ => Standing::Counts,
        };
        let mut files: Vec<_> = view.files().map(|(path, file)| (path, file, standing(path, file))).collect();
        let installed = Installed::of(&files);
        for (path, file, standing) in &mut files {
            if let Evidence::LockFile(package_type) = evidence_of(*file)
                && installed.supersedes(path, package_type)
            {
                *standing = Standing::Superseded;
            }
        }
        counted.files = files;
        counted
    }

    /// Whether a package of the distribution has put there what is at `path`, in the layer that is `depth` below the top:
    /// what comes later than the package that lists it is somebody else's.
    pub(super) fn owns(&self, path: &str, depth: usize) -> bool {
        self.owned.get(&PathHash::of(path)).is_some_and(|topmost| *topmost <= depth)
    }

    /// Every mention of a package in files that have this standing, up to the limit of an image.
    pub(super) fn packages(&self, standing: Standing) -> impl Iterator<Item = (Location, &'a Package)> + '_ {
        self.mentions(standing)
            .take(IMAGE_PACKAGES)
            .map(|(path, file, package)| (Location { layer: file.layer, path: path.to_owned() }, package))
    }

    fn mentions(
        &self,
        standing: Standing,
    ) -> impl Iterator<Item = (&'a str, VisibleFile<'a>, &'a Package)> + '_ {
        self.files.iter().filter(move |(_, _, of)| *of == standing).flat_map(|(path, file, _)| {
            file.content.packages.iter().map(move |package| (*path, *file, package))
        })
    }

    /// That there are more packages than the limit.
    pub(super) fn package_problem(&self) -> Option<Problem> {
        let over = |standing| self.mentions(standing).nth(IMAGE_PACKAGES);
        let (path, _, package) = over(Standing::Counts).or_else(|| over(Standing::Owned))?;
        let reason = format!(
            "left out {} and what comes after it: the image has more than {IMAGE_PACKAGES} packages",
            package.name
        );
        Some(Problem::new(path, reason))
    }

    /// Problems of the files that count.
    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> + '_ {
        let counting = self.files.iter().filter(|(_, _, standing)| *standing == Standing::Counts);
        counting.flat_map(|(path, file, _)| {
            file.content.problems.iter().map(move |reason| Problem::new(*path, reason))
        })
    }
}

/// What a file proves. A file that is read by its first bytes is a program that is there.
fn evidence_of(file: VisibleFile<'_>) -> Evidence {
    reader_with_id(&file.content.reader).map_or(Evidence::Installed, |reader| reader.evidence)
}

/// What is installed, as far as lock files have to know.
#[derive(Default)]
struct Installed<'a> {
    /// Types of which anything is installed, other than by the distribution.
    types: BTreeSet<PackageType>,
    /// Directories with an installed tree of a type that is installed for each project: `app/node_modules`'s is `app`.
    projects: BTreeSet<(PackageType, &'a str)>,
}

impl<'a> Installed<'a> {
    fn of(files: &[(&'a str, VisibleFile<'a>, Standing)]) -> Self {
        let mut installed = Self::default();
        let counting = files.iter().filter(|(_, file, standing)| {
            *standing == Standing::Counts && evidence_of(*file) == Evidence::Installed
        });
        for (path, file, _) in counting {
            for package in &file.content.packages {
                installed.types.insert(package.package_type);
                if let Some(project) = tree_of(package.package_type).and_then(|tree| project(path, tree)) {
                    installed.projects.insert((package.package_type, project));
                }
            }
        }
        installed
    }

    /// Whether a lock file at `path`, for packages of this type, says nothing beside what is installed.
    fn supersedes(&self, path: &str, package_type: PackageType) -> bool {
        let directory = split(path).0;
        if tree_of(package_type).is_none() || directory.is_empty() {
            return self.has(package_type, "");
        }
        self.projects.contains(&(package_type, directory)) || self.has(package_type, &format!("{directory}/"))
    }

    /// Whether anything of this type is installed: for a project whose directory begins with `start`, where it is
    /// installed for each project.
    fn has(&self, package_type: PackageType, start: &str) -> bool {
        if tree_of(package_type).is_none() {
            return self.types.contains(&package_type);
        }
        let first = self.projects.range((package_type, start)..).next();
        first.is_some_and(|(of, project)| *of == package_type && project.starts_with(start))
    }
}

/// The directory into which a type of packages is installed for each project; `None` for types that are installed for a
/// whole machine.
const fn tree_of(package_type: PackageType) -> Option<&'static str> {
    match package_type {
        PackageType::Npm => Some("node_modules"),
        PackageType::Composer => Some("vendor"),
        _ => None,
    }
}

/// The directory that has `tree` on the way to `path`; the outermost such.
fn project<'a>(path: &'a str, tree: &str) -> Option<&'a str> {
    if path.strip_prefix(tree).is_some_and(|rest| rest.starts_with('/')) {
        return Some("");
    }
    let position = path.match_indices(tree).map(|(position, _)| position).find(|position| {
        let before = path.get(..*position).unwrap_or_default();
        let after = path.get(position + tree.len()..).unwrap_or_default();
        before.ends_with('/') && after.starts_with('/')
    })?;
    path.get(..position)?.strip_suffix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_the_directory_of_the_outermost_tree() {
        for (path, found) in [
            ("app/node_modules/a/node_modules/b/package.json", Some("app")),
            ("node_modules/a/package.json", Some("")),
            ("app/my_node_modules/a/package.json", None),
            ("app/package.json", None),
        ] {
            assert_eq!(project(path, "node_modules"), found, "{path}");
        }
    }
}
