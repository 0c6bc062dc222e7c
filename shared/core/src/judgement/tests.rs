//! What holds for every judgement, whatever is known and in force.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::*;
use crate::exception::SuppressedBy;
use crate::metadata::{BaseEvidence, BaseImage, ConfigMetadata};
use crate::policy::{Outcome, facts};
use crate::severity::Severity;
use crate::tables::{EndOfLife, TableDate};
use crate::vex::{VexProduct, VexStatement, VexStatus};

const DAY: Duration = Duration::from_secs(86_400);

fn start() -> Timestamp {
    facts::NOW.parse().unwrap()
}

/// A time, in hours from the start.
fn hours(hours: i64) -> Timestamp {
    start().checked_add(jiff::SignedDuration::from_hours(hours)).unwrap()
}

/// A day, from the first one on.
fn day(days: i64) -> String {
    hours(24 * days).to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// Everything that a judgement is a function of.
#[derive(Clone, Debug)]
struct World {
    findings: Vec<Finding>,
    exceptions: Vec<Value>,
    grace_period_days: u32,
    uploaded: Vec<VexDocument>,
    metadata: ImageMetadata,
    tables: Tables,
    state: ResultState,
    /// Whether repository, digest and stream are known.
    is_member: bool,
}

impl World {
    fn config(&self, exceptions: &[Value]) -> Config {
        let config = json!({
            "org": "acme",
            "policies": [{"id": "fixable-vulnerabilities", "config": {"grace_period_days": self.grace_period_days}}],
            "exceptions": exceptions,
        });
        serde_json::from_value(config).unwrap()
    }

    fn judge_by(&self, exceptions: &[Value], now: Timestamp) -> Judgement {
        let criteria = Criteria::new(&self.config(exceptions), self.uploaded.clone());
        let judging = Judging { criteria: &criteria, tables: &self.tables, now };
        let (registry, repository) = ("hub".parse().unwrap(), "team/web".parse().unwrap());
        let (digest, stream) = (Digest::of(b"web"), "production".parse().unwrap());
        let member = Scope {
            registry: Some(&registry),
            repository: Some(&repository),
            tag: None,
            digest: Some(&digest),
            stream: Some(&stream),
        };
        let scope = if self.is_member { member } else { Scope::default() };
        let distribution = Distribution {
            id: "debian".to_owned(),
            version_id: Some("12".to_owned()),
            pretty_name: String::new(),
        };
        let subject = Subject {
            findings: &self.findings,
            packages: &[],
            distribution: Some(&distribution),
            metadata: &self.metadata,
            families: &["debian", "npm"],
            state: self.state,
        };
        judge(subject, scope, judging)
    }

    fn judge(&self, now: Timestamp) -> Judgement {
        self.judge_by(&self.exceptions, now)
    }
}

prop_compose! {
    fn finding()(
        number in 1..4_u8,
        package in select(vec!["curl", "openssl"]),
        severity in select(Severity::ALL.to_vec()),
        is_fixed: bool,
        is_exploited: bool,
        published in proptest::option::of(-15..15_i64),
    ) -> Finding {
        Finding {
            aliases: vec![format!("GHSA-{number}")],
            severity,
            fixed_version: is_fixed.then(|| "2.0".to_owned()),
            known_exploited: is_exploited.then(|| "2026-06-01".parse().unwrap()),
            published_at: published.map(|published| hours(24 * published)),
            ..facts::finding(&format!("CVE-{number}"), package)
        }
    }
}

prop_compose! {
    fn exception()(
        vulnerability in select(vec!["CVE-1", "CVE-2", "CVE-3", "ghsa-1", "GHSA-2"]),
        package in proptest::option::of(select(vec!["pkg:deb/debian/curl", "pkg:deb/debian/curl@9.0"])),
        scope in select(vec![
            json!({}), json!({}), json!({"stream": "production"}), json!({"stream": "other"}),
            json!({"repository": "hub/**"}), json!({"repository": "other/**"}),
            json!({"digest": Digest::of(b"web")}), json!({"repository": "hub/**", "stream": "other"}),
        ]),
        expires in proptest::option::of(-4..8_i64),
        conditions in subsequence(vec!["fix_available", "known_exploited"], 0..2),
    ) -> Value {
        let mut exception = json!({"vulnerability": vulnerability, "type": "accepted_risk", "expires_when": conditions});
        if let Some(package) = package {
            exception["package"] = json!(package);
        }
        if let Some(expires) = expires {
            exception["expires"] = json!(day(expires));
        }
        exception.as_object_mut().unwrap().extend(scope.as_object().unwrap().clone());
        exception
    }
}

fn exceptions() -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::vec(exception(), 0..5).prop_map(|mut exceptions| {
        for (position, exception) in exceptions.iter_mut().enumerate() {
            exception["id"] = json!(format!("x{position}"));
        }
        exceptions
    })
}

