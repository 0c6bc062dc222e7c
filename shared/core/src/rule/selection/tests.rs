use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::names::RepositoryName;

const NOW: &str = "2026-06-15T00:00:00Z";

fn rule(keys: &Value) -> RuleConfig {
    let mut rule = json!({"id": "r", "registries": ["hub"]});
    rule.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    serde_json::from_value(rule).unwrap()
}

fn repository() -> RepositoryNames {
    "team/web".parse::<RepositoryName>().unwrap().into()
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A time so many hours ago.
fn ago(hours: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() - hours * 3600).unwrap()
}

fn selection(keys: &Value) -> Selection {
    select(&rule(keys), &repository(), &"1.2-prod".parse().unwrap())
}

fn candidate(tag: &str, content: &str, created: Option<i64>, pushed: Option<i64>) -> Candidate {
    let times = ImageTimes { created_at: created.map(ago), pushed_at: pushed.map(ago), pulled_at: None };
    Candidate { tag: tag.parse().unwrap(), digest: Digest::of(content.as_bytes()), times }
}

/// The tags that a rule chooses.
fn chosen(keys: &Value, candidates: &[Candidate]) -> Vec<String> {
    let decisions = decide(&rule(keys), &repository(), candidates, now());
    let chosen = candidates.iter().zip(decisions).filter(|(_, decision)| decision.is_selected());
    chosen.map(|(candidate, _)| candidate.tag.to_string()).collect()
}

#[test]
fn a_rule_without_include_patterns_chooses_every_image() {
    assert_eq!(selection(&json!({})), Selection::Selected(None));
}

#[test]
fn one_include_pattern_is_enough() {
    let chosen = Selection::Selected(Some(":*-prod".parse().unwrap()));
    assert_eq!(selection(&json!({"include": ["x", ":*-prod"]})), chosen);
    assert_eq!(selection(&json!({"include": ["x", "y"]})), Selection::NotIncluded);
}

#[test]
fn an_exclude_pattern_wins_over_an_include_pattern_and_always_over_both() {
    let excluded = json!({"include": ["team/**"], "exclude": ["**/web"]});
    assert_eq!(selection(&excluded), Selection::Excluded("**/web".parse().unwrap()));
    for keys in [json!({"exclude": ["**/web"]}), json!({"include": ["x"]})] {
        let mut keys = keys;
        keys["always"] = json!(["team/web"]);
        assert_eq!(selection(&keys), Selection::Always("team/web".parse().unwrap()));
    }
}

#[test]
fn the_age_is_that_of_the_later_of_creation_and_push_and_the_boundary_is_inside() {
    let images = [
        candidate("old", "a", Some(49), None),
        candidate("on-the-boundary", "b", Some(48), None),
        candidate("pushed-again", "c", Some(900), Some(1)),
        candidate("of-no-epoch", "d", Some(20_000 * 24), None),
        candidate("of-an-epoch-and-pushed", "e", Some(20_000 * 24), Some(100)),
        candidate("unknown", "f", None, None),
    ];
    let expected = ["on-the-boundary", "pushed-again", "of-no-epoch", "unknown"];
    assert_eq!(chosen(&json!({"created_within": "2d"}), &images), expected);
    let excluded = json!({"created_within": "2d", "unknown_age": "exclude"});
    assert_eq!(chosen(&excluded, &images), expected[..2]);
    assert_eq!(chosen(&json!({"pushed_within": "2d", "unknown_age": "exclude"}), &images), ["pushed-again"]);
    let decisions = decide(&rule(&excluded), &repository(), &images, now());
    assert_eq!(decisions[0], Decision::TooOld { limit: AgeLimit::CreatedWithin, at: ago(49) });
    assert_eq!(decisions[5], Decision::AgeUnknown(AgeLimit::CreatedWithin));
}

#[test]
fn the_newest_are_counted_by_images_and_always_is_beside_them() {
    let images = [
        candidate("1", "a", Some(30), None),
        candidate("2", "b", Some(20), None),
        candidate("latest", "b", Some(20), None),
        candidate("3", "c", Some(25), None),
        candidate("unknown", "d", None, None),
    ];
    assert_eq!(chosen(&json!({"newest": 2}), &images), ["2", "latest", "3"]);
    assert_eq!(chosen(&json!({"newest": 1, "always": [":1"]}), &images), ["1", "2", "latest"]);
    assert_eq!(chosen(&json!({"newest": 9}), &images).len(), 5);
    assert_eq!(chosen(&json!({"newest": 2, "exclude": [":2", ":latest"]}), &images), ["1", "3"]);
}

