//! What a message does when nothing goes wrong.

use std::collections::BTreeMap;

use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::{Clock as _, Objects as _};
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_store::records::AdvisorySource;
use tidewatch_sync_advisories::Place;
use tidewatch_testkit::archives::{Fault, Validators};

use crate::world::{CRITICAL, MEDIUM, World, alpine, debian, score, size};

fn archives<const N: usize>(
    archives: [(&str, Vec<serde_json::Value>); N],
) -> BTreeMap<String, Vec<serde_json::Value>> {
    archives.into_iter().map(|(ecosystem, records)| (ecosystem.to_owned(), records)).collect()
}

#[tokio::test]
async fn the_schedule_sends_one_message_for_each_ecosystem() {
    let world = World::of(&["Debian", "Alpine", "GIT"]).await;
    assert_eq!(world.sync.tick().await.unwrap(), 3);
    let ecosystems: Vec<_> = world.take().into_iter().map(|m| (m.ecosystem, m.failures)).collect();
    let expected = ["Alpine", "Debian", "GIT"].map(|name| (name.to_owned(), 0));
    assert_eq!(ecosystems, expected);
}

#[tokio::test]
async fn an_archive_is_fetched_compiled_and_in_force() {
    let world = World::of(&["Debian"]).await;
    let records = vec![debian("DSA-1-1", "CVE-2024-1", "pkg")];
    world.server.put("Debian", &records);
    world.handle("Debian").await.unwrap();

    assert_eq!(world.in_force().await, world.expected(&archives([("Debian", records.clone())])));
    let source = world.source("Debian").await;
    let archive = source.archive.unwrap();
    assert_eq!((archive.size, archive.records, archive.problems), (size(&records), 1, 0));
    assert_eq!(source.url.as_deref(), Some(format!("{}/Debian/all.zip", world.server.url()).as_str()));
    let now = Some(world.clock.now());
    assert_eq!((source.checked_at, source.changed_at, source.error), (now, now, None));
    assert!(source.etag.is_some() && source.last_modified.is_some());
    assert_eq!(world.take(), []);
    assert_eq!(world.leftovers(), 0);
    let request = world.server.requests().remove(0);
    let agent = format!("tidewatch/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!((request.path.as_str(), request.user_agent), ("/Debian/all.zip", Some(agent)));
}

#[tokio::test]
async fn an_archive_that_has_not_changed_is_not_sent_again_and_changes_nothing() {
    for (validators, statuses) in [
        (Validators::Both, vec![200, 304]),
        (Validators::LastModified, vec![200, 304]),
        (Validators::None, vec![200, 200]),
    ] {
        let world = World::of(&["Debian"]).await;
        world.server.validators(validators);
        world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
        world.tick().await;
        let before = world.source("Debian").await;
        let current = world.records.current_advisories().await.unwrap();
        let objects = world.objects("advisories/").await;

        world.tick().await;
        assert_eq!(world.server.statuses("Debian"), statuses, "{validators:?}");
        let after = world.source("Debian").await;
        assert_eq!(after, AdvisorySource { checked_at: Some(world.clock.now()), ..before });
        let mut confirmed = world.records.current_advisories().await.unwrap();
        let debian = confirmed.families.get_mut("debian").unwrap();
        debian.confirmed_at = current.families["debian"].confirmed_at;
        assert_eq!(confirmed, current);
        assert_eq!(world.objects("advisories/").await, objects);
    }
}

#[tokio::test]
async fn a_changed_archive_replaces_the_index_and_the_stored_archive() {
    let world = World::of(&["Debian"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.tick().await;
    let before = world.in_force().await;
    let records = vec![debian("DSA-1-1", "CVE-2024-1", "pkg"), debian("DSA-2-1", "CVE-2024-2", "pkg")];
    world.server.put("Debian", &records);
    world.tick().await;
    assert_ne!(world.in_force().await, before);
    assert_eq!(world.in_force().await, world.expected(&archives([("Debian", records)])));
    assert_eq!(world.source("Debian").await.changed_at, Some(world.clock.now()));
    assert_eq!(world.objects("advisories/sources/").await.len(), 1);
}

#[tokio::test]
async fn the_scores_of_another_ecosystem_are_in_the_index_whichever_comes_first() {
    let all = archives([
        ("Debian", vec![debian("DSA-1-1", "CVE-2024-1", "pkg")]),
        ("GIT", vec![score("CVE-2024-1", CRITICAL)]),
    ]);
    for first in ["Debian", "GIT"] {
        let world = World::of(&["Debian", "GIT"]).await;
        world.serve(&all);
        world.handle(first).await.unwrap();
        world.tick().await;
        assert_eq!(world.in_force().await, world.expected(&all), "{first} first");
        assert_eq!(world.objects("advisories/sources/").await.len(), 1, "what is not compiled is not kept");
    }
}

#[tokio::test]
async fn changed_scores_compile_the_others_again_without_fetching_their_archives() {
    let world = World::of(&["Alpine", "Debian", "GIT"]).await;
    let mut all = archives([
        ("Alpine", vec![alpine("CVE-2024-1", "pkg")]),
        ("Debian", vec![debian("DSA-1-1", "CVE-2024-1", "pkg")]),
        ("GIT", vec![score("CVE-2024-1", CRITICAL)]),
    ]);
    world.serve(&all);
    world.tick().await;
    let before = world.in_force().await;
    all.insert("GIT".to_owned(), vec![score("CVE-2024-1", MEDIUM)]);
    world.server.put("GIT", &all["GIT"]);

    world.handle("GIT").await.unwrap();
    let sent: Vec<_> = world.queue.messages::<AdvisoriesMessage>(QueueName::Advisories);
    assert_eq!(sent.iter().map(|m| m.ecosystem.as_str()).collect::<Vec<_>>(), ["Alpine", "Debian"]);
    assert_eq!(world.in_force().await, before, "an index is made by the message of its own ecosystem");
    world.settle(Vec::new(), |_| 0).await;
    assert_eq!(world.in_force().await, world.expected(&all));
    assert_ne!(world.in_force().await, before);
    for ecosystem in ["Alpine", "Debian"] {
        let statuses = world.server.statuses(ecosystem);
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{ecosystem}: {statuses:?}");
    }
    assert_eq!(world.objects("advisories/scores/").await.len(), 3);
}

#[tokio::test]
async fn an_ecosystem_that_is_not_set_any_more_gives_no_scores() {
    let mut world = World::of(&["Debian", "GIT"]).await;
    let mut all = archives([
        ("Debian", vec![debian("DSA-1-1", "CVE-2024-1", "pkg")]),
        ("GIT", vec![score("CVE-2024-1", CRITICAL)]),
    ]);
    world.serve(&all);
    world.tick().await;
    world.again_with(|settings| settings.ecosystems.retain(|ecosystem| ecosystem == "Debian"));
    world.tick().await;
    all.remove("GIT");
    assert_eq!(world.in_force().await, world.expected(&all));
}

#[tokio::test]
async fn lost_objects_are_fetched_anew() {
    let world = World::of(&["Alpine", "Debian", "GIT"]).await;
    let mut all = archives([
        ("Alpine", vec![alpine("CVE-2024-2", "pkg")]),
        ("Debian", vec![debian("DSA-1-1", "CVE-2024-1", "pkg")]),
        ("GIT", vec![score("CVE-2024-1", CRITICAL)]),
    ]);
    world.serve(&all);
    world.tick().await;
    let gone = [world.objects("advisories/sources/").await, world.objects("advisories/scores/").await];
    for key in gone.concat() {
        world.objects.delete(&key).await.unwrap();
    }
    all.insert("Alpine".to_owned(), vec![alpine("CVE-2024-2", "pkg"), score("CVE-2024-1", MEDIUM)]);
    world.server.put("Alpine", &all["Alpine"]);
    world.tick().await;
    assert_eq!(world.in_force().await, world.expected(&all));
}

#[tokio::test]
async fn an_archive_at_another_url_is_fetched_whatever_its_validators() {
    let mut world = World::of(&["Debian"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.tick().await;
    let other = World::of(&["Debian"]).await;
    let records = vec![debian("DSA-9-1", "CVE-2024-9", "pkg")];
    other.server.put("Debian", &records);
    world.again_with(|settings| settings.osv = Some(Place::parse(&other.server.url()).unwrap()));
    world.tick().await;
    assert_eq!(other.server.statuses("Debian"), [200]);
    assert_eq!(world.in_force().await, world.expected(&archives([("Debian", records)])));
}

#[tokio::test]
async fn an_index_that_something_else_put_in_force_is_replaced_by_that_of_the_source() {
    let world = World::of(&["Debian"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.tick().await;
    let (family, mut index) = world.records.current_advisories().await.unwrap().families.pop_first().unwrap();
    let before = world.in_force().await;
    index.hash = tidewatch_core::Digest::of(b"another");
    world.records.publish_advisories([(family, index)]).await.unwrap();
    world.tick().await;
    assert_eq!(world.in_force().await, before);
    assert_eq!(world.server.statuses("Debian"), [200, 304]);
}

#[tokio::test]
async fn advisories_are_as_old_as_the_last_word_of_their_source() {
    let world = World::of(&["Debian"]).await;
    let family =
        async || world.records.current_advisories().await.unwrap().families.remove("debian").unwrap();
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.tick().await;
    let first = family().await;
    assert_eq!(first.confirmed_at, Some(world.clock.now()));
    world.tick().await;
    let confirmed = family().await;
    assert_eq!(world.server.statuses("Debian"), [200, 304], "it is unchanged");
    assert_eq!((confirmed.hash, confirmed.confirmed_at), (first.hash, Some(world.clock.now())));
    world.server.fail("Debian", Fault::Status(404));
    world.tick().await;
    assert_ne!(world.error("Debian").await, "");
    assert_eq!(family().await, confirmed, "what cannot be used confirms nothing");
    let basis = world.records.current_advisories().await.unwrap();
    let day =
        |days: u64| world.clock.now().checked_add(std::time::Duration::from_secs(days * 86_400)).unwrap();
    let at = |now| {
        let criteria = tidewatch_core::Digest::of(b"criteria");
        tidewatch_core::judgement::judging_fingerprint(criteria, &basis.tables, &basis.dates(), now)
    };
    assert_eq!(at(day(0)), at(day(6)), "nothing is judged again as long as they are current");
    assert_ne!(at(day(0)), at(day(7)));
}

#[tokio::test]
async fn names_with_spaces_are_percent_encoded() {
    let world = World::of(&["Debian", "Rocky Linux"]).await;
    world.server.put("Rocky Linux", &[score("CVE-2024-1", CRITICAL)]);
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.tick().await;
    assert_eq!(world.server.statuses("Rocky Linux"), [200]);
    assert!(world.source("Rocky Linux").await.archive.is_some());
}

#[tokio::test]
async fn the_schedule_is_due_when_something_was_never_asked_for_or_an_hour_ago() {
    let world = World::of(&["Debian"]).await;
    let due = async || {
        let due = world.sync.tick_if_due().await.unwrap();
        assert_eq!(world.take().len(), usize::from(due));
        due
    };
    assert!(due().await);
    // An ecosystem that cannot be had was asked for, too.
    world.handle("Debian").await.unwrap();
    assert!(!due().await);
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.handle("Debian").await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(3599));
    assert!(!due().await);
    world.clock.advance(std::time::Duration::from_secs(1));
    assert!(due().await);
}
