//! Synthetic images: of packages that the indexes know, at versions around those that fix something, so that some are
//! vulnerable. Images of one application share most of their packages, and those on one base the rest.

use tidewatch_advisories::Index;
use tidewatch_core::Digest;
use tidewatch_core::image::{ImageId, Platform};
use tidewatch_core::package::{Distribution, Location, Package, PackageType, SourcePackage};
use tidewatch_core::result::Inventory;

/// Packages of an image, of its base, and of what is between the base and the application.
const PACKAGES: usize = 300;
const OF_BASE: usize = 120;
const OF_RUNTIME: usize = 80;

/// How many bases and runtimes there are.
const BASES: u64 = 40;
const RUNTIMES: u64 = 400;

/// Builds of one application. Every second has the packages of the one before.
const BUILDS: u64 = 6;

/// The distributions of images, with their ecosystem and kind of package.
const DISTRIBUTIONS: [(&str, &str, &str, PackageType); 4] = [
    ("debian", "11", "Debian:11", PackageType::Deb),
    ("debian", "12", "Debian:12", PackageType::Deb),
    ("alpine", "3.10.9", "Alpine:v3.10", PackageType::Apk),
    ("almalinux", "9.4", "AlmaLinux:9", PackageType::Rpm),
];

/// The languages of applications.
const LANGUAGES: [(&str, PackageType); 4] = [
    ("PyPI", PackageType::Pypi),
    ("npm", PackageType::Npm),
    ("Go", PackageType::Golang),
    ("RubyGems", PackageType::Gem),
];

/// A package that advisories name, with versions of interest.
#[derive(Clone, Debug)]
struct Known {
    name: String,
    versions: Vec<String>,
}

/// What images are made of.
pub(crate) struct Fleet {
    distributions: Vec<Vec<Known>>,
    languages: Vec<Vec<Known>>,
}

impl Fleet {
    /// Images of the packages of these indexes.
    pub(crate) fn new(indexes: &[Index]) -> anyhow::Result<Self> {
        let of = |ecosystem: &str| known(indexes, ecosystem);
        let distributions = DISTRIBUTIONS.iter().map(|(_, _, ecosystem, _)| of(ecosystem));
        let languages = LANGUAGES.iter().map(|(ecosystem, _)| of(ecosystem));
        Ok(Self {
            distributions: distributions.collect::<anyhow::Result<_>>()?,
            languages: languages.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The source of a package of the runtime of some image of Debian, about which there are no advisories: one in some
    /// hundred images has it.
    pub(crate) fn rare(&self, nth: usize) -> Option<(String, String)> {
        let images = (0..10_000).map(|application| self.inventory(application * BUILDS));
        let debian = images.filter(|inventory| {
            let id = inventory.distribution.as_ref().map(|distribution| distribution.id.as_str());
            id == Some("debian")
        });
        let mut rare = debian.filter_map(|inventory| {
            let release = inventory.distribution?.version_id?;
            let mut names = inventory.packages.into_iter().filter_map(|package| package.source);
            let name = names.find(|source| source.name.starts_with("rare-"))?.name;
            Some((format!("Debian:{release}"), name))
        });
        rare.nth(nth)
    }

    /// The image with this number.
    pub(crate) fn image(number: u64) -> ImageId {
        ImageId { digest: Digest::of(&number.to_le_bytes()), platform: Platform::linux_amd64() }
    }

    /// What is in it.
    pub(crate) fn inventory(&self, number: u64) -> Inventory {
        let (application, build) = (number / BUILDS, number % BUILDS / 2);
        let base = pick(application, 1) % BASES;
        let runtime = pick(application, 2) % RUNTIMES;
        let kind = usize::try_from(base).unwrap_or(0) % DISTRIBUTIONS.len();
        let (id, version, _, package_type) = DISTRIBUTIONS[kind];
        let language = usize::try_from(runtime).unwrap_or(0) % LANGUAGES.len();
        let mut packages = Vec::with_capacity(PACKAGES);
        for place in 0..PACKAGES as u64 {
            let (layer, seed) = match place {
                place if place < OF_BASE as u64 => (1, base),
                place if place < (OF_BASE + OF_RUNTIME) as u64 => (2, runtime),
                // A build changes a few packages of its application.
                place if place.is_multiple_of(50) => (4, application * BUILDS + build),
                _ => (3, application),
            };
            let layer_digest = Digest::of(&[layer, seed].map(u64::to_le_bytes).concat());
            let of_language =
                place >= (OF_BASE + OF_RUNTIME / 2) as u64 && !self.languages[language].is_empty();
            let random = pick(seed * 1000 + place, layer + 10);
            let location = |path: &str| vec![Location { layer: layer_digest, path: path.to_owned() }];
            packages.push(if of_language {
                let known = choose(&self.languages[language], random);
                let path = format!("app/lib/{}/METADATA", known.name);
                Package {
                    locations: location(&path),
                    license: Some("MIT".to_owned()),
                    ..Package::new(LANGUAGES[language].1, &known.name, version_of(known, random), "bench")
                }
            } else {
                // About every other one there are no advisories.
                let unknown =
                    |prefix| Known { name: format!("{prefix}-{}", random % 20_000), versions: Vec::new() };
                let known = match layer {
                    _ if random.is_multiple_of(2) => choose(&self.distributions[kind], random / 2).clone(),
                    1 => unknown("base"),
                    _ => unknown("rare"),
                };
                let version = version_of(&known, random);
                let source = SourcePackage { name: known.name.clone(), version: version.to_owned() };
                Package {
                    architecture: Some("amd64".to_owned()),
                    source: Some(source),
                    license: Some("GPL-2.0-or-later".to_owned()),
                    locations: location("var/lib/dpkg/status"),
                    ..Package::new(package_type, format!("{}-{}", known.name, place % 3), version, "bench")
                }
            });
        }
        packages.sort();
        packages.dedup();
        let distribution = Distribution {
            id: id.to_owned(),
            version_id: Some(version.to_owned()),
            pretty_name: format!("{id} {version}"),
        };
        Inventory { distribution: Some(distribution), packages, problems: Vec::new() }
    }
}

/// The packages of an ecosystem, with the versions that fix something and one before all of them.
fn known(indexes: &[Index], ecosystem: &str) -> anyhow::Result<Vec<Known>> {
    let mut found = Vec::new();
    for index in indexes.iter().filter(|index| index.covers(ecosystem)) {
        for (of, name) in index.packages()?.into_iter().filter(|(of, _)| of == ecosystem) {
            let mut versions = vec!["0.1".to_owned()];
            if let Some(statements) = index.statements(&of, &name)? {
                for statement in statements.read()? {
                    versions.extend(statement?.fixed_versions().map(str::to_owned));
                }
            }
            versions.dedup();
            found.push(Known { name, versions });
        }
    }
    Ok(found)
}

fn choose(known: &[Known], random: u64) -> &Known {
    &known[usize::try_from(random % known.len() as u64).unwrap_or(0)]
}

/// A newer version more often than an older one.
fn version_of(known: &Known, random: u64) -> &str {
    if known.versions.is_empty() {
        return "1.2.3-4";
    }
    let count = known.versions.len() as u64;
    let from_the_end = (random >> 32) % count * ((random >> 48) % 4) / 4;
    &known.versions[usize::try_from(count - 1 - from_the_end).unwrap_or(0)]
}

/// A number that looks random, the same for the same arguments.
fn pick(seed: u64, salt: u64) -> u64 {
    Digest::of(&[seed, salt].map(u64::to_le_bytes).concat()).spread()
}
