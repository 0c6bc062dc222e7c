//! What is known of an image beside its packages: read once with the manifest, and kept with the result.

use serde_json::{Value, json};
use tidewatch_core::Digest;
use tidewatch_core::base::BaseStanding;
use tidewatch_core::metadata::{AttestationKind, BaseEvidence, BaseImage, ConfigMetadata, ImageMetadata};
use tidewatch_core::policy::Outcome;
use tidewatch_core::result::ImageResult;
use tidewatch_core::work::Work;
use tidewatch_store::records::ImageManifest;
use tidewatch_testkit::image::{BuiltImage, ImageBuilder, IndexBuilder, attached_attestation};
use tidewatch_testkit::registry::Fault;

use crate::images::{advisories, debian};
use crate::world::{World, acme};

const BASE: &str = "docker.io/library/debian:13";

fn image() -> ImageBuilder {
    ImageBuilder::new().layer(debian(&[("openssl", "1")]))
}

/// One in which the policy about users is judged.
async fn world() -> World {
    let world = World::new().await;
    world.apply(&json!([{"id": "default-non-root-user"}])).await;
    world
}

fn outcome(result: &ImageResult, policy: &str) -> Option<Outcome> {
    result.policies.get(&policy.parse().unwrap()).copied()
}

async fn metadata(world: &World, result: &ImageResult) -> ImageMetadata {
    world.records.image_metadata(&acme(), result.metadata).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_user_and_the_base_that_an_image_names_are_judged_and_kept() {
    let world = world().await;
    let built = image().user("app").annotation("org.opencontainers.image.base.name", BASE).build();
    let work = world.push_work("team/web", &built);
    world.scan(&work).await;
    let result = world.result(&work).await;
    let known = metadata(&world, &result).await;
    assert_eq!(known.config, Some(ConfigMetadata { user: Some("app".to_owned()) }));
    let reference = BASE.to_owned();
    let evidence = BaseEvidence::Annotation;
    assert_eq!(known.base, Some(BaseImage { reference, digest: None, evidence, current: None }));
    assert_eq!(known.attestations, None, "nobody has looked");
    assert_eq!(outcome(&result, "default-non-root-user"), Some(Outcome::Pass));
}

#[tokio::test]
async fn an_image_without_a_user_runs_as_root() {
    let world = world().await;
    let work = world.push_work("team/web", &image().build());
    world.scan(&work).await;
    let result = world.result(&work).await;
    assert_eq!(outcome(&result, "default-non-root-user"), Some(Outcome::Fail));
    assert_eq!(metadata(&world, &result).await.base, None);
}

#[tokio::test]
async fn what_an_earlier_version_has_kept_of_a_manifest_is_asked_again_at_the_next_scan() {
    let world = world().await;
    let work = world.push_work("team/web", &image().user("app").build());
    world.scan(&work).await;
    let digest = work.image.digest;
    let kept = world.records.image_manifest(&acme(), &digest).await.unwrap().unwrap();
    let of_before = ImageManifest { said: None, ..kept.clone() };
    world.records.put_image_manifest(&acme(), &digest, &of_before).await.unwrap();

    world.publish(&advisories()[..1]).await;
    world.apply(&json!([{"id": "default-non-root-user", "display_name": "No root"}])).await;
    world.scan(&work).await;
    assert_eq!(world.records.image_manifest(&acme(), &digest).await.unwrap(), Some(kept));
    let result = world.result(&work).await;
    assert_eq!(outcome(&result, "default-non-root-user"), Some(Outcome::Pass));
}

/// A build whose last stage begins with the layers of `base`.
fn provenance(base: &BuiltImage) -> Value {
    let layers: Vec<Value> = layers_of(base).iter().map(|layer| json!({"digest": layer})).collect();
    json!({
        "materials": [{"uri": "pkg:docker/debian@13", "digest": {"sha256": base.digest.hex()}}],
        "buildConfig": {"llbDefinition": [
            {"id": "step0", "op": {"Op": {"source": {"identifier": "docker-image://docker.io/library/debian:13"}}}},
        ]},
        "metadata": {"https://mobyproject.org/buildkit@v1#metadata": {"layers": {"step0:0": [layers]}}},
    })
}

fn layers_of(image: &BuiltImage) -> Vec<String> {
    let manifest: Value = serde_json::from_slice(&image.manifest().bytes).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

fn not_affected(vulnerability: &str) -> Value {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/vex/1", "author": "acme",
        "timestamp": "2026-01-01T00:00:00Z", "version": 1,
        "statements": [{
            "vulnerability": {"name": vulnerability}, "status": "not_affected",
            "justification": "vulnerable_code_not_present",
        }],
    })
}

