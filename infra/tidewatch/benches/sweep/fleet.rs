//! The synthetic registry's content, the same for the same numbers, and the advisories about it.
//!
//! A repository has 42 tags: 34 of one image for linux/amd64, and 8 of an index with images for linux/amd64 and
//! linux/arm64, so 50 images. An image has four layers: a base (one of 40), a runtime that installs more packages on it
//! (one of 400), the dependencies of the application (the same for six tags), and the application itself.

use std::collections::HashMap;

use serde_json::Value;
use tidewatch_core::image::Platform;
use tidewatch_core::{Digest, Timestamp};
use tidewatch_testkit::advisory::AdvisoryBuilder;
use tidewatch_testkit::image::{BuiltImage, ImageBuilder, IndexBuilder};
use tidewatch_testkit::layer::{Layer, LayerBuilder};

/// Tags of a repository.
pub(crate) const TAGS: usize = 42;

/// Images of a repository.
pub(crate) const IMAGES: usize = 50;

/// Every so many tags one is an index.
const INDEX_EVERY: usize = 5;

/// Tags that have the same dependencies.
const SAME_DEPENDENCIES: usize = 6;

/// How many bases and runtimes there are.
const BASES: u64 = 40;
const RUNTIMES: u64 = 400;

/// Packages of a base, of a runtime beside them, and of the dependencies of an application.
const OF_BASE: u64 = 24;
const OF_RUNTIME: u64 = 12;
const OF_DEPENDENCIES: u64 = 8;

/// How many names of packages there are in each ecosystem, of which every second has an advisory.
const NAMES: u64 = 400;

/// The ecosystems of the packages, as OSV names them, and how the ids of their advisories begin.
const ECOSYSTEMS: [(&str, &str, &str); 3] =
    [("Debian", "Debian:12", "DSA"), ("Alpine", "Alpine:v3.20", "ALPINE-CVE"), ("PyPI", "PyPI", "PYSEC")];

/// One of a hundred tags.
const MOVED_SHARE: u64 = 100;

/// Makes images; layers that several have are made once.
#[derive(Default)]
pub(crate) struct Fleet {
    shared: HashMap<(&'static str, u64, String), Layer>,
}

/// The name of a repository.
pub(crate) fn repository(number: usize) -> String {
    format!("team-{:02}/service-{number:05}", number % 100)
}

/// The name of a tag.
pub(crate) fn tag(number: usize) -> String {
    format!("1.{number}.0")
}

/// Whether a tag is one of the hundredth part that moves.
pub(crate) fn moves(repository: usize, tag: usize) -> bool {
    pick((repository * TAGS + tag) as u64, 9).is_multiple_of(MOVED_SHARE)
}

/// Whether a tag is an index of two images.
pub(crate) const fn is_index(tag: usize) -> bool {
    tag % INDEX_EVERY == INDEX_EVERY - 1
}

impl Fleet {
    /// What a tag points to, after it has moved so often.
    pub(crate) fn tagged(&mut self, repository: usize, tag: usize, moves: u64) -> anyhow::Result<BuiltImage> {
        let amd64 = self.image((repository, tag, moves), &Platform::linux_amd64())?;
        if !is_index(tag) {
            return Ok(amd64);
        }
        let arm64 = self.image((repository, tag, moves), &"linux/arm64".parse()?)?;
        Ok(IndexBuilder::new().image(&amd64).image(&arm64).build())
    }

    fn image(
        &mut self,
        (repository, tag, moves): (usize, usize, u64),
        platform: &Platform,
    ) -> anyhow::Result<BuiltImage> {
        let runtime = pick(repository as u64, 1) % RUNTIMES;
        let dependencies = (repository * TAGS + tag / SAME_DEPENDENCIES) as u64;
        let architecture = platform.architecture.clone();
        let layers = [
            self.shared("base", runtime % BASES, &architecture, base),
            self.shared("runtime", runtime, &architecture, self::runtime),
            self.shared("dependencies", dependencies, &architecture, self::dependencies),
            application((repository, tag, moves), &architecture),
        ];
        let minutes = i64::try_from(repository * TAGS + tag)? + 7 * i64::try_from(moves)?;
        let created = Timestamp::from_second(1_781_481_600 + 60 * minutes)?;
        let image = ImageBuilder::new().platform(platform).created(created).user("app");
        Ok(layers.into_iter().fold(image, ImageBuilder::layer).build())
    }

