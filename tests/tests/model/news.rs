//! What is told of images that are newly affected: nothing twice, nothing that is not so, and everything that newly affects
//! an image in a stream while nothing else happens.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tidewatch_core::Severity;
use tidewatch_core::judgement::{Criteria, Judging, Scope};
use tidewatch_core::ports::Clock as _;

use crate::advisories::{PUBLISHED, findings};
use crate::check::streams;
use crate::images::{BUILT, IMAGES, number_of};
use crate::naive::Model;
use crate::run::{publish, settle};
use crate::world::{LEASE, World, acme};

/// The number of what is published at the end: all advisories.
const ALL: usize = 3;

/// An image by its number, and a vulnerability.
type News = BTreeSet<(usize, String)>;

/// Checks what was told so far, and then what is told of a change by which everybody is newly affected by all that there is.
pub(crate) async fn check_news(world: &World, model: &mut Model) -> Result<(), TestCaseError> {
    let before = told(world).await;
    if !model.has_killed_announcer {
        let ids: BTreeSet<_> = world.bus.taken().into_iter().map(|event| event.id).collect();
        prop_assert_eq!(ids.len(), world.bus.taken().len(), "nothing is told twice");
    }
    let affecting = |number: usize| (0..IMAGES.len()).flat_map(move |image| bad(number, image));
    let possible: News = model.ever_published.iter().flat_map(|number| affecting(*number)).collect();
    let wrong: Vec<_> = before.difference(&possible).collect();
    prop_assert!(wrong.is_empty(), "they have never affected those: {wrong:?}");

    let known: News = affecting(model.published.0).collect();
    publish(world, model, ALL).await;
    settle(world, model).await;
    let newly_told: News = told(world).await.difference(&before).cloned().collect();
    let suppressed = suppressed(world, model);
    let news: News = in_streams(world, model)
        .await?
        .into_iter()
        .flat_map(|image| bad(ALL, image))
        .filter(|news| !known.contains(news) && !suppressed.contains(news))
        .collect();
    let wrong: Vec<_> = newly_told.difference(&news).collect();
    prop_assert!(wrong.is_empty(), "that is no news: {wrong:?}");
    // What has affected an image at some time before may have been told, or come to nothing, then.
    let missing: Vec<_> = news.difference(&newly_told).filter(|news| !possible.contains(*news)).collect();
    prop_assert!(missing.is_empty(), "nobody tells: {missing:?}");
    Ok(())
}

/// All that was told when nothing is left to tell.
async fn told(world: &World) -> News {
    // For those who were killed.
    world.clock.advance(LEASE);
    world.functions.roll_up.announce(&acme()).await.unwrap();
    let event = |event: tidewatch_core::event::AffectedEvent| (number_of(&event.digest), event.vulnerability);
    world.bus.taken().into_iter().map(event).collect()
}

/// What affects an image by `PUBLISHED[number]` that is bad enough to be told.
fn bad(number: usize, image: usize) -> impl Iterator<Item = (usize, String)> {
    debug_assert!(number < PUBLISHED.len());
    let bad =
        findings(number, &IMAGES[image]).into_iter().filter(|finding| finding.severity <= Severity::High);
    bad.map(move |finding| (image, finding.vulnerability))
}

async fn in_streams(world: &World, model: &Model) -> Result<BTreeSet<usize>, TestCaseError> {
    let members = streams(world, model).await?.into_values().flatten();
    let members = members.filter(|member| model.is_configured(member.repository));
    Ok(members.map(|member| member.image).collect())
}

/// What exceptions suppress wherever an image is.
fn suppressed(world: &World, model: &Model) -> News {
    let config = model.configuration.config();
    let criteria = Criteria::new(&config, Vec::new());
    let judging = Judging { criteria: &criteria, tables: &model.tables, now: world.clock.now() };
    let mut suppressed = News::new();
    for (image, content) in IMAGES.iter().enumerate() {
        let digest = Scope { digest: Some(&BUILT[image].digest), ..Scope::default() };
        let findings = findings(ALL, content);
        for suppression in model.judge(image, &findings, digest, judging).1.suppressions {
            suppressed.insert((image, findings[suppression.finding].vulnerability.clone()));
        }
    }
    suppressed
}