/// The same decided one candidate at a time, in the words of the documentation.
fn naive(rule: &RuleConfig, candidates: &[Candidate]) -> Vec<bool> {
    let by_name = |candidate: &Candidate| {
        let matches =
            |patterns: &[Pattern]| patterns.iter().any(|one| repository().match_pattern(one, &candidate.tag));
        (rule.include.is_empty() || matches(&rule.include)) && !matches(&rule.exclude)
    };
    let is_always =
        |candidate: &Candidate| rule.always.iter().any(|one| repository().match_pattern(one, &candidate.tag));
    let born = |candidate: &Candidate| {
        let ImageTimes { created_at, pushed_at, .. } = candidate.times;
        let created = created_at.filter(|created| created.to_string().as_str() >= "1990");
        [created, pushed_at].into_iter().flatten().max()
    };
    let young = |candidate: &Candidate| match (rule.created_within, born(candidate)) {
        (None, _) => true,
        (Some(within), Some(at)) => {
            now().duration_since(at).as_secs() <= within.duration().as_secs().cast_signed()
        }
        (Some(_), None) => rule.unknown_age == UnknownAge::Include,
    };
    let stays = |candidate: &Candidate| by_name(candidate) && young(candidate) && !is_always(candidate);
    candidates
        .iter()
        .map(|candidate| {
            if is_always(candidate) || !stays(candidate) {
                return is_always(candidate);
            }
            let Some(newest) = rule.newest else { return true };
            let key = |candidate: &Candidate| {
                let same = candidates.iter().filter(|other| stays(other) && other.digest == candidate.digest);
                same.filter_map(born).max()
            };
            let newer: std::collections::BTreeSet<Digest> = candidates
                .iter()
                .filter(|other| stays(other))
                .filter(|other| {
                    (key(other), Reverse(other.digest)) > (key(candidate), Reverse(candidate.digest))
                })
                .map(|other| other.digest)
                .collect();
            newer.len() < newest.get() as usize
        })
        .collect()
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let time =
        || prop::option::weighted(0.7, prop::sample::select(vec![0_i64, 23, 24, 25, 47, 48, 49, 480_000]));
    let of_tag = (0..6_u8, time(), time());
    prop::collection::btree_map("[ab][0-9]", of_tag, 0..12).prop_map(|tags| {
        let one = |(tag, (content, created, pushed)): (String, (u8, Option<i64>, Option<i64>))| {
            candidate(&tag, &content.to_string(), created, pushed)
        };
        tags.into_iter().map(one).collect()
    })
}

fn rules() -> impl Strategy<Value = RuleConfig> {
    let patterns =
        || prop::collection::vec(prop::sample::select(vec![":a*", ":*1", ":b[0-4]", "team/**", "x"]), 0..2);
    let within = prop::option::of(prop::sample::select(vec!["1d", "2d"]));
    let newest = prop::option::of(1_u32..4);
    let age = prop::sample::select(vec!["include", "exclude"]);
    (patterns(), patterns(), patterns(), within, newest, age).prop_map(
        |(include, exclude, always, within, newest, age)| {
            let mut keys =
                json!({"include": include, "exclude": exclude, "always": always, "unknown_age": age});
            within.inspect(|within| keys["created_within"] = json!(within));
            newest.inspect(|newest| keys["newest"] = json!(newest));
            rule(&keys)
        },
    )
}

proptest! {
    #[test]
    fn what_is_decided_is_what_the_documentation_says(rule in rules(), candidates in candidates()) {
        let decided = decide(&rule, &repository(), &candidates, now());
        let decided: Vec<bool> = decided.iter().map(Decision::is_selected).collect();
        prop_assert_eq!(decided, naive(&rule, &candidates));
    }

    #[test]
    fn the_order_of_the_candidates_does_not_matter(
        rule in rules(),
        (candidates, shuffled) in candidates().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let of = |all: &[Candidate]| -> BTreeMap<Tag, bool> {
            let decisions = decide(&rule, &repository(), all, now());
            all.iter().map(|one| one.tag.clone()).zip(decisions.iter().map(Decision::is_selected)).collect()
        };
        prop_assert_eq!(of(&candidates), of(&shuffled));
    }

    #[test]
    fn tags_that_names_leave_out_change_nothing_for_the_others(rule in rules(), candidates in candidates()) {
        let by_name = |one: &&Candidate| select(&rule, &repository(), &one.tag).is_selected();
        let fewer: Vec<Candidate> = candidates.iter().filter(by_name).cloned().collect();
        let of = |all: &[Candidate]| -> Vec<Tag> {
            let decisions = decide(&rule, &repository(), all, now());
            all.iter().zip(decisions).filter(|(_, one)| one.is_selected()).map(|(one, _)| one.tag.clone()).collect()
        };
        prop_assert_eq!(of(&candidates), of(&fewer));
    }
}
