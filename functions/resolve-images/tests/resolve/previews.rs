//! A preview says what a run does, and does nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidewatch_core::cost::Requests;
use tidewatch_core::image::Platform;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::{Digest, Timestamp};
use tidewatch_resolve_images::{Measure, PreviewedImage, PreviewedTag, RepositoryPreview, Verdict};
use tidewatch_testkit::image::{ImageBuilder, IndexBuilder};
use tidewatch_testkit::layer::LayerBuilder;

use crate::world::{World, acme, reg};

async fn preview(world: &World, repository: &str) -> Vec<PreviewedTag> {
    let applied = world.records.config(&acme()).await.unwrap().unwrap();
    let rule = &applied.config.rules[0];
    let place = (&reg(), &repository.parse().unwrap());
    world.resolver().preview(&acme(), &applied, rule, place, Measure::Known).await.unwrap().tags
}

fn push(world: &World, repository: &str, tag: &str, content: u8, days: Option<i64>) {
    let layer = LayerBuilder::new().file("content", content.to_string()).build();
    let mut builder = ImageBuilder::new().layer(layer).platform(&Platform::linux_amd64());
    if let Some(days) = days {
        let created = world.clock.now().as_second() - days * 86_400;
        builder = builder.created(Timestamp::from_second(created).unwrap());
    }
    world.push_image(repository, tag, &builder.build());
}

/// An image of an index, of which no manifest is asked for by a listing, and one by itself that shares its first layer.
async fn with_an_index() -> (World, [u64; 2]) {
    let world = World::new().await;
    let layer = |name: &str| LayerBuilder::new().file(name, name.repeat(100)).build();
    let of = |layers: [&str; 2]| {
        let [base, top] = layers.map(layer);
        ImageBuilder::new().layer(base).layer(top).platform(&Platform::linux_amd64()).build()
    };
    let (single, child) = (of(["base", "web"]), of(["base", "api"]));
    world.push_image("team/web", "1", &single);
    world.push_image("team/web", "2", &IndexBuilder::new().image(&child).build());
    let sizes = ["base", "web"].map(|name| layer(name).bytes.len() as u64);
    (world, sizes)
}

async fn previewed(world: &World, measure: Measure) -> RepositoryPreview {
    let applied = world.records.config(&acme()).await.unwrap().unwrap();
    let place = (&reg(), &"team/web".parse().unwrap());
    world.resolver().preview(&acme(), &applied, &applied.config.rules[0], place, measure).await.unwrap()
}

#[tokio::test]
async fn a_preview_counts_what_the_run_asks_and_knows_the_layers_of_what_it_has_asked_for() {
    let (world, sizes) = with_an_index().await;
    let known = previewed(&world, Measure::Known).await;
    let asked = world.requests();
    assert_eq!(known.requests, Requests { pages: 1, heads: 2, manifests: 2, blobs: 1 });
    assert_eq!((known.requests.total(), known.measuring), (asked.len() as u64, 0));
    let layers: Vec<Option<Vec<u64>>> = known.to_scan.iter().map(layer_sizes).collect();
    assert_eq!(layers, [Some(sizes.to_vec()), None], "the manifest of an index tells no layers");
    // The run asks for the same.
    world.list("team/web").await;
    assert_eq!(world.requests().len(), asked.len());
}

fn layer_sizes(previewed: &PreviewedImage) -> Option<Vec<u64>> {
    Some(previewed.layers.as_ref()?.iter().map(|layer| layer.size).collect())
}

#[tokio::test]
async fn a_preview_that_measures_asks_for_the_manifests_that_it_does_not_know() {
    let (world, _) = with_an_index().await;
    let all = previewed(&world, Measure::All).await;
    assert_eq!(all.measuring, 1);
    assert_eq!(world.requests().len() as u64, all.requests.total() + 1);
    assert!(all.to_scan.iter().all(|image| image.layers.as_ref().is_some_and(|layers| layers.len() == 2)));
    assert!(all.to_scan.iter().all(|image| !image.is_kept));
}

