//! Exceptions that are limited to repositories and streams: the same image counts otherwise in one slot than in another.

use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_assessment::{record, record_members};
use tidewatch_core::environment::{EnvironmentEntry, EnvironmentTarget};
use tidewatch_core::image::Image;
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::names::StreamName;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::stream::{Member, Slot};
use tidewatch_core::work::RematchTask;
use tidewatch_store::records::NewVex;
use tidewatch_testkit::policies::{FIXABLE, fixable_only};

use crate::world::{World, acme, advisories, debian, image, message};

const HOUR: Duration = Duration::from_secs(3600);

/// The same image in two repositories, scanned in both: one critical vulnerability that can be fixed.
async fn twins(world: &World) -> [Image; 2] {
    let twins = [image("team/web", "1"), image("team/api", "1")];
    for twin in &twins {
        world.tag(twin, "latest").await;
        world.scan(twin, &debian(&[("openssl", "1")])).await;
    }
    // What was made long ago is not written again without need.
    world.clock.advance(HOUR);
    twins
}

/// Puts these exceptions in force, and has images judged by them.
async fn except(world: &World, exceptions: Value) {
    let policies = fixable_only(&json!([]));
    world.configure(json!({"org": "acme", "policies": policies, "exceptions": exceptions})).await;
    world.rematch().await;
}

/// An exception of the vulnerability, limited by `scope`.
fn exception(scope: &Value) -> Value {
    let mut exception = json!({"vulnerability": "CVE-2099-0001", "type": "accepted_risk"});
    let fields = exception.as_object_mut().unwrap();
    fields.extend(scope.as_object().unwrap().clone());
    exception
}

/// What counts, what is suppressed, and the answer of the policy.
fn counted(member: &Member) -> (u64, u64, Outcome) {
    let outcome = *member.policies.get(&FIXABLE.parse().unwrap()).unwrap();
    (member.severities.total(), member.suppressed.total(), outcome)
}

const COUNTS: (u64, u64, Outcome) = (1, 0, Outcome::Fail);
const SUPPRESSED: (u64, u64, Outcome) = (0, 1, Outcome::Pass);

async fn slot(world: &World, image: &Image) -> (u64, u64, Outcome) {
    counted(&world.member(image).await.expect("a member"))
}

/// Pins the image in the environment `production`, as resolve-images does.
async fn pin(world: &World, image: &Image) -> StreamName {
    let stream: StreamName = "production".parse().unwrap();
    let reference = format!("{}/{}:latest", image.registry, image.repository).parse().unwrap();
    let entry = EnvironmentEntry::new(reference, world.clock.now());
    world.records.note_environment(&acme(), &stream, true).await.unwrap();
    world.records.put_entry(&acme(), &stream, &entry).await.unwrap();
    let target = EnvironmentTarget { stream: stream.clone(), entry: entry.id() };
    let pinned = (image.clone(), image.digest, world.clock.now());
    assert!(world.records.pin_entry(&acme(), &target, &entry, pinned).await.unwrap());
    stream
}

async fn in_environment(world: &World, stream: &StreamName, image: &Image) -> (u64, u64, Outcome) {
    let slot = Slot::of_repository(image.registry.clone(), image.repository.clone());
    let member = world.records.member(&acme(), stream, &slot).await.unwrap();
    counted(&member.expect("a member"))
}

#[tokio::test]
async fn an_exception_for_a_repository_counts_there_and_not_in_another_that_holds_the_same_image() {
    let world = World::new().await;
    let [web, api] = twins(&world).await;
    let stored = world.stored(&web).await;
    except(&world, json!([exception(&json!({"repository": "hub/team/web"}))])).await;
    assert_eq!((slot(&world, &web).await, slot(&world, &api).await), (SUPPRESSED, COUNTS));
    assert_eq!(world.stored(&web).await, stored, "the image as a whole is as it was");

    except(&world, json!([exception(&json!({"repository": "hub/team/api"}))])).await;
    assert_eq!((slot(&world, &web).await, slot(&world, &api).await), (COUNTS, SUPPRESSED));
    except(&world, json!([])).await;
    assert_eq!((slot(&world, &web).await, slot(&world, &api).await), (COUNTS, COUNTS), "it is gone");
}

#[tokio::test]
async fn what_is_scanned_later_is_judged_where_it_is() {
    let world = World::new().await;
    except(&world, json!([exception(&json!({"repository": "hub/team/web"}))])).await;
    let [web, api] = twins(&world).await;
    assert_eq!((slot(&world, &web).await, slot(&world, &api).await), (SUPPRESSED, COUNTS));
    world.publish(&advisories()).await;
    world.rematch().await;
    assert_eq!((slot(&world, &web).await, slot(&world, &api).await), (SUPPRESSED, COUNTS));
}

#[tokio::test]
async fn an_exception_for_a_stream_counts_in_that_environment_only() {
    let world = World::new().await;
    let [web, api] = twins(&world).await;
    let stream = pin(&world, &web).await;
    except(&world, json!([exception(&json!({"stream": "production"}))])).await;
    assert_eq!(in_environment(&world, &stream, &web).await, SUPPRESSED);
    assert_eq!((slot(&world, &web).await, slot(&world, &api).await), (COUNTS, COUNTS));
    except(&world, json!([])).await;
    assert_eq!(in_environment(&world, &stream, &web).await, COUNTS);
}

