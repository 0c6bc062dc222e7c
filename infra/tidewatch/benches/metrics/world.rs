//! The data folder of a local mode, worked on without it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::names::{OrgName, PolicyId, StreamName};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::stream::{DEFAULT_SERIES, Layout, Member, OwnFacts, render, render_own, within_budget};
use tidewatch_core::token::{Scope, Token, TokenRecord};
use tidewatch_export_metrics::ExportMetrics;
use tidewatch_roll_up_streams::RollUpStreams;
use tidewatch_runtime::system::{SystemClock, SystemRandomness, SystemSleeper};
use tidewatch_store::records::{Snapshot, SnapshotHead, TextHead};
use tidewatch_store::{LocalTable, ObjectStorage, Records};
use tidewatch_testkit::failing::{FailingTable, Outages};

use crate::fleet;

/// The organisation.
pub(crate) const ORG: &str = "acme";

/// How many members are written at the same time.
const AT_ONCE: usize = 8;

pub(crate) struct World {
    records: Records,
    /// Counts the operations of the table.
    operations: Arc<Outages>,
    clock: Arc<SystemClock>,
    roll_up: RollUpStreams,
    org: OrgName,
    policies: Vec<(PolicyId, String)>,
}

/// How large the texts of a snapshot are, in bytes.
pub(crate) struct Sizes {
    pub(crate) series: usize,
    pub(crate) text: usize,
    pub(crate) compressed: usize,
    pub(crate) own_text: usize,
    pub(crate) own_compressed: usize,
}

impl World {
    /// Stores in the data folder at `data`, with a configuration in force.
    pub(crate) async fn new(data: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data.join("objects"))?;
        let table = LocalTable::open(&data.join("table")).await?;
        let operations = Outages::none();
        let table = FailingTable::new(Arc::new(table), Arc::clone(&operations));
        let objects = ObjectStorage::folder(&data.join("objects"))?;
        let records = Records::new(Arc::new(table), Arc::new(objects), Arc::new(SystemSleeper));
        let clock = Arc::new(SystemClock);
        let registries = json!([{"id": "hub", "kind": "oci", "url": "https://hub.example.com"}]);
        let config: Config = serde_json::from_value(json!({"org": ORG, "registries": registries}))?;
        records.apply_config(&config, None, clock.now()).await?;
        let roll_up = RollUpStreams::new(records.clone(), Arc::clone(&clock) as _);
        let (org, policies) = (config.org, fleet::policies()?);
        Ok(Self { records, operations, clock, roll_up, org, policies })
    }

    /// Writes the members with these numbers, with results of this revision, and then marks each shard that they are in,
    /// once: how often one is marked makes no difference to a roll-up.
    pub(crate) async fn write(&self, numbers: Range<usize>, revision: i64) -> anyhow::Result<()> {
        let stream = StreamName::latest_indexed();
        let written: BTreeMap<u16, Member> = futures::stream::iter(numbers)
            .map(async |number| {
                let member = fleet::member(number, revision, &self.policies)?;
                self.records.put_member(&self.org, &stream, &member, revision).await?;
                let image = &member.image;
                let shard = Layout::of(&stream).shard_of(&image.registry, &image.repository);
                anyhow::Ok((shard, member))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for member in written.values() {
            self.records.mark_member(&self.org, &stream, member).await?;
        }
        Ok(())
    }

    pub(crate) async fn roll_up(&self) -> anyhow::Result<()> {
        self.roll_up.roll_up(&self.org).await?;
        Ok(())
    }

    /// How many operations of the table there were so far.
    pub(crate) fn operations(&self) -> usize {
        self.operations.operations()
    }

    /// Publishes the largest snapshot that is served by default, over all that roll-ups publish.
    pub(crate) async fn publish_largest(&self) -> anyhow::Result<Sizes> {
        let served = within_budget(fleet::streams(&self.policies)?, self.policies.len(), DEFAULT_SERIES);
        ensure!(served.dropped.is_empty(), "{} streams are too many", fleet::STREAMS);
        let ids: Vec<_> = self.policies.iter().map(|(id, _)| id.clone()).collect();
        let text = render(&served.streams, &self.policies);
        let own_text = render_own(&served, &ids, &OwnFacts::default());
        let told = |text: &str| TextHead { length: text.len() as u64, digest: Digest::of(text.as_bytes()) };
        let now = self.clock.now();
        let head = SnapshotHead {
            config_version: i64::from(i32::MAX),
            number: 1,
            metrics: told(&text),
            own: told(&own_text),
            made_at: now,
            checked_at: now,
            judging: None,
        };
        let snapshot = Snapshot { head, metrics: compress(&text)?, own: compress(&own_text)? };
        ensure!(self.records.publish_snapshot(&self.org, &snapshot).await?, "it was not published");
        Ok(Sizes {
            series: text.lines().filter(|line| !line.starts_with('#')).count(),
            text: text.len(),
            compressed: snapshot.metrics.len(),
            own_text: own_text.len(),
            own_compressed: snapshot.own.len(),
        })
    }

    /// How many reads of the table the second scrape of a process makes.
    pub(crate) async fn reads_of_a_scrape(&self) -> anyhow::Result<usize> {
        let exporter = ExportMetrics::new(self.records.clone(), Arc::clone(&self.clock) as _);
        let mut request = ApiGatewayV2httpRequest::default();
        request.raw_path = Some(format!("/v1/exporter/org/{ORG}/metrics"));
        request.headers.insert("authorization", format!("Bearer {}", self.token().await?).parse()?);
        let first = exporter.handle(&request).await;
        ensure!(first.status_code == 200, "a scrape failed: {first:?}");
        let before = self.operations();
        let second = exporter.handle(&request).await;
        second.body.context("a scrape without a body")?;
        Ok(self.operations() - before)
    }

    /// A new token for the metrics.
    pub(crate) async fn token(&self) -> anyhow::Result<String> {
        let token = Token::generate(&SystemRandomness);
        let record = TokenRecord {
            id: token.id().to_owned(),
            digest: token.digest(),
            org: self.org.clone(),
            scopes: [Scope::MetricsRead].into(),
            created_at: self.clock.now(),
            expires_at: None,
            revoked_at: None,
        };
        self.records.put_token(&record).await?;
        Ok(token.reveal().to_owned())
    }
}

fn compress(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?)
}
