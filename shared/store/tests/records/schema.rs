//! Schema versions, and transactions in conflict.

use std::sync::Arc;
use std::time::Duration;

use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::stream::{Layout, group_of};
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_store::records::{Part, Postings, RecordError};
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::contract::table::ConflictingTable;
use tidewatch_testkit::ports::InstantSleeper;

use crate::world::{World, acme, at, config, image, latest, member, result_by, snapshot, token, work};

on_every_table!(items_of_a_newer_schema_are_refused,);

async fn items_of_a_newer_schema_are_refused(world: World) {
    let (records, org, image) = (&world.records, acme(), image("1"));
    let member = member("1", 0);
    let shard = Layout::of(&latest()).shard_of(&image.registry, &image.repository);
    let token = token(1, "acme", 0);
    records.apply_config(&config("acme", "https://one.example.com"), None, at(0)).await.unwrap();
    let (digest, platform) = (&image.digest, &image.platform);
    records.put_result(&org, digest, platform, &result_by("1"), None).await.unwrap();
    records.put_postings(&org, &Postings::default(), None).await.unwrap();
    records.put_token(&token).await.unwrap();
    records.enqueue(&org, &work("1"), at(0)).await.unwrap();
    records.put_member(&org, &latest(), &member, 1).await.unwrap();
    records.mark_member(&org, &latest(), &member).await.unwrap();
    records.publish_snapshot(&org, &snapshot(1, 1)).await.unwrap();

    let image_partition = format!("IMAGE#acme#{}#linux/amd64", image.digest.hex());
    let stream_partition = format!("STREAM#acme#latest-indexed#{shard}");
    let keys = [
        Key::new("ORG#acme", "CONFIG"),
        Key::new("ORG#acme", "SNAPSHOT"),
        Key::new(format!("TOKEN#{}", token.id), "TOKEN"),
        Key::new(image_partition.clone(), "RESULT"),
        Key::new(image_partition, "WORK#hub/team/web"),
        Key::new(stream_partition.clone(), "MEMBER#hub/team/web"),
        Key::new(stream_partition, "TOTALS"),
        Key::new(format!("STREAM#acme#latest-indexed#G{}", group_of(shard)), "TOTALS"),
        Key::new("ORG#acme", "POSTINGS"),
        Key::new(
            format!("UNPOSTED#acme#{}", image.digest.spread() % 8),
            format!("{}#linux/amd64", image.digest.hex()),
        ),
    ];
    for key in keys {
        let newer = Update::default().set("v", 2);
        world.table.update(&key, newer, Condition::ItemPresent).await.unwrap();
    }

    let unposted = records.unposted(&org, 10).await.unwrap();
    assert!(matches!(unposted.as_slice(), [Err(RecordError::Corrupt { .. })]), "{unposted:?}");
    let refused = [
        records.config(&org).await.map(drop),
        records.snapshot(&org).await.map(drop),
        records.token(&token.id).await.map(drop),
        records.result(&org, digest, platform).await.map(drop),
        records.results(&org, &[image.id()]).await.unwrap().remove(0).map(drop),
        records.unposted_image(&org, &image.id()).await.map(drop),
        records.postings(&org).await.map(drop),
        records.pending_work(&org, &image).await.map(drop),
        records.members(&org, &latest(), shard).await.map(drop),
        records.part(&org, &latest(), Part::Shard(shard)).await.map(drop),
        records.shards(&org, &latest(), group_of(shard)).await.map(drop),
        records.groups(&org, &[latest()]).await.map(drop),
    ];
    for (number, outcome) in refused.into_iter().enumerate() {
        let error = outcome.expect_err(&format!("the record {number} is of a newer schema"));
        assert!(
            matches!(&error, RecordError::Corrupt { reason, .. } if reason.contains("schema version")),
            "{error}"
        );
        assert_eq!(error.retry(), Retry::Never);
    }
}

/// A conflict with another transaction is tried again with pauses that double, and given up after a few.
#[tokio::test]
async fn a_transaction_in_conflict_is_tried_again_after_a_pause() {
    let sleeper = Arc::new(InstantSleeper::new());
    let table = Arc::new(ConflictingTable::new(Arc::new(MemoryTable::new())));
    let records = Records::new(table, Arc::new(ObjectStorage::in_memory()), Arc::clone(&sleeper) as _);
    records.put_token(&token(1, "acme", 0)).await.unwrap();
    assert_eq!(sleeper.slept(), [Duration::from_millis(20)]);
}
