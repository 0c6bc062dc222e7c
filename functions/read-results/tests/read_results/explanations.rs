//! The rows behind a number add up to it.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use tidewatch_core::Severity;
use tidewatch_core::names::StreamName;
use tidewatch_core::result::ResultState;
use tidewatch_read_results::documents::{Explanation, Row};
use tidewatch_read_results::{FAMILIES, ReadError, Series};

use crate::scans::Scan;
use crate::world::{Judged, World, acme, after, first, image};

const CRITICAL: &str = "scout_stream_vulnerabilities{streamName=\"latest-indexed\",severity=\"CRITICAL\"}";

async fn explain(world: &World, series: &str) -> Explanation {
    let series = series.parse().unwrap();
    world.results().await.explanation(&series, &first(1_000)).await.unwrap()
}

/// Every row, page by page.
async fn rows(world: &World, series: &Series, limit: usize) -> (Explanation, Vec<Row>) {
    let results = world.results().await;
    let begin = results.explanation(series, &first(limit)).await.unwrap();
    let (mut all, mut next) = (begin.rows.clone(), begin.next.clone());
    while let Some(text) = next {
        let page = results.explanation(series, &after(&text, limit)).await.unwrap();
        assert!(page.rows.len() <= limit && page.value.is_none() && page.published.is_none());
        all.extend(page.rows);
        next = page.next;
    }
    (begin, all)
}

/// An image of a generated stream.
#[derive(Clone, Debug)]
struct Generated {
    stream: &'static str,
    repository: usize,
    content: usize,
    state: ResultState,
    findings: Vec<(usize, usize, Severity)>,
    judged: Judged,
    /// Whether its last scan failed, after one whose numbers count.
    has_failed: bool,
}

fn generated() -> impl Strategy<Value = Generated> {
    let state = prop::sample::select(vec![
        ResultState::Scanned,
        ResultState::Scanned,
        ResultState::Partial,
        ResultState::Unsupported,
    ]);
    let severity = prop::sample::select(Severity::ALL.to_vec());
    let stream = prop::sample::select(vec!["latest-indexed", "production"]);
    let judged = prop::sample::select(vec![Judged::Everywhere, Judged::InPlace]);
    let findings = vec((0..6_usize, 0..3_usize, severity), 0..6);
    (stream, 0..6_usize, 0..3_usize, state, findings, judged, prop::bool::weighted(0.1)).prop_map(
        |(stream, repository, content, state, findings, judged, has_failed)| Generated {
            stream,
            repository,
            content,
            state,
            findings,
            judged,
            has_failed,
        },
    )
}

impl Generated {
    fn scan(&self) -> Scan {
        let place = ["hub/a", "hub/a-b", "hub/team/web", "ecr/a", "ecr/z", "gone/x"][self.repository];
        // What an image holds follows from its digest.
        let content = format!("{} {} {:?}", self.content, self.state, self.findings);
        let scan = Scan::of(place).holding(&content).in_state(self.state);
        self.findings.iter().fold(scan, |scan, (vulnerability, package, severity)| {
            scan.with(&format!("CVE-2026-{vulnerability:04}"), &format!("package-{package}"), *severity)
        })
    }
}

fn exceptions() -> serde_json::Value {
    json!([
        {"vulnerability": "CVE-2026-0001", "type": "accepted_risk"},
        {"vulnerability": "CVE-2026-0002", "stream": "production", "type": "accepted_risk"},
        {"vulnerability": "CVE-2026-0003", "repository": "hub/team/**", "type": "accepted_risk"},
    ])
}

