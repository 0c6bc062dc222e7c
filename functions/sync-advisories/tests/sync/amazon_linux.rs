//! The repositories of Amazon Linux: from mirror lists to an index.

use tidewatch_testkit::archives::Fault;
use tidewatch_testkit::updateinfo::{Repository, feed, folder, gzip, serve, update};

use crate::world::{CRITICAL, MEDIUM, World, score};

const NAME: &str = "Amazon Linux";

fn updates(numbers: std::ops::Range<usize>) -> Vec<String> {
    let one = |n: usize| {
        update(&format!("ALAS2023-2024-{n}"), &format!("CVE-2024-{n}"), "Important", "curl", "8.3")
    };
    numbers.map(one).collect()
}

async fn world() -> World {
    let world = World::of_every_kind(&[NAME]).await;
    serve(&world.server, &[("2", &updates(1..2)), ("2023", &updates(2..4))]);
    world
}

/// What a build makes of a folder with these feeds.
fn expected(
    world: &World,
    feeds: &[(&str, &str)],
) -> std::collections::BTreeMap<String, tidewatch_core::Digest> {
    let folder = tempfile::TempDir::new().unwrap();
    for (release, feed) in feeds {
        let release = folder.path().join(NAME).join(release);
        std::fs::create_dir_all(&release).unwrap();
        std::fs::write(release.join("updateinfo.xml.gz"), gzip(feed.as_bytes())).unwrap();
    }
    world.built(folder.path())
}

#[tokio::test]
async fn both_releases_are_in_one_index_which_is_that_of_a_build() {
    let world = world().await;
    world.handle(NAME).await.unwrap();
    assert_eq!(world.error(NAME).await, "");
    let archive = world.source(NAME).await.archive.unwrap();
    assert_eq!((archive.records, archive.problems), (3, 0));
    let (two, three) = (feed(&updates(1..2)), feed(&updates(2..4)));
    assert_eq!(world.in_force().await, expected(&world, &[("2", &two), ("2023", &three)]));
    assert_eq!(world.leftovers(), 0);
    assert!(world.in_force().await.contains_key("amazon"));
}

#[tokio::test]
async fn only_indexes_are_asked_for_as_long_as_their_checksums_are_the_same() {
    let world = world().await;
    world.handle(NAME).await.unwrap();
    let before = world.source(NAME).await;
    let files = |path: &str| world.server.statuses_of(path).len();
    let file = "/content/2023/x86_64/repodata/updateinfo.xml.gz";
    assert_eq!(files(file), 1);
    world.handle(NAME).await.unwrap();
    assert_eq!((files(file), files("/content/2023/x86_64/repodata/repomd.xml")), (1, 2));
    assert_eq!(world.source(NAME).await, before);
    serve(&world.server, &[("2023", &updates(2..5))]);
    world.handle(NAME).await.unwrap();
    assert_eq!(files(file), 2);
    assert_eq!(world.source(NAME).await.archive.unwrap().records, 4);
}

#[tokio::test]
async fn what_only_one_architecture_has_is_not_left_out() {
    let world = world().await;
    let more = feed(&updates(2..6));
    Repository::of(&world.server, "2023", "aarch64", &more).serve(&world.server, "2023", "aarch64");
    world.handle(NAME).await.unwrap();
    assert_eq!(world.in_force().await, expected(&world, &[("2", &feed(&updates(1..2))), ("2023", &more)]));
}

#[tokio::test]
async fn feeds_may_be_packed_by_zstandard_or_not_at_all() {
    let world = world().await;
    let text = feed(&updates(2..4));
    for (architecture, name, stored) in [
        ("x86_64", "updateinfo.xml.zst", zstd::encode_all(text.as_bytes(), 3).unwrap()),
        ("aarch64", "updateinfo.xml", text.clone().into_bytes()),
    ] {
        let mut repository = Repository::of(&world.server, "2023", architecture, &text);
        repository.file_name = name.to_owned();
        repository.checksum = tidewatch_core::Digest::of(&stored).hex();
        repository.stored = stored;
        repository.serve(&world.server, "2023", architecture);
    }
    world.handle(NAME).await.unwrap();
    assert_eq!(world.error(NAME).await, "");
    assert_eq!(world.source(NAME).await.archive.unwrap().records, 3);
}

