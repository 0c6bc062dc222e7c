//! What a run would cost, beside what it would choose.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::Serialize;
use tidewatch_core::Digest;
use tidewatch_core::config::{Config, RateConfig};
use tidewatch_core::cost::{Cost, Counted, Estimate, Layers, PRICES, Requests, Usage};
use tidewatch_core::image::ImageId;
use tidewatch_core::manifest::LayerKind;
use tidewatch_core::names::{OrgName, RegistryId};
use tidewatch_inventory::READER_VERSION;
use tidewatch_resolve_images::{RepositoryPreview, Verdict};
use tidewatch_store::{RecordError, Records};

/// What was counted of a run, by registry; each image and each layer once.
#[derive(Default)]
pub(crate) struct Counting {
    registries: BTreeMap<RegistryId, Counted>,
    images: HashSet<ImageId>,
    /// Layers of measured images, with the registry that they were found in first and their size.
    layers: HashMap<Digest, (RegistryId, u64)>,
    measuring: u64,
}

/// What a run is expected to cost, as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct RunCost {
    /// Whether nothing is missing: of no image layers are known otherwise.
    complete: bool,
    /// Images to scan, and those among them whose layers are known.
    images: u64,
    measured_images: u64,
    requests: RequestRow,
    layers: LayerRow,
    usage: Usage,
    /// In millionths of a dollar.
    microdollars: CostRow,
    prices: PriceRow,
    /// The seconds that all requests take at least by the rate of a registry, for those that have one.
    shortest_seconds: BTreeMap<RegistryId, u64>,
}

#[derive(Debug, Serialize)]
struct RequestRow {
    /// Counted: a run makes the same.
    listing: Requests,
    /// Estimated.
    scanning: Requests,
    /// Those that only this estimate has cost.
    measuring: u64,
}

#[derive(Debug, Serialize)]
struct LayerRow {
    /// Counted, of measured images: those that nobody has read, and those that were read before.
    to_read: Layers,
    known: Layers,
    /// Estimated, of the other images; `null` when nothing is known of them.
    unmeasured: Option<Layers>,
}

#[derive(Debug, Serialize)]
struct CostRow {
    #[serde(flatten)]
    parts: Cost,
    total: u64,
}

#[derive(Debug, Serialize)]
struct PriceRow {
    as_of: &'static str,
    region: &'static str,
}

impl Counting {
    /// Notes what listing the repositories of a registry has cost.
    pub(crate) fn note_requests(&mut self, registry: &RegistryId, requests: Requests) {
        self.registries.entry(registry.clone()).or_default().listing += requests;
    }

    /// Notes what would be done for the images of a repository.
    pub(crate) fn note(&mut self, preview: &RepositoryPreview) {
        self.measuring += preview.measuring;
        let counted = self.registries.entry(preview.registry.clone()).or_default();
        counted.repositories += 1;
        counted.listing += preview.requests;
        let is_to_scan =
            |verdict: &Verdict| matches!(verdict, Verdict::Chosen { new, stale, .. } if new + stale > 0);
        counted.tags += preview.tags.iter().filter(|tag| is_to_scan(&tag.verdict)).count() as u64;
        for previewed in &preview.to_scan {
            if !self.images.insert(previewed.image.clone()) {
                continue;
            }
            counted.images += 1;
            if !previewed.is_kept {
                counted.unknown_manifests += 1;
                counted.attestations += previewed.attestations;
            }
            let Some(layers) = &previewed.layers else { continue };
            counted.measured_images += 1;
            for layer in layers.iter().filter(|layer| layer.kind == LayerKind::Tar) {
                counted.layers += 1;
                let found = (preview.registry.clone(), layer.size);
                self.layers.entry(layer.digest).or_insert(found);
            }
        }
    }

    /// What the run costs, by which layers the organisation has read.
    pub(crate) async fn cost(
        mut self,
        records: &Records,
        org: &OrgName,
        config: &Config,
    ) -> Result<RunCost, RecordError> {
        for registry in config.registries.iter().filter(|registry| registry.referrers) {
            if let Some(counted) = self.registries.get_mut(&registry.id) {
                counted.referrers = counted.unknown_manifests;
            }
        }
        let layers: Vec<Digest> = self.layers.keys().copied().collect();
        let read = records.layers_read(org, &layers, READER_VERSION).await?;
        for (layer, (registry, size)) in self.layers {
            let counted = self.registries.entry(registry).or_default();
            let sum = if read.contains(&layer) { &mut counted.known } else { &mut counted.to_read };
            sum.layers += 1;
            sum.bytes = sum.bytes.saturating_add(size);
        }
        let mut all = Counted::default();
        let mut shortest_seconds = BTreeMap::new();
        for (registry, counted) in &self.registries {
            all += *counted;
            if let Some(rate) = config.registry(registry).and_then(|registry| registry.rate) {
                let requests = counted.listing.total() + Estimate::of(counted, &PRICES).scanning.total();
                shortest_seconds.insert(registry.clone(), shortest(rate, requests));
            }
        }
        let estimate = Estimate::of(&all, &PRICES);
        let Estimate { scanning, unmeasured, usage, cost } = estimate;
        Ok(RunCost {
            complete: estimate.is_complete(),
            images: all.images,
            measured_images: all.measured_images,
            requests: RequestRow { listing: all.listing, scanning, measuring: self.measuring },
            layers: LayerRow { to_read: all.to_read, known: all.known, unmeasured },
            usage,
            microdollars: CostRow { parts: cost, total: cost.total() },
            prices: PriceRow { as_of: PRICES.as_of, region: PRICES.region },
            shortest_seconds,
        })
    }
}

