//! The law: matching again gives what a scan of the same inventory would record, whatever was in force before.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewatch_core::package::Distribution;
use tidewatch_core::problem::Problem;
use tidewatch_core::result::ImageResult;
use tidewatch_inventory::ImageInventory;
use tidewatch_testkit::advisory::AdvisoryBuilder;

use crate::world::{World, advisories, debian, image};

/// Which advisories, by number; none before the first build.
type Published = Option<Vec<bool>>;

static ADVISORIES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let recent = AdvisoryBuilder::new("DSA-3-1")
        .upstream(["CVE-2099-0003"])
        .published("2026-06-10T00:00:00Z")
        .severity("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
        .fixed("Debian:13", "libc", "1.5");
    let unordered = AdvisoryBuilder::new("DSA-4-1").fixed("Debian:13", "zlib", "no version");
    [advisories(), vec![recent.build(), unordered.build()]].concat()
});

fn published() -> impl Strategy<Value = Published> {
    option::weighted(0.9, vec(any::<bool>(), ADVISORIES.len()))
}

fn policies() -> impl Strategy<Value = Value> {
    let policy = |change: Value| {
        let mut policy = json!({"id": "fixable-vulnerabilities"});
        policy.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!([policy])
    };
    prop_oneof![
        Just(json!([])),
        Just(policy(json!({"enabled": false}))),
        (0_u32..10).prop_map(move |days| policy(json!({"config": {"grace_period_days": days}}))),
    ]
}

prop_compose! {
    fn inventory()(
        packages in vec((0_usize..4, 0_usize..4), 0..5),
        distribution in 0_usize..4,
        problems in vec("[a-z]{1,3}", 0..3),
    ) -> ImageInventory {
        let names = ["openssl", "zlib", "libc", "other"];
        let versions = ["1", "2", "1.5-1", "not a version"];
        let mut packages: Vec<_> =
            packages.into_iter().map(|(name, version)| (names[name], versions[version])).collect();
        packages.sort_unstable();
        packages.dedup();
        let named = |id: &str, version: &str| Distribution {
            id: id.to_owned(),
            version_id: Some(version.to_owned()),
            pretty_name: format!("{id}\u{1b} {version}"),
        };
        let distribution =
            [None, Some(named("debian", "13")), Some(named("debian", "12")), Some(named("fedora", "44"))]
                [distribution].clone();
        let problems = problems.iter().map(|path| Problem::new(path, "it is cut off")).collect();
        ImageInventory { distribution, problems, ..debian(&packages) }
    }
}

async fn put_in_force(world: &World, published: &Published, policies: &Value) {
    if let Some(chosen) = published {
        let chosen = ADVISORIES.iter().zip(chosen).filter(|(_, chosen)| **chosen);
        // One that is about something else, so that there is always an index.
        let other = AdvisoryBuilder::new("DSA-9-1").fixed("Debian:13", "unheard-of", "1").build();
        let chosen: Vec<Value> = chosen.map(|(advisory, _)| advisory.clone()).chain([other]).collect();
        world.publish(&chosen).await;
    }
    world.apply(policies).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn matching_again_gives_what_a_scan_would_record(
        inventory in inventory(),
        before in (published(), policies()),
        then in vec((published(), policies()), 1..3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::without_advisories().await;
            let image = image("team/web", "1");
            put_in_force(&world, &before.0, &before.1).await;
            world.tag(&image, "latest").await;
            world.scan(&image, &inventory).await;
            for (published, policies) in &then {
                world.clock.advance(std::time::Duration::from_secs(86_400));
                put_in_force(&world, published, policies).await;
                let old = world.stored(&image).await;
                world.rematch().await;

                let mut expected = world.assess(&inventory).await;
                let stored = world.stored(&image).await;
                expected.result.report.clone_from(&stored.result.report);
                let of_before = expected.result.judged_under == old.result.judged_under
                    && expected.result.indexes == old.result.indexes;
                if of_before {
                    prop_assert_eq!(&stored, &old, "it was current");
                } else {
                    prop_assert_eq!(&stored.result, &expected.result);
                    prop_assert_eq!(world.report(&image).await, expected.report);
                }
                if let Some(member) = world.member(&image).await.filter(|_| enters_streams(&stored.result)) {
                    prop_assert_eq!(&member.policies, &stored.result.policies);
                    prop_assert_eq!(member.severities, stored.result.severities);
                    prop_assert_eq!(
                        (member.state, member.next_change_at, member.created_at),
                        (stored.result.state, stored.result.next_change_at, stored.result.created_at)
                    );
                } else {
                    prop_assert!(!enters_streams(&stored.result));
                }
            }
            Ok(())
        })?;
    }
}

fn enters_streams(result: &ImageResult) -> bool {
    result.state.as_str() != "pending"
}