/// The image with attestations in an index, and the work of one who has found it there.
fn attested(world: &World, built: &BuiltImage, predicates: &[(&str, Value)]) -> Work {
    attested_in(world, "team/web", built, predicates)
}

fn attested_in(world: &World, repository: &str, built: &BuiltImage, predicates: &[(&str, Value)]) -> Work {
    let index = IndexBuilder::new().image(built).attestations(built, predicates).build();
    let work = world.push_work(repository, built);
    world.push(repository, &index);
    let manifests =
        index.manifests.keys().filter(|digest| **digest != built.digest && **digest != index.digest);
    Work { attestations: Some(manifests.copied().collect()), ..work }
}

#[tokio::test]
async fn attestations_of_the_build_are_judged_and_name_the_base() {
    let world = world().await;
    let base = ImageBuilder::new().layer(debian(&[("openssl", "1")])).build();
    let policies = json!([{"id": "supply-chain-attestations"}, {"id": "approved-base-images",
        "config": {"allowed_base_images": ["docker.io/library/debian:*"], "allowed_distros_only": false}}]);
    world.apply(&policies).await;
    let predicates =
        [("https://spdx.dev/Document", json!({})), ("https://slsa.dev/provenance/v0.2", provenance(&base))];
    let work = attested(&world, &image().build(), &predicates);
    world.scan(&work).await;
    let result = world.result(&work).await;
    let known = metadata(&world, &result).await;
    let kinds: Vec<AttestationKind> = known.attestations.unwrap().iter().map(|known| known.kind).collect();
    assert_eq!(kinds, [AttestationKind::Sbom, AttestationKind::Provenance { max: true }]);
    let reference = "docker.io/library/debian:13".to_owned();
    let (digest, evidence) = (Some(base.digest), BaseEvidence::Provenance);
    assert_eq!(known.base, Some(BaseImage { reference, digest, evidence, current: None }));
    for policy in ["supply-chain-attestations", "approved-base-images"] {
        assert_eq!(outcome(&result, policy), Some(Outcome::Pass), "{policy}");
    }
}

#[tokio::test]
async fn an_image_without_attestations_fails_and_one_where_nobody_looked_has_no_data() {
    let world = world().await;
    world.apply(&json!([{"id": "supply-chain-attestations"}])).await;
    let work = attested(&world, &image().build(), &[]);
    world.scan(&work).await;
    assert_eq!(outcome(&world.result(&work).await, "supply-chain-attestations"), Some(Outcome::Fail));
    let unknown = world.push_work("team/api", &ImageBuilder::new().layer(debian(&[("zlib", "1")])).build());
    world.scan(&unknown).await;
    assert_eq!(outcome(&world.result(&unknown).await, "supply-chain-attestations"), Some(Outcome::NoData));
}

#[tokio::test]
async fn a_vex_attestation_takes_what_does_not_affect_the_image_out_of_the_numbers() {
    let world = world().await;
    let plain = world.push_work("team/plain", &image().build());
    world.scan(&plain).await;
    let vulnerable = world.result(&plain).await;
    let report = world.records.report(&vulnerable.report.unwrap()).await.unwrap().unwrap();
    let found = report.findings[0].vulnerability.clone();

    let statement = [("https://openvex.dev/ns/v0.2.0", not_affected(&found))];
    let work = attested(&world, &image().user("app").build(), &statement);
    world.scan(&work).await;
    let result = world.result(&work).await;
    assert_eq!(result.severities.total() + 1, vulnerable.severities.total());
    assert_eq!(result.suppressed.total(), 1);
}

const SBOM: (&str, Value) = ("https://spdx.dev/Document", Value::Null);

async fn kinds(world: &World, work: &Work) -> Option<Vec<AttestationKind>> {
    let known = metadata(world, &world.result(work).await).await.attestations;
    known.map(|known| known.iter().map(|known| known.kind).collect())
}

