//! Patterns against the tags that Docker's official images really have.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::rule::{Selection, select};
use tidewatch_testkit::skip::skipped;

/// Rules as people write them, and one of each form of a pattern.
const RULES: &[(&[&str], &[&str], &[&str])] = &[
    (&[], &[], &[]),
    (&[":latest"], &[], &[]),
    (&[":*-alpine*"], &[], &[]),
    (&["python:3.*"], &["**:*-slim*", ":*alpine*", ":*windowsservercore*"], &[]),
    (&["{nginx,httpd,caddy}"], &[":*alpine*"], &["caddy:2-alpine"]),
    (&[":[0-9]*.[0-9]*.[0-9]*"], &[":*-*"], &[]),
    (&["eclipse-temurin:??-jdk*"], &[":*nanoserver*", ":*windowsservercore*"], &[":21"]),
    (&["contains:nginx:1."], &[], &[]),
    (&["regex:^(postgres|mysql):[0-9]+$"], &[], &["regex:^redis:.*-bookworm$"]),
    (&["**"], &["regex:[0-9]"], &[]),
    (&["*"], &["[a-m]*"], &[]),
];

#[test]
fn patterns_choose_of_the_tags_of_official_images_what_they_always_have() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/official-images/tags.txt");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return skipped(format_args!("{} is not there", path.display()));
    };
    let tags: Vec<(RepositoryName, Tag)> = text
        .lines()
        .map(|line| line.split_once(':').expect("REPOSITORY:TAG"))
        .map(|(repository, tag)| (repository.parse().unwrap(), tag.parse().unwrap()))
        .collect();
    assert_eq!(tags.len(), 9_849);
    let mut report = String::new();
    for (include, exclude, always) in RULES {
        let rule = json!({"id": "r", "registries": ["hub"], "include": include, "exclude": exclude, "always": always});
        let rule: RuleConfig = serde_json::from_value(rule).unwrap();
        writeln!(report, "include {include:?} exclude {exclude:?} always {always:?}").unwrap();
        let selections: Vec<Selection> =
            tags.iter().map(|(repository, tag)| select(&rule, &repository.clone().into(), tag)).collect();
        let count = |wanted: fn(&Selection) -> bool| selections.iter().filter(|one| wanted(one)).count();
        let selected = count(|one| matches!(one, Selection::Selected(_)));
        let of_always = count(|one| matches!(one, Selection::Always(_)));
        let not_included = count(|one| matches!(one, Selection::NotIncluded));
        let excluded = count(|one| matches!(one, Selection::Excluded(_)));
        assert_eq!(selected + of_always + not_included + excluded, tags.len());
        writeln!(
            report,
            "  {selected} selected, {of_always} always, {not_included} not included, {excluded} excluded"
        )
        .unwrap();
        let chosen = tags.iter().zip(&selections).filter(|(_, one)| one.is_selected());
        let chosen: Vec<String> =
            chosen.map(|((repository, tag), _)| format!("{repository}:{tag}")).collect();
        for position in [0, chosen.len() / 3, chosen.len() * 2 / 3, chosen.len().saturating_sub(1)] {
            writeln!(report, "  {}", chosen.get(position).map_or("none", String::as_str)).unwrap();
        }
    }
    insta::assert_snapshot!(report);
}
