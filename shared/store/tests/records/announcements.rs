//! What newly affects images, until it is told.

use tidewatch_core::image::Image;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::result::ImageResult;
use tidewatch_store::records::{
    ANNOUNCEMENT_SHARDS, Alongside, Announcement, RecordError, StoredAnnouncement, StoredResult,
};

use crate::world::{World, acme, assert_changed, at, image, result, result_by};

on_every_table!(
    what_newly_affects_an_image_is_announced_once_whatever_comes_and_goes,
    a_result_that_is_overtaken_announces_nothing,
    what_is_still_to_be_told_stays_and_what_was_told_goes,
    one_at_a_time_tells_the_announcements_of_a_shard,
    an_announcement_that_cannot_be_read_hides_none,
    a_result_is_stored_however_much_it_announces,
);

const DAY: i64 = 86_400;

async fn put(
    world: &World,
    image: &Image,
    (result, newly): (&ImageResult, &[&str]),
    read: Option<&StoredResult>,
) -> Result<StoredResult, RecordError> {
    let newly: Vec<String> = newly.iter().map(|id| (*id).to_owned()).collect();
    let alongside = Alongside { newly_affecting: &newly, ..Alongside::default() };
    let (digest, platform) = (&image.digest, &image.platform);
    let put = world.records.put_result_with(&acme(), digest, platform, result, read, alongside).await;
    put.map(|revision| StoredResult { result: result.clone(), revision })
}

async fn announcements(world: &World) -> Vec<Announcement> {
    stored(world).await.into_iter().map(|stored| stored.announcement).collect()
}

async fn stored(world: &World) -> Vec<StoredAnnouncement> {
    let mut found = Vec::new();
    for shard in 0..ANNOUNCEMENT_SHARDS {
        found.extend(world.records.announcements(&acme(), shard, 100).await.unwrap());
    }
    found.into_iter().map(Result::unwrap).collect()
}

fn told(announcements: &[Announcement]) -> Vec<Vec<&str>> {
    announcements.iter().map(|one| one.vulnerabilities.iter().map(String::as_str).collect()).collect()
}

async fn what_newly_affects_an_image_is_announced_once_whatever_comes_and_goes(world: World) {
    let web = image("web");
    let first = put(&world, &web, (&result_by("1"), &[]), None).await.unwrap();
    assert!(announcements(&world).await.is_empty());
    let second = put(&world, &web, (&result_by("2"), &["CVE-1", "CVE-2"]), Some(&first)).await.unwrap();
    let third = put(&world, &web, (&result_by("3"), &["CVE-2", "CVE-3"]), Some(&second)).await.unwrap();
    put(&world, &web, (&result_by("4"), &["CVE-1", "CVE-3"]), Some(&third)).await.unwrap();
    let found = announcements(&world).await;
    assert_eq!(told(&found), [vec!["CVE-1", "CVE-2"], vec!["CVE-3"]]);
    assert_eq!(found[0].image, web.id());
    assert_eq!(found.iter().map(|one| one.revision).collect::<Vec<_>>(), [2, 3]);
    // Another image, and the same for another organisation, have their own.
    let api = image("api");
    let first = put(&world, &api, (&result_by("1"), &[]), None).await.unwrap();
    put(&world, &api, (&result_by("2"), &["CVE-1"]), Some(&first)).await.unwrap();
    assert_eq!(announcements(&world).await.len(), 3);
    let other = "other".parse().unwrap();
    for shard in 0..ANNOUNCEMENT_SHARDS {
        assert!(world.records.announcements(&other, shard, 1).await.unwrap().is_empty());
    }
}

async fn a_result_that_is_overtaken_announces_nothing(world: World) {
    let web = image("web");
    let first = put(&world, &web, (&result_by("1"), &[]), None).await.unwrap();
    let second = put(&world, &web, (&result_by("2"), &[]), Some(&first)).await.unwrap();
    assert_changed(put(&world, &web, (&result_by("2"), &["CVE-1"]), Some(&first)).await);
    assert!(announcements(&world).await.is_empty());
    put(&world, &web, (&result_by("3"), &["CVE-1"]), Some(&second)).await.unwrap();
    assert_eq!(told(&announcements(&world).await), [["CVE-1"]]);
}