    fn shared(
        &mut self,
        kind: &'static str,
        number: u64,
        architecture: &str,
        make: fn(u64, &str) -> Layer,
    ) -> Layer {
        let key = (kind, number, architecture.to_owned());
        self.shared.entry(key).or_insert_with(|| make(number, architecture)).clone()
    }
}

/// Bases of even numbers are Debian, the others Alpine.
const fn is_debian(base: u64) -> bool {
    base.is_multiple_of(2)
}

fn base(number: u64, architecture: &str) -> Layer {
    let release = if is_debian(number) {
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n"
    } else {
        "PRETTY_NAME=\"Alpine Linux v3.20\"\nID=alpine\nVERSION_ID=3.20.1\n"
    };
    let files = LayerBuilder::new().dir("etc").file("etc/os-release", release);
    installed(files, number, architecture, &of_base(number)).build()
}

/// A package manager writes its whole database again.
fn runtime(number: u64, architecture: &str) -> Layer {
    let base = number % BASES;
    let own = (0..OF_RUNTIME).map(|place| package(number * 1_000 + place, 3));
    let packages: Vec<_> = of_base(base).into_iter().chain(own).collect();
    let files = LayerBuilder::new().file("usr/lib/runtime", format!("{number} {architecture}"));
    installed(files, base, architecture, &packages).build()
}

fn dependencies(number: u64, architecture: &str) -> Layer {
    let mut layer = LayerBuilder::new().file("app/wheels.txt", format!("{number} {architecture}"));
    for place in 0..OF_DEPENDENCIES {
        let (name, version) = package(number * 1_000 + place, 4);
        let path = format!("app/lib/python3.12/site-packages/{name}-{version}.dist-info/METADATA");
        layer = layer.file(&path, format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"));
    }
    layer.build()
}

fn application(build: (usize, usize, u64), architecture: &str) -> Layer {
    LayerBuilder::new().file("app/main.py", format!("# build {build:?} for {architecture}\n")).build()
}

fn of_base(number: u64) -> Vec<(String, String)> {
    (0..OF_BASE).map(|place| package(number * 1_000 + place, 2)).collect()
}

/// The database of the package manager with these packages.
fn installed(
    files: LayerBuilder,
    base: u64,
    architecture: &str,
    packages: &[(String, String)],
) -> LayerBuilder {
    use std::fmt::Write as _;
    let mut database = String::new();
    for (name, version) in packages {
        // Writing to memory does not fail.
        let _ = if is_debian(base) {
            write!(
                database,
                "Package: {name}\nStatus: install ok installed\nPriority: optional\nSection: libs\n\
                 Maintainer: Nobody <nobody@example.com>\nArchitecture: {architecture}\nVersion: {version}\n\
                 Description: a library that is measured with\n\n"
            )
        } else {
            write!(database, "P:{name}\nV:{version}\nA:{architecture}\nT:a library\no:{name}\nL:MIT\n\n")
        };
    }
    files.file(if is_debian(base) { "var/lib/dpkg/status" } else { "lib/apk/db/installed" }, database)
}

/// A package with its version, of which one in two is older than what its advisory calls fixed.
fn package(seed: u64, salt: u64) -> (String, String) {
    let random = pick(seed, salt);
    (name(random % NAMES), format!("1.{}.0", (random >> 32) % 10))
}

fn name(number: u64) -> String {
    format!("library-{number}")
}

/// The advisories of each ecosystem.
pub(crate) fn advisories() -> Vec<(&'static str, Vec<Value>)> {
    let advisory = |number: u64, ecosystem: &str, prefix: &str| {
        let score = if number.is_multiple_of(3) { "H" } else { "L" };
        AdvisoryBuilder::new(&format!("{prefix}-2026-{}", 1_000 + number))
            .upstream([format!("CVE-2026-{}", 1_000 + number).as_str()])
            .severity("CVSS_V3", &format!("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:{score}/I:{score}/A:{score}"))
            .fixed(ecosystem, &name(number), "1.5.0")
            .build()
    };
    let of = |(folder, ecosystem, prefix): (&'static str, &str, &str)| {
        (folder, (0..NAMES).step_by(2).map(|number| advisory(number, ecosystem, prefix)).collect())
    };
    ECOSYSTEMS.into_iter().map(of).collect()
}

/// A number that looks random, the same for the same arguments.
fn pick(seed: u64, salt: u64) -> u64 {
    Digest::of(&[seed, salt].map(u64::to_le_bytes).concat()).spread()
}
