//! Tests of which exceptions and statements count for a finding.

use serde_json::{Value, json};

use super::*;
use crate::metadata::{AttestationKind, AttestationSummary};
use crate::names::{RegistryId, RepositoryName, StreamName, Tag};
use crate::policy::facts::{NOW, finding};
use crate::vex::{VexJustification, VexProduct, VexStatement, VexStatus};
use crate::{Digest, Severity};

/// The image `hub/team/web:1.0` in the stream `production`, with one vulnerability in curl.
struct Image {
    registry: RegistryId,
    repository: RepositoryName,
    tag: Tag,
    digest: Digest,
    stream: StreamName,
    finding: Finding,
    metadata: ImageMetadata,
    uploaded: Vec<VexDocument>,
}

fn image() -> Image {
    let mut finding = finding("CVE-2026-0001", "curl");
    finding.aliases = vec!["GHSA-aaaa-bbbb-cccc".to_owned()];
    Image {
        registry: "hub".parse().unwrap(),
        repository: "team/web".parse().unwrap(),
        tag: "1.0".parse().unwrap(),
        digest: Digest::of(b"web"),
        stream: "production".parse().unwrap(),
        finding,
        metadata: ImageMetadata::default(),
        uploaded: Vec::new(),
    }
}

impl Image {
    fn scope(&self) -> Scope<'_> {
        Scope {
            registry: Some(&self.registry),
            repository: Some(&self.repository),
            tag: Some(&self.tag),
            digest: Some(&self.digest),
            stream: Some(&self.stream),
        }
    }

    fn suppression(&self, exceptions: Value) -> Option<Suppression> {
        self.suppression_in(self.scope(), exceptions)
    }

    #[expect(clippy::needless_pass_by_value, reason = "tests pass literals")]
    fn suppression_in(&self, scope: Scope<'_>, exceptions: Value) -> Option<Suppression> {
        let config: Config =
            serde_json::from_value(json!({"org": "acme", "exceptions": exceptions})).unwrap();
        assert_eq!(config.problems(), []);
        let exceptions = Exceptions::new(&config, self.uploaded.clone());
        let findings = [self.finding.clone()];
        let mut all = exceptions.suppressions(&findings, &self.metadata, scope, NOW.parse().unwrap());
        assert!(all.len() <= 1);
        all.pop()
    }

    /// Which exception counts.
    fn by(&self, exceptions: Value) -> Option<String> {
        match self.suppression(exceptions)?.by {
            SuppressedBy::Exception { id } => Some(id),
            SuppressedBy::Vex { document, .. } => Some(document),
        }
    }
}

/// An exception for the vulnerability of the image, with this id.
#[expect(clippy::needless_pass_by_value, reason = "tests pass literals")]
fn exception(id: &str, more: Value) -> Value {
    let mut exception = json!({"id": id, "vulnerability": "CVE-2026-0001", "type": "accepted_risk"});
    exception.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    exception
}

/// Whether an exception with these keys counts for the finding of the image.
fn counts(image: &Image, more: Value) -> bool {
    image.suppression(json!([exception("x", more)])).is_some()
}

#[test]
fn a_vulnerability_is_meant_by_any_of_its_ids() {
    for id in ["CVE-2026-0001", "cve-2026-0001", "GHSA-aaaa-bbbb-cccc", "DEBIAN-CVE-2026-0001"] {
        assert!(counts(&image(), json!({"vulnerability": id})), "{id}");
        assert!(counts(&image(), json!({"vulnerability": ["CVE-1", id]})), "{id}");
    }
    assert!(!counts(&image(), json!({"vulnerability": "CVE-2026-00011"})));
}

#[test]
fn a_package_is_meant_with_or_without_its_version() {
    for package in ["pkg:deb/debian/curl", "pkg:deb/debian/curl@1.0", "pkg:deb/debian/curl?distro=debian-12"]
    {
        assert!(counts(&image(), json!({"package": package})), "{package}");
    }
    for package in ["pkg:deb/debian/libcurl4", "pkg:deb/debian/curl@2.0", "pkg:apk/alpine/curl"] {
        assert!(!counts(&image(), json!({"package": package})), "{package}");
    }
}

