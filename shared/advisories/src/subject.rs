//! Where the advisories about a package stand: the family, and the keys of its index. Matching looks there, and so does
//! whoever wants to know which packages a change of the index is about.

use std::collections::BTreeSet;

use tidewatch_core::package::{Distribution, Package};

use crate::ecosystem::{Family, Names, canonical};
use crate::index::{Index, IndexError, Statement};

/// Where the advisories about a package stand.
#[derive(Clone, Debug)]
pub struct Subjects {
    /// The family of the package.
    pub family: &'static Family,
    /// The canonical ecosystem of the package's release, `Debian:12`: where the index has nothing for it, nothing can be
    /// said about the package.
    pub ecosystem: String,
    /// Every key of the index to look at, without repetition. Of an advisory that stands under several, the first says
    /// whether the package is affected; the keys of one ecosystem count together.
    pub keys: Vec<Subject>,
}

/// A package as an index knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Ecosystem in canonical form.
    pub ecosystem: String,
    /// Name in normal form.
    pub name: String,
    /// The installed version that goes with this name, in normal form.
    pub version: String,
}

impl Subjects {
    /// Gives every statement of `index`, that of the family, that counts for the package to `each`, with the key that it
    /// stands under.
    pub fn for_each_statement<'k, E: From<IndexError>>(
        &'k self,
        index: &Index,
        mut each: impl FnMut(&'k Subject, &Statement<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut judged = Vec::new();
        // Their ids; known only where they are needed, which is seldom.
        let mut judged_ids: Option<BTreeSet<&str>> = None;
        for keys in self.keys.chunk_by(|a, b| a.ecosystem == b.ecosystem) {
            let mut here = Vec::new();
            for key in keys {
                let Some(stored) = index.statements(&key.ecosystem, &key.name)? else { continue };
                for statement in stored.read()? {
                    let statement = statement?;
                    if !judged.is_empty() {
                        let ids = match &mut judged_ids {
                            Some(ids) => ids,
                            none => none.insert(ids_of(index, &judged)?),
                        };
                        if ids.contains(index.advisory_id(statement.advisory)?) {
                            continue;
                        }
                    }
                    here.push(statement.advisory);
                    each(key, &statement)?;
                }
            }
            if !here.is_empty() {
                judged.extend(here);
                judged_ids = None;
            }
        }
        Ok(())
    }
}

fn ids_of<'i>(index: &'i Index, advisories: &[u32]) -> Result<BTreeSet<&'i str>, IndexError> {
    advisories.iter().map(|advisory| index.advisory_id(*advisory)).collect()
}

/// Where the advisories about an installed package of an image of this `distribution` stand; `None` where there are none
/// for its kind.
pub fn subjects(distribution: Option<&Distribution>, package: &Package) -> Option<Subjects> {
    let (family, ecosystem) = Family::of_packages(package.package_type, distribution)?;
    Some(Question::new(family, &ecosystem, package).subjects())
}

/// All of an installed package that the answer to "which advisories affect it?" depends on.
pub(crate) struct Question<'a> {
    pub(crate) family: &'static Family,
    ecosystem: &'a str,
    ecosystems: Vec<String>,
    /// Names with their versions.
    pairs: [(&'a str, &'a str); 2],
    names: usize,
}

impl<'a> Question<'a> {
    /// About a package of `family` in an image of `ecosystem`, the scope of the family there.
    pub(crate) fn new(family: &'static Family, ecosystem: &'a str, package: &'a Package) -> Self {
        let own = (package.name.as_str(), package.version.as_str());
        let source = (package.source_name(), package.source_version());
        let (pairs, names) = match family.names {
            Names::Binary => ([own, own], 1),
            Names::Source => ([source, source], 1),
            Names::Both => ([own, source], 2),
        };
        let ecosystems = (family.ecosystems)(ecosystem, package);
        Self { family, ecosystem, ecosystems, pairs, names }
    }

    /// Where the answer stands.
    pub(crate) fn subjects(&self) -> Subjects {
        let keys = keys(self.family, self.ecosystems.clone(), &self.pairs[..self.names]);
        Subjects { family: self.family, ecosystem: self.ecosystem.to_owned(), keys }
    }

    /// Bytes that are the same for the same question to one family, and for no other.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let pairs = self.pairs[..self.names].iter().flat_map(|(name, version)| [*name, *version]);
        let texts = self.ecosystems.iter().map(String::as_str).chain(pairs);
        let mut bytes = Vec::with_capacity(64);
        for text in texts {
            bytes.extend_from_slice(&text.len().to_le_bytes()[..4]);
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }
}

/// Where the advisories about version `version` of the package `name` stand, of any of OSV's ecosystems; `None` for one of
/// no family. `name` is the one that advisories use.
pub fn subjects_of(ecosystem: &str, name: &str, version: &str) -> Option<Subjects> {
    let (family, canonical) = canonical(ecosystem)?;
    let ecosystems = (family.asked)(ecosystem, &canonical);
    Some(Subjects { family, keys: keys(family, ecosystems, &[(name, version)]), ecosystem: canonical })
}

pub(crate) fn keys(family: &Family, mut ecosystems: Vec<String>, pairs: &[(&str, &str)]) -> Vec<Subject> {
    // What is said of no release is about all of them.
    ecosystems.push(family.ecosystem.to_owned());
    let mut keys: Vec<Subject> = Vec::with_capacity(ecosystems.len() * pairs.len());
    for ecosystem in ecosystems {
        for (name, version) in pairs {
            let key = Subject {
                ecosystem: ecosystem.clone(),
                name: (family.name)(name).into_owned(),
                version: (family.version)(version).to_owned(),
            };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys
}
