//! After all messages have settled, in whatever order, the indexes in force are those that one build of a folder with
//! the same archives gives.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use crate::world::{CRITICAL, MEDIUM, World, alpine, debian, score};

const ECOSYSTEMS: [&str; 4] = ["Alpine", "Debian", "GIT", "Linux"];

/// What happens: an archive changes, a message comes, or what waits is handled in part.
#[derive(Clone, Debug)]
enum Event {
    Change { ecosystem: usize, content: u8 },
    Message { ecosystem: usize },
    Handle,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => (0..ECOSYSTEMS.len(), any::<u8>()).prop_map(|(ecosystem, content)| Event::Change { ecosystem, content }),
        2 => (0..ECOSYSTEMS.len()).prop_map(|ecosystem| Event::Message { ecosystem }),
        3 => Just(Event::Handle),
    ];
    prop::collection::vec(event, 0..12)
}

/// The records of an ecosystem; the bits of `content` say which, and how they are rated. Both CVEs are everyone's.
fn records(ecosystem: &str, content: u8) -> Vec<Value> {
    let mut records = Vec::new();
    for (bit, cve) in [(0, "CVE-2024-1"), (1, "CVE-2024-2")] {
        let rated = if content >> (bit + 4) & 1 == 1 { CRITICAL } else { MEDIUM };
        match ecosystem {
            "Alpine" => records.push(alpine(cve, "pkg")),
            "Debian" => records.push(debian(&format!("DSA-{bit}-1"), cve, "pkg")),
            _ => {}
        }
        if content >> bit & 1 == 1 {
            records.push(score(cve, rated));
        }
    }
    // An archive without records is refused: there is always something.
    records.push(score(&format!("CVE-2000-{}", content >> 6), MEDIUM));
    records
}

async fn follow(events: &[Event], choices: &[usize]) {
    let world = World::of(&ECOSYSTEMS).await;
    let mut archives: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for ecosystem in ECOSYSTEMS {
        archives.insert(ecosystem.to_owned(), records(ecosystem, 0));
        world.server.put(ecosystem, &archives[ecosystem]);
    }
    world.sync.tick().await.unwrap();
    let mut waiting = world.take();
    let mut choices = choices.iter().copied().cycle();
    let mut choose = move |count: usize| choices.next().unwrap_or(0) % count;
    for event in events {
        match event {
            Event::Change { ecosystem, content } => {
                let ecosystem = ECOSYSTEMS[*ecosystem];
                archives.insert(ecosystem.to_owned(), records(ecosystem, *content));
                world.server.put(ecosystem, &archives[ecosystem]);
            }
            Event::Message { ecosystem } => {
                waiting.push(tidewatch_core::work::AdvisoriesMessage::of(ECOSYSTEMS[*ecosystem]))
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
    assert_eq!(world.in_force().await, world.expected(&archives));
    assert_eq!(world.objects("advisories/sources/").await.len(), 2);
    assert_eq!(world.objects("advisories/scores/").await.len(), ECOSYSTEMS.len());
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
        let world = World::of(&ECOSYSTEMS).await;
        let mut archives = BTreeMap::new();
        for (number, ecosystem) in (0_u8..).zip(ECOSYSTEMS) {
            archives.insert(
                ecosystem.to_owned(),
                records(ecosystem, round.wrapping_mul(37) ^ number.wrapping_mul(91)),
            );
            world.server.put(ecosystem, &archives[ecosystem]);
        }
        // Each twice, as a queue may deliver them. Who is overtaken fails, and comes again.
        let twice = ECOSYSTEMS.into_iter().chain(ECOSYSTEMS);
        let handled = futures::future::join_all(twice.map(|ecosystem| world.handle(ecosystem))).await;
        let failed =
            ECOSYSTEMS.into_iter().chain(ECOSYSTEMS).zip(handled).filter(|(_, outcome)| outcome.is_err());
        let again = failed.map(|(ecosystem, _)| tidewatch_core::work::AdvisoriesMessage::of(ecosystem));
        world.settle(again.collect(), |_| 0).await;
        assert_eq!(world.in_force().await, world.expected(&archives));
    }
}
