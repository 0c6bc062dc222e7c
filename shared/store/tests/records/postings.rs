//! Postings, and the images that wait to be posted.

use tidewatch_core::basis::{Basis, Footing, MATCHING};
use tidewatch_core::image::Image;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::result::ImageResult;
use tidewatch_core::{Digest, Retry, Retryable as _};
use tidewatch_store::records::{
    Alongside, PostedImage, Postings, RecordError, SegmentBuilder, SegmentEntry, StoredResult, Unposted,
};

use crate::world::{World, acme, assert_changed, at, image, result, result_by};

on_every_table!(
    postings_are_stored_over_those_that_were_read,
    the_longest_list_of_segments_fits_into_an_item,
    a_segment_that_is_not_there_or_noise_is_no_empty_one,
    an_image_is_unposted_when_its_result_rests_on_something_new,
    an_image_that_is_posted_stays_so_when_only_what_it_rests_on_changes,
    a_result_by_what_all_are_settled_by_leaves_nothing_to_note,
    a_result_that_is_overtaken_notes_nothing,
    what_is_only_judged_again_is_settled_by_what_it_was,
    unposted_images_are_listed_up_to_a_limit_and_one_that_is_broken_hides_none,
    a_row_is_changed_and_removed_as_it_was_read_only,
    a_result_is_current_by_what_it_rests_on_or_by_what_its_image_is_settled_by,
    results_are_read_in_order_and_one_that_is_broken_hides_none,
);

fn basis(index: &str) -> Basis {
    let indexes = [("debian".to_owned(), Digest::of(index.as_bytes()))].into();
    Basis { matching: MATCHING, indexes, judging: Digest::of(b""), is_limited: false, counted_since: 0 }
}

async fn put(
    world: &World,
    image: &Image,
    result: &ImageResult,
    read: Option<&StoredResult>,
) -> StoredResult {
    let (digest, platform) = (&image.digest, &image.platform);
    let revision = world.records.put_result(&acme(), digest, platform, result, read).await.unwrap();
    StoredResult { result: result.clone(), revision }
}

async fn unposted(world: &World, image: &Image) -> Option<Unposted> {
    world.records.unposted_image(&acme(), &image.id()).await.unwrap().map(|stored| stored.row)
}

/// Takes the image out of those that wait, as if it were posted.
async fn post(world: &World, image: &Image) {
    let stored = world.records.unposted_image(&acme(), &image.id()).await.unwrap().unwrap();
    assert!(world.records.remove_unposted(&acme(), &stored).await.unwrap());
}

async fn postings_are_stored_over_those_that_were_read(world: World) {
    let records = &world.records;
    let entry = |content: &str| SegmentEntry {
        hash: Digest::of(content.as_bytes()),
        images: 7,
        matching: MATCHING,
        checked_at: at(1),
    };
    assert_eq!(records.postings(&acme()).await.unwrap(), None);
    let first = Postings { covered: Some(basis("1")), all_sent_at: Some(at(0)), segments: vec![] };
    assert!(records.put_postings(&acme(), &first, None).await.unwrap());
    assert!(!records.put_postings(&acme(), &Postings::default(), None).await.unwrap());
    let read = records.postings(&acme()).await.unwrap().unwrap();
    assert_eq!(read.postings, first);
    let second = Postings { segments: vec![entry("1"), entry("2")], ..first.clone() };
    assert!(records.put_postings(&acme(), &second, Some(&read)).await.unwrap());
    // The same content as before is another revision.
    assert!(!records.put_postings(&acme(), &first, Some(&read)).await.unwrap());
    let read = records.postings(&acme()).await.unwrap().unwrap();
    assert_eq!(read.postings, second);
    assert_eq!(records.postings(&"zebra".parse().unwrap()).await.unwrap(), None);
}