#[test]
fn an_exception_holds_where_all_of_its_scope_says() {
    let (digest, other) = (image().digest, Digest::of(b"other"));
    for (scope, expected) in [
        (json!({"repository": "hub/team/*"}), true),
        (json!({"repository": "*/team/web:1.*"}), true),
        (json!({"repository": "team/web"}), false),
        (json!({"repository": "hub/team/web:2.*"}), false),
        (json!({"digest": digest}), true),
        (json!({"digest": other}), false),
        (json!({"stream": "production"}), true),
        (json!({"stream": "latest-indexed"}), false),
        (json!({"stream": "production", "repository": "hub/**"}), true),
        (json!({"stream": "latest-indexed", "repository": "hub/**"}), false),
    ] {
        assert_eq!(counts(&image(), scope.clone()), expected, "{scope}");
        let anywhere = image().suppression_in(Scope::default(), json!([exception("x", scope)]));
        assert_eq!(anywhere, None, "a scope is no word about the organisation");
    }
    let everywhere = image().suppression_in(Scope::default(), json!([exception("x", json!({}))]));
    assert!(everywhere.is_some());
}

#[test]
fn the_narrowest_scope_wins_then_one_with_a_package_then_the_first() {
    let organisation = exception("organisation", json!({}));
    let package = exception("package", json!({"package": "pkg:deb/debian/curl"}));
    let stream = exception("stream", json!({"stream": "production"}));
    let repository = exception("repository", json!({"repository": "hub/**"}));
    let digest = exception("digest", json!({"digest": image().digest}));
    let order = [&organisation, &package, &stream, &repository, &digest];
    for last in 0..order.len() {
        let mut exceptions: Vec<&Value> = order[..=last].to_vec();
        let winner = order[last]["id"].as_str().map(str::to_owned);
        assert_eq!(image().by(json!(exceptions)), winner);
        exceptions.reverse();
        assert_eq!(image().by(json!(exceptions)), winner);
    }
    let (first, second) = (exception("first", json!({})), exception("second", json!({})));
    assert_eq!(image().by(json!([first, second])).as_deref(), Some("first"));
}

#[test]
fn an_exception_holds_to_the_end_of_its_last_day_and_leaves_the_wider_one_behind() {
    // It is 15 June, 00:00 UTC.
    assert!(counts(&image(), json!({"expires": "2026-06-15"})));
    assert!(!counts(&image(), json!({"expires": "2026-06-14"})));
    let until = image().suppression(json!([exception("x", json!({"expires": "2026-06-15"}))])).unwrap().until;
    assert_eq!(until, Some("2026-06-16T00:00:00Z".parse().unwrap()));
    let expired = exception("expired", json!({"digest": image().digest, "expires": "2026-06-14"}));
    let wider = exception("wider", json!({}));
    assert_eq!(image().by(json!([expired, wider])).as_deref(), Some("wider"));
}

#[test]
fn a_condition_ends_an_exception_for_the_findings_that_meet_it() {
    let mut image = image();
    assert!(!counts(&image, json!({"expires_when": ["fix_available"]})));
    image.finding.fixed_version = None;
    assert!(counts(&image, json!({"expires_when": ["fix_available", "known_exploited"]})));
    image.finding.known_exploited = Some("2026-06-01".parse().unwrap());
    assert!(!counts(&image, json!({"expires_when": ["fix_available", "known_exploited"]})));
    for (accepted, now, expected) in [
        (Severity::Medium, Severity::Medium, true),
        (Severity::Medium, Severity::Low, true),
        (Severity::Medium, Severity::Unspecified, true),
        (Severity::Medium, Severity::High, false),
        (Severity::Unspecified, Severity::Low, false),
    ] {
        image.finding.severity = now;
        let raised = json!({"expires_when": ["severity_raised"], "severity": accepted});
        assert_eq!(counts(&image, raised), expected, "{accepted} {now}");
    }
}

#[test]
fn a_suppression_says_who_why_and_how_long() {
    let said = json!({
        "type": "false_positive", "justification": "component_not_present", "reason": "it is not built in",
        "expires": "2027-01-31",
    });
    let suppression = image().suppression(json!([exception("x", said)])).unwrap();
    assert_eq!(
        serde_json::to_value(suppression).unwrap(),
        json!({
            "finding": 0, "by": {"exception": {"id": "x"}}, "type": "false_positive",
            "justification": "component_not_present", "reason": "it is not built in",
            "until": "2027-02-01T00:00:00Z",
        })
    );
}

