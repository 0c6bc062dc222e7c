//! Announcements become events, each once, whatever the bus and other senders do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidewatch_core::image::Image;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::result::{ImageResult, Report};
use tidewatch_core::{Digest, Severity};
use tidewatch_roll_up_streams::RollUpStreams;
use tidewatch_store::Records;
use tidewatch_store::records::{Alongside, ImagePlace};
use tidewatch_testkit::interleave::Interleaving;
use tidewatch_testkit::ports::{Failing, RecordingBus};

use crate::world::{World, config, image, member};

async fn world() -> World {
    World::new(&config(&["hub"], 0)).await
}

fn announcing(world: &World, records: &Records, bus: &Arc<RecordingBus>) -> RollUpStreams {
    let roll_up = RollUpStreams::new(records.clone(), Arc::clone(&world.clock) as _);
    roll_up.announcing(Arc::clone(bus) as _)
}

pub(crate) async fn announce(world: &World, bus: &Arc<RecordingBus>) -> usize {
    announcing(world, &world.records, bus).announce(&world.org).await.unwrap()
}

/// The result of an image which these vulnerabilities affect, all but the suppressed ones of which are told.
pub(crate) async fn affect(world: &World, image: &Image, vulnerabilities: &[&str], suppressed: &[usize]) {
    let critical: Vec<(&str, Severity)> =
        vulnerabilities.iter().map(|id| (*id, Severity::Critical)).collect();
    affect_by(world, image, &critical, suppressed).await;
}

/// The same, of these severities.
async fn affect_by(world: &World, image: &Image, vulnerabilities: &[(&str, Severity)], suppressed: &[usize]) {
    let (org, digest, platform) = (&world.org, &image.digest, &image.platform);
    let finding = |(id, severity): &(&str, Severity)| {
        json!({
            "vulnerability": id, "advisories": [], "aliases": [], "package_type": "deb", "package": "zlib",
            "version": "1", "purl": "pkg:deb/debian/zlib@1", "severity": severity, "fixed_version": "2",
            "published_at": null,
        })
    };
    let by = |finding: &usize| json!({"finding": finding, "by": {"exception": {"id": "x"}}, "type": "accepted_risk"});
    let report: Report = serde_json::from_value(json!({
        "version": Report::VERSION, "policies": {},
        "findings": vulnerabilities.iter().map(finding).collect::<Vec<_>>(),
        "suppressed": suppressed.iter().map(by).collect::<Vec<_>>(),
    }))
    .unwrap();
    let key = world.records.put_report(org, &report, None).await.unwrap();
    let result: ImageResult = serde_json::from_value(json!({
        "state": "scanned", "reason": null, "distribution": null, "packages": 1, "policies": {},
        "severities": {"critical": 1, "high": 0, "medium": 0, "low": 0, "unspecified": 0},
        "created_at": null, "scanned_at": world.clock.now(), "next_change_at": null, "reader_version": 1,
        "indexes": {}, "judged_under": Digest::of(b""), "report": key,
    }))
    .unwrap();
    let before = world.records.result(org, digest, platform).await.unwrap();
    let newly: Vec<String> = vulnerabilities.iter().map(|(id, _)| (*id).to_owned()).collect();
    let alongside = Alongside { newly_affecting: &newly, ..Alongside::default() };
    let put = world.records.put_result_with(org, digest, platform, &result, before.as_ref(), alongside);
    put.await.unwrap();
}

/// Makes the image the one that stands for its repository.
pub(crate) async fn count(world: &World, image: &Image, seen_hours: i64) {
    let member = member(image.clone(), seen_hours, &[], Outcome::Pass);
    let (tag, seen_at) = (member.tag.clone(), member.seen_at);
    let place = ImagePlace { image: image.clone(), tag, seen_at, counted: true };
    world.records.put_place(&world.org, &place).await.unwrap();
    world.write(&member, 1).await;
}

#[tokio::test]
async fn each_vulnerability_of_an_image_that_counts_is_an_event_once() {
    let (world, bus) = (world().await, Arc::new(RecordingBus::new()));
    let web = image("hub/team/web", "web");
    count(&world, &web, 0).await;
    affect(&world, &web, &["CVE-1", "CVE-2"], &[]).await;
    assert_eq!(announce(&world, &bus).await, 2);
    assert_eq!(announce(&world, &bus).await, 0);
    assert_eq!(bus.vulnerabilities(), ["CVE-1", "CVE-2"]);
    let event = serde_json::to_value(&bus.taken()[0]).unwrap();
    let id = Digest::of(format!("acme\n{}\nlinux/amd64\nCVE-1", web.digest).as_bytes());
    let expected = json!({
        "schema": "tidewatch.affected/1", "id": id, "org": "acme", "vulnerability": "CVE-1", "aliases": [],
        "severity": "CRITICAL", "published_at": null, "known_exploited": null, "digest": web.digest,
        "platform": "linux/amd64", "streams": ["latest-indexed"],
        "members": [
            {"stream": "latest-indexed", "registry": "hub", "repository": "team/web", "tag": "latest"},
        ],
        "member_count": 1,
        "packages": [
            {"package": "zlib", "version": "1", "purl": "pkg:deb/debian/zlib@1", "fixed_version": "2"},
        ],
        "package_count": 1, "found_at": "2026-06-15T00:00:00Z",
    });
    assert_eq!(event, expected);
}

