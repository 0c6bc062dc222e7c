//! What a run of a rule costs: from what a preview has found to requests, bytes, what is used of AWS, and dollars.
//!
//! What was counted is kept apart from what follows by [`model`], and from what nobody knows. An estimate that lacks
//! something says so: it is then the least, and no guess.

pub mod model;
mod prices;

use std::ops::AddAssign;

use serde::Serialize;

pub use prices::{PRICES, Prices};

/// Requests of registries, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Pages of repositories and of tags.
    pub pages: u64,
    /// What a tag points to (HEAD).
    pub heads: u64,
    /// Manifests and indexes (GET). Docker Hub counts these as pulls.
    pub manifests: u64,
    /// Layers, configurations and attestations.
    pub blobs: u64,
}

impl Requests {
    /// All of them.
    pub const fn total(self) -> u64 {
        self.pages + self.heads + self.manifests + self.blobs
    }
}

impl AddAssign for Requests {
    fn add_assign(&mut self, other: Self) {
        let Self { pages, heads, manifests, blobs } = other;
        self.pages += pages;
        self.heads += heads;
        self.manifests += manifests;
        self.blobs += blobs;
    }
}

/// Layers, each counted once however many images have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Layers {
    /// How many.
    pub layers: u64,
    /// Their bytes, compressed, as manifests say.
    pub bytes: u64,
}

/// What a preview has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Repositories that were listed.
    pub repositories: u64,
    /// Tags that are chosen and have images to scan.
    pub tags: u64,
    /// Requests that listing has cost.
    pub listing: Requests,
    /// Images to scan, each counted once.
    pub images: u64,
    /// Those among them whose layers are known.
    pub measured_images: u64,
    /// Those among them of which nothing was kept: their manifests are asked for by the scan.
    pub unknown_manifests: u64,
    /// Manifests with attestations about all of them.
    pub attestations: u64,
    /// Images of which it is asked what was attached to them.
    pub referrers: u64,
    /// How many layers the measured images have, counted as often as they occur.
    pub layers: u64,
    /// Layers of measured images that nobody has read.
    pub to_read: Layers,
    /// Layers of measured images that this version has read before.
    pub known: Layers,
}

impl AddAssign for Counted {
    /// Images and layers of both must be different ones.
    fn add_assign(&mut self, other: Self) {
        let Self { repositories, tags, listing, images, measured_images, .. } = other;
        self.repositories += repositories;
        self.tags += tags;
        self.listing += listing;
        self.images += images;
        self.measured_images += measured_images;
        self.unknown_manifests += other.unknown_manifests;
        self.attestations += other.attestations;
        self.referrers += other.referrers;
        self.layers += other.layers;
        self.to_read += other.to_read;
        self.known += other.known;
    }
}

impl AddAssign for Layers {
    fn add_assign(&mut self, other: Self) {
        self.layers += other.layers;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What is used of AWS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Requests of Lambda.
    pub lambda_requests: u64,
    /// Thousandths of a GB-second of Lambda.
    pub lambda_gb_milliseconds: u64,
    /// Write units of DynamoDB.
    pub table_writes: u64,
    /// Read units of DynamoDB.
    pub table_reads: u64,
    /// Requests of SQS.
    pub queue_requests: u64,
    /// Objects put into S3.
    pub object_puts: u64,
    /// Objects read from S3.
    pub object_gets: u64,
}

/// What that costs, in millionths of a dollar, each rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Lambda.
    pub lambda: u64,
    /// DynamoDB.
    pub table: u64,
    /// SQS.
    pub queue: u64,
    /// S3.
    pub objects: u64,
}

impl Cost {
    /// All of it.
    pub const fn total(self) -> u64 {
        self.lambda + self.table + self.queue + self.objects
    }
}

/// What a run is expected to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Requests of scans. Those of listing are counted.
    pub scanning: Requests,
    /// What is to be read for the images that are not measured, as for those that are on average; `None` when none is
    /// measured, so that nothing is known of it.
    pub unmeasured: Option<Layers>,
    /// What is used; without layers of which nothing is known.
    pub usage: Usage,
    /// What it costs.
    pub cost: Cost,
}