const WEB: &str = "pkg:docker/team/web@1.0";

fn statement(status: VexStatus, product: &str) -> VexStatement {
    let products = VexProduct { ids: vec![product.to_owned()], subcomponents: Vec::new() };
    VexStatement {
        vulnerability: "CVE-2026-0001".to_owned(),
        aliases: Vec::new(),
        products: vec![products],
        status,
        justification: Some(VexJustification::ComponentNotPresent),
        impact_statement: Some("it is not built in".to_owned()),
        timestamp: None,
    }
}

fn document(id: &str, day: &str, statements: Vec<VexStatement>) -> VexDocument {
    let timestamp = Some(format!("{day}T00:00:00Z").parse().unwrap());
    VexDocument { id: id.to_owned(), author: "team".to_owned(), timestamp, statements }
}

fn not_affected(id: &str, day: &str) -> VexDocument {
    document(id, day, vec![statement(VexStatus::NotAffected, WEB)])
}

fn attestation() -> AttestationSummary {
    let (digest, predicate_type) = (Digest::of(b"attestation"), "https://spdx.dev/Document".to_owned());
    AttestationSummary { digest, predicate_type, kind: AttestationKind::Sbom }
}

#[test]
fn only_not_affected_suppresses() {
    for status in [VexStatus::Affected, VexStatus::Fixed, VexStatus::UnderInvestigation] {
        let uploaded = vec![document("d", "2026-01-01", vec![statement(status, WEB)])];
        assert_eq!(Image { uploaded, ..image() }.suppression(json!([])), None, "{status:?}");
    }
    let image = Image { uploaded: vec![not_affected("d", "2026-01-01")], ..image() };
    let suppression = image.suppression(json!([])).unwrap();
    assert_eq!(suppression.exception_type, ExceptionType::FalsePositive);
    assert_eq!(suppression.justification, Some(VexJustification::ComponentNotPresent));
    let (document, author) = ("d".to_owned(), "team".to_owned());
    assert_eq!(suppression.by, SuppressedBy::Vex { document, author, source: VexSource::Uploaded });
}

#[test]
fn the_latest_statement_counts_wherever_it_stands() {
    let affected = |day| document("affected", day, vec![statement(VexStatus::Affected, WEB)]);
    let of = |uploaded, attested| {
        let metadata = ImageMetadata { vex: attested, ..ImageMetadata::default() };
        Image { metadata, uploaded, ..image() }.by(json!([]))
    };
    let earlier = not_affected("d", "2026-01-01");
    assert_eq!(of(vec![earlier.clone()], vec![affected("2026-02-01")]), None);
    assert_eq!(of(vec![earlier.clone(), affected("2025-02-01")], vec![]).as_deref(), Some("d"));
    let within = |statuses: [VexStatus; 2]| {
        document("d", "2026-01-01", statuses.map(|status| statement(status, WEB)).into())
    };
    assert_eq!(of(vec![within([VexStatus::NotAffected, VexStatus::Affected])], vec![]), None);
    assert!(of(vec![within([VexStatus::Affected, VexStatus::NotAffected])], vec![]).is_some());
    let mut later = statement(VexStatus::Affected, WEB);
    later.timestamp = Some("2026-03-01T00:00:00Z".parse().unwrap());
    let own_time = document("own", "2025-01-01", vec![later]);
    assert_eq!(of(vec![earlier, own_time], vec![]), None, "a statement's own time counts");
}

#[test]
fn a_statement_is_about_its_products_and_their_parts() {
    let of = |product: &str, parts: &[&str]| {
        let mut statement = statement(VexStatus::NotAffected, product);
        statement.products[0].subcomponents = parts.iter().map(ToString::to_string).collect();
        let uploaded = vec![document("d", "2026-01-01", vec![statement])];
        Image { uploaded, ..image() }.suppression(json!([])).is_some()
    };
    assert!(of(WEB, &[]));
    assert!(of(WEB, &["pkg:deb/debian/openssl", "pkg:deb/debian/curl@1.0"]));
    assert!(!of(WEB, &["pkg:deb/debian/openssl"]));
    assert!(!of(WEB, &["curl"]), "a part that cannot be read is no part");
    assert!(!of("pkg:docker/team/api", &[]));
}

