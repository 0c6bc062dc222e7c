//! The law: after a change, images are as a scan of the same inventories would record them, whatever was in force before,
//! and those that are so already are not written.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewatch_core::Timestamp;
use tidewatch_core::image::{Image, ImageId};
use tidewatch_core::package::{Distribution, Package, PackageType};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::problem::Problem;
use tidewatch_core::result::{ImageResult, Report};
use tidewatch_core::work::RematchTask;
use tidewatch_inventory::ImageInventory;
use tidewatch_store::records::StoredResult;
use tidewatch_testkit::advisory::AdvisoryBuilder;

use crate::world::{World, image, message};

/// What advisories are about: an ecosystem and a package.
const SUBJECTS: [(&str, &str); 9] = [
    ("Debian:13", "openssl"),
    ("Debian:13", "zlib"),
    ("Debian:12", "openssl"),
    // Nothing else is about this release: it comes and goes.
    ("Debian:14", "openssl"),
    // About all releases.
    ("Debian", "libc"),
    ("Alpine:v3.19", "openssl"),
    ("Alpine:v3.20", "zlib"),
    ("npm", "left-pad"),
    ("npm", "zlib"),
];

/// What an advisory says, one thing after the other.
const VARIANTS: usize = 6;

fn advisory(number: usize, variant: usize) -> Value {
    let (ecosystem, name) = SUBJECTS[number];
    let id = if ecosystem == "npm" { format!("GHSA-0000-0000-000{number}") } else { format!("X-{number}") };
    let critical = ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H");
    let low = ("CVSS_V3", "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N");
    let cve = format!("CVE-2099-000{}", number % 4);
    let advisory = AdvisoryBuilder::new(&id).upstream([&cve]).published("2026-06-10T00:00:00Z");
    match variant {
        0 => advisory.severity(critical.0, critical.1).fixed(ecosystem, name, "2.0.0"),
        // Only the severity is another.
        1 => advisory.severity(low.0, low.1).fixed(ecosystem, name, "2.0.0"),
        2 => advisory.severity(critical.0, critical.1).fixed(ecosystem, name, "1.5.0"),
        3 => advisory.affects_all(ecosystem, name),
        4 => advisory.affected(json!({
            "package": {"ecosystem": ecosystem, "name": name},
            "versions": ["1.0.0"],
        })),
        _ => advisory.fixed(ecosystem, name, "no version"),
    }
    .build()
}

/// Advisories in force: for each subject what its advisory says, if it has one; which of the CVEs is known to be exploited;
/// and which ecosystems are put in force.
#[derive(Clone, Debug)]
struct Advisories {
    said: Vec<Option<usize>>,
    exploited: Option<usize>,
    ecosystems: [bool; 3],
}

fn advisories() -> impl Strategy<Value = Advisories> {
    let said = vec(option::weighted(0.6, 0..VARIANTS), SUBJECTS.len());
    let ecosystems = [prop::bool::weighted(0.9), prop::bool::weighted(0.7), prop::bool::weighted(0.7)];
    (said, option::of(0..4_usize), ecosystems).prop_map(|(said, exploited, ecosystems)| Advisories {
        said,
        exploited,
        ecosystems,
    })
}

impl Advisories {
    async fn put_in_force(&self, world: &World) {
        let names = ["Debian", "Alpine", "npm"];
        // One that is about something else, so that no archive is empty.
        let other = |name: &str| match name {
            "npm" => AdvisoryBuilder::new("GHSA-1111-1111-1111").fixed("npm", "unheard-of", "1").build(),
            "Alpine" => AdvisoryBuilder::new("Y-1").fixed("Alpine:v3.18", "unheard-of", "1").build(),
            _ => AdvisoryBuilder::new("Y-2").fixed("Debian:11", "unheard-of", "1").build(),
        };
        let archives: Vec<(&str, Vec<Value>)> = names
            .iter()
            .zip(self.ecosystems)
            .filter(|(_, is_put)| *is_put)
            .map(|(name, _)| {
                let of = |number: &usize| SUBJECTS[*number].0.split(':').next() == Some(*name);
                let numbers = (0..SUBJECTS.len()).filter(of);
                let said = numbers.filter_map(|number| Some(advisory(number, self.said[number]?)));
                (*name, said.chain([other(name)]).collect())
            })
            .collect();
        let archives: Vec<(&str, &[Value])> =
            archives.iter().map(|(name, records)| (*name, records.as_slice())).collect();
        let exploited = self.exploited.map(|number| format!("CVE-2099-000{number}"));
        let exploited: Vec<&str> = exploited.iter().map(String::as_str).collect();
        world.publish_all(&archives, &exploited).await;
    }
}

