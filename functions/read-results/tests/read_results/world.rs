//! The organisation `acme` of one test: its configuration, its images, its metrics, and somebody who reads.

use std::io::Read as _;
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tidewatch_core::config::{Config, CountPlatforms};
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::judgement::{Criteria, Judging, Scope, Subject, judge};
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::result::ImageResult;
use tidewatch_core::stream::{Member, SlotForm};
use tidewatch_core::tables::Tables;
use tidewatch_core::token::{Scope as TokenScope, Token, TokenRecord};
use tidewatch_read_results::{PageRequest, ReadResults, Results};
use tidewatch_roll_up_streams::RollUpStreams;
use tidewatch_store::records::{ImagePlace, TagRecord, TaggedImage};
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::api;
use tidewatch_testkit::failing::{FailingTable, Outages};
use tidewatch_testkit::ports::{InstantSleeper, SettableClock};

use crate::scans::Scan;

/// How the numbers of a member are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// For the organisation as a whole.
    Everywhere,
    /// In the stream and the repository where it stands.
    InPlace,
}

pub(crate) struct World {
    pub(crate) records: Records,
    pub(crate) outages: Arc<Outages>,
    pub(crate) clock: Arc<SettableClock>,
    pub(crate) config: Config,
}

impl World {
    /// Two registries, and the exceptions and policies that are given.
    pub(crate) async fn new(exceptions: Value, policies: Value) -> Self {
        let config = json!({
            "org": "acme",
            "registries": [
                {"id": "hub", "kind": "oci", "url": "https://hub.example.com"},
                {"id": "ecr", "kind": "oci", "url": "https://ecr.example.com"},
            ],
            "environments": [{"id": "production"}],
            "policies": policies,
            "exceptions": exceptions,
        });
        let config: Config = serde_json::from_value(config).unwrap();
        assert_eq!(config.problems(), []);
        let outages = Outages::none();
        let table = FailingTable::new(Arc::new(MemoryTable::new()), Arc::clone(&outages));
        let objects = Arc::new(ObjectStorage::in_memory());
        let records = Records::new(Arc::new(table), objects, Arc::new(InstantSleeper::new()));
        let clock = Arc::new(SettableClock::at("2026-06-15T00:00:00Z"));
        records.apply_config(&config, None, clock.now()).await.unwrap();
        Self { records, outages, clock, config }
    }

    /// Without exceptions, and with all policies as they are by default.
    pub(crate) async fn plain() -> Self {
        Self::new(json!([]), json!([])).await
    }

    /// Scans an image as a worker does, and puts it into a stream.
    pub(crate) async fn scan(&self, stream: &str, scan: &Scan) -> Member {
        self.scan_judged(stream, scan, Judged::Everywhere).await
    }

    /// Has each platform of an image counted from now on.
    pub(crate) async fn count_all(&self) {
        let config = Config { count_platforms: CountPlatforms::All, ..self.config.clone() };
        self.records.apply_config(&config, Some(1), self.clock.now()).await.unwrap();
    }

    /// Scans an image on these platforms, and puts each into its slot of `latest-indexed` as images are counted now.
    pub(crate) async fn scan_on(&self, scan: &Scan, platforms: &[Platform]) {
        let counting = self.records.config(&acme()).await.unwrap().unwrap().counting;
        for platform in platforms {
            let scan = scan.clone().holding(&format!("{} {platform}", scan.content));
            let result = self.store(&scan).await;
            let mut member = self.member(&scan, &result);
            member.image.platform = platform.clone();
            let slot = counting.slot_of(&member.image, true, member.seen_at).unwrap();
            self.put(&StreamName::latest_indexed(), &member.in_slot(&slot)).await;
        }
    }

    /// The same, with numbers that are judged so.
    pub(crate) async fn scan_judged(&self, stream: &str, scan: &Scan, judged: Judged) -> Member {
        let stream: StreamName = stream.parse().unwrap();
        let result = self.store(scan).await;
        let mut member = self.member(scan, &result);
        if judged == Judged::InPlace {
            self.judge_in_place(&stream, scan, &mut member);
        }
        self.put(&stream, &member).await;
        member
    }

    /// Stores the result of a scan and the rows behind it, and how the image was found.
    pub(crate) async fn store(&self, scan: &Scan) -> ImageResult {
        let (org, image, now) = (acme(), image(scan), self.clock.now());
        let (mut report, mut result, inventory) = (scan.report(), scan.result(now), scan.inventory());
        let (criteria, tables) = (Criteria::new(&self.config, Vec::new()), Tables::default());
        let judging = Judging { criteria: &criteria, tables: &tables, now };
        result.judge(&mut report, &inventory, &ImageMetadata::default(), Some(&image.digest), judging);
        result.inventory = Some(self.records.put_inventory(&org, &inventory, None).await.unwrap());
        result.report = Some(self.records.put_report(&org, &report, None).await.unwrap());
        self.put_result(scan, &result).await;
        let tag: TagRecord = tag(scan);
        self.records.put_repository(&org, &image.registry, &image.repository).await.unwrap();
        self.records.put_tag(&org, &image.registry, &image.repository, &tag).await.unwrap();
        let place = ImagePlace { image, tag: tag.tag, seen_at: tag.seen_at, counted: true };
        self.records.put_place(&org, &place).await.unwrap();
        result
    }

