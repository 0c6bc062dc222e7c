//! What a server can do wrong: the last good index stays in force, the reason is recorded, and what can pass is tried
//! again.

use std::io::Write as _;
use std::time::Duration;

use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_runtime::{Deadline, MessageHandler as _};
use tidewatch_store::records::AdvisorySource;
use tidewatch_sync_advisories::Place;
use tidewatch_testkit::archives::{ArchiveServer, Fault};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::world::{CRITICAL, World, debian, score};

/// A world in which an index is in force, and its server has another archive.
async fn with_an_index() -> World {
    let world = World::of(&["Debian"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.tick().await;
    assert_eq!(world.in_force().await.len(), 1);
    world
        .server
        .put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg"), debian("DSA-2-1", "CVE-2024-2", "pkg")]);
    world
}

/// Handles a message that fails for a reason with `words` in it; whether it was sent again.
async fn fails_with(world: &World, words: &str) -> bool {
    let (before, index) = (world.source("Debian").await, world.in_force().await);
    world.clock.advance(Duration::from_secs(60));
    world.handle("Debian").await.unwrap();
    let AdvisorySource { error, .. } = world.source("Debian").await;
    let error = error.expect("a recorded error");
    assert!(error.reason.contains(words), "{words:?} is not in {:?}", error.reason);
    assert_eq!((error.at, error.failures), (world.clock.now(), 1));
    let after = AdvisorySource { error: None, ..world.source("Debian").await };
    assert_eq!(after, AdvisorySource { error: None, ..before }, "nothing but the error has changed");
    assert_eq!(world.in_force().await, index, "the last good index is in force");
    assert_eq!(world.leftovers(), 0);
    let sent = world.take();
    assert!(sent.iter().all(|message| message.failures == 1) && sent.len() <= 1, "{sent:?}");
    !sent.is_empty()
}

#[tokio::test]
async fn what_can_pass_is_tried_again_and_what_cannot_waits_for_the_schedule() {
    let elsewhere = ArchiveServer::start().await.unwrap();
    elsewhere.put("Debian", &[debian("DSA-3-1", "CVE-2024-3", "pkg")]);
    let redirect = Fault::Redirect(format!("{}/Debian/all.zip", elsewhere.url()));
    for (fault, words, again) in [
        (Fault::Status(500), "500", true),
        (Fault::Status(503), "503", true),
        (Fault::Status(429), "429", true),
        (Fault::Status(403), "403", false),
        (Fault::Status(404), "404", false),
        (Fault::Truncated, "failed to fetch", true),
        (Fault::TooShort, "failed to fetch", true),
        (Fault::Half, "zip archive", true),
        (redirect, "redirects to", false),
    ] {
        let world = with_an_index().await;
        world.server.fail("Debian", fault.clone());
        assert_eq!(fails_with(&world, words).await, again, "{fault:?}");
        world.server.recover();
        world.tick().await;
        assert_eq!(world.error("Debian").await, "", "{fault:?}");
        assert_eq!(world.source("Debian").await.archive.unwrap().records, 2);
    }
    assert_eq!(elsewhere.requests(), [], "a redirect to another server is not followed");
}

#[tokio::test]
async fn a_redirect_on_the_same_server_is_followed() {
    let world = World::of(&["Debian"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.server.put("elsewhere", &[debian("DSA-2-1", "CVE-2024-2", "pkg")]);
    world.server.fail("Debian", Fault::Redirect("/elsewhere/all.zip".to_owned()));
    world.handle("Debian").await.unwrap();
    assert_eq!((world.error("Debian").await.as_str(), world.in_force().await.len()), ("", 1));
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let world = with_an_index().await;
    world.server.fail("Debian", Fault::Redirect("/Debian/all.zip".to_owned()));
    assert!(!fails_with(&world, "redirects to").await);
    assert!(world.server.statuses("Debian").len() < 10);
}

#[tokio::test]
async fn a_server_that_is_silent_or_gone_is_given_up() {
    let mut world = with_an_index().await;
    world.server.fail("Debian", Fault::Hangs);
    world.again_with(|settings| settings.read_timeout = Duration::from_millis(100));
    assert!(fails_with(&world, "failed to fetch").await);
    world.again_with(|settings| {
        settings.read_timeout = Duration::from_secs(60);
        settings.download_timeout = Duration::from_millis(100);
    });
    assert!(fails_with(&world, "failed to fetch").await);
    // Port 1 of this machine: nobody is there.
    world.again_with(|settings| settings.osv = Place::parse("http://127.0.0.1:1").ok());
    let reason = "failed to fetch http://127.0.0.1:1/Debian/all.zip";
    assert!(fails_with(&world, reason).await);
}

#[tokio::test]
async fn a_download_ends_in_time_to_compile_before_the_function_is_killed() {
    let world = with_an_index().await;
    world.server.fail("Debian", Fault::Hangs);
    let deadline = Deadline::at(world.clock.now() + Duration::from_secs(300) + Duration::from_millis(100));
    let message = AdvisoriesMessage::of("Debian");
    world.sync.handle(message, deadline).await.unwrap();
    assert!(world.error("Debian").await.contains("failed to fetch"));
}

#[tokio::test]
async fn garbage_and_archives_without_records_never_come_into_force() {
    let world = with_an_index().await;
    world.server.put_bytes("Debian", "<html>Sign in to the network</html>");
    assert!(fails_with(&world, "zip archive").await);
    world.server.put("Debian", &[]);
    assert!(fails_with(&world, "there is no record in it").await);
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("DSA-1-1.json", SimpleFileOptions::default()).unwrap();
    archive.write_all(b"{\"id\": 7}").unwrap();
    world.server.put_bytes("Debian", archive.finish().unwrap().into_inner());
    assert!(fails_with(&world, "there is no record in it").await);
}

#[tokio::test]
async fn an_archive_that_has_suddenly_lost_most_of_its_records_is_not_believed_unless_somebody_says_so() {
    let world = World::of(&["Debian"]).await;
    let records: Vec<_> = (0..120).map(|n| debian(&format!("DSA-{n}-1"), "CVE-2024-1", "pkg")).collect();
    world.server.put("Debian", &records);
    world.tick().await;
    world.server.put("Debian", &records[..59]);
    assert!(!fails_with(&world, "59 of its records can be read, less than half of those before (120)").await);
    // Records that cannot be read are as good as missing.
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (n, record) in records.iter().enumerate() {
        archive.start_file(format!("{n}.json"), SimpleFileOptions::default()).unwrap();
        let json = if n < 59 { record.to_string() } else { "{".to_owned() };
        archive.write_all(json.as_bytes()).unwrap();
    }
    world.server.put_bytes("Debian", archive.finish().unwrap().into_inner());
    assert!(!fails_with(&world, "--accept-fewer").await);

    world.server.put("Debian", &records[..59]);
    let message = AdvisoriesMessage { accept_fewer: true, ..AdvisoriesMessage::of("Debian") };
    world.handle_message(message).await.unwrap();
    assert_eq!(
        (world.error("Debian").await.as_str(), world.source("Debian").await.archive.unwrap().records),
        ("", 59)
    );
    // Half is not suspicious, and neither is anything of a few records.
    world.server.put("Debian", &records[..1]);
    world.handle("Debian").await.unwrap();
    assert_eq!(world.error("Debian").await, "");
}

#[tokio::test]
async fn an_archive_over_the_limit_is_not_taken() {
    let mut world = with_an_index().await;
    world.again_with(|settings| settings.archive_limit = 100);
    assert!(!fails_with(&world, "more than 100 bytes").await);
    // Also where the server does not say how long it is.
    world.server.fail("Debian", Fault::Hangs);
    assert!(!fails_with(&world, "more than 100 bytes").await);
}

#[tokio::test]
async fn a_zip_bomb_is_not_read_to_its_end() {
    let mut world = with_an_index().await;
    world.again_with(|settings| settings.inflated_limit = 1 << 20);
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for number in 0..4 {
        archive.start_file(format!("{number}.json"), SimpleFileOptions::default()).unwrap();
        archive.write_all(&vec![b' '; 1 << 19]).unwrap();
    }
    let bomb = archive.finish().unwrap().into_inner();
    assert!(bomb.len() < 10_000);
    world.server.put_bytes("Debian", bomb);
    assert!(fails_with(&world, "more than 1048576 bytes").await);
}

#[tokio::test]
async fn it_is_tried_five_times_with_growing_pauses_and_then_at_the_next_schedule() {
    let world = with_an_index().await;
    world.server.fail("Debian", Fault::Status(500));
    let mut pauses = Vec::new();
    let mut next = Some(AdvisoriesMessage::of("Debian"));
    while let Some(message) = next {
        world.handle_message(message).await.unwrap();
        pauses.extend(world.queue.sent(QueueName::Advisories).iter().map(|sent| sent.delay.as_secs()));
        next = world.take().pop();
    }
    assert_eq!(pauses, [60, 120, 240, 480]);
    assert_eq!(world.source("Debian").await.error.unwrap().failures, 5);
    world.server.recover();
    world.tick().await;
    assert_eq!(world.error("Debian").await, "");
}

#[tokio::test]
async fn new_scores_come_into_force_while_the_archive_cannot_be_fetched() {
    let world = World::of(&["Debian", "GIT"]).await;
    let records = vec![debian("DSA-1-1", "CVE-2024-1", "pkg")];
    world.server.put("Debian", &records);
    world.tick().await;
    let scores = vec![score("CVE-2024-1", CRITICAL)];
    world.server.put("GIT", &scores);
    world.server.fail("Debian", Fault::Status(404));
    world.tick().await;
    let all = [("Debian".to_owned(), records), ("GIT".to_owned(), scores)].into();
    assert_eq!(world.in_force().await, world.expected(&all));
    assert!(world.error("Debian").await.contains("404"));
}

#[tokio::test]
async fn without_a_url_a_message_is_answered_with_a_recorded_error_and_the_schedule_sends_nothing() {
    let world = World::with(&["Debian"], |settings| settings.osv = None).await;
    assert_eq!(world.sync.tick().await.unwrap(), 0);
    assert!(!world.sync.tick_if_due().await.unwrap());
    world.handle("Debian").await.unwrap();
    assert!(world.error("Debian").await.contains("TIDEWATCH_ADVISORIES_URL"));
    assert_eq!(world.take(), []);
}

#[tokio::test]
async fn a_message_for_an_ecosystem_that_is_not_set_is_answered_with_a_recorded_error() {
    let world = World::of(&["Alpine", "Debian"]).await;
    world.handle("npm").await.unwrap();
    assert!(world.error("npm").await.ends_with("it is none of the ecosystems that are set (Alpine, Debian)"));
    assert_eq!(world.take(), []);
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_and_nothing_is_asked() {
    let world = World::of(&["Debian"]).await;
    for name in ["", "../Debian", "Debian/..", "Debian:12", "a\nb", "..", " Debian"] {
        let error = world.handle(name).await.unwrap_err();
        assert_eq!(tidewatch_core::Retryable::retry(&error), tidewatch_core::Retry::Never, "{name:?}");
    }
    assert_eq!(world.server.requests(), []);
    assert!(world.records.advisory_sources().await.unwrap().is_empty());
}