#[tokio::test]
async fn an_image_that_is_put_into_an_environment_later_is_judged_there_by_a_message() {
    let world = World::new().await;
    let [web, _] = twins(&world).await;
    except(&world, json!([exception(&json!({"stream": "production"}))])).await;
    let stream = pin(&world, &web).await;
    for _ in 0..2 {
        let slots = RematchTask::Slots(vec![web.id()]);
        world.deliver(message(Some(slots))).await.unwrap();
        assert_eq!(in_environment(&world, &stream, &web).await, SUPPRESSED);
    }
    // Pinning the same again does not undo it.
    let place = world.records.environments_of(&acme(), &web.id()).await.unwrap().remove(0);
    world.records.enter_environment(&acme(), &place).await.unwrap();
    assert_eq!(in_environment(&world, &stream, &web).await, SUPPRESSED);
}

#[tokio::test]
async fn a_writer_that_is_late_does_not_bring_back_what_an_earlier_configuration_said() {
    let world = World::new().await;
    let [web, _] = twins(&world).await;
    let before = world.records.in_force(&acme(), None).await.unwrap().unwrap();
    except(&world, json!([exception(&json!({"repository": "hub/team/*"}))])).await;
    let (stored, late) = (world.stored(&web).await, (&before, world.clock.now()));
    record_members(&world.records, &acme(), (&web.id(), None), &stored, late).await.unwrap();
    assert_eq!(slot(&world, &web).await, SUPPRESSED);
}

#[tokio::test]
async fn slots_are_not_written_for_exceptions_that_are_about_whole_images() {
    let world = World::new().await;
    twins(&world).await;
    let digest = image("team/other", "2").digest;
    let marks = world.marks().await;
    except(&world, json!([exception(&json!({"digest": digest}))])).await;
    assert_eq!(world.marks().await, marks);
}

/// A VEX document that says that a product is not affected.
fn not_affected(product: &str) -> NewVex {
    let statement = json!({
        "vulnerability": "CVE-2099-0001", "products": [{"ids": [product]}], "status": "not_affected",
    });
    let document = json!({"id": product, "author": "acme", "timestamp": null, "statements": [statement]});
    let document = serde_json::from_value(document).unwrap();
    NewVex { document, text: String::new(), file: "web.vex.json".to_owned() }
}

#[tokio::test]
async fn an_uploaded_document_that_names_a_repository_counts_there_until_it_is_removed() {
    let world = World::new().await;
    let [web, api] = twins(&world).await;
    let vex = not_affected("team/web:latest");
    world.records.add_vex(&acme(), std::slice::from_ref(&vex), world.clock.now()).await.unwrap();
    world.rematch().await;
    assert_eq!((slot(&world, &web).await, slot(&world, &api).await), (SUPPRESSED, COUNTS));
    world.records.remove_vex(&acme(), &vex.document.digest(), world.clock.now()).await.unwrap();
    world.rematch().await;
    assert_eq!((slot(&world, &web).await, slot(&world, &api).await), (COUNTS, COUNTS));
}

#[tokio::test]
async fn an_uploaded_document_that_names_an_image_counts_wherever_that_is() {
    let world = World::new().await;
    let [web, api] = twins(&world).await;
    let vex = not_affected(&web.digest.to_string());
    world.records.add_vex(&acme(), std::slice::from_ref(&vex), world.clock.now()).await.unwrap();
    world.rematch().await;
    assert_eq!((slot(&world, &web).await, slot(&world, &api).await), (SUPPRESSED, SUPPRESSED));
    assert_eq!(world.vulnerabilities(&web).await, 0, "for the image as a whole, too");
    world.records.remove_vex(&acme(), &vex.document.digest(), world.clock.now()).await.unwrap();
    world.rematch().await;
    assert_eq!((slot(&world, &web).await, slot(&world, &api).await), (COUNTS, COUNTS));
}

#[tokio::test]
async fn a_document_in_the_image_that_names_a_repository_counts_in_that_repository() {
    let world = World::new().await;
    let twins = twins(&world).await;
    let metadata = ImageMetadata {
        attestations: Some(Vec::new()),
        vex_files: vec![not_affected("team/web").document],
        ..ImageMetadata::default()
    };
    let in_force = world.records.in_force(&acme(), None).await.unwrap().unwrap();
    let stored = world.stored(&twins[0]).await;
    let mut assessment = world.assess(&debian(&[("openssl", "1")])).await;
    let (result, report) = (&mut assessment.result, &mut assessment.report);
    result.judge(report, &assessment.inventory, &metadata, None, in_force.judging(world.clock.now()));
    assessment.metadata = metadata;
    let id = twins[0].id();
    record(&world.records, &acme(), (&id, None), assessment, Some(&stored), None, &in_force).await.unwrap();
    let [web, api] = &twins;
    assert_eq!((slot(&world, web).await, slot(&world, api).await), (SUPPRESSED, COUNTS));
    assert_eq!(world.vulnerabilities(web).await, 1, "the image as a whole is in no repository");

    // What has nothing to do with places leaves it so.
    world.clock.advance(HOUR);
    except(&world, json!([{"vulnerability": "CVE-2099-0009", "type": "accepted_risk"}])).await;
    assert_eq!((slot(&world, web).await, slot(&world, api).await), (SUPPRESSED, COUNTS));
}
