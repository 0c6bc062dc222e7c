use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, repository: &str, tag: &str) -> bool {
    pattern.parse::<Pattern>().unwrap().matches(&repository.parse().unwrap(), &tag.parse().unwrap())
}

#[test]
fn a_star_stays_inside_one_part_and_two_stars_cross_parts() {
    assert!(matches("team/*", "team/web", "1"));
    assert!(!matches("team/*", "team/web/api", "1"));
    assert!(matches("team/**", "team/web/api", "1"));
    assert!(matches("team/**", "team", "1"));
    assert!(matches("**/api", "api", "1"));
    assert!(matches("**/api", "team/web/api", "1"));
    assert!(!matches("**/api", "team/rapi", "1"));
    assert!(matches("a/**/z", "a/z", "1"));
}

#[test]
fn an_empty_part_means_any() {
    assert!(matches(":latest", "team/web", "latest"));
    assert!(!matches(":latest", "team/web", "latest-1"));
    assert!(matches("team/web:", "team/web", "anything"));
    assert!(matches("team/web", "team/web", "anything"));
}

#[test]
fn patterns_are_anchored_and_case_sensitive() {
    assert!(!matches("web", "team/web", "1"));
    assert!(!matches("team/web:rc", "team/web", "RC"));
    assert!(!matches("team/web:1", "team/web", "1.2"));
}

#[test]
fn alternatives_and_classes_work_in_both_parts() {
    assert!(matches("{web,api}:v[0-9]*", "api", "v12"));
    assert!(!matches("{web,api}:v[0-9]*", "worker", "v12"));
    assert!(matches("web:1.?", "web", "1.2"));
}

#[test]
fn contains_and_regex_look_at_repository_and_tag_together() {
    assert!(matches("contains:web:1", "team/web", "1.2"));
    assert!(matches("regex:^team/.*:1\\.[0-9]+$", "team/web", "1.2"));
    assert!(!matches("regex:^web", "team/web", "1.2"));
}

#[test]
fn classes_stay_inside_one_part() {
    assert!(!matches("team[!x]web", "team/web", "1"));
    assert!(matches("team[!x]web", "team-web", "1"));
    assert!(!matches("*[^x]*", "a/a", "1"));
    assert!(matches("web[]-]1", "web-1", "1"));
}

#[test]
fn what_is_no_pattern_is_refused() {
    for bad in ["", ":", "contains:", "regex:(", "a{b", "[", "web[+-9]", "team/**x"] {
        assert!(bad.parse::<Pattern>().is_err(), "{bad:?} was taken");
    }
}

/// Whether a glob matches, in the words of the documentation: alternatives are written out, paths are matched part by part,
/// and parts character by character.
fn naive(glob: &str, text: &str) -> bool {
    alternatives(glob).iter().any(|glob| {
        let (glob, text): (Vec<&str>, Vec<&str>) = (glob.split('/').collect(), text.split('/').collect());
        parts(&glob, &text)
    })
}

/// The globs without braces that a glob stands for.
fn alternatives(glob: &str) -> Vec<String> {
    let Some(open) = glob.find('{') else { return vec![glob.to_owned()] };
    let close = open + glob[open..].find('}').unwrap();
    let (before, after) = (&glob[..open], &glob[close + 1..]);
    let each = glob[open + 1..close].split(',');
    each.flat_map(|one| alternatives(&format!("{before}{one}{after}"))).collect()
}

fn parts(glob: &[&str], text: &[&str]) -> bool {
    match (glob, text) {
        ([], []) => true,
        (["**", glob @ ..], _) => (0..=text.len()).any(|taken| parts(glob, &text[taken..])),
        ([first, glob @ ..], [part, text @ ..]) => {
            let (first, part): (Vec<char>, Vec<char>) = (first.chars().collect(), part.chars().collect());
            characters(&first, &part) && parts(glob, text)
        }
        _ => false,
    }
}

fn characters(glob: &[char], text: &[char]) -> bool {
    match (glob, text) {
        ([], []) => true,
        (['*', glob @ ..], _) => (0..=text.len()).any(|taken| characters(glob, &text[taken..])),
        (['?', glob @ ..], [_, text @ ..]) => characters(glob, text),
        (['[', glob @ ..], [character, text @ ..]) => {
            let close = glob.iter().position(|one| *one == ']').unwrap();
            let (class, is_not) = match &glob[..close] {
                ['!', class @ ..] => (class, true),
                class => (class, false),
            };
            let is_in = match class {
                [from, '-', to] => (from..=to).contains(&character),
                class => class.contains(character),
            };
            is_in != is_not && characters(&glob[close + 1..], text)
        }
        ([one, glob @ ..], [character, text @ ..]) => one == character && characters(glob, text),
        _ => false,
    }
}

/// A part of a glob over few letters, so that much matches.
fn piece() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "ab", "1", "-", "*", "?", "[ab]", "[!a]", "[a-b]", "{a,b1}", "{ab,}",
    ]);
    let pieces = prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat());
    // Neither does one that is written out of alternatives.
    let is_one = |piece: &String| alternatives(piece).iter().all(|piece| !piece.contains("**"));
    pieces.prop_filter("`**` stands alone", is_one)
}

fn repository_glob() -> impl Strategy<Value = String> {
    let part = prop_oneof![3 => piece(), 1 => Just("**".to_owned())];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn globs_match_what_a_naive_matcher_matches(
        (repository, tag) in prop_oneof![
            (repository_glob().prop_map(Some), prop::option::of(piece())),
            piece().prop_map(|tag| (None, Some(tag))),
        ],
        path in "[ab1]{1,3}(/[ab1]{1,3}){0,3}",
        name in "[ab1]{1,3}",
    ) {
        let glob_text = repository.clone().unwrap_or_default();
        let text = tag.as_ref().map_or_else(|| glob_text.clone(), |tag| format!("{glob_text}:{tag}"));
        let Ok(pattern) = text.parse::<Pattern>() else { return Err(TestCaseError::fail(text)) };
        let expected = repository.is_none_or(|glob| naive(&glob, &path)) && tag.is_none_or(|glob| naive(&glob, &name));
        prop_assert_eq!(pattern.matches(&path.parse().unwrap(), &name.parse().unwrap()), expected, "{}", text);
    }
}