prop_compose! {
    fn document()(
        vulnerability in select(vec!["CVE-1", "CVE-2", "GHSA-1"]),
        status in select(vec![VexStatus::NotAffected, VexStatus::NotAffected, VexStatus::Affected]),
        product in select(vec!["pkg:docker/team/web".to_owned(), Digest::of(b"web").to_string(), "other".to_owned()]),
        published in -10..5_i64,
    ) -> VexDocument {
        let statement = VexStatement {
            vulnerability: vulnerability.to_owned(),
            aliases: Vec::new(),
            products: vec![VexProduct { ids: vec![product], subcomponents: Vec::new() }],
            status,
            justification: None,
            impact_statement: None,
            timestamp: None,
        };
        let timestamp = Some(hours(24 * published));
        VexDocument { id: "d".to_owned(), author: String::new(), timestamp, statements: vec![statement] }
    }
}

prop_compose! {
    fn tables()(
        exploited in proptest::option::of(-240..1_i64),
        of in proptest::option::of(-240..1_i64),
        ends in -3..12_i64,
        confirmed in proptest::collection::btree_map(select(vec!["debian", "go", "npm"]), -240..1_i64, 0..3),
    ) -> Tables {
        let document = json!({"debian": {"releases": [{"releaseCycle": "12", "eol": day(ends)}]}}).to_string();
        let end_of_life = |of| EndOfLife::read(document.as_bytes(), TableDate(hours(of))).unwrap();
        let confirmed = confirmed.into_iter().map(|(family, at)| (family.to_owned(), TableDate(hours(at))));
        Tables {
            known_exploited: exploited.map(|at| TableDate(hours(at))),
            end_of_life: of.map(end_of_life),
            advisories: confirmed.collect(),
        }
    }
}

prop_compose! {
    fn world()(
        findings in proptest::collection::vec(finding(), 0..6),
        exceptions in exceptions(),
        grace_period_days in select(vec![0, 0, 7]),
        uploaded in proptest::collection::vec(document(), 0..3),
        user in proptest::option::of(proptest::option::of(select(vec!["root", "app"]))),
        has_base: bool,
        tables in tables(),
        state in select(vec![ResultState::Scanned, ResultState::Scanned, ResultState::Partial]),
        is_member: bool,
    ) -> World {
        let base = BaseImage {
            reference: "docker.io/library/debian:12".to_owned(),
            digest: Some(Digest::of(b"base")),
            evidence: BaseEvidence::Layers,
            current: Some(Digest::of(b"base")),
        };
        let metadata = ImageMetadata {
            config: user.map(|user| ConfigMetadata { user: user.map(str::to_owned) }),
            base: has_base.then_some(base),
            ..ImageMetadata::default()
        };
        World { findings, exceptions, grace_period_days, uploaded, metadata, tables, state, is_member }
    }
}

/// All that anybody sees of a judgement, but for when it changes.
fn seen(judgement: Judgement) -> Judgement {
    let policies = judgement
        .policies
        .into_iter()
        .map(|(id, evaluation)| (id, Evaluation { next_change_at: None, ..evaluation }));
    Judgement { policies: policies.collect(), next_change_at: None, ..judgement }
}

/// How narrow an exception is, by its keys.
fn narrowness(exception: &Value) -> u8 {
    match ["stream", "repository", "digest"].map(|key| exception.get(key).is_some()) {
        [_, _, true] => 3,
        [_, true, false] => 2,
        [true, false, false] => 1,
        [false, false, false] => 0,
    }
}

