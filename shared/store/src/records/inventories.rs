//! What was read of images: an object for each inventory, by content hash, which images with the same packages share.
//!
//! Matching everything again reads all of them, so the form is one that is small and quick to read: postcard
//! (<https://postcard.jamesmunns.com/wire-format>), with each text and each layer once.

use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::names::OrgName;
use tidewatch_core::package::{Distribution, Location, Package, PackageType, SourcePackage};
use tidewatch_core::problem::Problem;
use tidewatch_core::result::Inventory;

use super::{RecordError, Records, corrupt, keys};

/// The version of this form.
const VERSION: u32 = 1;

/// The number of a text, or of a layer, in its list.
type Number = u32;

#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    version: u32,
    #[serde(borrow)]
    texts: Vec<&'a str>,
    layers: Vec<[u8; 32]>,
    /// `ID`, `VERSION_ID` and `PRETTY_NAME`.
    distribution: Option<(Number, Option<Number>, Number)>,
    packages: Vec<PackedPackage>,
    /// Subject and reason.
    problems: Vec<(Number, Number)>,
}

#[derive(Serialize, Deserialize)]
struct PackedPackage {
    package_type: Number,
    name: Number,
    version: Number,
    architecture: Option<Number>,
    source: Option<(Number, Number)>,
    license: Option<Number>,
    sha1: Option<Number>,
    /// Layer and path.
    locations: Vec<(Number, Number)>,
    reader: Number,
}

impl Records {
    /// Stores an inventory, unless it is the one with the content hash `known`, and gives its content hash.
    pub async fn put_inventory(
        &self,
        org: &OrgName,
        inventory: &Inventory,
        known: Option<Digest>,
    ) -> Result<Digest, RecordError> {
        let content = pack(inventory).map_err(|error| corrupt("inventory".to_owned(), error))?;
        let hash = Digest::of(&content);
        if known != Some(hash) {
            self.put_content(&keys::object::inventory(org, &hash), Bytes::from(content)).await?;
        }
        Ok(hash)
    }

    /// The inventory with this content hash.
    pub async fn inventory(&self, org: &OrgName, hash: &Digest) -> Result<Option<Inventory>, RecordError> {
        let key = keys::object::inventory(org, hash);
        let unpack = |bytes: Bytes| unpack(&bytes).map_err(|reason| corrupt(key.clone(), reason));
        self.objects.get(&key).await?.map(unpack).transpose()
    }
}

/// The texts and layers of one inventory, each with its number.
#[derive(Default)]
struct Lists<'a> {
    texts: Vec<&'a str>,
    numbers: HashMap<&'a str, Number>,
    layers: Vec<[u8; 32]>,
    layer_numbers: HashMap<Digest, Number>,
}

impl<'a> Lists<'a> {
    fn text(&mut self, text: &'a str) -> Number {
        *self.numbers.entry(text).or_insert_with(|| {
            self.texts.push(text);
            number(self.texts.len() - 1)
        })
    }

    fn layer(&mut self, layer: &Digest) -> Number {
        *self.layer_numbers.entry(*layer).or_insert_with(|| {
            self.layers.push(layer.to_bytes());
            number(self.layers.len() - 1)
        })
    }
}

/// There are never so many: an image is limited in its packages.
fn number(index: usize) -> Number {
    Number::try_from(index).unwrap_or(Number::MAX)
}

fn pack(inventory: &Inventory) -> Result<Vec<u8>, postcard::Error> {
    let mut lists = Lists::default();
    let Inventory { distribution, packages, problems } = inventory;
    let distribution = distribution.as_ref().map(|distribution| {
        let version_id = distribution.version_id.as_deref().map(|version| lists.text(version));
        (lists.text(&distribution.id), version_id, lists.text(&distribution.pretty_name))
    });
    let packages = packages.iter().map(|package| pack_package(package, &mut lists)).collect();
    let problems =
        problems.iter().map(|problem| (lists.text(&problem.subject), lists.text(&problem.reason))).collect();
    let Lists { texts, layers, .. } = lists;
    postcard::to_allocvec(&Packed { version: VERSION, texts, layers, distribution, packages, problems })
}

fn pack_package<'a>(package: &'a Package, lists: &mut Lists<'a>) -> PackedPackage {
    let Package { package_type, name, version, architecture, source, license, sha1, locations, reader } =
        package;
    PackedPackage {
        package_type: lists.text(package_type.as_str()),
        name: lists.text(name),
        version: lists.text(version),
        architecture: architecture.as_deref().map(|text| lists.text(text)),
        source: source.as_ref().map(|source| (lists.text(&source.name), lists.text(&source.version))),
        license: license.as_deref().map(|text| lists.text(text)),
        sha1: sha1.as_deref().map(|text| lists.text(text)),
        locations: locations.iter().map(|at| (lists.layer(&at.layer), lists.text(&at.path))).collect(),
        reader: lists.text(reader),
    }
}

fn unpack(bytes: &[u8]) -> Result<Inventory, String> {
    // The number alone first: what follows it may have another form.
    let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|error| error.to_string())?;
    if version != VERSION {
        return Err(format!("version {version} is not one this version reads"));
    }
    let packed: Packed<'_> = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
    packed.inventory().ok_or_else(|| "it names a text or a layer that it does not have".to_owned())
}

impl Packed<'_> {
    fn inventory(&self) -> Option<Inventory> {
        let distribution = match &self.distribution {
            None => None,
            Some((id, version_id, pretty_name)) => Some(Distribution {
                id: self.text(*id)?,
                version_id: self.optional(*version_id)?,
                pretty_name: self.text(*pretty_name)?,
            }),
        };
        let packages = self.packages.iter().map(|package| self.package(package)).collect::<Option<_>>()?;
        let problem = |(subject, reason): &(Number, Number)| {
            Some(Problem { subject: self.text(*subject)?, reason: self.text(*reason)? })
        };
        let problems = self.problems.iter().map(problem).collect::<Option<_>>()?;
        Some(Inventory { distribution, packages, problems })
    }

    fn package(&self, packed: &PackedPackage) -> Option<Package> {
        let type_name = self.texts.get(packed.package_type as usize)?;
        let source = match packed.source {
            None => None,
            Some((name, version)) => {
                Some(SourcePackage { name: self.text(name)?, version: self.text(version)? })
            }
        };
        let location = |(layer, path): &(Number, Number)| {
            let layer = Digest::from_bytes(*self.layers.get(*layer as usize)?);
            Some(Location { layer, path: self.text(*path)? })
        };
        Some(Package {
            package_type: PackageType::ALL.into_iter().find(|known| known.as_str() == *type_name)?,
            name: self.text(packed.name)?,
            version: self.text(packed.version)?,
            architecture: self.optional(packed.architecture)?,
            source,
            license: self.optional(packed.license)?,
            sha1: self.optional(packed.sha1)?,
            locations: packed.locations.iter().map(location).collect::<Option<_>>()?,
            reader: self.text(packed.reader)?,
        })
    }

    fn text(&self, number: Number) -> Option<String> {
        self.texts.get(number as usize).map(|text| (*text).to_owned())
    }

    /// `None` for a number without a text, `Some(None)` where there is no number.
    #[allow(clippy::option_option, reason = "`?` takes the outer one, as in everything around it")]
    fn optional(&self, number: Option<Number>) -> Option<Option<String>> {
        match number {
            None => Some(None),
            Some(number) => self.text(number).map(Some),
        }
    }
}
