//! Applies a rule to one tag. The order is include, then exclude.

use super::Pattern;
use crate::config::RuleConfig;
use crate::names::{RepositoryName, Tag};

/// Whether a rule chooses an image, and why or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// It is chosen: by this pattern, or because the rule has no include pattern.
    Selected(Option<Pattern>),
    /// No include pattern matches.
    NotIncluded,
    /// This exclude pattern matches.
    Excluded(Pattern),
}

impl Selection {
    /// Whether the image is chosen.
    pub const fn is_selected(&self) -> bool {
        matches!(self, Self::Selected(_))
    }
}

/// Applies `rule` to `tag` of `repository`.
pub fn select(rule: &RuleConfig, repository: &RepositoryName, tag: &Tag) -> Selection {
    let included = rule.include.iter().find(|pattern| pattern.matches(repository, tag));
    if included.is_none() && !rule.include.is_empty() {
        return Selection::NotIncluded;
    }
    match rule.exclude.iter().find(|pattern| pattern.matches(repository, tag)) {
        Some(pattern) => Selection::Excluded(pattern.clone()),
        None => Selection::Selected(included.cloned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selection(include: &[&str], exclude: &[&str]) -> Selection {
        let rule = json!({"id": "r", "registries": ["hub"], "include": include, "exclude": exclude});
        let rule: RuleConfig = serde_json::from_value(rule).unwrap();
        select(&rule, &"team/web".parse().unwrap(), &"1.2-prod".parse().unwrap())
    }

    #[test]
    fn a_rule_without_include_patterns_chooses_every_image() {
        assert_eq!(selection(&[], &[]), Selection::Selected(None));
    }

    #[test]
    fn one_include_pattern_is_enough() {
        assert_eq!(selection(&["x", ":*-prod"], &[]), Selection::Selected(Some(":*-prod".parse().unwrap())));
        assert_eq!(selection(&["x", "y"], &[]), Selection::NotIncluded);
    }

    #[test]
    fn an_exclude_pattern_wins_over_an_include_pattern() {
        assert_eq!(selection(&["team/**"], &["**/web"]), Selection::Excluded("**/web".parse().unwrap()));
    }
}
