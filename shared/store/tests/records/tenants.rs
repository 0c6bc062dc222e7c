//! Configurations, results and tokens of organisations.

use serde_json::json;
use tidewatch_core::Digest;
use tidewatch_core::image::Platform;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::tables::{EndOfLife, TableDate};
use tidewatch_store::records::{RematchState, StoredResult, TagRecord};

use crate::world::{World, acme, assert_changed, at, config, hub, image, result, token};

on_every_table!(
    a_configuration_is_applied_on_the_version_that_it_was_planned_against,
    organisations_are_listed_sorted,
    a_result_is_stored_on_the_revision_that_it_was_computed_from,
    what_was_sent_to_be_matched_again_is_noted_over_what_was_read,
    what_is_in_force_is_the_same_basis_while_nothing_changes_that_results_depend_on,
    tables_in_force_are_a_part_of_what_results_depend_on,
    tags_are_read_page_by_page,
    a_token_is_found_by_its_id_and_listed_by_its_organisation,
    a_revoked_token_stays_revoked_since_the_first_time,
    a_token_is_revoked_by_its_own_organisation_only,
);

async fn a_configuration_is_applied_on_the_version_that_it_was_planned_against(world: World) {
    let (one, two) = (config("acme", "https://one.example.com"), config("acme", "https://two.example.com"));
    assert_eq!(world.records.config(&acme()).await.unwrap(), None);
    assert_changed(world.records.apply_config(&one, Some(1), at(0)).await);
    assert_eq!(world.records.apply_config(&one, None, at(0)).await.unwrap(), 1);
    assert_changed(world.records.apply_config(&two, None, at(1)).await);
    assert_eq!(world.records.apply_config(&two, Some(1), at(2)).await.unwrap(), 2);
    assert_changed(world.records.apply_config(&one, Some(1), at(3)).await);
    let applied = world.records.config(&acme()).await.unwrap().unwrap();
    assert_eq!((applied.config, applied.version, applied.applied_at), (two, 2, at(2)));
}

async fn organisations_are_listed_sorted(world: World) {
    for org in ["zebra", "acme", "m-1"] {
        world.records.apply_config(&config(org, "https://one.example.com"), None, at(0)).await.unwrap();
    }
    let orgs: Vec<String> = world.records.orgs().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(orgs, ["acme", "m-1", "zebra"]);
}

async fn a_result_is_stored_on_the_revision_that_it_was_computed_from(world: World) {
    let (org, image) = (acme(), image("1"));
    let put = |packages, revision| {
        let (records, of_image) = (&world.records, result(packages));
        let (org, image) = (&org, &image);
        let read = (revision > 0).then(|| StoredResult { result: result(0), revision });
        async move { records.put_result(org, &image.digest, &image.platform, &of_image, read.as_ref()).await }
    };
    assert_changed(put(1, 1).await);
    assert_eq!(put(1, 0).await.unwrap(), 1);
    assert_changed(put(2, 0).await);
    assert_eq!(put(3, 1).await.unwrap(), 2);
    assert_changed(put(4, 1).await);
    let stored = world.records.result(&org, &image.digest, &image.platform).await.unwrap().unwrap();
    assert_eq!((stored.result.packages, stored.revision), (3, 2));
    let arm = world.records.result(&org, &image.digest, &Platform::linux_arm64()).await.unwrap();
    assert_eq!(arm, None, "each platform has its own");
}

async fn what_was_sent_to_be_matched_again_is_noted_over_what_was_read(world: World) {
    let state = |content: &str, seconds| RematchState {
        fingerprint: Digest::of(content.as_bytes()),
        sent_at: at(seconds),
        posting_sent_at: None,
    };
    let (one, two, three) = (state("1", 1), state("2", 2), state("3", 3));
    let note = |read: Option<RematchState>, sent: RematchState| {
        let records = &world.records;
        async move { records.note_rematch(&acme(), read.as_ref(), &sent).await.unwrap() }
    };
    assert_eq!(world.records.rematch_state(&acme()).await.unwrap(), None);
    assert!(note(None, one).await);
    assert!(!note(None, two).await);
    assert!(note(Some(one), two).await);
    assert!(!note(Some(one), three).await);
    assert_eq!(world.records.rematch_state(&acme()).await.unwrap(), Some(two));
    assert_eq!(world.records.rematch_state(&"zebra".parse().unwrap()).await.unwrap(), None);
}

async fn what_is_in_force_is_the_same_basis_while_nothing_changes_that_results_depend_on(world: World) {
    let one = config("acme", "https://one.example.com");
    assert_eq!(world.records.in_force(&acme(), None).await.unwrap(), None);
    world.records.apply_config(&one, None, at(0)).await.unwrap();
    let first = world.records.in_force(&acme(), None).await.unwrap().unwrap();
    let mut two = config("acme", "https://two.example.com");
    world.records.apply_config(&two, Some(1), at(1)).await.unwrap();
    let second = world.records.in_force(&acme(), Some(&first)).await.unwrap().unwrap();
    assert_eq!(
        (second.applied.version, &second.applied.config),
        (2, &two),
        "it is not the one that was known"
    );
    assert_eq!(second.basis(at(3)), first.basis(at(3)), "no result depends on a registry");
    assert_eq!(world.records.in_force(&acme(), Some(&second)).await.unwrap(), Some(second));

    two.policies =
        serde_json::from_value(json!([{"id": "fixable-vulnerabilities", "enabled": false}])).unwrap();
    world.records.apply_config(&two, Some(2), at(2)).await.unwrap();
    let third = world.records.in_force(&acme(), None).await.unwrap().unwrap();
    assert_ne!(third.basis(at(3)), first.basis(at(3)));
}

