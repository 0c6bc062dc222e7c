//! The images of a stream, one image, and who has a vulnerability.

use serde_json::json;
use tidewatch_core::Severity;
use tidewatch_core::image::Platform;
use tidewatch_core::names::StreamName;
use tidewatch_core::result::ResultState;
use tidewatch_read_results::documents::{ImagePage, ImageRow};
use tidewatch_read_results::{ImageQuery, ReadError};

use crate::scans::Scan;
use crate::world::{World, after, first, index_of};

const LATEST: &str = "latest-indexed";

fn all(stream: &str) -> ImageQuery {
    ImageQuery::all(stream.parse().unwrap())
}

async fn page(world: &World, query: &ImageQuery) -> ImagePage {
    world.results().await.image_page(query, &first(1_000)).await.unwrap()
}

fn places(page: &ImagePage) -> Vec<String> {
    let name = |name: &tidewatch_read_results::documents::ImageName| {
        format!("{}/{}:{}", name.registry, name.repository, name.tag)
    };
    page.images.iter().map(|image| name(&image.name)).collect()
}

/// Four images of three kinds.
async fn world() -> World {
    let world = World::plain().await;
    let critical = |scan: Scan| scan.with("CVE-2026-0001", "openssl", Severity::Critical);
    world.scan(LATEST, &critical(Scan::of("hub/team/web"))).await;
    world.scan(LATEST, &Scan::of("hub/team/api").tagged("2.0")).await;
    world.scan(LATEST, &Scan::of("hub/app").in_state(ResultState::Partial)).await;
    world.scan(LATEST, &critical(Scan::of("ecr/web").with("CVE-2026-0002", "curl", Severity::Low))).await;
    world
}

#[tokio::test]
async fn the_images_of_a_stream_are_sorted_and_tell_what_is_known() {
    let world = world().await;
    let page = page(&world, &all(LATEST)).await;
    assert_eq!(places(&page), ["ecr/web:1.0", "hub/app:1.0", "hub/team/api:2.0", "hub/team/web:1.0"]);
    insta::assert_json_snapshot!("images", &page.images[..2]);
}

#[tokio::test]
async fn pages_follow_one_another_without_a_gap() {
    for stream in [LATEST, "production"] {
        let world = World::plain().await;
        for number in 0..230 {
            world.scan(stream, &Scan::of(&format!("hub/app-{number:03}"))).await;
        }
        for limit in [1, 7, 100, 230, 1_000] {
            let results = world.results().await;
            let mut page = results.image_page(&all(stream), &first(limit)).await.unwrap();
            let mut found = places(&page);
            while let Some(next) = page.next {
                page = results.image_page(&all(stream), &after(&next, limit)).await.unwrap();
                assert!(page.images.len() <= limit);
                found.extend(places(&page));
            }
            let expected: Vec<_> = (0..230).map(|number| format!("hub/app-{number:03}:1.0")).collect();
            assert_eq!(found, expected, "{stream}, {limit} at a time");
            if limit == 1 && stream == "production" {
                break;
            }
        }
    }
}

#[tokio::test]
async fn where_each_platform_counts_pages_go_on_within_a_repository() {
    let world = World::plain().await;
    world.count_all().await;
    for number in 0..30 {
        let scan = Scan::of(&format!("hub/app-{number:02}"));
        world.scan_on(&scan, &[Platform::linux_amd64(), Platform::linux_arm64()]).await;
    }
    // What stands in a slot of before does not count.
    world.scan(LATEST, &Scan::of("hub/app-00").holding("before")).await;
    for limit in [1, 7, 60, 1_000] {
        let results = world.results().await;
        let mut page = results.image_page(&all(LATEST), &first(limit)).await.unwrap();
        let mut found = names(&page);
        while let Some(next) = page.next {
            page = results.image_page(&all(LATEST), &after(&next, limit)).await.unwrap();
            assert!(page.images.len() <= limit);
            found.extend(names(&page));
        }
        assert!(found.is_sorted_by_key(|(repository, _)| repository), "{limit} at a time: {found:?}");
        found.sort();
        let platforms = ["linux/amd64", "linux/arm64"];
        let of_repository =
            |number: i32| platforms.map(|platform| (format!("app-{number:02}"), platform.to_owned()));
        assert_eq!(found, (0..30).flat_map(of_repository).collect::<Vec<_>>(), "{limit} at a time");
    }
}

/// Repository and platform of each image of a page.
fn names(page: &ImagePage) -> Vec<(String, String)> {
    let name = |image: &ImageRow| (image.name.repository.to_string(), image.name.platform.clone());
    page.images.iter().map(name).collect()
}