    pub(crate) async fn put_result(&self, scan: &Scan, result: &ImageResult) {
        let Image { digest, platform, .. } = image(scan);
        let stored = self.records.result(&acme(), &digest, &platform).await.unwrap();
        self.records.put_result(&acme(), &digest, &platform, result, stored.as_ref()).await.unwrap();
    }

    fn member(&self, scan: &Scan, result: &ImageResult) -> Member {
        Member {
            image: image(scan),
            tag: scan.tag.parse().unwrap(),
            seen_at: self.clock.now(),
            created_at: result.created_at,
            kept: false,
            form: SlotForm::default(),
            state: result.state,
            severities: result.severities,
            policies: result.policies.clone(),
            next_change_at: result.next_change_at,
            result_at: Some(result.scanned_at),
            suppressed: result.suppressed,
        }
    }

    fn judge_in_place(&self, stream: &StreamName, scan: &Scan, member: &mut Member) {
        let (criteria, tables) = (Criteria::new(&self.config, Vec::new()), Tables::default());
        let inventory = scan.inventory();
        let subject = Subject {
            findings: &scan.findings,
            packages: &inventory.packages,
            distribution: None,
            metadata: &ImageMetadata::default(),
            families: &[],
            state: scan.state,
        };
        let scope = Scope {
            registry: Some(&member.image.registry),
            repository: Some(&member.image.repository),
            tag: Some(&member.tag),
            digest: Some(&member.image.digest),
            stream: Some(stream),
        };
        let judging = Judging { criteria: &criteria, tables: &tables, now: self.clock.now() };
        let judgement = judge(subject, scope, judging);
        member.severities = judgement.severities;
        member.suppressed = judgement.suppressed;
        member.policies =
            judgement.policies.iter().map(|(id, evaluation)| (id.clone(), evaluation.outcome)).collect();
    }

    pub(crate) async fn put(&self, stream: &StreamName, member: &Member) {
        self.records.put_member(&acme(), stream, member, 1).await.unwrap();
        self.records.mark_member(&acme(), stream, member).await.unwrap();
    }

    pub(crate) async fn roll_up(&self) {
        let roll_up = RollUpStreams::new(self.records.clone(), Arc::clone(&self.clock) as _);
        assert!(roll_up.roll_up(&acme()).await.unwrap(), "nothing was published");
    }

    /// The text of both kinds of families, as it is published.
    pub(crate) async fn published(&self) -> String {
        let snapshot = self.records.snapshot(&acme()).await.unwrap().unwrap();
        let mut text = String::new();
        GzDecoder::new(&snapshot.metrics[..]).read_to_string(&mut text).unwrap();
        GzDecoder::new(&snapshot.own[..]).read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) async fn results(&self) -> Results {
        Results::of(self.records.clone(), acme(), self.clock.now()).await.unwrap()
    }

    pub(crate) fn function(&self) -> ReadResults {
        ReadResults::new(self.records.clone(), Arc::clone(&self.clock) as _)
    }

    /// Stores a token for an organisation, with `change` to what is kept of it.
    pub(crate) async fn issue(&self, org: &str, seed: u64, change: impl FnOnce(&mut TokenRecord)) -> Token {
        let (token, mut record) = api::token(org, TokenScope::ResultsRead, seed, self.clock.now());
        change(&mut record);
        self.records.put_token(&record).await.unwrap();
        token
    }
}

pub(crate) fn acme() -> OrgName {
    "acme".parse().unwrap()
}

/// The first page of so many rows.
pub(crate) fn first(limit: usize) -> PageRequest {
    PageRequest { limit, from: None }
}

/// The page after one that ended with `next`.
pub(crate) fn after(next: &str, limit: usize) -> PageRequest {
    PageRequest { limit, from: Some(next.parse().unwrap()) }
}

pub(crate) fn image(scan: &Scan) -> Image {
    let (registry, repository) = scan.place.split_once('/').unwrap();
    Image {
        registry: registry.parse().unwrap(),
        repository: repository.parse().unwrap(),
        digest: scan.digest(),
        platform: Platform::linux_amd64(),
    }
}

/// The tag, which leads to an index with the image in it.
fn tag(scan: &Scan) -> TagRecord {
    let image = TaggedImage {
        digest: scan.digest(),
        platform: Platform::linux_amd64(),
        counted: true,
        attestations: None,
    };
    TagRecord {
        tag: scan.tag.parse().unwrap(),
        digest: index_of(scan),
        images: vec![image],
        skipped: None,
        platforms: vec![Platform::linux_amd64()],
        seen_at: "2026-06-01T00:00:00Z".parse().unwrap(),
        chosen_by: None,
        missing_at: None,
        forgotten: false,
    }
}

/// Digest of the index that the tag of an image points to.
pub(crate) fn index_of(scan: &Scan) -> tidewatch_core::Digest {
    tidewatch_core::Digest::of(format!("index of {}", scan.content).as_bytes())
}