#[tokio::test]
async fn attestations_that_are_attached_later_are_read_also_when_nothing_else_has_changed() {
    let world = world().await;
    let work = attested(&world, &image().build(), &[SBOM]);
    let unattested = Work { attestations: None, ..work.clone() };
    world.scan(&unattested).await;
    assert_eq!(kinds(&world, &work).await, None);
    world.scan(&work).await;
    assert_eq!(kinds(&world, &work).await.unwrap(), [AttestationKind::Sbom]);
    let revision = world.stored(&work).await.unwrap().revision;
    for again in [&unattested, &work] {
        world.scan(again).await;
    }
    assert_eq!(world.stored(&work).await.unwrap().revision, revision, "they are known");
}

#[tokio::test]
async fn attestations_of_an_image_in_two_repositories_count_together() {
    let world = world().await;
    let provenance = ("https://slsa.dev/provenance/v0.2", provenance(&image().build()));
    let staging = attested_in(&world, "staging/app", &image().build(), &[provenance]);
    let production = attested_in(&world, "production/app", &image().build(), &[SBOM]);
    assert_eq!(staging.image.digest, production.image.digest);
    world.scan(&staging).await;
    world.scan(&production).await;
    let expected = [AttestationKind::Provenance { max: true }, AttestationKind::Sbom];
    assert_eq!(kinds(&world, &production).await.unwrap(), expected);
}

#[tokio::test]
async fn an_image_is_not_judged_without_attestations_that_the_registry_does_not_give_now() {
    let world = world().await;
    let work = attested(&world, &image().build(), &[SBOM]);
    world.scan(&Work { attestations: None, ..work.clone() }).await;
    world.registry.inject(Fault::Status { requests: 1000, status: 503 });
    world.scan(&work).await;
    assert_eq!(kinds(&world, &work).await, None);
    assert_eq!(world.pending(&work).await.unwrap().deferrals, 1, "it is tried again");
    world.registry.clear_faults();
    world.deliver_when_due(&work).await.unwrap();
    assert_eq!(kinds(&world, &work).await.unwrap(), [AttestationKind::Sbom]);
}

/// An image on the layers of another, with one of its own.
fn on(base: &[(&str, &str)], own: &[(&str, &str)]) -> BuiltImage {
    ImageBuilder::new().layer(debian(base)).layer(debian(own)).build()
}

#[tokio::test]
async fn an_image_is_built_on_the_known_image_with_the_most_of_its_first_layers() {
    let world = world().await;
    world.apply(&json!([{"id": "no-stale-base-images"}])).await;
    let base = world.push_work("team/base", &ImageBuilder::new().layer(debian(&[("openssl", "1")])).build());
    world.scan(&base).await;
    assert_eq!(outcome(&world.result(&base).await, "no-stale-base-images"), Some(Outcome::NoData));

    let app = world.push_work("team/app", &on(&[("openssl", "1")], &[("zlib", "1")]));
    world.scan(&app).await;
    let result = world.result(&app).await;
    let found = metadata(&world, &result).await.base.unwrap();
    assert!(found.reference.ends_with("/team/base:latest"), "{}", found.reference);
    assert_eq!((found.digest, found.evidence), (Some(base.image.digest), BaseEvidence::Layers));
    assert_eq!(found.current, Some(base.image.digest), "its registry was asked");
    assert_eq!(outcome(&result, "no-stale-base-images"), Some(Outcome::Pass));

    let newer = world.push_work("team/base", &ImageBuilder::new().layer(debian(&[("openssl", "2")])).build());
    assert_ne!(newer.image.digest, base.image.digest);
    let other = world.push_work("team/other", &on(&[("openssl", "1")], &[("bash", "1")]));
    world.scan(&other).await;
    let known = world.records.images_on_base(&acme(), &found.reference).await.unwrap();
    assert_eq!(known.len(), 2);
    assert_eq!(
        outcome(&world.result(&other).await, "no-stale-base-images"),
        Some(Outcome::Pass),
        "not asked again"
    );
}