async fn tables_in_force_are_a_part_of_what_results_depend_on(world: World) {
    let config = config("acme", "https://one.example.com");
    world.records.apply_config(&config, None, at(0)).await.unwrap();
    let applied = world.records.config(&acme()).await.unwrap().unwrap();
    let basis = || async { world.records.basis(&applied, at(10)).await.unwrap() };
    let without = basis().await;
    let table = |last_day: &str, date| {
        let document = json!({"debian": {"releases": [{"releaseCycle": "12", "eol": last_day}]}});
        EndOfLife::read(document.to_string().as_bytes(), TableDate(at(date))).unwrap()
    };
    let records = &world.records;
    let publish = |table: EndOfLife| async move {
        let version = records.put_end_of_life(&table).await.unwrap();
        records.publish_end_of_life(version).await.unwrap();
    };
    publish(table("2026-07-11", 1)).await;
    let first = basis().await;
    assert_ne!(first, without);
    let in_force = world.records.in_force(&acme(), None).await.unwrap().unwrap();
    assert_eq!(in_force.basis(at(10)), first, "however it is asked");
    assert_eq!(in_force.judging(at(10)).fingerprint(), first.judging);
    assert_eq!(in_force.tables.end_of_life, Some(table("2026-07-11", 1)));
    publish(table("2026-07-11", 5)).await;
    assert_eq!(basis().await, first, "it says the same");
    publish(table("2026-07-12", 5)).await;
    assert_ne!(basis().await, first);
    world.records.publish_known_exploited(TableDate(at(5))).await.unwrap();
    let current = world.records.current_advisories().await.unwrap();
    assert_eq!(current.tables.known_exploited, Some(TableDate(at(5))));
    let tables = world.records.tables(&current).await.unwrap();
    assert_eq!((tables.known_exploited, tables.versions()), (Some(TableDate(at(5))), current.tables));
}

async fn tags_are_read_page_by_page(world: World) {
    let (registry, repository) = (hub(), "team/web".parse().unwrap());
    for number in 0..7 {
        let tag = TagRecord {
            tag: format!("v{number}").parse().unwrap(),
            digest: Digest::of(b"1"),
            images: vec![],
            skipped: None,
            platforms: vec![],
            seen_at: at(0),
            chosen_by: None,
            missing_at: None,
            forgotten: false,
        };
        world.records.put_tag(&acme(), &registry, &repository, &tag).await.unwrap();
    }
    let broken = Key::new("REPO#acme#hub/team/web", "TAG#v3");
    world.table.update(&broken, Update::default().set("data", "{"), Condition::ItemPresent).await.unwrap();
    let (mut after, mut read, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = world.records.tags_page(&acme(), &registry, &repository, after.as_ref(), 2).await.unwrap();
        read.extend(
            page.tags.into_iter().map(|tag| tag.map_or("broken".to_owned(), |tag| tag.tag.to_string())),
        );
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(read, ["v0", "v1", "v2", "broken", "v4", "v5", "v6"]);
    assert!((4..=5).contains(&pages), "{pages}");
}

async fn a_token_is_found_by_its_id_and_listed_by_its_organisation(world: World) {
    let tokens = [token(1, "acme", 2), token(2, "acme", 1), token(3, "zebra", 0)];
    for token in &tokens {
        world.records.put_token(token).await.unwrap();
    }
    let [newer, older, _] = &tokens;
    assert_eq!(world.records.token(&newer.id).await.unwrap().as_ref(), Some(newer));
    assert_eq!(world.records.token("aaaaaaaaaaaaaaaa").await.unwrap(), None);
    assert_eq!(world.records.tokens(&acme()).await.unwrap(), [older.clone(), newer.clone()], "oldest first");
    assert!(world.records.put_token(newer).await.is_err(), "an id is given once");
}

async fn a_revoked_token_stays_revoked_since_the_first_time(world: World) {
    let token = token(1, "acme", 0);
    world.records.put_token(&token).await.unwrap();
    for now in [5, 9] {
        let revoked = world.records.revoke_token(&acme(), &token.id, at(now)).await.unwrap().unwrap();
        assert_eq!(revoked.revoked_at, Some(at(5)));
        assert_eq!(world.records.token(&token.id).await.unwrap(), Some(revoked));
    }
}

async fn a_token_is_revoked_by_its_own_organisation_only(world: World) {
    let token = token(1, "acme", 0);
    world.records.put_token(&token).await.unwrap();
    assert_eq!(world.records.revoke_token(&"zebra".parse().unwrap(), &token.id, at(5)).await.unwrap(), None);
    assert_eq!(world.records.token(&token.id).await.unwrap(), Some(token));
}
