//! `tidewatch images`: every tag that a rule chose, on each platform, with its result; or the images of a stream.

mod print;
mod tags;

use jiff::Timestamp;
use serde::Serialize;
use tidewatch_core::names::StreamName;
use tidewatch_inventory::READER_VERSION;
use tidewatch_read_results::documents::{ImageRow, UnknownImage};
use tidewatch_read_results::{ImageQuery, MOST_ROWS, PageRequest, Results};

use super::Context;
use super::results::{failed, next_page, open};
use crate::cli::Images;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{advise, print_document, while_waiting};

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    image: ImageRow,
    /// The layers were read by an older version of the readers: the result is valid, and might say more.
    read_by_older_readers: bool,
    /// Whether its tag is scanned by some rule; `null` in a stream, which says nothing of tags.
    schedule: Option<Schedule>,
    /// When a listing did not find the tag; it leaves when the next one does not find it either.
    missing_at: Option<Timestamp>,
}

/// What runs do with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Schedule {
    /// A rule chooses its tag, or it is in an environment.
    Active,
    /// Nothing of it is pulled any more; it is still matched against new advisories.
    Idle,
}

impl Schedule {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
        }
    }
}

impl From<ImageRow> for Row {
    fn from(image: ImageRow) -> Self {
        let read_by_older_readers = image.reader_version.is_some_and(|version| version < READER_VERSION);
        Self { image, read_by_older_readers, schedule: None, missing_at: None }
    }
}

#[derive(Default, Serialize)]
struct Document {
    /// The stream, when it is the images of one.
    stream: Option<StreamName>,
    images: Vec<Row>,
    /// Tags that were chosen and are no images to scan.
    skipped: Vec<Skipped>,
    /// Images of which it cannot be told whether they have the vulnerability.
    unknown: Vec<UnknownImage>,
}

#[derive(Serialize)]
struct Skipped {
    registry: String,
    repository: String,
    tag: String,
    reason: String,
}

pub(super) async fn run(context: &Context, arguments: Images) -> Result<(), Failure> {
    let (instance, results, org) = open(context, arguments.org.org.clone()).await?;
    let is_of_stream = arguments.stream.is_some() || arguments.with.is_some();
    let query = ImageQuery {
        stream: arguments.stream.unwrap_or_else(StreamName::latest_indexed),
        state: arguments.state,
        pattern: arguments.repository,
        vulnerability: arguments.with,
    };
    let reading = async {
        if is_of_stream {
            return of_stream(&results, &query).await;
        }
        let applied = instance.records.config(&org).await?;
        tags::collect_all(&instance.records, &org, applied.as_ref(), &query).await
    };
    let document = while_waiting(context.quiet, "reading images", reading).await?;
    if context.is_json() {
        return print_document("images", 1, &document);
    }
    if context.is_csv() {
        print::csv(&document)?;
    } else {
        print::table(&document);
    }
    advise_of(context, &instance, &document);
    Ok(())
}

async fn of_stream(results: &Results, query: &ImageQuery) -> Result<Document, Failure> {
    let mut document = Document { stream: Some(query.stream.clone()), ..Document::default() };
    let mut page = PageRequest { limit: MOST_ROWS, from: None };
    loop {
        let found = results.image_page(query, &page).await.map_err(failed)?;
        document.images.extend(found.images.into_iter().map(Row::from));
        document.unknown.extend(found.unknown);
        match next_page(found.next.as_deref())? {
            Some(next) => page = next,
            None => return Ok(document),
        }
    }
}

fn advise_of(context: &Context, instance: &Instance, document: &Document) {
    for skipped in &document.skipped {
        let Skipped { registry, repository, tag, reason } = skipped;
        advise(context.quiet, &format!("skipped {registry}/{repository}:{tag}: {reason}"));
    }
    for UnknownImage { name, reason, .. } in &document.unknown {
        let place = format!("{}/{}:{}", name.registry, name.repository, name.tag);
        advise(context.quiet, &format!("of {place} it cannot be told: {reason}"));
    }
    let older = document.images.iter().filter(|row| row.read_by_older_readers).count();
    if older > 0 {
        let note = format!(
            "{older} images were read by older readers: their results stay until they are read again"
        );
        advise(context.quiet, &note);
    }
    let idle = document.images.iter().filter(|row| row.schedule == Some(Schedule::Idle)).count();
    if idle > 0 {
        let note =
            format!("{idle} images are idle: no rule chooses them any more, and nothing of them is pulled");
        advise(context.quiet, &note);
    }
    if document.images.is_empty() && document.stream.is_none() {
        let none = "no images yet: run a rule (tidewatch rules run ID)";
        let while_up = if instance.is_running { "" } else { " while `tidewatch up` is running" };
        advise(context.quiet, &format!("{none}{while_up}"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tidewatch_core::Digest;
    use tidewatch_core::result::{ImageResult, ResultState};
    use tidewatch_core::severity::SeverityCounts;
    use tidewatch_read_results::documents::ImageName;

    use super::*;

    fn row_of(result: Option<&ImageResult>) -> Row {
        let name = ImageName {
            registry: "local".parse().unwrap(),
            repository: "team/web".parse().unwrap(),
            tag: "1".parse().unwrap(),
            digest: Digest::of(b"image").to_string(),
            platform: "linux/amd64".to_owned(),
        };
        ImageRow::of_result(name, true, result).into()
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
            is_limited: false,
        };
        assert!(row_of(Some(&result(READER_VERSION - 1))).read_by_older_readers);
        assert!(!row_of(Some(&result(READER_VERSION))).read_by_older_readers);
        assert!(!row_of(None).read_by_older_readers);
    }
}
