//! `tidewatch images`: every tag that a rule chose, on each platform, with its result.

use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use tidewatch_core::Severity;
use tidewatch_core::image::Image;
use tidewatch_core::names::{OrgName, PolicyId, RegistryId, RepositoryName};
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::result::{ImageResult, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_inventory::READER_VERSION;
use tidewatch_runtime::system::SystemClock;
use tidewatch_store::Records;
use tidewatch_store::records::{TagRecord, TaggedImage};

use super::Context;
use crate::cli::Images;
use crate::failure::Failure;
use crate::output::{
    Table, advise, ago, cell, number_cell, print_document, print_line, severity_cell, state_cell,
    while_waiting,
};

#[derive(Serialize)]
struct Row {
    registry: String,
    repository: String,
    tag: String,
    digest: String,
    platform: String,
    /// Whether the gauges count this platform of the image.
    counted: bool,
    state: ResultState,
    reason: Option<String>,
    distribution: Option<String>,
    packages: u64,
    vulnerabilities: SeverityCounts,
    policies: BTreeMap<PolicyId, Outcome>,
    scanned_at: Option<Timestamp>,
    /// The layers were read by an older version of the readers: the result is valid, and might say more.
    read_by_older_readers: bool,
}

#[derive(Serialize)]
struct Document {
    images: Vec<Row>,
    /// Tags that were chosen and are no images to scan.
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct Skipped {
    registry: String,
    repository: String,
    tag: String,
    reason: String,
}

pub(super) async fn run(context: &Context, arguments: Images) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(arguments.org.org).await?;
    let wanted = arguments.repository.as_ref();
    let reading = collect_all(&instance.records, &org, wanted);
    let document = while_waiting(context.quiet, "reading images", reading).await?;
    if context.is_json() {
        return print_document("images", 1, &document);
    }
    print(&document);
    for skipped in &document.skipped {
        let Skipped { registry, repository, tag, reason } = skipped;
        advise(context.quiet, &format!("skipped {registry}/{repository}:{tag}: {reason}"));
    }
    let older = document.images.iter().filter(|row| row.read_by_older_readers).count();
    if older > 0 {
        let note = format!(
            "{older} images were read by older readers: their results stay until they are read again"
        );
        advise(context.quiet, &note);
    }
    if document.images.is_empty() {
        let none = "no images yet: run a rule (tidewatch rules run ID)";
        let while_up = if instance.is_running { "" } else { " while `tidewatch up` is running" };
        advise(context.quiet, &format!("{none}{while_up}"));
    }
    Ok(())
}

/// The images of the repository that is wanted, or of all.
async fn collect_all(
    records: &Records,
    org: &OrgName,
    wanted: Option<&RepositoryName>,
) -> Result<Document, Failure> {
    let mut document = Document { images: Vec::new(), skipped: Vec::new() };
    for (registry, repository) in records.repositories(org).await? {
        if wanted.is_none_or(|wanted| *wanted == repository) {
            collect(records, org, &registry, &repository, &mut document).await?;
        }
    }
    Ok(document)
}

async fn collect(
    records: &Records,
    org: &OrgName,
    registry: &RegistryId,
    repository: &RepositoryName,
    document: &mut Document,
) -> Result<(), Failure> {
    for tag in records.tags(org, registry, repository).await? {
        if let Some(reason) = &tag.skipped {
            document.skipped.push(Skipped {
                registry: registry.to_string(),
                repository: repository.to_string(),
                tag: tag.tag.to_string(),
                reason: reason.clone(),
            });
        }
        for image in &tag.images {
            let stored = records.result(org, &image.digest, &image.platform).await?;
            let known = stored.as_ref().map(|stored| &stored.result);
            let mut row = row(registry, repository, &tag, image, known);
            if known.is_none() {
                row.reason = waits_for(records, org, registry, repository, image).await?;
            }
            document.images.push(row);
        }
    }
    Ok(())
}

/// Why an image that has no result yet was put off.
async fn waits_for(
    records: &Records,
    org: &OrgName,
    registry: &RegistryId,
    repository: &RepositoryName,
    image: &TaggedImage,
) -> Result<Option<String>, Failure> {
    let image = Image {
        registry: registry.clone(),
        repository: repository.clone(),
        digest: image.digest,
        platform: image.platform.clone(),
    };
    Ok(records.pending_work(org, &image).await?.and_then(|pending| pending.deferred_because))
}

fn row(
    registry: &RegistryId,
    repository: &RepositoryName,
    tag: &TagRecord,
    image: &TaggedImage,
    known: Option<&ImageResult>,
) -> Row {
    let (registry, repository, tag) = (registry.to_string(), repository.to_string(), tag.tag.to_string());
    let (digest, platform, counted) = (image.digest.to_string(), image.platform.to_string(), image.counted);
    Row {
        registry,
        repository,
        tag,
        digest,
        platform,
        counted,
        state: known.map_or(ResultState::Pending, |result| result.state),
        reason: known.and_then(|result| result.reason.clone()),
        distribution: known.and_then(|result| result.distribution.clone()),
        packages: known.map_or(0, |result| result.packages),
        vulnerabilities: known.map(|result| result.severities).unwrap_or_default(),
        policies: known.map(|result| result.policies.clone()).unwrap_or_default(),
        scanned_at: known.map(|result| result.scanned_at),
        read_by_older_readers: known.is_some_and(|result| result.reader_version < READER_VERSION),
    }
}

fn print(document: &Document) {
    let now = SystemClock.now();
    let titles = [
        "IMAGE", "PLATFORM", "STATE", "PACKAGES", "CRITICAL", "HIGH", "MEDIUM", "LOW", "UNSPEC", "POLICIES",
        "SCANNED",
    ];
    let mut table = Table::new(titles);
    for row in &document.images {
        // What is not known is left empty: it is not zero.
        let known = matches!(row.state, ResultState::Scanned | ResultState::Partial | ResultState::Eol);
        let count = |severity| {
            if known { severity_cell(severity, row.vulnerabilities.of(severity)) } else { cell("") }
        };
        let evaluated = row.policies.values().filter(|outcome| **outcome != Outcome::NoData).count();
        let passed = row.policies.values().filter(|outcome| **outcome == Outcome::Pass).count();
        table.row([
            cell(format!("{}/{}:{}", row.registry, row.repository, row.tag)),
            cell(&row.platform),
            state_cell(row.state),
            number_cell(if known { row.packages.to_string() } else { String::new() }),
            count(Severity::Critical),
            count(Severity::High),
            count(Severity::Medium),
            count(Severity::Low),
            count(Severity::Unspecified),
            cell(match evaluated {
                _ if !known => String::new(),
                0 => "no data".to_owned(),
                evaluated => format!("{passed}/{evaluated} pass"),
            }),
            cell(row.scanned_at.map_or_else(String::new, |scanned| ago(scanned, now))),
        ]);
    }
    table.print();
    for row in document.images.iter().filter(|row| row.reason.is_some()) {
        let reason = row.reason.as_deref().unwrap_or_default();
        print_line(&format!("{}/{}:{} is {}: {reason}", row.registry, row.repository, row.tag, row.state));
    }
}

#[cfg(test)]
mod tests {
    use tidewatch_core::Digest;
    use tidewatch_core::image::Platform;

    use super::*;

    fn row_of(result: Option<&ImageResult>) -> Row {
        let digest = Digest::of(b"image");
        let image = TaggedImage { digest, platform: Platform::linux_amd64(), counted: true };
        let tag = TagRecord {
            tag: "1".parse().unwrap(),
            digest,
            images: vec![image.clone()],
            skipped: None,
            platforms: Vec::new(),
            seen_at: Timestamp::UNIX_EPOCH,
        };
        row(&"local".parse().unwrap(), &"team/web".parse().unwrap(), &tag, &image, result)
    }

    #[test]
    fn an_image_that_older_readers_have_read_is_marked() {
        let result = |reader_version| ImageResult {
            state: ResultState::Scanned,
            reason: None,
            distribution: None,
            packages: 1,
            severities: SeverityCounts::default(),
            suppressed: SeverityCounts::default(),
            policies: BTreeMap::new(),
            created_at: None,
            scanned_at: Timestamp::UNIX_EPOCH,
            next_change_at: None,
            reader_version,
            indexes: BTreeMap::new(),
            judged_under: Digest::of(b""),
            matching: 0,
            matched: None,
            inventory: None,
            metadata: None,
            report: None,
        };
        assert!(row_of(Some(&result(READER_VERSION - 1))).read_by_older_readers);
        assert!(!row_of(Some(&result(READER_VERSION))).read_by_older_readers);
        assert!(!row_of(None).read_by_older_readers);
    }
}