fn policies() -> impl Strategy<Value = Value> {
    let policy = |change: Value| {
        let mut policy = json!({"id": "fixable-vulnerabilities"});
        policy.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!([policy])
    };
    prop_oneof![
        Just(json!([])),
        Just(policy(json!({"enabled": false}))),
        (0_u32..10).prop_map(move |days| policy(json!({"config": {"grace_period_days": days}}))),
        Just(policy(json!({"config": {"severities": ["LOW"]}}))),
    ]
}

prop_compose! {
    fn inventory()(
        distribution in 0_usize..7,
        system in vec((0_usize..4, 0_usize..4), 0..4),
        npm in vec((0_usize..3, 0_usize..4), 0..2),
        problems in vec("[a-z]{1,3}", 0..2),
    ) -> ImageInventory {
        let versions = ["1.0.0", "1.5.0", "2.0.0", "not a version"];
        let named = |id: &str, version: &str| Distribution {
            id: id.to_owned(),
            version_id: Some(version.to_owned()),
            pretty_name: format!("{id}\u{1b} {version}"),
        };
        let distributions = [
            None,
            Some(named("debian", "12")),
            Some(named("debian", "13")),
            Some(named("debian", "14")),
            Some(named("alpine", "3.19.1")),
            Some(named("alpine", "3.20.0")),
            Some(named("fedora", "44")),
        ];
        let (system_type, names) = match distribution {
            4 | 5 => (PackageType::Apk, ["openssl", "zlib", "libc", "other"]),
            _ => (PackageType::Deb, ["openssl", "zlib", "libc", "other"]),
        };
        let system = system.into_iter().map(|(name, version)| (system_type, names[name], versions[version]));
        let npm = npm.into_iter().map(|(name, version)| {
            (PackageType::Npm, ["left-pad", "zlib", "other"][name], versions[version])
        });
        let package = |(package_type, name, version)| Package::new(package_type, name, version, "test");
        let mut packages: Vec<_> = system.chain(npm).map(package).collect();
        packages.sort();
        packages.dedup();
        let problems = problems.iter().map(|path| Problem::new(path, "it is cut off")).collect();
        let distribution = distributions[distribution].clone();
        ImageInventory { distribution, packages, problems, ..ImageInventory::default() }
    }
}

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    Publish(Advisories),
    Apply(Value),
    /// The image with this number is scanned, and has this inventory.
    Scan(usize, ImageInventory),
    Compact,
    /// So many minutes pass.
    Wait(u64),
    /// Images are sent for and matched again, and then everything is checked.
    Rematch,
}

const IMAGES: usize = 4;

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => advisories().prop_map(Event::Publish),
        1 => policies().prop_map(Event::Apply),
        3 => (0..IMAGES, inventory()).prop_map(|(image, inventory)| Event::Scan(image, inventory)),
        2 => Just(Event::Compact),
        1 => (1_u64..3000).prop_map(Event::Wait),
        4 => Just(Event::Rematch),
    ]
}

/// The world, and what was read of its images last.
struct Fleet {
    world: World,
    images: Vec<Image>,
    inventories: Vec<Option<ImageInventory>>,
}

impl Fleet {
    async fn new() -> Self {
        let world = World::without_advisories().await;
        let images: Vec<Image> =
            (0..IMAGES).map(|number| image(&format!("team/{number}"), &number.to_string())).collect();
        for image in &images {
            world.tag(image, "latest").await;
        }
        Self { world, images, inventories: vec![None; IMAGES] }
    }

