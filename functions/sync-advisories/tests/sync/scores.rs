//! An index is compiled again only when a score that it uses has changed.

use proptest::prelude::*;
use serde_json::Value;
use tidewatch_core::Digest;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::AdvisoriesMessage;

use crate::world::{CRITICAL, MEDIUM, World, debian, score};

/// When the index of Debian was compiled, what of, and of which scores.
async fn compiled(world: &World) -> (String, Digest, Option<Digest>) {
    let compiled = world.source("Debian").await.compiled.unwrap();
    (compiled.index.built_at.to_string(), compiled.scores["GIT"], compiled.used)
}

#[tokio::test]
async fn scores_that_an_ecosystem_does_not_use_are_noted_and_compile_nothing() {
    let world = World::of(&["Debian", "GIT"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.server.put("GIT", &[score("CVE-2024-1", MEDIUM)]);
    world.tick().await;
    let (built_at, scores, used) = compiled(&world).await;

    world.server.put("GIT", &[score("CVE-2024-1", MEDIUM), score("CVE-2024-2", CRITICAL)]);
    world.tick().await;
    let (again, others, same) = compiled(&world).await;
    assert_eq!((&again, same), (&built_at, used), "nothing was compiled");
    assert_ne!(others, scores, "the note says of which scores it is known to be right");
    let archive = world.source("GIT").await.archive.unwrap();
    assert_eq!(archive.scores, others);

    world.server.put("GIT", &[score("CVE-2024-1", CRITICAL), score("CVE-2024-2", CRITICAL)]);
    world.tick().await;
    let (later, _, changed) = compiled(&world).await;
    assert!(later > built_at && changed != used);
    // The archive that is compiled again is the stored one.
    assert_eq!(world.server.statuses("Debian"), [200, 304, 304]);
}

#[tokio::test]
async fn who_is_sent_for_because_of_scores_asks_no_server() {
    let world = World::of(&["Debian", "GIT"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.server.put("GIT", &[score("CVE-2024-1", MEDIUM)]);
    world.tick().await;
    world.server.put("GIT", &[score("CVE-2024-1", CRITICAL)]);
    let asked = world.server.requests().len();
    world.handle("GIT").await.unwrap();
    let sent = world.queue.sent(QueueName::Advisories);
    assert_eq!(sent.iter().map(|message| message.delay.as_secs()).collect::<Vec<_>>(), [600]);
    let messages: Vec<AdvisoriesMessage> = world.take();
    assert_eq!(messages, [AdvisoriesMessage { scores_only: true, ..AdvisoriesMessage::of("Debian") }]);
    world.settle(messages, |_| 0).await;
    assert_eq!(world.server.requests().len(), asked + 1, "that of GIT alone");
}

#[tokio::test]
async fn scores_are_taken_in_when_every_source_was_asked_for_once() {
    let world = World::of(&["Debian", "GIT", "Linux"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.server.put("GIT", &[score("CVE-2024-1", MEDIUM)]);
    world.handle("Debian").await.unwrap();
    world.handle("GIT").await.unwrap();
    let first = world.source("Debian").await.compiled.unwrap().index.hash;
    world.settle(Vec::new(), |_| 0).await;
    assert_eq!(world.source("Debian").await.compiled.unwrap().index.hash, first);
    // One that cannot be had was asked for as well.
    world.handle("Linux").await.unwrap();
    assert!(world.error("Linux").await.contains("404"));
    world.settle(Vec::new(), |_| 0).await;
    assert_ne!(world.source("Debian").await.compiled.unwrap().index.hash, first);
}

#[tokio::test]
async fn a_lost_list_of_what_an_archive_is_about_is_made_anew() {
    let world = World::of(&["Debian", "GIT"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.server.put("GIT", &[score("CVE-2024-1", MEDIUM)]);
    world.tick().await;
    for key in world.objects("advisories/ids/").await {
        tidewatch_core::ports::Objects::delete(&*world.objects, &key).await.unwrap();
    }
    let scores = vec![score("CVE-2024-1", CRITICAL)];
    world.server.put("GIT", &scores);
    world.tick().await;
    let all =
        [("Debian".to_owned(), vec![debian("DSA-1-1", "CVE-2024-1", "pkg")]), ("GIT".to_owned(), scores)];
    assert_eq!(world.in_force().await, world.expected(&all.into()));
    assert_eq!(world.objects("advisories/ids/").await.len(), 1);
}

/// Scores of CVE-2024-0 to 3, of which the archive is about the first two: each rated so, or not at all.
fn rated(ratings: [u8; 4]) -> Vec<Value> {
    let one = |(number, rating): (usize, u8)| {
        let vector = [None, Some(MEDIUM), Some(CRITICAL)][usize::from(rating)]?;
        Some(score(&format!("CVE-2024-{number}"), vector))
    };
    let always = score("CVE-2000-1", MEDIUM);
    ratings.into_iter().enumerate().filter_map(one).chain([always]).collect()
}

async fn compiles_when_used(before: [u8; 4], after: [u8; 4]) {
    let world = World::of(&["Debian", "GIT"]).await;
    let records = vec![debian("DSA-0-1", "CVE-2024-0", "pkg"), debian("DSA-1-1", "CVE-2024-1", "pkg")];
    world.server.put("Debian", &records);
    world.server.put("GIT", &rated(before));
    world.tick().await;
    let (built_at, ..) = compiled(&world).await;
    world.server.put("GIT", &rated(after));
    world.tick().await;
    let (again, ..) = compiled(&world).await;
    assert_eq!(again != built_at, before[..2] != after[..2], "{before:?} {after:?}");
    let all = [("Debian".to_owned(), records), ("GIT".to_owned(), rated(after))];
    assert_eq!(world.in_force().await, world.expected(&all.into()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_is_compiled_again_just_when_a_score_that_it_uses_has_changed(
        before in prop::array::uniform4(0..3_u8),
        after in prop::array::uniform4(0..3_u8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compiles_when_used(before, after));
    }
}
