use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::names::PolicyId;
use crate::policy::Outcome;
use crate::ports::queue::QueueName;
use crate::ports::queue_depths::QueueDepth;
use crate::result::ResultState;
use crate::severity::SeverityCounts;
use crate::stream::{Candidate, PolicyTotals, Served, within_budget};
use crate::{Digest, Timestamp};

/// What a line says: its name, its labels in their order, its value.
type Sample = (String, Vec<(String, String)>, u64);

/// Reads a text of gauges as a scraper does, by the grammar of the format alone.
fn parse(text: &str) -> Vec<Sample> {
    let (mut help, mut kind) = (String::new(), String::new());
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            rest.split_once(' ').expect("a name and its help").0.clone_into(&mut help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, gauge) = rest.split_once(' ').expect("a name and its type");
            assert_eq!((name, gauge), (help.as_str(), "gauge"));
            name.clone_into(&mut kind);
        } else {
            let sample = parse_sample(line);
            assert_eq!(sample.0, kind, "a sample stands in its family");
            samples.push(sample);
        }
    }
    samples
}

fn parse_sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect("a name");
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, value) = rest.split_once("=\"").expect("a label");
            let (value, after) = unquote(value);
            labels.push((label.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect("a blank").parse().expect("a whole number");
    (name.to_owned(), labels, value)
}

/// A value up to its closing quote, and what comes after that.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return (value, &text[position + 1..]),
            '\\' => value.push(match characters.next().expect("what is escaped").1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    panic!("no closing quote: {text}");
}

fn stream(name: &str, totals: Totals) -> StreamTotals {
    StreamTotals { name: name.parse().unwrap(), totals }
}

fn policy(id: &str, display_name: &str) -> (PolicyId, String) {
    (id.parse().unwrap(), display_name.to_owned())
}

fn served(streams: Vec<StreamTotals>, dropped: &[&str]) -> Served {
    let dropped = dropped.iter().map(|name| name.parse().unwrap()).collect();
    Served { streams, dropped, series_of_each: 7 }
}

/// Three images in one stream and none in the other.
fn two_streams() -> Vec<StreamTotals> {
    let totals = Totals {
        images: 3,
        states: [(ResultState::Scanned, 2), (ResultState::Partial, 1)].into(),
        vulnerabilities: SeverityCounts { critical: 6, high: 5, low: 2, ..SeverityCounts::default() },
        policies: [(
            "fixable-vulnerabilities".parse().unwrap(),
            PolicyTotals { compliant: 1, evaluated: 2, judged: 3 },
        )]
        .into(),
        oldest_result_at: Some("2026-06-15T00:00:00Z".parse().unwrap()),
        suppressed: SeverityCounts { high: 4, ..SeverityCounts::default() },
        ..Totals::default()
    };
    vec![stream("latest-indexed", totals), stream("production", Totals::default())]
}

#[test]
fn every_series_is_there_sorted_and_escaped_zeros_included() {
    let policies = [policy("fixable-vulnerabilities", "No \"fixable\" ones"), policy("custom", "a\\b\nc")];
    insta::assert_snapshot!("text", render(&two_streams(), &policies));
}

#[test]
fn open_metrics_is_the_same_and_says_where_it_ends() {
    let text = render(&two_streams(), &[policy("fixable-vulnerabilities", "No fixable ones")]);
    insta::assert_snapshot!("open_metrics", open_metrics(&text));
}

#[test]
fn families_of_our_own_say_what_the_numbers_rest_on_and_leave_out() {
    let at = |time: &str| time.parse::<Timestamp>().unwrap();
    let facts = OwnFacts {
        indexes: [
            (
                "alpine".to_owned(),
                AdvisoryIndexTimes { built_at: at("2026-06-14T00:00:00Z"), newest_modified: None },
            ),
            (
                "debian".to_owned(),
                AdvisoryIndexTimes {
                    built_at: at("2026-06-14T12:00:00Z"),
                    newest_modified: Some(at("2026-06-13T00:00:00Z")),
                },
            ),
        ]
        .into(),
        sources: [
            (
                "Debian".to_owned(),
                AdvisorySourceTimes { checked_at: Some(at("2026-06-14T13:00:00Z")), has_failed: false },
            ),
            ("kev".to_owned(), AdvisorySourceTimes { checked_at: None, has_failed: true }),
        ]
        .into(),
    };
    let policies = ["fixable-vulnerabilities", "new-policy"].map(|id| id.parse().unwrap());
    let text = render_own(&served(two_streams(), &["a", "b"]), &policies, &facts);
    let end = render_snapshot_times(at("2026-06-15T00:00:01Z"), at("2026-06-15T00:01:01.5Z"));
    insta::assert_snapshot!("own", format!("{text}{end}"));
}

#[test]
fn families_of_our_own_come_in_the_order_of_their_names_and_name_nobody_else() {
    let text = render_own(&served(two_streams(), &[]), &[], &OwnFacts::default());
    let text = text + &render_snapshot_times(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    // `tidewatch_suppressed_findings` comes before the end of the text, which is the snapshot's.
    let snapshot = names.len() - 2;
    assert!(names[..snapshot].is_sorted() && names[snapshot..].is_sorted(), "{names:?}");
    let names: std::collections::BTreeSet<_> = names.into_iter().collect();
    assert_eq!(names.len(), text.matches("# HELP ").count());
    assert!(!text.contains("scout"), "who takes scout_* takes these too");
}

/// One queue that says everything, one that knows no times, and one that did not answer.
fn queues() -> BTreeMap<QueueName, Option<QueueDepth>> {
    let scans =
        QueueDepth { visible: 41, in_flight: 3, delayed: 2, dead_letters: 1, longest_wait_seconds: Some(90) };
    let pushed = QueueDepth { longest_wait_seconds: None, ..QueueDepth::default() };
    [(QueueName::Scans, Some(scans)), (QueueName::Pushed, Some(pushed)), (QueueName::Hints, None)].into()
}

#[test]
fn queues_say_what_is_in_them_and_one_that_does_not_answer_has_no_numbers() {
    insta::assert_snapshot!("queues", render_queues(&queues()));
}

#[test]
fn families_of_queues_are_apart_from_those_of_the_snapshot_and_in_the_order_of_their_names() {
    let names = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect()
    };
    let text = render_queues(&queues());
    let own = render_own(&served(two_streams(), &[]), &[], &OwnFacts::default());
    let found = names(&text);
    assert!(found.is_sorted() && found.iter().all(|name| !names(&own).contains(name)), "{found:?}");
    assert!(!text.contains("scout"), "who takes scout_* takes these too");
    assert_eq!(parse(&text).len(), 1 + 2 * 4 + 3);
}

#[test]
fn help_texts_are_the_same_in_both_formats() {
    let text = render(&[], &[])
        + &render_own(&Served::default(), &[], &OwnFacts::default())
        + &render_queues(&BTreeMap::new())
        + &render_snapshot_times(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    for help in text.lines().filter(|line| line.starts_with("# HELP ")) {
        assert!(!help.contains(['"', '\\']), "{help}");
        assert!(!help.ends_with('.'), "{help}");
    }
}

#[test]
fn the_text_ends_with_a_newline() {
    assert!(render(&[], &[]).ends_with("gauge\n"));
    assert!(open_metrics(&render(&[], &[])).ends_with("gauge\n# EOF\n"));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![Outcome::Pass, Outcome::Fail, Outcome::NoData])
}

/// A member with these vulnerabilities and answers.
fn member(severities: &[u8], answers: BTreeMap<u8, Outcome>) -> crate::stream::Member {
    let severity = |number: &u8| Severity::ALL[usize::from(*number) % Severity::ALL.len()];
    crate::stream::Member {
        image: crate::image::Image {
            registry: "hub".parse().unwrap(),
            repository: "team/web".parse().unwrap(),
            digest: Digest::of(b"image"),
            platform: crate::image::Platform::linux_amd64(),
        },
        tag: "latest".parse().unwrap(),
        seen_at: Timestamp::UNIX_EPOCH,
        created_at: None,
        state: ResultState::Scanned,
        severities: severities.iter().map(severity).collect(),
        policies: answers.into_iter().map(|(policy, answer)| (id(policy), answer)).collect(),
        next_change_at: None,
        kept: false,
        form: crate::stream::SlotForm::default(),
        result_at: None,
        suppressed: SeverityCounts::default(),
    }
}

fn id(policy: u8) -> PolicyId {
    format!("policy-{policy}").parse().unwrap()
}

proptest! {
    /// What a scraper reads are the numbers, whatever people put into names, and they are in order.
    #[test]
    fn the_text_reads_back_as_the_numbers(
        streams in vec(vec((vec(any::<u8>(), 0..4), btree_map(0..3_u8, outcome(), 0..3)), 0..6), 1..4),
        display_names in vec("\\PC*|[\"\\\\\n,{}= #]{1,8}", 3),
    ) {
        let streams: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(number, members)| {
                let members: Vec<_> =
                    members.into_iter().map(|(severities, answers)| member(&severities, answers)).collect();
                stream(&format!("s{number}"), members.iter().collect())
            })
            .collect();
        let policies: Vec<_> =
            (0..3_u8).map(|policy| (id(policy), display_names[usize::from(policy)].clone())).collect();
        let mut expected = Vec::new();
        let named = |labels: &[(&str, &str)]| -> Vec<(String, String)> {
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        for StreamTotals { name, totals } in &streams {
            for (id, display_name) in &policies {
                let numbers = totals.policy(id);
                prop_assert!(numbers.compliant <= numbers.evaluated && numbers.evaluated <= totals.images);
                prop_assert_eq!(numbers.no_data() + numbers.evaluated + totals.unjudged(id), totals.images);
                let labels =
                    named(&[("id", id.as_str()), ("displayName", display_name), ("streamName", name.as_str())]);
                expected.push(("scout_policy_compliant_images".to_owned(), labels.clone(), numbers.compliant));
                expected.push(("scout_policy_evaluated_images".to_owned(), labels, numbers.evaluated));
            }
            for severity in Severity::ALL {
                let labels = named(&[("streamName", name.as_str()), ("severity", severity.as_str())]);
                let count = totals.vulnerabilities.of(severity);
                expected.push(("scout_stream_vulnerabilities".to_owned(), labels, count));
            }
        }
        expected.sort();
        let text = render(&streams, &policies);
        let mut found = parse(&text);
        found.sort();
        prop_assert_eq!(&found, &expected);
        let open = open_metrics(&text);
        let mut found = parse(open.strip_suffix("# EOF\n").unwrap());
        found.sort();
        prop_assert_eq!(&found, &expected);
    }

    #[test]
    fn families_of_our_own_read_back_too(dropped in 0..5_usize, images in 0..9_u64) {
        let totals = Totals { images, ..Totals::default() };
        let candidates = (0..=dropped)
            .map(|number| stream(&format!("s{number}"), totals.clone()))
            .map(|stream| Candidate { stream, is_pinned: false })
            .collect();
        let served = within_budget(candidates, 1, 7);
        let found = parse(&render_own(&served, &[id(0)], &OwnFacts::default()));
        let value = |wanted: &str| {
            let of: Vec<_> = found.iter().filter(|(name, ..)| name == wanted).map(|(.., value)| *value).collect();
            of
        };
        prop_assert_eq!(value("tidewatch_dropped_streams"), [dropped as u64]);
        prop_assert_eq!(value("tidewatch_dropped_series"), [7 * dropped as u64]);
        prop_assert_eq!(value("tidewatch_policy_unjudged_images"), [images]);
    }
}
