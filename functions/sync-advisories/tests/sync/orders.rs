//! After all messages have settled, in whatever order, the indexes in force are those that one build of a folder with
//! the same advisories gives.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;
use tidewatch_core::Digest;
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_testkit::advisory::write_archive;
use tidewatch_testkit::updateinfo::{feed, gzip, serve, update};

use crate::world::{CRITICAL, KEV, MEDIUM, World, alpine, catalogue, debian, nvd_feed, score};

/// Three that are compiled, and four that give scores, of which two are no archives.
const SOURCES: [&str; 7] = ["Alpine", "Amazon Linux", "Debian", "GIT", "KEV", "Linux", "NVD-2004"];
const ECOSYSTEMS: [&str; 5] = ["Alpine", "Amazon Linux", "Debian", "GIT", "Linux"];

/// What happens: a source changes, a message comes, or what waits is handled in part.
#[derive(Clone, Debug)]
enum Event {
    Change { source: usize, content: u8 },
    Message { source: usize, scores_only: bool },
    Handle,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let message = (0..SOURCES.len(), any::<bool>());
    let event = prop_oneof![
        2 => (0..SOURCES.len(), any::<u8>()).prop_map(|(source, content)| Event::Change { source, content }),
        2 => message.prop_map(|(source, scores_only)| Event::Message { source, scores_only }),
        3 => Just(Event::Handle),
    ];
    prop::collection::vec(event, 0..12)
}

/// The CVEs that `content` says something of, and how they are rated by it. Both are everyone's.
fn rated(content: u8) -> Vec<(&'static str, &'static str)> {
    let cves = [(0, "CVE-2024-1"), (1, "CVE-2024-2")].into_iter();
    let of_content = cves.filter(|(bit, _)| content >> bit & 1 == 1);
    of_content
        .map(|(bit, cve)| (cve, if content >> (bit + 4) & 1 == 1 { CRITICAL } else { MEDIUM }))
        .collect()
}

/// The records of an ecosystem.
fn records(ecosystem: &str, content: u8) -> Vec<Value> {
    let mut records: Vec<_> = rated(content).into_iter().map(|(cve, vector)| score(cve, vector)).collect();
    for (number, cve) in [(1, "CVE-2024-1"), (2, "CVE-2024-2")] {
        match ecosystem {
            "Alpine" => records.push(alpine(cve, "pkg")),
            "Debian" => records.push(debian(&format!("DSA-{number}-1"), cve, "pkg")),
            _ => {}
        }
    }
    // An archive without records is refused: there is always something.
    records.push(score(&format!("CVE-2000-{}", content >> 6), MEDIUM));
    records
}

fn updates(content: u8) -> Vec<String> {
    let words =
        rated(content).into_iter().map(|(cve, _)| update(&format!("ALAS-{cve}"), cve, "", "pkg", "2"));
    words.chain([update("ALAS2-2024-1", "CVE-2024-1", "", "pkg", &(content >> 6).to_string())]).collect()
}

fn exploited(content: u8) -> String {
    let cves: Vec<_> = rated(content).into_iter().map(|(cve, _)| cve).chain(["CVE-2000-1"]).collect();
    catalogue(&cves).to_string()
}

fn nvd(content: u8) -> String {
    nvd_feed(&[rated(content), vec![("CVE-2000-1", MEDIUM)]].concat()).to_string()
}

/// Has the server serve this content of a source.
fn put(world: &World, source: &str, content: u8) {
    match source {
        "Amazon Linux" => {
            let (two, three) = (updates(0), updates(content));
            serve(&world.server, &[("2", &two), ("2023", &three)]);
        }
        "KEV" => world.server.put_file(KEV, exploited(content)),
        "NVD-2004" => world.server.put_file("/nvd/nvdcve-2.0-2004.json.gz", gzip(nvd(content).as_bytes())),
        ecosystem => world.server.put(ecosystem, &records(ecosystem, content)),
    }
}

/// Writes this content of a source to the folder that is built.
fn write(folder: &Path, source: &str, content: u8) {
    let file = |name: &str, bytes: String| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    match source {
        "Amazon Linux" => {
            file("Amazon Linux/2/updateinfo.xml", feed(&updates(0)));
            file("Amazon Linux/2023/updateinfo.xml", feed(&updates(content)));
        }
        "KEV" => file(&format!("KEV{KEV}"), exploited(content)),
        "NVD-2004" => file("NVD/nvdcve-2.0-2004.json", nvd(content)),
        ecosystem => drop(write_archive(folder, ecosystem, &records(ecosystem, content))),
    }
}

fn expected(world: &World, contents: &BTreeMap<&str, u8>) -> BTreeMap<String, Digest> {
    let folder = TempDir::new().unwrap();
    for (source, content) in contents {
        write(folder.path(), source, *content);
    }
    world.built(folder.path())
}

async fn follow(events: &[Event], choices: &[usize]) {
    let world = World::of_every_kind(&ECOSYSTEMS).await;
    let mut contents: BTreeMap<&str, u8> = SOURCES.into_iter().map(|source| (source, 0)).collect();
    for source in SOURCES {
        put(&world, source, 0);
    }
    world.sync.tick().await.unwrap();
    let mut waiting = world.take();
    let mut choices = choices.iter().copied().cycle();
    let mut choose = move |count: usize| choices.next().unwrap_or(0) % count;
    for event in events {
        match *event {
            Event::Change { source, content } => {
                contents.insert(SOURCES[source], content);
                put(&world, SOURCES[source], content);
            }
            Event::Message { source, scores_only } => {
                waiting.push(AdvisoriesMessage { scores_only, ..AdvisoriesMessage::of(SOURCES[source]) });
            }
            Event::Handle if !waiting.is_empty() => {
                let message = waiting.swap_remove(choose(waiting.len()));
                world.handle_message(message).await.unwrap();
                waiting.extend(world.take());
            }
            Event::Handle => {}
        }
    }
    // The next schedule sees every change.
    world.sync.tick().await.unwrap();
    world.settle(waiting, choose).await;
    assert_eq!(world.in_force().await, expected(&world, &contents));
    assert_eq!(world.objects("advisories/sources/").await.len(), 3);
    assert_eq!(world.objects("advisories/ids/").await.len(), 3);
    assert_eq!(world.objects("advisories/scores/").await.len(), SOURCES.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_messages_ends_as_a_build_of_all_archives(
        events in events(),
        choices in prop::collection::vec(0..64_usize, 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(&events, &choices));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_at_the_same_time_end_as_a_build_of_all_archives() {
    for round in 0..8_u8 {
        let world = World::of_every_kind(&ECOSYSTEMS).await;
        let mut contents = BTreeMap::new();
        for (number, source) in (0_u8..).zip(SOURCES) {
            let content = round.wrapping_mul(37) ^ number.wrapping_mul(91);
            contents.insert(source, content);
            put(&world, source, content);
        }
        // Each twice, as a queue may deliver them. Who is overtaken fails, and comes again.
        let twice = || SOURCES.into_iter().chain(SOURCES);
        let handled = futures::future::join_all(twice().map(|source| world.handle(source))).await;
        let failed = twice().zip(handled).filter(|(_, outcome)| outcome.is_err());
        let again = failed.map(|(source, _)| AdvisoriesMessage::of(source));
        world.settle(again.collect(), |_| 0).await;
        assert_eq!(world.in_force().await, expected(&world, &contents));
    }
}