/// The seconds that so many requests take at least.
fn shortest(rate: RateConfig, requests: u64) -> u64 {
    let beyond = u128::from(requests.saturating_sub(u64::from(rate.burst().get())));
    let seconds = (beyond * rate.per.duration().as_millis()).div_ceil(u128::from(rate.requests.get()) * 1000);
    u64::try_from(seconds).unwrap_or(u64::MAX)
}

impl RunCost {
    /// The cost in a line.
    pub(crate) fn summary(&self) -> String {
        let Self { images, measured_images, layers, requests, microdollars, .. } = self;
        let least = if self.complete { "about" } else { "at least" };
        format!(
            "{images} images to scan ({measured_images} measured), {} requests, {} of layers to read, {least} {}",
            requests.listing.total() + requests.scanning.total(),
            bytes(layers.to_read.bytes.saturating_add(layers.unmeasured.unwrap_or_default().bytes)),
            dollars(microdollars.total),
        )
    }

    /// All that is known of it, as lines: what was counted, what is estimated, and what is not known.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Self { images, measured_images, requests, layers, usage, microdollars, prices, .. } = self;
        let mut lines = vec![
            format!(
                "cost of a run now: {} (estimated; prices of {} in {}, arm64)",
                dollars(microdollars.total),
                prices.as_of,
                prices.region
            ),
            format!("  requests of registries to list: {} (counted)", of_kinds(requests.listing)),
            format!("  requests of registries to scan: {} (estimated)", of_kinds(requests.scanning)),
            format!(
                "  layers to read: {} with {}; read before: {} with {} (counted, of {measured_images} of {images} images)",
                layers.to_read.layers,
                bytes(layers.to_read.bytes),
                layers.known.layers,
                bytes(layers.known.bytes)
            ),
        ];
        match layers.unmeasured {
            Some(Layers { layers: 0, .. }) if images == measured_images => {}
            Some(more) => lines.push(format!(
                "  layers to read of the others: {} with {} (estimated, by those that are known; --measure asks for them)",
                more.layers,
                bytes(more.bytes)
            )),
            None => lines.push(
                "  layers to read of the others: unknown, and missing below (--measure asks for their manifests)"
                    .to_owned(),
            ),
        }
        let gb_seconds = usage.lambda_gb_milliseconds.div_ceil(1000);
        let Cost { lambda, table, queue, objects } = microdollars.parts;
        lines.extend([
            format!(
                "  Lambda: {} requests, {gb_seconds} GB-seconds, {}",
                usage.lambda_requests,
                dollars(lambda)
            ),
            format!(
                "  DynamoDB: {} write and {} read units, {}",
                usage.table_writes,
                usage.table_reads,
                dollars(table)
            ),
            format!("  SQS: {} requests, {}", usage.queue_requests, dollars(queue)),
            format!(
                "  S3: {} objects written, {} read, {}",
                usage.object_puts,
                usage.object_gets,
                dollars(objects)
            ),
        ]);
        for (registry, seconds) in &self.shortest_seconds {
            let time = humane(Duration::from_secs(*seconds));
            lines.push(format!("  at the rate of {registry} it takes {time} at least"));
        }
        lines.push(
            "  not in it: what the registry asks for, a NAT gateway, storage, logs, roll-ups and other schedules".to_owned(),
        );
        lines
    }

    /// How many requests only the estimate has cost.
    pub(crate) const fn measuring(&self) -> u64 {
        self.requests.measuring
    }
}

fn of_kinds(requests: Requests) -> String {
    let Requests { pages, heads, manifests, blobs } = requests;
    format!("{} – {pages} pages, {heads} HEAD, {manifests} manifests, {blobs} blobs", requests.total())
}

/// Millionths of a dollar as dollars, to the hundredth of a cent.
fn dollars(microdollars: u64) -> String {
    let rounded = microdollars.div_ceil(100);
    format!("${}.{:04}", rounded / 10_000, rounded % 10_000)
}

fn bytes(bytes: u64) -> String {
    for (unit, size) in [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)] {
        if bytes >= size {
            return format!("{}.{} {unit}", bytes / size, bytes % size * 10 / size);
        }
    }
    format!("{bytes} bytes")
}

fn humane(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7_200 => format!("{} minutes", seconds / 60),
        seconds => format!("{} hours", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_people_read_them() {
        let amounts = [0, 1, 1_612, 12_345_678].map(dollars);
        assert_eq!(amounts, ["$0.0000", "$0.0001", "$0.0017", "$12.3457"]);
        assert_eq!(
            [999, 1_000, 1_550_000, 12_340_000_000].map(bytes),
            ["999 bytes", "1.0 kB", "1.5 MB", "12.3 GB"]
        );
        let times = [90, 600, 10_000].map(|seconds| humane(Duration::from_secs(seconds)));
        assert_eq!(times, ["90 s", "10 minutes", "2 hours"]);
    }

    #[test]
    fn a_rate_says_how_long_all_requests_take() {
        let rate = |rate| serde_json::from_value(rate).unwrap();
        let hub = rate(serde_json::json!({"requests": 100, "per": "6h", "burst": 20}));
        assert_eq!((shortest(hub, 20), shortest(hub, 120), shortest(hub, 21)), (0, 6 * 3600, 216));
        let fast = rate(serde_json::json!({"requests": 50, "per": "1s"}));
        assert_eq!(shortest(fast, 5_100), 100);
    }
}
