//! What counts in one place only, and what is known of an image beside its packages: readers see by it what a scan does.

use serde_json::json;
use tidewatch_core::Severity;
use tidewatch_core::metadata::{BaseEvidence, BaseImage, ImageMetadata};
use tidewatch_core::names::StreamName;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::stream::Member;
use tidewatch_core::vex::VexDocument;
use tidewatch_read_results::ImageIdentity;
use tidewatch_read_results::documents::Explanation;
use tidewatch_store::records::{Filling, NewVex};

use crate::scans::Scan;
use crate::world::{World, acme, first, image};

const LATEST: &str = "latest-indexed";

/// A document that says that the images of a repository are not affected by CVE-2026-0001.
fn about(repository: &str) -> VexDocument {
    let statement = json!({
        "vulnerability": "CVE-2026-0001", "products": [{"ids": [repository]}], "status": "not_affected",
    });
    let document = json!({"id": "urn:1", "author": "acme", "timestamp": null, "statements": [statement]});
    serde_json::from_value(document).unwrap()
}

/// Scans an image of which this is known, as a worker does, and puts it into its slot as it is judged there.
async fn scan(world: &World, scan: &Scan, metadata: &ImageMetadata) {
    let (now, image) = (world.clock.now(), image(scan));
    let mut result = world.store(scan).await;
    let in_force = world.records.in_force(&acme(), None).await.unwrap().unwrap();
    let (mut report, inventory) = (scan.report(), scan.inventory());
    result.judge(&mut report, &inventory, metadata, Some(&image.digest), in_force.judging(now));
    result.metadata = world.records.put_image_metadata(&acme(), metadata, None).await.unwrap();
    result.report = Some(world.records.put_report(&acme(), &report, None).await.unwrap());
    world.put_result(scan, &result).await;
    let stored = world.records.result(&acme(), &image.digest, &image.platform).await.unwrap().unwrap();
    let (stream, tag): (StreamName, _) = (LATEST.parse().unwrap(), scan.tag.parse().unwrap());
    let mut filling = Filling::new(&stored, &in_force, now);
    let member = Member::pending(image, tag, now);
    world.records.enter_slot(&acme(), &stream, member, &mut filling).await.unwrap();
}

async fn explain(world: &World, family: &str) -> Explanation {
    let series = format!("{family}{{streamName=\"latest-indexed\",severity=\"CRITICAL\"}}").parse().unwrap();
    world.results().await.explanation(&series, &first(100)).await.unwrap()
}

/// Two repositories hold the same image, and in the first a VEX document suppresses what was found: the rows are behind
/// the number of each.
async fn assert_suppressed_in_web_alone(world: &World) {
    world.roll_up().await;
    let (counted, suppressed) = (
        explain(world, "scout_stream_vulnerabilities").await,
        explain(world, "tidewatch_suppressed_findings").await,
    );
    for (explanation, repository) in [(counted, "team/api"), (suppressed, "team/web")] {
        let [row] = explanation.rows.as_slice() else { panic!("{explanation:?}") };
        assert_eq!((row.name.repository.as_str(), explanation.value), (repository, Some(1)));
        assert_eq!(row.vulnerability.as_deref(), Some("CVE-2026-0001"), "{row:?}");
        assert_eq!(explanation.published.unwrap().value, Some(1));
    }
}

fn twins() -> [Scan; 2] {
    ["hub/team/web", "hub/team/api"]
        .map(|place| Scan::of(place).holding("the same").with("CVE-2026-0001", "openssl", Severity::Critical))
}

#[tokio::test]
async fn what_an_uploaded_document_suppresses_in_a_repository_is_behind_the_numbers() {
    let world = World::plain().await;
    let (text, file) = (String::new(), "web.vex.json".to_owned());
    let vex = NewVex { document: about("team/web"), text, file };
    world.records.add_vex(&acme(), &[vex], world.clock.now()).await.unwrap();
    for twin in &twins() {
        scan(&world, twin, &ImageMetadata::default()).await;
    }
    assert_suppressed_in_web_alone(&world).await;
}

#[tokio::test]
async fn what_a_document_in_the_image_suppresses_in_a_repository_is_behind_the_numbers() {
    let world = World::plain().await;
    let known = ImageMetadata {
        attestations: Some(Vec::new()),
        vex_files: vec![about("team/web")],
        ..ImageMetadata::default()
    };
    for twin in &twins() {
        scan(&world, twin, &known).await;
    }
    assert_suppressed_in_web_alone(&world).await;
}

#[tokio::test]
async fn the_base_image_that_a_scan_has_found_is_shown() {
    let world = World::plain().await;
    let web = Scan::of("hub/team/web");
    let detail = async || {
        let images = world.results().await.image_detail(&ImageIdentity::Digest(web.digest())).await.unwrap();
        images.images.into_iter().next().unwrap()
    };
    let reference = "docker.io/library/debian:13".to_owned();
    let base = Some(BaseImage {
        reference: reference.clone(),
        digest: None,
        evidence: BaseEvidence::Annotation,
        current: None,
    });
    scan(&world, &web, &ImageMetadata { base, ..ImageMetadata::default() }).await;
    let with = serde_json::to_value(detail().await).unwrap();
    assert_eq!(
        (&with["base"]["reference"], &with["base_unknown_because"]),
        (&json!(reference), &json!(null))
    );
    let unknown = Some("the image names none".to_owned());
    scan(&world, &web, &ImageMetadata { base_unknown_because: unknown, ..ImageMetadata::default() }).await;
    let without = serde_json::to_value(detail().await).unwrap();
    assert_eq!(without["base_unknown_because"], "the image names none");
    assert_eq!(without["base"], json!(null));
}