impl Estimate {
    /// The estimate from what was counted, at these prices.
    pub fn of(counted: &Counted, prices: &Prices) -> Self {
        let unmeasured = unmeasured(counted);
        let more = unmeasured.unwrap_or_default();
        let scanning = Requests {
            pages: counted.referrers,
            heads: 0,
            manifests: counted.unknown_manifests + counted.attestations,
            blobs: counted.unknown_manifests * (model::REQUESTS_PER_IMAGE - 1)
                + counted.attestations * (model::REQUESTS_PER_ATTESTATION - 1)
                + counted.to_read.layers
                + more.layers,
        };
        let usage = usage(counted, more);
        Self { scanning, unmeasured, usage, cost: cost(&usage, prices) }
    }

    /// Whether nothing is missing in it.
    pub const fn is_complete(&self) -> bool {
        self.unmeasured.is_some()
    }
}

/// What images that were not measured have to be read of, if they are as the others on average.
fn unmeasured(counted: &Counted) -> Option<Layers> {
    let images = counted.images.saturating_sub(counted.measured_images);
    if images == 0 {
        return Some(Layers::default());
    }
    (counted.measured_images > 0).then(|| {
        let scale = |number: u64| {
            let scaled =
                (u128::from(number) * u128::from(images)).div_ceil(u128::from(counted.measured_images));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        Layers { layers: scale(counted.to_read.layers), bytes: scale(counted.to_read.bytes) }
    })
}

fn usage(counted: &Counted, more: Layers) -> Usage {
    let Counted { repositories, tags, images, listing, .. } = *counted;
    let to_read = counted.to_read.layers + more.layers;
    let megabytes = (counted.to_read.bytes.saturating_add(more.bytes)).div_ceil(1_000_000);
    // Each layer of each image is looked up; of images that are not measured as many as of the others.
    let looked_up = counted.layers + scaled(counted.layers, images, counted.measured_images);
    // A message for each repository and each image, and one for each registry.
    let messages = repositories + images + 1;
    let scan = images * model::SCAN_PER_IMAGE + megabytes.saturating_mul(model::SCAN_PER_MB);
    let resolve = listing.total() * model::RESOLVE_PER_REQUEST;
    let evaluate = images * model::EVALUATE_PER_IMAGE;
    let gb = |milliseconds: u64, memory: u64| milliseconds.saturating_mul(memory).div_ceil(1024);
    Usage {
        lambda_requests: messages,
        lambda_gb_milliseconds: gb(scan, model::SCAN_MEMORY)
            .saturating_add(gb(resolve, model::RESOLVE_MEMORY))
            .saturating_add(gb(evaluate, model::EVALUATE_MEMORY)),
        table_writes: repositories * model::WRITES_PER_REPOSITORY
            + tags * model::WRITES_PER_TAG
            + images * (model::WRITES_TO_QUEUE + model::WRITES_PER_SCAN)
            + to_read * model::WRITES_PER_LAYER,
        table_reads: images * (model::READS_TO_QUEUE + model::READS_PER_SCAN)
            + looked_up * model::READS_PER_LAYER,
        queue_requests: (messages * model::QUEUE_REQUESTS_PER_TEN).div_ceil(10),
        object_puts: images * model::PUTS_PER_SCAN + to_read,
        object_gets: images * model::GETS_PER_SCAN + looked_up.saturating_sub(to_read),
    }
}

/// How many `number` of measured images are of all others.
fn scaled(number: u64, images: u64, measured: u64) -> u64 {
    let others = u128::from(images.saturating_sub(measured));
    let scaled = (u128::from(number) * others).checked_div(u128::from(measured)).unwrap_or(0);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn cost(usage: &Usage, prices: &Prices) -> Cost {
    // From millionths of a millionth to millionths.
    let sum = |parts: &[(u64, u64)]| {
        let sum: u128 = parts.iter().map(|(amount, price)| u128::from(*amount) * u128::from(*price)).sum();
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    };
    let gb_seconds = usage.lambda_gb_milliseconds.div_ceil(1000);
    Cost {
        lambda: sum(&[(usage.lambda_requests, prices.lambda_request), (gb_seconds, prices.lambda_gb_second)]),
        table: sum(&[(usage.table_writes, prices.table_write), (usage.table_reads, prices.table_read)]),
        queue: sum(&[(usage.queue_requests, prices.queue_request)]),
        objects: sum(&[(usage.object_puts, prices.object_put), (usage.object_gets, prices.object_get)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten images of two repositories, of which eight are measured: 16 new layers with 800 MB, and 4 that are known.
    fn counted() -> Counted {
        Counted {
            repositories: 2,
            tags: 10,
            listing: Requests { pages: 3, heads: 10, manifests: 10, blobs: 10 },
            images: 10,
            measured_images: 8,
            unknown_manifests: 10,
            attestations: 1,
            referrers: 3,
            layers: 24,
            to_read: Layers { layers: 16, bytes: 800_000_000 },
            known: Layers { layers: 4, bytes: 50_000_000 },
        }
    }

    #[test]
    fn an_estimate_is_worked_out_by_hand() {
        let estimate = Estimate::of(&counted(), &PRICES);
        // Two images more, as the eight are on average: 2 layers and 100 MB each.
        assert_eq!(estimate.unmeasured, Some(Layers { layers: 4, bytes: 200_000_000 }));
        assert!(estimate.is_complete());
        // 10 manifests and one with attestations; 10 configurations, what the attestations say, 16 + 4 layers.
        assert_eq!(estimate.scanning, Requests { pages: 3, heads: 0, manifests: 11, blobs: 31 });
        let usage = estimate.usage;
        assert_eq!(usage.lambda_requests, 13);
        // (10 × 600 ms + 1,000 MB × 17 ms) × 3008 MB, 33 requests × 25 ms and 10 images × 5 ms, × 512 MB; in GB.
        assert_eq!(usage.lambda_gb_milliseconds, 67_563 + 413 + 25);
        assert_eq!(usage.table_writes, 2 * 3 + 10 + 10 * 30 + 20 * 5);
        // 24 layers of eight images, and 6 of two more.
        assert_eq!(usage.table_reads, 10 * 16 + 30 * 4);
        assert_eq!((usage.queue_requests, usage.object_puts, usage.object_gets), (28, 60, 50));
        // 13 × 0.2 + 69 GB-seconds × 13.3334; 416 × 0.625 + 280 × 0.125; 28 × 0.4; 60 × 5 + 50 × 0.4; in millionths.
        assert_eq!(estimate.cost, Cost { lambda: 923, table: 295, queue: 12, objects: 320 });
        assert_eq!(estimate.cost.total(), 1550);
    }

    #[test]
    fn what_nobody_has_measured_is_unknown_and_no_guess() {
        let nothing = Layers::default();
        let unmeasured =
            Counted { measured_images: 0, layers: 0, to_read: nothing, known: nothing, ..counted() };
        let estimate = Estimate::of(&unmeasured, &PRICES);
        assert_eq!((estimate.unmeasured, estimate.is_complete()), (None, false));
        assert!(estimate.cost.total() > 0, "what is known of it has its price");
        assert!(estimate.cost.lambda < Estimate::of(&counted(), &PRICES).cost.lambda);
    }

    #[test]
    fn a_run_that_finds_nothing_new_costs_its_listing() {
        let unchanged = Counted {
            repositories: 1,
            listing: Requests { pages: 1, heads: 5, ..Requests::default() },
            ..Counted::default()
        };
        let estimate = Estimate::of(&unchanged, &PRICES);
        assert!(estimate.is_complete());
        assert_eq!((estimate.scanning.total(), estimate.usage.table_writes), (0, 3));
        assert_eq!(estimate.usage.lambda_gb_milliseconds, 75);
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        let huge = Layers { layers: 1 << 40, bytes: u64::MAX };
        let counted =
            Counted { images: 1 << 40, measured_images: 1 << 20, to_read: huge, ..Counted::default() };
        assert!(Estimate::of(&counted, &PRICES).cost.total() > 0);
    }

    /// The memory of a function in the template.
    fn memory(function: &str) -> u64 {
        let template = include_str!("../../../template.yaml");
        let (_, rest) = template.split_once(&format!("\n  {function}:\n")).unwrap();
        let (_, rest) = rest.split_once("MemorySize: ").unwrap();
        rest.lines().next().unwrap().trim().parse().unwrap()
    }

    #[test]
    fn functions_have_the_memory_that_the_template_gives_them() {
        let expected = [model::SCAN_MEMORY, model::RESOLVE_MEMORY, model::EVALUATE_MEMORY];
        assert_eq!(["ScanImage", "ResolveImages", "EvaluateRules"].map(memory), expected);
    }
}
