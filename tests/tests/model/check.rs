//! Compares what is served with the model, and what `explain` gives with what is served.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use tidewatch_core::Digest;
use tidewatch_core::names::StreamName;
use tidewatch_core::ports::Clock as _;
use tidewatch_read_results::{FAMILIES, MOST_ROWS, PageRequest, Results, Series};
use tidewatch_store::records::TextHead;

use crate::images::BUILT;
use crate::naive::{Member, Model, Numbers};
use crate::run::{production, staging};
use crate::world::{World, acme};

pub(crate) async fn check(world: &World, model: &Model) -> Result<(), TestCaseError> {
    let streams = streams(world, model).await?;
    let mut expected = model.numbers(&streams, world.clock.now());
    expected.extend(oldest_results(world, model, &streams).await);
    let snapshot = world.records.snapshot(&acme()).await.unwrap().expect("numbers are served");
    let mut served = numbers(&text(&snapshot.metrics, snapshot.head.metrics));
    served.extend(numbers(&text(&snapshot.own, snapshot.head.own)));
    let differing: BTreeMap<&String, (Option<&u64>, Option<&u64>)> = expected
        .keys()
        .chain(served.keys())
        .filter(|series| expected.get(*series) != served.get(*series))
        .map(|series| (series, (expected.get(series), served.get(series))))
        .collect();
    prop_assert!(
        differing.is_empty(),
        "expected, and served: {differing:#?}\nmembers: {streams:#?}\nstored: {}",
        stored(world, &streams).await
    );
    explained(world, &served).await
}

pub(crate) async fn streams(
    world: &World,
    model: &Model,
) -> Result<BTreeMap<StreamName, Vec<Member>>, TestCaseError> {
    let mut streams = BTreeMap::from([(StreamName::latest_indexed(), model.latest())]);
    let rows = async |stream| world.records.environment_entries(&acme(), &stream).await.unwrap();
    if let Some(entries) = &model.production {
        let members = entries.members(&rows(production()).await, &model.repositories)?;
        streams.insert(production(), members);
    }
    if model.configuration.staging_images().is_some() {
        let members = model.staging.members(&rows(staging()).await, &model.repositories)?;
        streams.insert(staging(), members);
    }
    Ok(streams)
}

/// When the oldest result of each stream was computed, by the results.
async fn oldest_results(
    world: &World,
    model: &Model,
    streams: &BTreeMap<StreamName, Vec<Member>>,
) -> Numbers {
    let mut oldest = Numbers::new();
    for (stream, members) in streams {
        let mut times = Vec::new();
        for member in members.iter().filter(|member| model.is_configured(member.repository)) {
            let image = &BUILT[member.image];
            let platform = image.platform.as_ref().unwrap();
            let stored = world.records.result(&acme(), &image.digest, platform).await.unwrap();
            times.extend(stored.map(|stored| stored.result.scanned_at));
        }
        if let Some(time) = times.into_iter().min() {
            let series = format!("tidewatch_oldest_result_timestamp_seconds{{streamName=\"{stream}\"}}");
            oldest.insert(series, u64::try_from(time.as_second()).unwrap());
        }
    }
    oldest
}

/// What is stored of the images of streams, for whoever reads of a failure.
async fn stored(world: &World, streams: &BTreeMap<StreamName, Vec<Member>>) -> String {
    let mut told = String::new();
    for member in streams.values().flatten() {
        let image = &BUILT[member.image];
        let platform = image.platform.as_ref().unwrap();
        let stored = world.records.result(&acme(), &image.digest, platform).await.unwrap();
        let _ = write!(told, "\n{}: {stored:?}", member.image);
    }
    told
}

fn text(body: &[u8], head: TextHead) -> String {
    let mut text = String::new();
    GzDecoder::new(body).read_to_string(&mut text).unwrap();
    assert_eq!((text.len() as u64, Digest::of(text.as_bytes())), (head.length, head.digest));
    text
}

fn numbers(text: &str) -> Numbers {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let number = |line: &str| {
        let (series, value) = line.rsplit_once(' ').expect("a series and its value");
        (series.to_owned(), value.parse().expect("a whole number"))
    };
    lines.map(number).collect()
}

/// The rows behind each number add up to it.
async fn explained(world: &World, served: &Numbers) -> Result<(), TestCaseError> {
    let results = Results::of(world.records.clone(), acme(), world.clock.now()).await.unwrap();
    for (name, value) in served {
        if !FAMILIES.iter().any(|family| name.starts_with(&format!("{family}{{"))) {
            continue;
        }
        let series: Series = name.parse().unwrap();
        let page = PageRequest { limit: MOST_ROWS, from: None };
        let explanation = results.explanation(&series, &page).await.unwrap();
        let sum: i64 = explanation.rows.iter().map(|row| row.count).sum();
        prop_assert_eq!(
            u64::try_from(sum).ok(),
            Some(*value),
            "the rows of {}: {:?}",
            name,
            explanation.rows
        );
        prop_assert!(explanation.rows.iter().all(|row| row.count == 1), "{}: {:?}", name, explanation.rows);
        prop_assert_eq!((explanation.value, explanation.behind), (Some(*value), None), "{}", name);
    }
    Ok(())
}