async fn what_is_still_to_be_told_stays_and_what_was_told_goes(world: World) {
    let web = image("web");
    let first = put(&world, &web, (&result(1), &[]), None).await.unwrap();
    put(&world, &web, (&result(2), &["CVE-1", "CVE-2"]), Some(&first)).await.unwrap();
    let [first] = <[StoredAnnouncement; 1]>::try_from(stored(&world).await).unwrap();
    world.records.keep_announcement(&acme(), &first, vec!["CVE-2".to_owned()]).await.unwrap();
    assert_eq!(told(&announcements(&world).await), [["CVE-2"]]);
    let [second] = <[StoredAnnouncement; 1]>::try_from(stored(&world).await).unwrap();
    for _ in 0..2 {
        world.records.keep_announcement(&acme(), &second, Vec::new()).await.unwrap();
        // One who is late does not bring back what was told since.
        world.records.keep_announcement(&acme(), &first, vec!["CVE-1".to_owned()]).await.unwrap();
        assert!(announcements(&world).await.is_empty());
    }
    let announcement = second.announcement;
    let noted_at = announcement.noted_at;
    assert!(!announcement.is_old(noted_at));
    assert!(announcement.is_old(at(noted_at.as_second() + 7 * DAY)), "it is no news any more");
}

async fn one_at_a_time_tells_the_announcements_of_a_shard(world: World) {
    let lease =
        async |now, until| world.records.lease_announcements(&acme(), 1, (at(now), at(until))).await.unwrap();
    assert!(lease(0, 120).await);
    assert!(!lease(119, 240).await);
    assert!(lease(120, 240).await, "whoever had it may be dead");
    world.records.return_announcements(&acme(), 1, at(120)).await.unwrap();
    assert!(!lease(121, 360).await, "it is not given back by one who has lost it");
    world.records.return_announcements(&acme(), 1, at(240)).await.unwrap();
    assert!(lease(121, 360).await);
    assert!(world.records.lease_announcements(&acme(), 2, (at(121), at(360))).await.unwrap());
    assert!(world.records.announcements(&acme(), 1, 10).await.unwrap().is_empty(), "a lease is none");
}

async fn an_announcement_that_cannot_be_read_hides_none(world: World) {
    let images = ["a", "b", "c"].map(image);
    for web in &images {
        let first = put(&world, web, (&result(1), &[]), None).await.unwrap();
        put(&world, web, (&result(2), &["CVE-1"]), Some(&first)).await.unwrap();
    }
    let broken = &images[1];
    let shard = broken.digest.spread() % ANNOUNCEMENT_SHARDS;
    let sort = format!("IMAGE#{}#{}#{:012}", broken.digest.hex(), broken.platform, 2);
    let (key, update) =
        (Key::new(format!("ANNOUNCE#acme#{shard}"), sort), Update::default().set("data", "{"));
    world.table.update(&key, update, Condition::ItemPresent).await.unwrap();
    let mut read = Vec::new();
    for shard in 0..ANNOUNCEMENT_SHARDS {
        read.extend(world.records.announcements(&acme(), shard, 100).await.unwrap());
    }
    assert_eq!(read.iter().filter(|one| one.is_ok()).count(), 2);
    assert_eq!(read.iter().filter(|one| one.is_err()).count(), 1);
}

async fn a_result_is_stored_however_much_it_announces(world: World) {
    let web = image("web");
    let mut last = put(&world, &web, (&result(1), &[]), None).await.unwrap();
    // Each alone is more than an item can hold.
    for round in 1..=3 {
        let ids: Vec<String> = (0..30_000).map(|number| format!("CVE-{round}-{number:08}")).collect();
        let newly: Vec<&str> = ids.iter().map(String::as_str).collect();
        last = put(&world, &web, (&result(round + 1), &newly), Some(&last)).await.unwrap();
        let found = announcements(&world).await;
        let told = &found.last().unwrap().vulnerabilities;
        assert_eq!(
            (found.len(), told[..10].to_vec()),
            (usize::try_from(round).unwrap(), ids[..10].to_vec()),
            "the worst are told"
        );
        assert!(told.len() > 10_000 && told.len() < 30_000, "{}", told.len());
    }
}