proptest! {
    #[test]
    fn judging_twice_is_the_same(world in world()) {
        prop_assert_eq!(world.judge(start()), world.judge(start()));
    }

    #[test]
    fn an_exception_never_adds_a_row(world in world()) {
        let without = world.judge_by(&[], start());
        let with = world.judge(start());
        let sum = |judgement: &Judgement, severity| judgement.severities.of(severity) + judgement.suppressed.of(severity);
        for severity in Severity::ALL {
            prop_assert_eq!(sum(&with, severity), sum(&without, severity));
            prop_assert!(with.severities.of(severity) <= without.severities.of(severity));
        }
        for (id, evaluation) in &with.policies {
            let before = &without.policies[id];
            prop_assert!(evaluation.failing.iter().all(|row| before.failing.contains(row)), "{}", id);
            prop_assert!(before.outcome != Outcome::Pass || evaluation.outcome == Outcome::Pass, "{}", id);
        }
    }

    #[test]
    fn the_narrowest_of_the_exceptions_that_suppress_a_finding_is_named(world in world()) {
        let world = World { uploaded: Vec::new(), ..world };
        let named = |judgement: Judgement| judgement.suppressions.into_iter().map(|suppression| {
            let SuppressedBy::Exception { id } = suppression.by else { panic!("there are no documents") };
            (suppression.finding, id)
        }).collect::<BTreeMap<usize, String>>();
        let together = named(world.judge(start()));
        let mut alone: BTreeMap<usize, Vec<&Value>> = BTreeMap::new();
        for exception in &world.exceptions {
            for finding in named(world.judge_by(std::slice::from_ref(exception), start())).into_keys() {
                alone.entry(finding).or_default().push(exception);
            }
        }
        prop_assert_eq!(together.keys().collect::<Vec<_>>(), alone.keys().collect::<Vec<_>>());
        for (finding, id) in together {
            let winner = world.exceptions.iter().find(|exception| exception["id"] == json!(id)).unwrap();
            let narrowest = alone[&finding].iter().map(|exception| narrowness(exception)).max();
            prop_assert_eq!(Some(narrowness(winner)), narrowest);
        }
    }

    #[test]
    fn an_expired_exception_never_applies(world in world(), later in 0..400_i64) {
        let now = hours(later);
        let judgement = world.judge(now);
        for suppression in &judgement.suppressions {
            prop_assert!(suppression.until.is_none_or(|until| now < until));
        }
        let is_in_force = |exception: &&Value| {
            exception.get("expires").is_none_or(|last| last.as_str().unwrap() >= day(later / 24).as_str())
        };
        let in_force: Vec<Value> = world.exceptions.iter().filter(is_in_force).cloned().collect();
        prop_assert_eq!(judgement, world.judge_by(&in_force, now));
    }

    #[test]
    fn compliant_means_that_no_row_fails(world in world()) {
        for evaluation in world.judge(start()).policies.values() {
            prop_assert_eq!(evaluation.failing.is_empty(), evaluation.outcome != Outcome::Fail);
            prop_assert_eq!(evaluation.reason.is_some(), evaluation.outcome == Outcome::NoData);
        }
    }

    #[test]
    fn nothing_changes_before_the_next_change(world in world(), share in 0.0..1.0_f64) {
        let mut now = start();
        for _ in 0..20 {
            let judgement = world.judge(now);
            let Some(next) = judgement.next_change_at else {
                let later = now.checked_add(DAY * 1000).unwrap();
                prop_assert_eq!(seen(judgement), seen(world.judge(later)));
                return Ok(());
            };
            prop_assert!(next > now);
            let length = Duration::try_from(next.duration_since(now)).unwrap();
            let just_before = next.checked_sub(Duration::from_nanos(1)).unwrap();
            for between in [just_before, now.checked_add(length.mul_f64(share)).unwrap().min(just_before)] {
                prop_assert_eq!(seen(judgement.clone()), seen(world.judge(between)));
            }
            now = next;
        }
        prop_assert!(false, "the changes come to an end");
    }
}

#[test]
fn suppressed_findings_are_counted_apart_and_fail_no_policy() {
    let world = World {
        findings: vec![facts::finding("CVE-1", "curl"), facts::finding("CVE-2", "curl")],
        exceptions: vec![json!({"vulnerability": "CVE-1", "type": "accepted_risk", "expires": day(3)})],
        grace_period_days: 0,
        uploaded: Vec::new(),
        metadata: ImageMetadata::default(),
        tables: Tables::default(),
        state: ResultState::Scanned,
        is_member: false,
    };
    let judgement = world.judge(start());
    assert_eq!((judgement.severities.high, judgement.suppressed.high), (1, 1));
    assert_eq!(judgement.policies[&"fixable-vulnerabilities".parse().unwrap()].failing, ["CVE-2 curl"]);
    assert_eq!(judgement.suppressions.len(), 1);
    assert_eq!(judgement.next_change_at, Some(hours(24 * 4)));
    let later = world.judge(hours(24 * 4));
    assert_eq!((later.severities.high, later.suppressed.high, later.next_change_at), (2, 0, None));
}

/// The advisories of Debian, confirmed at this time.
fn confirmed(at: i64) -> BTreeMap<String, TableDate> {
    [("debian".to_owned(), TableDate(hours(at)))].into()
}

#[test]
fn the_fingerprint_is_of_policies_exceptions_documents_and_tables() {
    let config = |exceptions: Value| {
        serde_json::from_value::<Config>(json!({"org": "acme", "exceptions": exceptions})).unwrap()
    };
    let plain = config(json!([]));
    let fingerprint = |config: &Config, vex: Vec<VexDocument>, tables: &Tables| {
        let criteria = Criteria::new(config, vex);
        Judging { criteria: &criteria, tables, now: start() }.fingerprint()
    };
    let none = Tables::default();
    assert_eq!(fingerprint(&plain, Vec::new(), &none), plain.judging_fingerprint());
    let excepting = config(json!([{"vulnerability": "CVE-1", "type": "accepted_risk"}]));
    let document =
        VexDocument { id: "d".to_owned(), author: String::new(), timestamp: None, statements: Vec::new() };
    let known = Tables { known_exploited: Some(TableDate(start())), ..Tables::default() };
    let outdated = Tables { advisories: confirmed(-24 * 7), ..Tables::default() };
    let current = Tables { advisories: confirmed(-24 * 7 + 1), ..Tables::default() };
    assert_eq!(fingerprint(&plain, Vec::new(), &current), fingerprint(&plain, Vec::new(), &none));
    let all = [
        fingerprint(&plain, Vec::new(), &none),
        fingerprint(&excepting, Vec::new(), &none),
        fingerprint(&plain, vec![document], &none),
        fingerprint(&plain, Vec::new(), &known),
        fingerprint(&plain, Vec::new(), &outdated),
    ];
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
}