/// Of segments that are half empty there may be twice as many as are aimed at, and one for each of some compactions.
async fn the_longest_list_of_segments_fits_into_an_item(world: World) {
    let families = (0..60).map(|number| (format!("family-{number}"), Digest::of(b"1")));
    let covered = Basis { indexes: families.collect(), ..basis("1") };
    let entry = |number: u64| SegmentEntry {
        hash: Digest::of(&number.to_le_bytes()),
        images: 1_000_000,
        matching: MATCHING,
        checked_at: at(1),
    };
    let segments = (0..2_000).map(entry).collect();
    let postings = Postings { covered: Some(covered), all_sent_at: Some(at(0)), segments };
    assert!(world.records.put_postings(&acme(), &postings, None).await.unwrap());
    assert_eq!(world.records.postings(&acme()).await.unwrap().unwrap().postings, postings);
}

async fn a_segment_that_is_not_there_or_noise_is_no_empty_one(world: World) {
    let mut builder = SegmentBuilder::new();
    builder.add(PostedImage { image: image("1").id(), inventory: Digest::of(b"1") }, [3, 9]);
    let segment = builder.build();
    let hash = world.records.put_segment(&acme(), &segment).await.unwrap();
    assert_eq!(world.records.segment(&acme(), &hash).await.unwrap(), segment);
    let absent = world.records.segment(&acme(), &Digest::of(b"2")).await.unwrap_err();
    let key = format!("postings/acme/{}.postcard", hash.hex());
    tidewatch_core::ports::Objects::put(&*world.objects, &key, "noise".into()).await.unwrap();
    let noise = world.records.segment(&acme(), &hash).await.unwrap_err();
    for error in [absent, noise] {
        assert!(matches!(error, RecordError::Corrupt { .. }), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }
}

async fn an_image_is_unposted_when_its_result_rests_on_something_new(world: World) {
    let image = image("1");
    let failed = put(&world, &image, &result(0), None).await;
    assert_eq!(unposted(&world, &image).await, None, "there is nothing to post");
    let first = put(&world, &image, &result_by("1"), Some(&failed)).await;
    let noted = Unposted {
        image: image.id(),
        revision: 2,
        inventory: Digest::of(b"inventory"),
        footing: result_by("1").footing(),
        is_posted: false,
        is_left: false,
        noted_at: at(0),
    };
    assert_eq!(unposted(&world, &image).await, Some(noted.clone()));
    let footing = result_by("2").footing();
    let second = put(&world, &image, &result_by("2"), Some(&first)).await;
    assert_eq!(unposted(&world, &image).await, Some(Unposted { footing, revision: 3, ..noted.clone() }));
    // Nothing new: what is noted stays, also that it is not there any more.
    post(&world, &image).await;
    let later = ImageResult { scanned_at: at(9), ..result_by("2") };
    let third = put(&world, &image, &later, Some(&second)).await;
    assert_eq!(unposted(&world, &image).await, None);
    let inventory = Digest::of(b"another");
    let other = ImageResult { inventory: Some(inventory), ..result_by("2") };
    put(&world, &image, &other, Some(&third)).await;
    let footing = other.footing();
    assert_eq!(unposted(&world, &image).await, Some(Unposted { inventory, footing, revision: 5, ..noted }));
}

async fn an_image_that_is_posted_stays_so_when_only_what_it_rests_on_changes(world: World) {
    let image = image("1");
    let is_posted = async || unposted(&world, &image).await.unwrap().is_posted;
    let first = put(&world, &image, &result_by("1"), None).await;
    let second = put(&world, &image, &result_by("2"), Some(&first)).await;
    assert!(!is_posted().await);
    post(&world, &image).await;
    let third = put(&world, &image, &result_by("3"), Some(&second)).await;
    assert!(is_posted().await);
    let fourth = put(&world, &image, &result_by("4"), Some(&third)).await;
    assert!(is_posted().await);
    // Under other keys.
    let newer = ImageResult { matching: MATCHING + 1, ..result_by("4") };
    put(&world, &image, &newer, Some(&fourth)).await;
    assert!(!is_posted().await);
}

async fn a_result_by_what_all_are_settled_by_leaves_nothing_to_note(world: World) {
    let image = image("1");
    let (digest, platform) = (&image.digest, &image.platform);
    let put_within = async |result: &ImageResult, read: Option<&StoredResult>| {
        let covered = basis("2");
        let records = &world.records;
        let org = acme();
        let stored = records.put_result_with(
            &org,
            digest,
            platform,
            result,
            read,
            Alongside { covered: Some(&covered), ..Alongside::default() },
        );
        StoredResult { result: result.clone(), revision: stored.await.unwrap() }
    };
    let first = put_within(&result_by("1"), None).await;
    let second = put_within(&result_by("2"), Some(&first)).await;
    assert!(unposted(&world, &image).await.is_some(), "it is not posted");
    post(&world, &image).await;
    let third = put_within(&result_by("1"), Some(&second)).await;
    assert!(unposted(&world, &image).await.is_some(), "it is not by what all are settled by");
    let fourth = put_within(&result_by("2"), Some(&third)).await;
    assert_eq!(unposted(&world, &image).await.unwrap().footing, result_by("2").footing());
    post(&world, &image).await;
    let fifth = put(&world, &image, &result_by("1"), Some(&fourth)).await;
    post(&world, &image).await;
    put_within(&result_by("2"), Some(&fifth)).await;
    assert_eq!(unposted(&world, &image).await, None);
}

async fn a_result_that_is_overtaken_notes_nothing(world: World) {
    let image = image("1");
    let first = put(&world, &image, &result_by("1"), None).await;
    put(&world, &image, &result_by("2"), Some(&first)).await;
    let noted = unposted(&world, &image).await;
    let (digest, platform) = (&image.digest, &image.platform);
    let late = world.records.put_result(&acme(), digest, platform, &result_by("3"), Some(&first)).await;
    assert_changed(late);
    assert_eq!(unposted(&world, &image).await, noted);
}

async fn what_is_only_judged_again_is_settled_by_what_it_was(world: World) {
    let image = image("1");
    let judging = Digest::of(b"policies");
    let judged = ImageResult { judged_under: judging, ..result_by("1") };
    let footing = |index: &str| Footing { judging, ..result_by(index).footing() };
    let first = put(&world, &image, &result_by("1"), None).await;
    // Its findings were found to be those of a later index as well.
    let noted = world.records.unposted_image(&acme(), &image.id()).await.unwrap().unwrap();
    let settled = Unposted { footing: result_by("2").footing(), ..noted.row.clone() };
    assert!(world.records.change_unposted(&acme(), &settled, &noted).await.unwrap());
    let second = put(&world, &image, &judged, Some(&first)).await;
    assert_eq!(unposted(&world, &image).await.unwrap().footing, footing("2"));
    // When it is posted, those of what all are settled by.
    let postings = Postings { covered: Some(basis("3")), ..Postings::default() };
    assert!(world.records.put_postings(&acme(), &postings, None).await.unwrap());
    let third = put(&world, &image, &result_by("1"), Some(&second)).await;
    post(&world, &image).await;
    put(&world, &image, &judged, Some(&third)).await;
    let noted = unposted(&world, &image).await.unwrap();
    assert_eq!((noted.footing, noted.is_posted), (footing("3"), true));
}

async fn unposted_images_are_listed_up_to_a_limit_and_one_that_is_broken_hides_none(world: World) {
    let images: Vec<Image> = (0..40).map(|number| image(&number.to_string())).collect();
    for image in &images {
        put(&world, image, &result_by("1"), None).await;
    }
    let list = async |most| world.records.unposted(&acme(), most).await.unwrap();
    assert_eq!((list(100).await.len(), list(7).await.len()), (40, 7));
    let mut of_samples = 0;
    for spread in 0..8 {
        let sample = world.records.unposted_sample(&acme(), spread, 100).await.unwrap();
        of_samples += sample.len();
        assert!(world.records.unposted_sample(&acme(), spread, 1).await.unwrap().len() <= 1);
    }
    assert_eq!(of_samples, 40);
    let broken = &images[3];
    let partition = format!("UNPOSTED#acme#{}", broken.digest.spread() % 8);
    let key = Key::new(partition, format!("{}#linux/amd64", broken.digest.hex()));
    let noise = Update::default().set("data", "{");
    world.table.update(&key, noise, Condition::ItemPresent).await.unwrap();
    let listed = list(100).await;
    assert_eq!((listed.len(), listed.iter().flatten().count()), (40, 39));
    assert!(world.records.unposted(&"zebra".parse().unwrap(), 100).await.unwrap().is_empty());
}

async fn a_row_is_changed_and_removed_as_it_was_read_only(world: World) {
    let (records, image) = (&world.records, image("1"));
    put(&world, &image, &result_by("1"), None).await;
    let read = records.unposted_image(&acme(), &image.id()).await.unwrap().unwrap();
    let changed = Unposted { footing: result_by("2").footing(), ..read.row.clone() };
    assert!(records.change_unposted(&acme(), &changed, &read).await.unwrap());
    assert!(!records.change_unposted(&acme(), &read.row, &read).await.unwrap());
    assert!(!records.remove_unposted(&acme(), &read).await.unwrap());
    records.note_unposted(&acme(), &read.row).await.unwrap();
    assert_eq!(unposted(&world, &image).await, Some(changed.clone()), "it is noted already");
    let read = records.unposted_image(&acme(), &image.id()).await.unwrap().unwrap();
    assert!(records.remove_unposted(&acme(), &read).await.unwrap());
    assert!(!records.remove_unposted(&acme(), &read).await.unwrap());
    assert!(!records.change_unposted(&acme(), &changed, &read).await.unwrap(), "it has gone");
    records.note_unposted(&acme(), &changed).await.unwrap();
    assert_eq!(unposted(&world, &image).await, Some(changed));
}

async fn a_result_is_current_by_what_it_rests_on_or_by_what_its_image_is_settled_by(world: World) {
    let image = image("1");
    let is_current = async |result: &ImageResult, index: &str| {
        world.records.is_current(&acme(), &image.id(), result, &basis(index)).await.unwrap()
    };
    let by = result_by("1");
    put(&world, &image, &by, None).await;
    assert!(is_current(&by, "1").await);
    assert!(!is_current(&by, "2").await, "it is unposted, and by another index");
    let noted = world.records.unposted_image(&acme(), &image.id()).await.unwrap().unwrap();
    let settled = Unposted { footing: result_by("2").footing(), ..noted.row.clone() };
    assert!(world.records.change_unposted(&acme(), &settled, &noted).await.unwrap());
    assert!(is_current(&by, "2").await, "it is settled by that");
    assert!(!is_current(&by, "3").await);
    post(&world, &image).await;
    assert!(is_current(&by, "3").await, "it is posted");
    assert!(!is_current(&ImageResult { matching: 0, ..by.clone() }, "3").await, "of an earlier version");
    assert!(!is_current(&ImageResult { inventory: None, ..by }, "3").await, "nobody finds it");
}

async fn results_are_read_in_order_and_one_that_is_broken_hides_none(world: World) {
    let images: Vec<Image> = (0..150).map(|number| image(&number.to_string())).collect();
    for (number, image) in (0..).zip(&images).filter(|(number, _)| number % 3 != 0) {
        put(&world, image, &result(number), None).await;
    }
    let partition = format!("IMAGE#acme#{}#linux/amd64", images[1].digest.hex());
    let noise = Update::default().set("data", "{");
    world.table.update(&Key::new(partition, "RESULT"), noise, Condition::ItemPresent).await.unwrap();
    let ids: Vec<_> = images.iter().map(Image::id).collect();
    let twice = [ids[2].clone(), ids[1].clone(), ids[2].clone()];
    let results = world.records.results(&acme(), &twice).await.unwrap();
    assert_eq!(
        results.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true],
        "an image may repeat"
    );
    let results = world.records.results(&acme(), &ids).await.unwrap();
    assert_eq!(results.len(), 150);
    for (number, result) in (0..).zip(results) {
        match number {
            1 => assert!(matches!(result, Err(RecordError::Corrupt { .. }))),
            number if number % 3 == 0 => assert_eq!(result.unwrap(), None),
            number => assert_eq!(result.unwrap().unwrap().result.packages, number),
        }
    }
}
