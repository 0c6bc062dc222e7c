//! Java archives: jar, war, ear and their kin, wherever they are, with the archives inside them. What Maven put in
//! (`pom.properties`, `pom.xml`) names packages, of a shaded archive several; else the manifest, and else the file name.
//! Without a version there is no package.
//!
//! Specification: <https://docs.oracle.com/en/java/javase/21/docs/specs/jar/jar.html>.

mod file_name;
mod groups;
mod identity;
mod manifest;
mod properties;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;

use sha1::{Digest as _, Sha1};
use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::contents::Contents;
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::pom::Pom;
use crate::reading::{RandomFile, Reading, excerpt};
use crate::zip::{Allowance, Archive, Member, Window, ZipError};
use file_name::FileName;
use identity::{Evidences, Identity, Project};
use manifest::Manifest;

/// The most bytes of an archive within another that has to be inflated: it lies in the temporary folder meanwhile, as do
/// those around it.
const NESTED_BYTES: u64 = 200 << 20;

pub(super) const READER: Reader = Reader {
    id: "java-archive",
    paths: &[
        PathPattern::new("**/*.jar"),
        PathPattern::new("**/*.war"),
        PathPattern::new("**/*.ear"),
        PathPattern::new("**/*.jpi"),
        PathPattern::new("**/*.hpi"),
        PathPattern::new("**/*.lpkg"),
        PathPattern::new("**/*.par"),
        PathPattern::new("**/*.sar"),
        PathPattern::new("**/*.nar"),
        PathPattern::new("**/*.kar"),
        PathPattern::new("**/*.far"),
        PathPattern::new("**/*.rar"),
        PathPattern::new("**/*.zap"),
    ],
    evidence: Evidence::Installed,
    file_bytes: 2 << 30,
    access: Access::Random(read),
};

/// Ends of the names of archives that can be nothing else. A file with one of the other ends may be an archive of another
/// kind, which is no problem.
const SURELY_JAVA: [&str; 5] = [".jar", ".war", ".ear", ".jpi", ".hpi"];

/// Ends of the names of archives that may be in others.
const ARCHIVES: [&str; 13] =
    [".jar", ".war", ".ear", ".jpi", ".hpi", ".lpkg", ".par", ".sar", ".nar", ".kar", ".far", ".rar", ".zap"];

/// How deep archives are read inside of one another: a plugin in a war in an ear has its libraries in the fourth.
const DEPTH: usize = 5;

/// The most members of one file, with the archives inside it, that are kept in mind: manifests, project files, archives.
const MEMBERS: usize = 10_000;

/// The most bytes of a manifest that are read. Its first section, which matters most, is far shorter; those of a signed
/// archive for each of its files may be more.
const MANIFEST_BYTES: u64 = 512 << 10;

/// The most bytes of `pom.properties` and `pom.xml`.
const PROPERTIES_BYTES: u64 = 64 << 10;
const POM_BYTES: u64 = 1 << 20;

/// Bytes that are hashed at a time.
const PART_BYTES: usize = 64 << 10;

fn read(file: &RandomFile<'_>) -> Reading {
    let mut walk = Walk {
        reading: Reading::default(),
        packages: file.packages,
        found: HashMap::new(),
        allowance: Allowance::for_length(file.contents.length()),
        members: MEMBERS,
        is_full: false,
    };
    if let Err(reason) = walk.archive(Window::all(file.contents), file.path, DEPTH) {
        walk.reading.problems.add(|| reason);
    }
    walk.reading
}

/// Goes through an archive and those inside it.
struct Walk {
    reading: Reading,
    packages: usize,
    /// Where the packages are in the reading: what an archive has twice counts once.
    found: HashMap<(String, String), usize>,
    allowance: Allowance,
    members: usize,
    /// There was one package more than there may be.
    is_full: bool,
}

