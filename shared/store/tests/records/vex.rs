//! VEX documents that an organisation has uploaded.

use serde_json::json;
use tidewatch_core::Timestamp;
use tidewatch_core::config::Config;
use tidewatch_core::vex::VexDocument;
use tidewatch_store::records::{NewVex, VexError};

use crate::world::{World, acme, at, config};

on_every_table!(
    documents_are_in_force_with_the_next_version_and_out_of_force_with_the_one_after,
    what_is_in_force_already_changes_nothing,
    documents_stay_in_force_when_a_configuration_is_applied,
    documents_are_a_part_of_what_results_depend_on,
    no_more_documents_are_taken_than_are_bounded,
    without_a_configuration_there_is_nothing_to_be_in_force_beside,
);

/// A document about this product, which is that of a digest or a repository.
fn new(id: &str, product: &str) -> NewVex {
    let statement = json!({
        "vulnerability": "CVE-2099-0001", "products": [{"ids": [product]}], "status": "not_affected",
    });
    let document: VexDocument = serde_json::from_value(
        json!({"id": id, "author": "acme", "timestamp": at(0), "statements": [statement]}),
    )
    .unwrap();
    NewVex { document, text: format!("{{\"@id\": \"{id}\"}}"), file: "web.vex.json".to_owned() }
}

fn configured() -> Config {
    config("acme", "https://one.example.com")
}

async fn version(world: &World) -> (i64, Timestamp, usize) {
    let applied = world.records.config(&acme()).await.unwrap().unwrap();
    (applied.version, applied.applied_at, applied.vex.len())
}

async fn documents_are_in_force_with_the_next_version_and_out_of_force_with_the_one_after(world: World) {
    let records = &world.records;
    records.apply_config(&configured(), None, at(0)).await.unwrap();
    let (one, two) = (new("one", "acme/web"), new("two", "acme/api"));
    assert_eq!(records.add_vex(&acme(), std::slice::from_ref(&one), at(1)).await.unwrap(), 2);
    assert_eq!(records.add_vex(&acme(), &[two.clone(), one.clone()], at(2)).await.unwrap(), 3);
    assert_eq!(version(&world).await, (3, at(2), 2));
    let entries = records.vex_entries(&acme()).await.unwrap();
    let told: Vec<_> = entries.iter().map(|entry| (entry.document.as_str(), entry.added_at)).collect();
    assert_eq!(told, [("one", at(1)), ("two", at(2))]);
    let digest = one.document.digest();
    let stored = records.vex(&acme(), &digest).await.unwrap().unwrap();
    assert_eq!((&stored.document, &stored.text), (&one.document, &one.text));

    assert_eq!(records.remove_vex(&acme(), &digest, at(3)).await.unwrap(), Some(4));
    assert_eq!(version(&world).await, (4, at(3), 1));
    assert_eq!(records.remove_vex(&acme(), &digest, at(4)).await.unwrap(), None, "it is gone already");
    assert_eq!(records.vex_entries(&acme()).await.unwrap().len(), 1);
    assert!(records.vex(&acme(), &digest).await.unwrap().is_some(), "what was in force can be looked up");
}

async fn what_is_in_force_already_changes_nothing(world: World) {
    world.records.apply_config(&configured(), None, at(0)).await.unwrap();
    let one = [new("one", "acme/web")];
    for now in [at(1), at(9)] {
        assert_eq!(world.records.add_vex(&acme(), &one, now).await.unwrap(), 2);
    }
    assert_eq!(version(&world).await, (2, at(1), 1));
}

async fn documents_stay_in_force_when_a_configuration_is_applied(world: World) {
    world.records.apply_config(&configured(), None, at(0)).await.unwrap();
    world.records.add_vex(&acme(), &[new("one", "acme/web")], at(1)).await.unwrap();
    let planned_before = world.records.apply_config(&configured(), Some(1), at(2)).await;
    assert!(planned_before.is_err(), "a document has come into force since");
    assert_eq!(world.records.apply_config(&configured(), Some(2), at(3)).await.unwrap(), 3);
    assert_eq!(version(&world).await, (3, at(3), 1));
}

async fn documents_are_a_part_of_what_results_depend_on(world: World) {
    let records = &world.records;
    records.apply_config(&configured(), None, at(0)).await.unwrap();
    let without = records.in_force(&acme(), None).await.unwrap().unwrap();
    let one = new("one", "sha256:0000000000000000000000000000000000000000000000000000000000000001");
    records.add_vex(&acme(), std::slice::from_ref(&one), at(1)).await.unwrap();
    let with = records.in_force(&acme(), Some(&without)).await.unwrap().unwrap();
    assert_ne!(with.basis(at(2)).judging, without.basis(at(2)).judging);
    assert!(!with.basis(at(2)).is_limited, "it names one image, wherever that is");
    assert_eq!(records.basis(&with.applied, at(2)).await.unwrap(), with.basis(at(2)), "however it is asked");

    records.add_vex(&acme(), &[new("two", "acme/web")], at(2)).await.unwrap();
    let limited = records.in_force(&acme(), None).await.unwrap().unwrap();
    assert!(limited.basis(at(2)).is_limited && limited.applied.has_limited());
    assert_eq!(records.basis(&limited.applied, at(2)).await.unwrap(), limited.basis(at(2)));

    for id in [one, new("two", "acme/web")] {
        records.remove_vex(&acme(), &id.document.digest(), at(3)).await.unwrap();
    }
    let after = records.in_force(&acme(), Some(&limited)).await.unwrap().unwrap();
    assert_eq!(after.basis(at(4)), without.basis(at(4)), "it is as if they had never been");
}

async fn no_more_documents_are_taken_than_are_bounded(world: World) {
    world.records.apply_config(&configured(), None, at(0)).await.unwrap();
    let many: Vec<NewVex> = (0..65).map(|number| new(&number.to_string(), "acme/web")).collect();
    let refused = world.records.add_vex(&acme(), &many, at(1)).await;
    assert!(matches!(refused, Err(VexError::TooMany(65))), "{refused:?}");
    let large = NewVex { text: " ".repeat((8 << 20) + 1), ..new("one", "acme/web") };
    let refused = world.records.add_vex(&acme(), &[large], at(1)).await;
    assert!(matches!(refused, Err(VexError::TooLarge(_))), "{refused:?}");
    assert_eq!(version(&world).await, (1, at(0), 0), "nothing has changed");
    assert_eq!(world.records.add_vex(&acme(), &many[..64], at(1)).await.unwrap(), 2);
}

async fn without_a_configuration_there_is_nothing_to_be_in_force_beside(world: World) {
    let refused = world.records.add_vex(&acme(), &[new("one", "acme/web")], at(1)).await;
    assert!(matches!(refused, Err(VexError::Organisation(_))), "{refused:?}");
}