    async fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::Publish(advisories) => advisories.put_in_force(&self.world).await,
            Event::Apply(policies) => self.world.apply(policies).await,
            Event::Scan(number, inventory) => {
                self.world.scan(&self.images[*number], inventory).await;
                self.inventories[*number] = Some(inventory.clone());
            }
            Event::Compact => self.world.compact().await,
            Event::Wait(minutes) => self.world.clock.advance(std::time::Duration::from_secs(60 * minutes)),
            Event::Rematch => self.rematch().await?,
        }
        Ok(())
    }

    /// The numbers of the images that were scanned, with their inventories.
    fn scanned(&self) -> impl Iterator<Item = (&Image, &ImageInventory)> {
        let scanned = self.images.iter().zip(&self.inventories);
        scanned.filter_map(|(image, inventory)| Some((image, inventory.as_ref()?)))
    }

    async fn stored(&self) -> Vec<(StoredResult, Report)> {
        let mut stored = Vec::new();
        for (image, _) in self.scanned() {
            stored.push((self.world.stored(image).await, self.world.report(image).await));
        }
        stored
    }

    /// Settles everything, and compares each image with what a scan would record.
    async fn rematch(&self) -> Result<(), TestCaseError> {
        let world = &self.world;
        let before = self.stored().await;
        world.rematch().await;
        // What was undone meanwhile is found by those who post images.
        world.clock.advance(std::time::Duration::from_secs(600));
        world.compact().await;
        world.rematch().await;
        let after = self.stored().await;
        let now = world.clock.now();
        for (((image, inventory), before), after) in self.scanned().zip(&before).zip(&after) {
            let expected = world.assess(inventory).await;
            let expected = (expected.result, expected.report);
            let is_due = after.0.result.next_change_at.is_some_and(|change| change <= now);
            assert_same(&after.0.result, &after.1, &expected, is_due)?;
            if is_same(&before.0.result, &before.1, &expected, now) {
                prop_assert_eq!(after, before, "it was right");
            }
            let member = world.member(image).await;
            if after.0.result.state.as_str() == "pending" {
                // What was known before stays.
            } else if let Some(member) = member {
                let result = &after.0.result;
                prop_assert_eq!(
                    (member.severities, &member.policies, member.state, member.next_change_at),
                    (result.severities, &result.policies, result.state, result.next_change_at)
                );
            } else {
                prop_assert!(false, "{} is in no slot", image);
            }
        }
        self.assert_posted().await?;
        self.assert_matching_all_changes_nothing(&after).await
    }

    /// No image is missing: each is in a segment with its inventory, or has a row.
    async fn assert_posted(&self) -> Result<(), TestCaseError> {
        for (image, _) in self.scanned() {
            prop_assert!(self.world.is_findable(image).await, "{} is missing", image);
            prop_assert!(self.world.is_current(image).await, "{} would be scanned again", image);
        }
        Ok(())
    }

    /// What the change is not about is as if it had been matched again.
    async fn assert_matching_all_changes_nothing(
        &self,
        before: &[(StoredResult, Report)],
    ) -> Result<(), TestCaseError> {
        let now = self.world.clock.now();
        let is_due = |stored: &(StoredResult, Report)| {
            stored.0.result.next_change_at.is_some_and(|change| change <= now)
        };
        let images: Vec<ImageId> = self.scanned().map(|(image, _)| image.id()).collect();
        self.world.deliver(message(Some(RematchTask::Images(images)))).await.unwrap();
        let after = self.stored().await;
        for (before, after) in before.iter().zip(&after) {
            if !is_due(before) {
                prop_assert_eq!(before, after);
            }
        }
        Ok(())
    }
}

/// All of a result that matching and judging decide, but for when and by what that was done.
fn decided(result: &ImageResult) -> ImageResult {
    let indexes = result.indexes.keys().map(|family| (family.clone(), None)).collect();
    ImageResult {
        scanned_at: Timestamp::UNIX_EPOCH,
        judged_under: tidewatch_core::Digest::of(b""),
        indexes,
        inventory: None,
        metadata: None,
        report: None,
        ..result.clone()
    }
}

fn is_same(result: &ImageResult, report: &Report, expected: &(ImageResult, Report), now: Timestamp) -> bool {
    let mut decided_before = decided(result);
    if result.next_change_at.is_some_and(|change| now < change) && is_in_time(result, &expected.0) {
        decided_before.next_change_at = expected.0.next_change_at;
    }
    decided_before == decided(&expected.0) && *report == expected.1
}

/// Whether the image is looked at again when its answers change, or sooner: a source that was asked again puts that off, and
/// no result is written for it.
fn is_in_time(result: &ImageResult, expected: &ImageResult) -> bool {
    expected.next_change_at.is_none_or(|last| result.next_change_at.is_some_and(|change| change <= last))
}

/// `is_due` says that the answers change by time alone, which the roll-up sees to.
fn assert_same(
    result: &ImageResult,
    report: &Report,
    expected: &(ImageResult, Report),
    is_due: bool,
) -> Result<(), TestCaseError> {
    let (mut result, mut report, mut expected) = (decided(result), report.clone(), expected.clone());
    expected.0 = decided(&expected.0);
    if is_due {
        for (result, report) in [(&mut result, &mut report), (&mut expected.0, &mut expected.1)] {
            result.policies.clear();
            result.next_change_at = None;
            report.policies.clear();
        }
    }
    prop_assert!(is_in_time(&result, &expected.0), "{:?}, {:?}", result, expected.0);
    result.next_change_at = expected.0.next_change_at;
    prop_assert_eq!(result, expected.0);
    prop_assert_eq!(report, expected.1);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn after_a_change_images_are_as_a_scan_would_record_them(events in vec(event(), 1..14)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fleet = Fleet::new().await;
            for event in events.iter().chain([&Event::Rematch]) {
                fleet.happen(event).await?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}