#[test]
fn a_document_without_products_is_about_the_image_that_holds_it() {
    let mut held = not_affected("d", "2026-01-01");
    held.statements[0].products.clear();
    let metadata = ImageMetadata { vex: vec![held.clone()], ..ImageMetadata::default() };
    assert!(Image { metadata, ..image() }.suppression(json!([])).is_some());
    assert!(Image { uploaded: vec![held], ..image() }.suppression(json!([])).is_none(), "nothing holds it");
}

#[test]
fn files_of_the_image_count_only_where_it_is_known_to_have_no_attestation() {
    for (attestations, expected) in [(Some(vec![]), true), (Some(vec![attestation()]), false), (None, false)]
    {
        let vex_files = vec![not_affected("d", "2026-01-01")];
        let metadata = ImageMetadata { attestations, vex_files, ..ImageMetadata::default() };
        assert_eq!(Image { metadata, ..image() }.suppression(json!([])).is_some(), expected);
    }
}

#[test]
fn between_an_exception_and_a_statement_the_narrower_wins_and_else_the_exception() {
    let by_tag = Image { uploaded: vec![not_affected("d", "2026-01-01")], ..image() };
    let of = |image: &Image, more| image.by(json!([exception("x", more)]));
    assert_eq!(of(&by_tag, json!({})).as_deref(), Some("d"));
    assert_eq!(of(&by_tag, json!({"repository": "hub/**"})).as_deref(), Some("x"));
    let digest = image().digest.to_string();
    let statements = vec![statement(VexStatus::NotAffected, &digest)];
    let by_digest = Image { uploaded: vec![document("d", "2026-01-01", statements)], ..image() };
    assert_eq!(of(&by_digest, json!({"repository": "hub/**"})).as_deref(), Some("d"));
    assert_eq!(of(&by_digest, json!({"digest": digest})).as_deref(), Some("x"));
}

#[test]
fn an_affected_statement_does_not_undo_an_exception() {
    let uploaded = vec![document("d", "2026-01-01", vec![statement(VexStatus::Affected, WEB)])];
    assert_eq!(Image { uploaded, ..image() }.by(json!([exception("x", json!({}))])).as_deref(), Some("x"));
}

#[expect(clippy::needless_pass_by_value, reason = "tests pass literals")]
fn exported(exceptions: Value, images: &[Scope<'_>]) -> OpenVexDocument {
    let config = json!({
        "org": "acme", "exceptions": exceptions,
        "registries": [{"id": "hub", "kind": "oci", "url": "https://registry.example.com:5000"}],
    });
    let config: Config = serde_json::from_value(config).unwrap();
    let criteria = crate::judgement::Criteria::new(&config, Vec::new());
    export(&criteria, &config.org, images, "security@acme.example", NOW.parse().unwrap())
}

#[test]
fn exceptions_in_force_are_exported_as_openvex() {
    let image = image();
    let exceptions = json!([
        {
            "vulnerability": ["CVE-2026-0001", "CVE-2026-0002"], "package": "pkg:deb/debian/curl",
            "type": "false_positive", "justification": "vulnerable_code_not_present", "reason": "built without it",
        },
        {
            "vulnerability": "CVE-2026-0003", "type": "accepted_risk", "reason": "only reachable from inside",
            "owner": "team-web", "expires": "2027-01-31", "expires_when": ["known_exploited"],
            "repository": "hub/team/*",
        },
        {"vulnerability": "CVE-2026-0004", "type": "accepted_risk", "expires": "2026-06-14"},
        {"vulnerability": "CVE-2026-0005", "type": "accepted_risk", "repository": "hub/other/*"},
    ]);
    let document = exported(exceptions, &[image.scope(), image.scope()]);
    assert_eq!(document.statements(), 3);
    insta::assert_json_snapshot!(document);
}

#[test]
fn the_same_exceptions_have_the_same_document_id_whenever_they_are_exported() {
    let image = image();
    let id = |exceptions: Value| exported(exceptions, &[image.scope()]).id().to_owned();
    let one = exception("one", json!({}));
    assert_eq!(id(json!([one])), id(json!([exception("renamed", json!({}))])));
    assert_ne!(id(json!([one])), id(json!([exception("one", json!({"reason": "another"}))])));
    assert_eq!(exported(json!([one]), &[Scope::default()]).statements(), 0, "no image has a name");
}