#[tokio::test]
async fn other_versions_in_the_repository_of_an_image_are_not_its_base() {
    let world = world().await;
    let first = world.push_work("team/app", &ImageBuilder::new().layer(debian(&[("openssl", "1")])).build());
    world.scan(&first).await;
    let second = world.push_work("team/app", &on(&[("openssl", "1")], &[("zlib", "1")]));
    world.scan(&second).await;
    let known = metadata(&world, &world.result(&second).await).await;
    let reason = "the image names none, and no known image has its first layers";
    assert_eq!((known.base, known.base_unknown_because.as_deref()), (None, Some(reason)));
}

#[tokio::test]
async fn a_scan_that_died_before_it_looked_again_is_made_good_by_the_next() {
    let world = world().await;
    world.apply(&json!([{"id": "no-stale-base-images"}])).await;
    let base = world.push_work("team/base", &ImageBuilder::new().layer(debian(&[("openssl", "1")])).build());
    world.scan(&base).await;
    let app = world.push_work("team/app", &on(&[("openssl", "1")], &[("zlib", "1")]));
    world.scan(&app).await;
    let known = metadata(&world, &world.result(&app).await).await.base.unwrap();
    // The tag has moved, and who told of it found no result yet.
    let standing = world.records.base_standing(&acme(), &known.reference).await.unwrap().unwrap();
    let moved = BaseStanding { digest: Digest::of(b"newer"), manifests: vec![], is_told: true, ..standing };
    assert!(world.records.put_base_standing(&acme(), &known.reference, &moved).await.unwrap());
    world.scan(&app).await;
    assert_eq!(outcome(&world.result(&app).await, "no-stale-base-images"), Some(Outcome::Fail));
}

#[tokio::test]
async fn the_only_image_that_went_into_a_build_is_its_base_when_nothing_else_tells_it() {
    let world = world().await;
    let min = json!({"materials": [{"uri": "pkg:docker/node@18", "digest": {"sha256": Digest::of(b"node").hex()}}]});
    let predicates = [("https://slsa.dev/provenance/v0.2", min)];
    let work = attested(&world, &image().build(), &predicates);
    world.scan(&work).await;
    let known = metadata(&world, &world.result(&work).await).await;
    assert_eq!(known.base.unwrap().reference, "docker.io/library/node:18");

    let base = world.push_work("team/base", &ImageBuilder::new().layer(debian(&[("openssl", "1")])).build());
    world.scan(&base).await;
    let on_base = attested_in(&world, "team/app", &on(&[("openssl", "1")], &[("zlib", "1")]), &predicates);
    world.scan(&on_base).await;
    let found = metadata(&world, &world.result(&on_base).await).await.base.unwrap();
    assert_eq!(found.evidence, BaseEvidence::Layers, "its layers tell more");
}

#[tokio::test]
async fn attestations_that_were_attached_after_the_build_are_read_where_the_registry_is_asked_for_them() {
    let vex =
        || attached_attestation(&image().build(), "https://openvex.dev/ns/v0.2.0", &not_affected("CVE-1"));
    // By the registry's own list, and by the one under a tag.
    for is_listed in [true, false] {
        let world = World::new().await;
        let built = image().build();
        let work = world.push_work("team/web", &built);
        world.push("team/web", &vex());
        if !is_listed {
            world.registry.inject(Fault::NoReferrers);
            let manifest = &vex().manifests[&vex().digest];
            let index = json!({"schemaVersion": 2, "manifests": [{
                "mediaType": manifest.media_type, "digest": vex().digest, "size": manifest.bytes.len(),
                "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            }]});
            let tag = format!("sha256-{}", built.digest.hex());
            let media_type = "application/vnd.oci.image.index.v1+json";
            world.registry.push_manifest("team/web", tag.as_str(), media_type, index.to_string());
        }
        world.ask_for_referrers().await;
        world.scan(&work).await;
        let known = metadata(&world, &world.result(&work).await).await;
        let kinds: Vec<_> = known.attestations.unwrap().iter().map(|attestation| attestation.kind).collect();
        assert_eq!((kinds, known.vex.len()), (vec![AttestationKind::Vex], 1), "listed: {is_listed}");
        world.registry.assert_no_violations();
    }
}

#[tokio::test]
async fn nobody_asks_for_what_was_attached_unless_the_configuration_says_so() {
    let world = world().await;
    let work = world.push_work("team/web", &image().build());
    world.scan(&work).await;
    assert!(world.registry.requests().iter().all(|request| !request.path.contains("referrers")));
}