#[tokio::test]
async fn filters_take_what_matches() {
    let world = world().await;
    let of = async |query: ImageQuery| places(&page(&world, &query).await);
    let state = ImageQuery { state: Some(ResultState::Partial), ..all(LATEST) };
    assert_eq!(of(state).await, ["hub/app:1.0"]);
    let pattern = ImageQuery { pattern: Some("team/**:2.*".parse().unwrap()), ..all(LATEST) };
    assert_eq!(of(pattern).await, ["hub/team/api:2.0"]);
    for id in ["CVE-2026-0001", "cve-2026-0001", "GHSA-2026-0001", "DSA-2026-0001"] {
        let with = ImageQuery { vulnerability: Some(id.to_owned()), ..all(LATEST) };
        let page = page(&world, &with).await;
        assert_eq!(places(&page), ["ecr/web:1.0", "hub/team/web:1.0"], "{id}");
        let unknown: Vec<_> = page.unknown.iter().map(|image| image.name.repository.as_str()).collect();
        assert_eq!(unknown, ["app"], "of a partial image it cannot be told");
    }
}

#[tokio::test]
async fn who_has_a_vulnerability_is_told_with_the_packages() {
    let world = World::new(
        json!([{"vulnerability": "CVE-2026-0001", "package": "pkg:deb/debian/curl", "type": "accepted_risk"}]),
        json!([]),
    )
    .await;
    let web = Scan::of("hub/web")
        .with("CVE-2026-0001", "openssl", Severity::Critical)
        .with("CVE-2026-0001", "curl", Severity::Critical)
        .with("CVE-2026-0002", "curl", Severity::Low);
    world.scan("production", &web).await;
    world.scan("production", &Scan::of("hub/odd").in_state(ResultState::Unsupported)).await;
    let stream: StreamName = "production".parse().unwrap();
    let page = world.results().await.vulnerability_page("GHSA-2026-0001", &stream, &first(10)).await.unwrap();
    insta::assert_json_snapshot!("vulnerability", page);
    let none = world.results().await.vulnerability_page("CVE-1", &stream, &first(10)).await.unwrap();
    assert_eq!((none.images.len(), none.unknown.len()), (0, 1));
}

#[tokio::test]
async fn an_image_is_found_by_tag_by_index_and_by_its_own_digest() {
    let world = World::new(
        json!([{"id": "known", "vulnerability": "CVE-2026-0001", "type": "accepted_risk", "reason": "it is not reachable"}]),
        json!([]),
    )
    .await;
    let web = Scan::of("hub/team/web")
        .in_state(ResultState::Partial)
        .with("CVE-2026-0001", "openssl", Severity::Critical)
        .with("CVE-2026-0002", "curl", Severity::High);
    world.scan(LATEST, &web).await;
    let results = world.results().await;
    let (digest, index) = (web.digest(), index_of(&web));
    let mut shown = Vec::new();
    for reference in [
        "hub/team/web:1.0".to_owned(),
        format!("hub/team/web@{index}"),
        format!("hub/team/web:1.0@{digest}"),
        digest.to_string(),
    ] {
        let found = results.image_detail(&reference.parse().unwrap()).await.unwrap();
        assert_eq!(found.reference, reference);
        shown.push(found.images);
    }
    assert!(shown.iter().all(|images| *images == shown[0]));
    insta::assert_json_snapshot!("image", shown[0]);
}

#[tokio::test]
async fn an_image_that_nobody_knows_is_refused() {
    let world = world().await;
    let results = world.results().await;
    let elsewhere = format!("hub/app@{}", Scan::of("hub/team/web").digest());
    for reference in ["hub/none:1.0", "hub/app:2.0", &Scan::of("hub/none").digest().to_string(), &elsewhere] {
        let refused = results.image_detail(&reference.parse().unwrap()).await.unwrap_err();
        assert!(matches!(refused, ReadError::Image(_)), "{reference}: {refused}");
    }
}

#[tokio::test]
async fn streams_have_the_numbers_of_the_last_roll_up() {
    let world = world().await;
    world.scan("production", &Scan::of("hub/team/web")).await;
    world.roll_up().await;
    let streams = world.results().await.stream_list().await.unwrap().streams;
    let numbers: Vec<_> = streams
        .iter()
        .map(|stream| (stream.name.as_str(), stream.images, stream.vulnerabilities.total()))
        .collect();
    assert_eq!(numbers, [(LATEST, 4, 3), ("production", 1, 0)]);
}
