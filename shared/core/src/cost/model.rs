//! What a run uses for each repository, tag, image and layer: numbers of the code, of the template and of
//! docs/BENCHMARKS.md; where nothing was measured, an assumption that says so. `functions/scan-image/tests` compares what a
//! scan writes and reads with them.

/// Memory of scan-image in `template.yaml`, in MB.
pub const SCAN_MEMORY: u64 = 3008;

/// Memory of resolve-images in `template.yaml`, in MB.
pub const RESOLVE_MEMORY: u64 = 512;

/// Memory of evaluate-rules in `template.yaml`, in MB.
pub const EVALUATE_MEMORY: u64 = 512;

/// Milliseconds of scan-image for a MB of compressed layers. Reading takes 8 to 9 of a processor (docs/BENCHMARKS.md,
/// *Inventories*: 8.57 s for 1,001 MB, 0.91 s for 102 MB), of which the function has 1.7. What arrives is slower: 60 MB in a
/// second is assumed, and was not measured on AWS.
pub const SCAN_PER_MB: u64 = 17;

/// Milliseconds of scan-image for an image without its layers: about 40 requests of table and objects and three of the
/// registry, one after the other. Assumed, and not measured on AWS.
pub const SCAN_PER_IMAGE: u64 = 600;

/// Milliseconds of resolve-images for a request of the registry: 100 ms are assumed for each, of which up to eight are made
/// at the same time. Not measured on AWS.
pub const RESOLVE_PER_REQUEST: u64 = 25;

/// Milliseconds of evaluate-rules for an image that it dispatches: three writes of many at a time. Assumed.
pub const EVALUATE_PER_IMAGE: u64 = 5;

/// Requests of the registry for an image that was never scanned, beside its layers: manifest and configuration.
pub const REQUESTS_PER_IMAGE: u64 = 2;

/// The same for each manifest with attestations: it, and what it says.
pub const REQUESTS_PER_ATTESTATION: u64 = 2;

/// Write units for a repository: it is noted, its listing is queued, and recorded.
pub const WRITES_PER_REPOSITORY: u64 = 3;

/// Write units for a tag that is new or has moved: it is recorded.
pub const WRITES_PER_TAG: u64 = 1;

/// Write units for an image before it is scanned: work is queued (two items in a transaction) and dispatched (three).
pub const WRITES_TO_QUEUE: u64 = 10;

/// Write units of the scan of an image, without its layers: the attempt, its place, the result with its companions in a
/// transaction, member and marks, and the end of the work. 16 were counted for a small image; items of more than 1 KB count more
/// than once, and a base is noted in two more.
pub const WRITES_PER_SCAN: u64 = 20;

/// Write units for a layer that is read: the lease, and what was read under its fence, with the lease given back, in a transaction.
pub const WRITES_PER_LAYER: u64 = 5;

/// Read units of the scan of an image, without its layers: 10 were counted for a small one.
pub const READS_PER_SCAN: u64 = 12;

/// Read units for a layer of an image, known or not, as they were counted: whether it is read, before and under the lease, who
/// waits for it, and whether an image has the layers up to it.
pub const READS_PER_LAYER: u64 = 4;

/// Read units for an image before it is scanned, and for its tag.
pub const READS_TO_QUEUE: u64 = 4;

/// Objects that a scan stores, as they were counted: what is known of the manifest, the inventory, the report, what else is known.
pub const PUTS_PER_SCAN: u64 = 4;

/// Objects that a scan reads (assumed), without inventories of layers: each layer that is known is one more.
pub const GETS_PER_SCAN: u64 = 4;

/// Requests of SQS for a message: it is sent (ten at a time), received and deleted. Empty receives are not counted: they are
/// made whether there is a run or not.
pub const QUEUE_REQUESTS_PER_TEN: u64 = 21;