/// For every gauge that has rows behind it: they add up to it, before a roll-up to what it will be, after it to what it is.
async fn check(images: Vec<Generated>, limit: usize) -> Result<(), TestCaseError> {
    let world = World::new(exceptions(), json!([])).await;
    for generated in &images {
        let scan = generated.scan();
        world.scan_judged(generated.stream, &scan, generated.judged).await;
        if generated.has_failed {
            let failed = scan.clone().in_state(ResultState::Failed);
            world.put_result(&failed, &failed.result("2026-06-14T00:00:00Z".parse().unwrap())).await;
        }
    }
    let mut before = Vec::new();
    for line in all_series(&world).await {
        let (begin, rows) = rows(&world, &line, limit).await;
        prop_assert_eq!(begin.value, Some(sum(&rows)), "{}", line);
        before.push((line, begin.value));
    }
    world.roll_up().await;
    let text = world.published().await;
    let mut explained = 0;
    for line in
        text.lines().filter(|line| FAMILIES.iter().any(|family| line.starts_with(&format!("{family}{{"))))
    {
        let series: Series = line.parse().unwrap();
        let served: u64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        let (begin, rows) = rows(&world, &series, limit).await;
        prop_assert_eq!(sum(&rows), served, "{}", line);
        prop_assert_eq!((begin.value, begin.behind), (Some(served), None), "{}", line);
        prop_assert_eq!(begin.published.unwrap().value, Some(served));
        let mut sorted = rows.clone();
        sorted.sort_by_key(|row| format!("{}/{}", row.name.registry, row.name.repository));
        prop_assert_eq!(&sorted, &rows, "they are sorted by repository");
        let earlier = before.iter().find(|(known, _)| *known == series);
        prop_assert!(earlier.is_none_or(|(_, value)| *value == Some(served)), "the roll-up gives another");
        explained += 1;
    }
    prop_assert!(explained > 50, "{}", text);
    Ok(())
}

/// Some series of both streams, before anything is served.
async fn all_series(world: &World) -> Vec<Series> {
    let streams = world.records.streams(&acme(), &world.config).await.unwrap().names;
    let of = |stream: StreamName| {
        let severities = Severity::ALL.map(|severity| format!("severity=\"{severity}\"")).to_vec();
        let policy = vec!["id=\"fixable-vulnerabilities\"".to_owned()];
        let families = [
            ("scout_stream_vulnerabilities", severities.clone()),
            ("tidewatch_suppressed_findings", severities),
            ("scout_policy_compliant_images", policy.clone()),
            ("scout_policy_evaluated_images", policy.clone()),
            ("tidewatch_policy_no_data_images", policy.clone()),
            ("tidewatch_policy_unjudged_images", policy),
        ];
        families.into_iter().flat_map(move |(family, labels)| {
            let stream = stream.clone();
            labels.into_iter().map(move |label| format!("{family}{{streamName=\"{stream}\",{label}}}"))
        })
    };
    streams.into_iter().flat_map(of).map(|text| text.parse().unwrap()).collect()
}

fn sum(rows: &[Row]) -> u64 {
    rows.iter().map(|row| row.count).sum::<i64>().try_into().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_rows_behind_every_gauge_add_up_to_it(images in vec(generated(), 0..10), limit in 1..40_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check(images, limit))?;
    }
}

#[tokio::test]
async fn a_row_names_image_package_and_vulnerability() {
    let world = World::plain().await;
    let web = Scan::of("hub/team/web").with("CVE-2026-0001", "openssl", Severity::Critical).with(
        "CVE-2026-0002",
        "curl",
        Severity::High,
    );
    world.scan("latest-indexed", &web).await;
    world.roll_up().await;
    let explanation = explain(&world, CRITICAL).await;
    insta::assert_json_snapshot!("vulnerabilities", explanation);
}

#[tokio::test]
async fn suppressed_findings_are_behind_their_own_number_only() {
    let world = World::new(exceptions(), json!([])).await;
    let web = Scan::of("hub/web").with("CVE-2026-0001", "openssl", Severity::Critical);
    world.scan("latest-indexed", &web).await;
    assert_eq!(explain(&world, CRITICAL).await.rows, []);
    let suppressed = CRITICAL.replace("scout_stream_vulnerabilities", "tidewatch_suppressed_findings");
    let explanation = explain(&world, &suppressed).await;
    assert_eq!(explanation.rows[0].vulnerability.as_deref(), Some("CVE-2026-0001"));
    assert_eq!((explanation.rows.len(), explanation.value), (1, Some(1)));
}