#[tokio::test]
async fn what_cannot_be_trusted_leaves_the_last_good_index_in_force() {
    type Change = fn(&mut Repository);
    let changes: [(Change, &str, bool); 6] = [
        (|it| it.stored = gzip(feed(&[]).as_bytes()), "has not the checksum", true),
        (|it| it.checksum = "00".to_owned(), "has no checksum of SHA-256", true),
        (|it| it.algorithm = "md5".to_owned(), "has no checksum of SHA-256", true),
        (|it| it.file_name = "../../../etc/passwd".to_owned(), "leads out of the repository", true),
        (
            |it| it.mirrors = vec!["http://169.254.169.254/latest".to_owned()],
            "no mirror that may be asked",
            true,
        ),
        (|it| it.file_name = "updateinfo.xml.xz".to_owned(), "neither plain nor compressed by gzip", true),
    ];
    for (change, words, again) in changes {
        let world = world().await;
        world.handle(NAME).await.unwrap();
        let (before, index) = (world.source(NAME).await, world.in_force().await);
        let mut repository = Repository::of(&world.server, "2", "aarch64", &feed(&updates(1..9)));
        change(&mut repository);
        repository.serve(&world.server, "2", "aarch64");
        world.handle(NAME).await.unwrap();
        let error = world.error(NAME).await;
        assert!(error.contains(words), "{words}: {error}");
        assert_eq!(world.take().iter().any(|message| message.failures == 1), again, "{words}");
        assert_eq!((world.source(NAME).await.archive, world.in_force().await), (before.archive, index));
        assert_eq!(world.leftovers(), 0);
    }
}

#[tokio::test]
async fn a_feed_that_is_cut_off_or_missing_is_a_failure() {
    for (path, fault, words) in [
        (format!("/{}/mirror.list", folder("2", "x86_64")), Fault::Status(404), "404"),
        ("/content/2/x86_64/repodata/repomd.xml".to_owned(), Fault::Half, "failed to use"),
        ("/content/2/x86_64/repodata/repomd.xml".to_owned(), Fault::Status(503), "503"),
        ("/content/2/x86_64/repodata/updateinfo.xml.gz".to_owned(), Fault::Half, "checksum"),
        ("/content/2/x86_64/repodata/updateinfo.xml.gz".to_owned(), Fault::Truncated, "failed to fetch"),
    ] {
        let world = world().await;
        world.server.fail_file(&path, fault.clone());
        world.handle(NAME).await.unwrap();
        let error = world.error(NAME).await;
        assert!(error.contains(words), "{path} {fault:?}: {error}");
        assert!(world.in_force().await.is_empty());
        world.server.recover();
        world.tick().await;
        assert_eq!(world.error(NAME).await, "");
        assert_eq!(world.in_force().await.len(), 1);
    }
}

#[tokio::test]
async fn the_next_mirror_is_asked_when_the_first_does_not_answer() {
    let world = world().await;
    let mut repository = Repository::of(&world.server, "2", "x86_64", &feed(&updates(1..2)));
    repository.mirrors.insert(0, format!("{}/gone", world.server.url()));
    repository.serve(&world.server, "2", "x86_64");
    world.handle(NAME).await.unwrap();
    assert_eq!(world.error(NAME).await, "");
}

#[tokio::test]
async fn its_words_give_way_to_the_scores_of_others_only_where_it_has_none() {
    let world = World::of_every_kind(&[NAME, "GIT"]).await;
    let unrated = update("ALAS2-2024-9", "CVE-2024-9", "", "curl", "8.3");
    serve(&world.server, &[("2", &[unrated]), ("2023", &updates(2..3))]);
    world.server.put("GIT", &[score("CVE-2024-9", MEDIUM), score("CVE-2024-2", MEDIUM)]);
    world.tick().await;
    let before = world.in_force().await;
    world.server.put("GIT", &[score("CVE-2024-9", CRITICAL), score("CVE-2024-2", MEDIUM)]);
    world.tick().await;
    assert_ne!(world.in_force().await, before);
}