/// The members of an archive that matter.
#[derive(Default)]
struct Members {
    manifest: Option<Member>,
    has_classes: bool,
    /// `pom.properties` and `pom.xml`, by their directories.
    projects: Vec<(String, Option<Member>, Option<Member>)>,
    archives: Vec<(String, Member)>,
}

impl Walk {
    /// Reads the archive in `window`, and those inside it down to `depth`. An error, in words, when it cannot be read at
    /// all.
    fn archive(&mut self, window: Window<'_>, path: &str, depth: usize) -> Result<(), String> {
        let archive = match Archive::open(window) {
            Ok(archive) => archive,
            // Placeholders, and files of other kinds.
            Err(ZipError::NotZip) if window.length() == 0 || !has_end(path, &SURELY_JAVA) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let mut members = Members::default();
        let result = self.members(&archive, &mut members);
        self.identify(&archive, window, path, &members);
        for (name, member) in &members.archives {
            if !self.nested(&archive, name, member, depth) {
                break;
            }
        }
        result.map_err(|error| error.to_string())
    }

    /// Finds the members that matter.
    fn members(&mut self, archive: &Archive<'_>, members: &mut Members) -> Result<(), ZipError> {
        let mut entries = archive.entries();
        let mut projects: HashMap<String, usize> = HashMap::new();
        while let Some(entry) = entries.next(&mut self.allowance)? {
            let name = entry.name.strip_prefix(b"/").unwrap_or(entry.name);
            let Some(kind) = Kind::of(name) else { continue };
            if matches!(kind, Kind::Class) {
                members.has_classes = true;
                continue;
            }
            self.members =
                self.members.checked_sub(1).ok_or(ZipError::Allowance("archives and project files"))?;
            let name = paths::text(name);
            match kind {
                Kind::Manifest => members.manifest = members.manifest.or(Some(entry.member)),
                Kind::Archive => members.archives.push((name, entry.member)),
                Kind::Properties | Kind::Pom => {
                    let directory = paths::split(&name).0.to_owned();
                    let number = *projects.entry(directory).or_insert(members.projects.len());
                    if number == members.projects.len() {
                        members.projects.push((paths::split(&name).0.to_owned(), None, None));
                    }
                    let Some((_, properties, pom)) = members.projects.get_mut(number) else { continue };
                    let place = if matches!(kind, Kind::Properties) { properties } else { pom };
                    *place = place.or(Some(entry.member));
                }
                Kind::Class => {}
            }
        }
        // The order of the entries is that of chance.
        members.projects.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(())
    }

    /// Adds the packages that the archive itself says it is, and holds.
    fn identify(&mut self, archive: &Archive<'_>, window: Window<'_>, path: &str, members: &Members) {
        let manifest = members.manifest.and_then(|member| {
            let bytes = archive.beginning(&member, MANIFEST_BYTES, &mut self.allowance);
            self.ok("META-INF/MANIFEST.MF", bytes).map(|bytes| Manifest::read(&bytes))
        });
        let mut projects = Vec::new();
        for (directory, properties, pom) in &members.projects {
            // A project file alone may be that of an example, or a template.
            let Some(properties) = properties else { continue };
            let bytes = archive.bytes(properties, PROPERTIES_BYTES, &mut self.allowance);
            let Some(bytes) = self.ok(&paths::join(directory, "pom.properties"), bytes) else { continue };
            let pom = pom.and_then(|pom| {
                let bytes = archive.bytes(&pom, POM_BYTES, &mut self.allowance);
                self.ok(&paths::join(directory, "pom.xml"), bytes)
            });
            // It only adds to what is known: of one that is damaged counts what could be read.
            let pom = pom.map(|bytes| Pom::read(&bytes).0);
            projects.push(Project::of(properties::read(&bytes), pom.as_ref()));
        }
        let evidences =
            Evidences { file: FileName::of(path), manifest, projects, has_classes: members.has_classes };
        let (main, others) = evidences.identities();
        let sha1 = main.as_ref().and_then(|_| self.sha1(window));
        if main.is_some_and(|main| !self.add(main, sha1)) {
            return;
        }
        for other in others {
            if !self.add(other, None) {
                return;
            }
        }
    }

    /// Reads an archive inside of another; says whether to go on.
    fn nested(&mut self, archive: &Archive<'_>, name: &str, member: &Member, depth: usize) -> bool {
        if depth == 0 {
            let reason = format!("archives more than {DEPTH} deep inside of one another");
            self.reading.problems.add(|| format!("holds {reason}, which are not read: {}", excerpt(name)));
            return true;
        }
        let result = match archive.stored(member) {
            Ok(Some(window)) => self.archive(window, name, depth - 1),
            Ok(None) => self.inflated(archive, name, member, depth),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = result {
            self.reading.problems.add(|| format!("holds {}, which {reason}", excerpt(name)));
        }
        !self.allowance.is_spent() && !self.is_full
    }

    fn inflated(
        &mut self,
        archive: &Archive<'_>,
        name: &str,
        member: &Member,
        depth: usize,
    ) -> Result<(), String> {
        // The archives around it are in memory as well.
        let mut contents = Contents::with_memory(crate::contents::IN_MEMORY >> (DEPTH + 1 - depth));
        let copied = archive.copy(member, NESTED_BYTES, &mut self.allowance, |part| contents.append(part));
        copied.map_err(|error| error.to_string())?;
        self.archive(Window::all(&contents), name, depth - 1)
    }

    /// The SHA-1 of an archive.
    fn sha1(&mut self, window: Window<'_>) -> Option<String> {
        let mut hasher = Sha1::new();
        let result = self.allowance.spend_bytes(window.length()).and_then(|()| hash(window, &mut hasher));
        self.reading.problems.ok_or_add(result)?;
        Some(data_encoding::HEXLOWER.encode(&hasher.finalize()))
    }

    /// What `result` holds; an error is a problem of the member `name`.
    fn ok<T>(&mut self, name: &str, result: Result<T, ZipError>) -> Option<T> {
        let result = result.map_err(|error| format!("holds {}, which {error}", excerpt(name)));
        self.reading.problems.ok_or_add(result)
    }

    /// Adds a package; says whether there may be more.
    fn add(&mut self, identity: Identity, sha1: Option<String>) -> bool {
        let key = (identity.name(), identity.version);
        if let Some(package) = self.found.get(&key).and_then(|number| self.reading.packages.get_mut(*number))
        {
            package.sha1 = package.sha1.take().or(sha1);
            package.license = package.license.take().or(identity.license);
            return true;
        }
        let (name, version) = key.clone();
        let package = Package {
            license: identity.license,
            sha1,
            ..Package::new(PackageType::Maven, name, version, READER.id)
        };
        self.found.insert(key, self.reading.packages.len());
        self.is_full = !self.reading.add(package, self.packages);
        !self.is_full
    }
}

/// What a member is.
#[derive(Clone, Copy)]
enum Kind {
    Manifest,
    Properties,
    Pom,
    Archive,
    Class,
}

impl Kind {
    fn of(name: &[u8]) -> Option<Self> {
        if name.ends_with(b".class") {
            return Some(Self::Class);
        }
        if name == b"META-INF/MANIFEST.MF" {
            return Some(Self::Manifest);
        }
        if ARCHIVES.iter().any(|end| name.ends_with(end.as_bytes())) {
            return Some(Self::Archive);
        }
        match name.rsplit(|byte| *byte == b'/').next() {
            Some(b"pom.properties") => Some(Self::Properties),
            Some(b"pom.xml") => Some(Self::Pom),
            _ => None,
        }
    }
}

fn has_end(path: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| path.ends_with(end))
}

fn hash(window: Window<'_>, hasher: &mut Sha1) -> Result<(), ZipError> {
    let mut part = vec![0; PART_BYTES];
    let mut position = 0;
    while position < window.length() {
        let count = window.read_at(position, &mut part)?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        hasher.update(part.get(..count).unwrap_or_default());
        position += count as u64;
    }
    Ok(())
}
