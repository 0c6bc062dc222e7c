//! Synthetic members and streams: the same for the same number.

use tidewatch_core::image::{Image, Platform};
use tidewatch_core::names::{PolicyId, StreamName};
use tidewatch_core::policy::Outcome;
use tidewatch_core::result::ResultState;
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::stream::{Candidate, Member, PolicyTotals, SlotForm, StreamTotals, Totals};
use tidewatch_core::{Digest, Timestamp};

/// How many streams the largest snapshot has.
pub(crate) const STREAMS: usize = 90;

/// How many policies there are.
pub(crate) const POLICIES: usize = 8;

/// The ids and names of the policies.
pub(crate) fn policies() -> anyhow::Result<Vec<(PolicyId, String)>> {
    let policy =
        |number| Ok((format!("policy-{number}").parse()?, format!("No images that policy {number} refuses")));
    (0..POLICIES).map(policy).collect()
}

/// The member with this number, of a repository of its own.
pub(crate) fn member(
    number: usize,
    revision: i64,
    policies: &[(PolicyId, String)],
) -> anyhow::Result<Member> {
    let mix = Digest::of(format!("{number} {revision}").as_bytes()).spread();
    let answers = policies.iter().zip(0_u32..).map(|((id, _), bit)| {
        let outcome = match (mix >> (3 * bit)) % 8 {
            0 => Outcome::NoData,
            1..=3 => Outcome::Fail,
            _ => Outcome::Pass,
        };
        (id.clone(), outcome)
    });
    let seen_at = Timestamp::from_second(1_781_481_600)?;
    Ok(Member {
        image: Image {
            registry: "hub".parse()?,
            repository: format!("team-{}/service-{number}", number % 100).parse()?,
            digest: Digest::of(number.to_string().as_bytes()),
            platform: Platform::linux_amd64(),
        },
        tag: "latest".parse()?,
        seen_at,
        created_at: Some(seen_at),
        state: ResultState::Scanned,
        severities: SeverityCounts {
            critical: mix % 5,
            high: mix % 23,
            medium: mix % 61,
            low: mix % 97,
            unspecified: mix % 13,
        },
        policies: answers.collect(),
        next_change_at: None,
        kept: false,
        form: SlotForm::default(),
        result_at: Some(seen_at),
        suppressed: SeverityCounts::default(),
    })
}

/// Streams with numbers of many digits, as of an organisation with a million images: `latest-indexed` and environments.
pub(crate) fn streams(policies: &[(PolicyId, String)]) -> anyhow::Result<Vec<Candidate>> {
    let candidate = |number: usize| {
        let name = match number {
            0 => StreamName::latest_indexed(),
            _ => format!("environment-{number}").parse()?,
        };
        let mix = |what: &str| Digest::of(format!("{number} {what}").as_bytes()).spread() % 1_000_000;
        let of_policy = |id: &PolicyId| {
            let compliant = mix(id.as_str());
            PolicyTotals { compliant, evaluated: 1_000_000, judged: 1_000_000 }
        };
        let totals = Totals {
            images: 1_000_000,
            states: [(ResultState::Scanned, 1_000_000)].into(),
            vulnerabilities: SeverityCounts {
                critical: mix("critical"),
                high: mix("high"),
                medium: mix("medium"),
                low: mix("low"),
                unspecified: mix("unspecified"),
            },
            policies: policies.iter().map(|(id, _)| (id.clone(), of_policy(id))).collect(),
            ..Totals::default()
        };
        Ok(Candidate { stream: StreamTotals { name, totals }, is_pinned: false })
    };
    (0..STREAMS).map(candidate).collect()
}