#[tokio::test]
async fn what_a_failed_scan_has_left_counts_and_says_that_its_rows_are_not_known() {
    let world = World::plain().await;
    let web = Scan::of("hub/web").with("CVE-2026-0001", "openssl", Severity::Critical).with(
        "CVE-2026-0002",
        "openssl",
        Severity::Critical,
    );
    world.scan("latest-indexed", &web).await;
    let failed = web.clone().in_state(ResultState::Failed);
    world.put_result(&failed, &failed.result("2026-06-15T00:00:00Z".parse().unwrap())).await;
    let explanation = explain(&world, CRITICAL).await;
    let [row] = &explanation.rows[..] else { panic!("{explanation:?}") };
    assert_eq!((row.count, &row.vulnerability), (2, &None));
    assert_eq!(row.reason.as_deref(), Some("the last result is failed: something is wrong with it"));
}

#[tokio::test]
async fn a_served_number_of_other_images_than_those_of_now_is_told() {
    let world = World::plain().await;
    assert_eq!(explain(&world, CRITICAL).await.behind.as_deref(), Some("no numbers are served yet"));
    world.scan("latest-indexed", &Scan::of("hub/web")).await;
    world.roll_up().await;
    assert_eq!(explain(&world, CRITICAL).await.behind, None);

    let app = Scan::of("hub/app").with("CVE-2026-0001", "openssl", Severity::Critical);
    world.scan("latest-indexed", &app).await;
    let explanation = explain(&world, CRITICAL).await;
    assert_eq!((explanation.value, explanation.published.unwrap().value), (Some(1), Some(0)));
    assert_eq!(
        explanation.behind.as_deref(),
        Some(
            "the served number was computed at 2026-06-15T00:00:00Z, and images of the stream have changed since"
        )
    );
    world.roll_up().await;
    assert_eq!(explain(&world, CRITICAL).await.behind, None);
}

#[tokio::test]
async fn a_page_ends_within_an_image_that_has_many_rows() {
    let world = World::plain().await;
    let many = (0..25).fold(Scan::of("hub/web"), |scan, number| {
        scan.with(&format!("CVE-2026-{number:04}"), "linux", Severity::Critical)
    });
    world.scan("latest-indexed", &many).await;
    world.scan("latest-indexed", &Scan::of("hub/zoo").with("CVE-2026-1", "curl", Severity::Critical)).await;
    let (_, found) = rows(&world, &CRITICAL.parse().unwrap(), 10).await;
    let expected = (0..25).map(|number| format!("CVE-2026-{number:04}")).chain(["CVE-2026-1".to_owned()]);
    assert_eq!(
        found.into_iter().map(|row| row.vulnerability.unwrap()).collect::<Vec<_>>(),
        expected.collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn images_of_a_registry_that_left_the_configuration_do_not_count() {
    let world = World::plain().await;
    let gone = Scan::of("gone/web").with("CVE-2026-0001", "openssl", Severity::Critical);
    assert_eq!(image(&gone).registry.as_str(), "gone");
    world.scan("latest-indexed", &gone).await;
    let explanation = explain(&world, CRITICAL).await;
    assert_eq!((explanation.value, explanation.rows.len()), (Some(0), 0));
}

#[tokio::test]
async fn a_stream_or_policy_that_is_none_is_refused_with_those_that_are() {
    let world = World::plain().await;
    let refused = async |series: &str| {
        let series = series.parse().unwrap();
        world.results().await.explanation(&series, &first(10)).await.unwrap_err()
    };
    let stream = refused("scout_stream_vulnerabilities{streamName=\"staging\",severity=\"LOW\"}").await;
    assert_eq!(stream.to_string(), "failed to find the stream staging: there are latest-indexed, production");
    let policy = refused("scout_policy_compliant_images{streamName=\"production\",id=\"none\"}").await;
    assert!(matches!(policy, ReadError::Policy { .. }), "{policy}");
}