#[tokio::test]
async fn an_image_that_counts_nowhere_and_what_is_suppressed_are_not_told() {
    let (world, bus) = (world().await, Arc::new(RecordingBus::new()));
    let [old, new] = ["old", "new"].map(|content| image("hub/team/web", content));
    count(&world, &old, 0).await;
    count(&world, &new, 1).await;
    affect(&world, &old, &["CVE-1"], &[]).await;
    affect(&world, &new, &["CVE-2", "CVE-3"], &[1]).await;
    assert_eq!(announce(&world, &bus).await, 1);
    assert_eq!(bus.vulnerabilities(), ["CVE-2"]);
    assert_eq!(announce(&world, &bus).await, 0, "nothing of it stays");
}

#[tokio::test]
async fn what_the_bus_does_not_take_now_is_told_later_and_what_it_refuses_is_not() {
    let (world, bus) = (world().await, Arc::new(RecordingBus::new()));
    let web = image("hub/team/web", "web");
    count(&world, &web, 0).await;
    affect(&world, &web, &["CVE-1", "CVE-2", "CVE-3"], &[]).await;
    bus.fail(Failing::Everything);
    assert_eq!(announce(&world, &bus).await, 0);
    bus.fail(Failing::Now(vec!["CVE-2".to_owned()]));
    assert_eq!(announce(&world, &bus).await, 2);
    bus.fail(Failing::Ever(vec!["CVE-4".to_owned()]));
    affect(&world, &web, &["CVE-2", "CVE-4", "CVE-5"], &[]).await;
    assert_eq!(announce(&world, &bus).await, 2);
    bus.fail(Failing::Nothing);
    assert_eq!(announce(&world, &bus).await, 0);
    let mut told = bus.vulnerabilities();
    told.sort_unstable();
    assert_eq!(told, ["CVE-1", "CVE-2", "CVE-3", "CVE-5"]);
}

#[tokio::test]
async fn an_announcement_of_very_many_is_told_some_at_a_time_and_as_a_whole() {
    let (world, bus) = (world().await, Arc::new(RecordingBus::new()));
    let web = image("hub/team/web", "web");
    count(&world, &web, 0).await;
    let ids: Vec<String> = (0..450).map(|number| format!("CVE-2099-{number:04}")).collect();
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    affect(&world, &web, &all, &[]).await;
    bus.fail(Failing::Now(vec!["CVE-2099-0300".to_owned()]));
    assert_eq!(announce(&world, &bus).await, 399);
    bus.fail(Failing::Nothing);
    assert_eq!(announce(&world, &bus).await, 51);
    let mut told = bus.vulnerabilities();
    told.sort_unstable();
    assert_eq!(told, ids);
}

#[tokio::test]
async fn what_is_not_bad_enough_any_more_when_it_is_told_is_not_told() {
    let (world, bus) = (world().await, Arc::new(RecordingBus::new()));
    let mut config = config(&["hub"], 0);
    config.events.severity = Severity::Critical;
    world.apply(&config).await;
    let web = image("hub/team/web", "web");
    count(&world, &web, 0).await;
    affect_by(&world, &web, &[("CVE-1", Severity::High), ("CVE-2", Severity::Critical)], &[]).await;
    assert_eq!(announce(&world, &bus).await, 1);
    assert_eq!(bus.vulnerabilities(), ["CVE-2"]);
}

#[tokio::test]
async fn what_was_announced_before_events_were_switched_off_is_not_told() {
    let (world, bus) = (world().await, Arc::new(RecordingBus::new()));
    let mut config = config(&["hub"], 0);
    let web = image("hub/team/web", "web");
    count(&world, &web, 0).await;
    affect(&world, &web, &["CVE-1"], &[]).await;
    config.events.enabled = false;
    world.apply(&config).await;
    assert_eq!(announce(&world, &bus).await, 0);
    config.events.enabled = true;
    world.apply(&config).await;
    assert_eq!(announce(&world, &bus).await, 0, "it is gone");
}

#[tokio::test]
async fn what_does_not_affect_the_image_any_more_or_is_old_is_no_news() {
    let (world, bus) = (world().await, Arc::new(RecordingBus::new()));
    let web = image("hub/team/web", "web");
    count(&world, &web, 0).await;
    affect(&world, &web, &["CVE-1"], &[]).await;
    affect(&world, &web, &["CVE-2"], &[]).await;
    assert_eq!(announce(&world, &bus).await, 1);
    affect(&world, &web, &["CVE-3"], &[]).await;
    world.clock.advance(Duration::from_hours(7 * 24));
    assert_eq!(announce(&world, &bus).await, 0);
    assert_eq!(bus.vulnerabilities(), ["CVE-2"]);
}

#[tokio::test]
async fn two_senders_at_the_same_time_tell_nothing_twice_and_one_who_dies_leaves_it_to_the_next() {
    for steps in 1..30 {
        let (world, bus) = (world().await, Arc::new(RecordingBus::new()));
        for number in 0..6 {
            let web = image(&format!("hub/team/web{number}"), &format!("web{number}"));
            count(&world, &web, 0).await;
            affect(&world, &web, &["CVE-1"], &[]).await;
        }
        let sender = announcing(&world, &world.pausing, &bus);
        let mut tasks = Interleaving::new();
        let [first, second] = [(), ()].map(|()| tasks.start(sender.announce(&world.org)));
        for _ in 0..steps {
            for task in [first, second] {
                tasks.step(task).transpose().unwrap();
            }
        }
        if steps % 2 == 0 {
            tasks.kill(first);
            tasks.finish(second).transpose().unwrap();
            world.clock.advance(Duration::from_secs(120));
            announce(&world, &bus).await;
        } else {
            tasks.finish(first).transpose().unwrap();
            tasks.finish(second).transpose().unwrap();
            announce(&world, &bus).await;
            assert_eq!(bus.taken().len(), 6, "none twice");
        }
        let ids: BTreeSet<Digest> = bus.taken().into_iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), 6, "none is lost, and each has its id");
    }
}