#[tokio::test]
async fn a_preview_names_every_tag_with_its_reason_and_writes_nothing() {
    let rule = json!({"include": [":v*"], "exclude": [":*-rc"], "always": [":v0"], "newest": 2, "created_within": "30d"});
    let world = World::with_rule(rule).await;
    for (number, (tag, days)) in
        [("v0", 400), ("v1", 31), ("v2", 20), ("v3", 10), ("v4", 5), ("v4-rc", 5), ("main", 1)]
            .into_iter()
            .enumerate()
    {
        push(&world, "team/web", tag, u8::try_from(number).unwrap(), Some(days));
    }
    world.push("team/web", &format!("sha256-{}.sig", "0".repeat(64)), "signature");
    let said: Vec<(String, &'static str, bool)> = preview(&world, "team/web")
        .await
        .iter()
        .map(|tag| {
            let reason = tag.verdict.left_out().map_or("chosen", |reason| reason.as_str());
            (tag.tag.to_string().chars().take(6).collect(), reason, tag.digest.is_some())
        })
        .collect();
    let expected = [
        ("main", "not_included", false),
        ("sha256", "artifact", false),
        ("v0", "chosen", true),
        ("v1", "too_old", true),
        ("v2", "not_among_newest", true),
        ("v3", "chosen", true),
        ("v4", "chosen", true),
        ("v4-rc", "excluded", false),
    ];
    assert_eq!(said, expected.map(|(tag, reason, asked)| (tag.to_owned(), reason, asked)));
    assert_eq!((world.due().await.len(), world.tags("team/web").await.len()), (0, 0));
}

/// Tags with what is in their images and how many days ago those were made.
type Pushes = Vec<(String, u8, Option<i64>)>;

fn pushes() -> impl Strategy<Value = Pushes> {
    let tag = (0..5_u8, prop::option::weighted(0.8, 0_i64..6));
    prop::collection::btree_map("[ab][0-9]", tag, 0..8)
        .prop_map(|tags| tags.into_iter().map(|(tag, (content, days))| (tag, content, days)).collect())
}

fn rules() -> impl Strategy<Value = Value> {
    let patterns =
        || prop::collection::vec(prop::sample::select(vec![":a*", ":*1", ":b[0-4]", "**/web"]), 0..2);
    let (within, newest) = (prop::option::of(1_u8..5), prop::option::of(1_u8..4));
    let age = prop::sample::select(vec!["include", "exclude"]);
    (patterns(), patterns(), patterns(), within, newest, age).prop_map(
        |(include, exclude, always, within, newest, age)| {
            let mut rule =
                json!({"include": include, "exclude": exclude, "always": always, "unknown_age": age});
            within.inspect(|days| rule["created_within"] = json!(format!("{days}d")));
            newest.inspect(|newest| rule["newest"] = json!(newest));
            rule
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_run_does_what_its_preview_says(
        rule in rules(), first in pushes(), second in pushes(), is_scanned: bool, page in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(rule, &[first, second], is_scanned, page))?;
    }
}

fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// The images that are to be scanned.
async fn due(world: &World) -> BTreeSet<Digest> {
    world.due().await.into_iter().map(|work| work.image.digest).collect()
}

/// Pushes, previews and lists, twice over: the second time some of it is known.
async fn run(rule: Value, rounds: &[Pushes], is_scanned: bool, page: usize) -> Result<(), TestCaseError> {
    let world = World::with_rule(rule).await;
    world.registry.set_page_size(page);
    for pushes in rounds {
        world.clock.advance(Duration::from_secs(3600));
        for (tag, content, days) in pushes {
            push(&world, "team/web", tag, *content, *days);
        }
        if rounds.iter().all(Vec::is_empty) {
            return Ok(());
        }
        if pushes.is_empty() {
            continue;
        }
        let due_before = due(&world).await;
        let before = (world.due_tags().await, world.tags("team/web").await);
        let previewed = preview(&world, "team/web").await;
        prop_assert_eq!(&(world.due_tags().await, world.tags("team/web").await), &before);

        let progress = world.list("team/web").await;
        let chosen: Vec<&PreviewedTag> =
            previewed.iter().filter(|tag| tag.verdict.left_out().is_none()).collect();
        prop_assert_eq!(
            (previewed.len(), chosen.len()),
            (as_usize(progress.listed), as_usize(progress.selected))
        );
        let mut left_out = BTreeMap::new();
        for reason in previewed.iter().filter_map(|tag| tag.verdict.left_out()) {
            *left_out.entry(reason).or_insert(0_u64) += 1;
        }
        prop_assert_eq!(left_out, progress.left_out);
        let recorded = world.tags("team/web").await;
        let mut needed = BTreeSet::new();
        for tag in &chosen {
            let of_run = recorded.iter().find(|record| record.tag == tag.tag);
            prop_assert_eq!(of_run.map(|record| record.digest), tag.digest);
            if let Verdict::Chosen { new, stale, .. } = tag.verdict
                && new + stale > 0
            {
                needed.extend(tag.digest);
            }
        }
        let due = due(&world).await;
        prop_assert!(needed.is_subset(&due));
        prop_assert!(due.difference(&due_before).all(|digest| needed.contains(digest)));
        if is_scanned {
            world.scan_due().await;
        }
    }
    Ok(())
}
