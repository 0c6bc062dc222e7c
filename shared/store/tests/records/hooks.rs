//! Hooks and their secrets.

use std::sync::Arc;

use tidewatch_core::Digest;
use tidewatch_core::hook::{HookId, HookKind, HookRecord};
use tidewatch_core::ports::Table;
use tidewatch_store::{MemoryTable, Records};
use tidewatch_testkit::interleave::{Interleaving, PausingTable};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness};

use crate::world::{World, acme, at, hub};

on_every_table!(
    a_hook_is_found_by_its_id_and_listed_by_its_organisation,
    a_revoked_hook_stays_revoked_since_the_first_time,
    a_hook_is_changed_by_its_own_organisation_only,
    a_new_secret_leaves_the_one_before_good,
);

fn hook(seed: u64, org: &str, created: i64) -> HookRecord {
    HookRecord {
        id: HookId::generate(&SeededRandomness::new(seed)),
        org: org.parse().unwrap(),
        registry: hub(),
        kind: HookKind::Distribution,
        secrets: vec![secret("first")],
        created_at: at(created),
        revoked_at: None,
    }
}

fn secret(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

async fn a_hook_is_found_by_its_id_and_listed_by_its_organisation(world: World) {
    let (late, early, other) = (hook(1, "acme", 9), hook(2, "acme", 1), hook(3, "rival", 1));
    for hook in [&late, &early, &other] {
        world.records.put_hook(hook).await.unwrap();
    }
    assert_eq!(world.records.hook(&late.id).await.unwrap().as_ref(), Some(&late));
    assert_eq!(world.records.hook(&hook(4, "acme", 0).id).await.unwrap(), None);
    assert_eq!(world.records.hooks(&acme()).await.unwrap(), [early, late.clone()]);
    assert!(world.records.put_hook(&late).await.is_err(), "an id is used once");
}

async fn a_revoked_hook_stays_revoked_since_the_first_time(world: World) {
    let hook = hook(1, "acme", 0);
    world.records.put_hook(&hook).await.unwrap();
    for now in [5, 9] {
        let revoked = world.records.revoke_hook(&acme(), &hook.id, at(now)).await.unwrap().unwrap();
        assert_eq!(revoked.revoked_at, Some(at(5)));
    }
    assert_eq!(world.records.rotate_hook(&acme(), &hook.id, secret("new")).await.unwrap(), None);
    let stored = world.records.hook(&hook.id).await.unwrap().unwrap();
    assert_eq!(stored, HookRecord { revoked_at: Some(at(5)), ..hook });
}

async fn a_hook_is_changed_by_its_own_organisation_only(world: World) {
    let hook = hook(1, "rival", 0);
    world.records.put_hook(&hook).await.unwrap();
    assert_eq!(world.records.revoke_hook(&acme(), &hook.id, at(5)).await.unwrap(), None);
    assert_eq!(world.records.rotate_hook(&acme(), &hook.id, secret("new")).await.unwrap(), None);
    assert_eq!(world.records.hook(&hook.id).await.unwrap(), Some(hook));
}

async fn a_new_secret_leaves_the_one_before_good(world: World) {
    let hook = hook(1, "acme", 0);
    world.records.put_hook(&hook).await.unwrap();
    for new in ["second", "third"] {
        world.records.rotate_hook(&acme(), &hook.id, secret(new)).await.unwrap().unwrap();
    }
    let stored = world.records.hook(&hook.id).await.unwrap().unwrap();
    assert_eq!(stored.secrets, [secret("third"), secret("second")]);
}

#[tokio::test]
async fn a_revocation_is_not_undone_by_a_new_secret_at_the_same_time() {
    for operations in 0..4 {
        let table: Arc<dyn Table> = Arc::new(MemoryTable::new());
        let world = World::new(Arc::clone(&table));
        let pausing = Arc::new(PausingTable::new(table));
        let pausing = Records::new(pausing, Arc::clone(&world.objects) as _, Arc::new(InstantSleeper::new()));
        let (org, hook, mut tasks) = (acme(), hook(1, "acme", 0), Interleaving::new());
        world.records.put_hook(&hook).await.unwrap();
        let rotating = tasks.start(pausing.rotate_hook(&org, &hook.id, secret("new")));
        let _ended = (0..operations).find_map(|_| tasks.step(rotating));
        world.records.revoke_hook(&org, &hook.id, at(5)).await.unwrap();
        let _ended = tasks.finish(rotating);
        let stored = world.records.hook(&hook.id).await.unwrap().unwrap();
        assert_eq!(stored.revoked_at, Some(at(5)), "after {operations} operations");
    }
}
