//! How the windows of a rule stand, for those whose schedule has any.

use jiff::Timestamp;
use serde::Serialize;
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::OrgName;
use tidewatch_core::rule::Window;

use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::ago;

/// The windows of a rule, now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct WindowRow {
    open: bool,
    /// When the one that is open closes; `null` when others follow it without a pause, or none is open.
    closes_at: Option<Timestamp>,
    /// When the next one opens; `null` when one is open.
    opens_at: Option<Timestamp>,
    /// Whether nothing waits for the next one, because the rule was run by hand since the last one closed.
    by_hand: bool,
}

impl WindowRow {
    /// Those of `rule` at `now`; `None` when its schedule has none.
    pub(super) async fn of(
        instance: &Instance,
        org: &OrgName,
        rule: &RuleConfig,
        now: Timestamp,
    ) -> Result<Option<Self>, Failure> {
        let Some(window) = rule.schedule.window(now) else { return Ok(None) };
        let by_hand = matches!(window, Window::Closed { .. })
            && instance.records.held_until(org, rule, now).await?.is_none();
        Ok(Some(Self::new(window, by_hand)))
    }

    const fn new(window: Window, by_hand: bool) -> Self {
        match window {
            Window::Open { closes_at } => Self { open: true, closes_at, opens_at: None, by_hand },
            Window::Closed { opens_at } => {
                Self { open: false, closes_at: None, opens_at: Some(opens_at), by_hand }
            }
        }
    }

    /// The same in a few words.
    pub(super) fn text(&self, now: Timestamp) -> String {
        let by_hand = if self.by_hand { ", run by hand" } else { "" };
        match (self.closes_at, self.opens_at) {
            (Some(closes_at), _) => format!("open, closes {}", ago(closes_at, now)),
            (None, Some(opens_at)) => format!("opens {}{by_hand}", ago(opens_at, now)),
            (None, None) => "open".to_owned(),
        }
    }
}

/// What a table says of the windows of a rule.
pub(super) fn cell_text(window: Option<&WindowRow>, now: Timestamp) -> String {
    window.map_or_else(|| "always".to_owned(), |window| window.text(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_told_in_a_few_words() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = time("2026-06-15T12:00:00Z");
        let tell = |window, by_hand| cell_text(Some(&WindowRow::new(window, by_hand)), now);
        let later = time("2026-06-15T15:00:00Z");
        assert_eq!(tell(Window::Open { closes_at: Some(later) }, false), "open, closes in 3h");
        assert_eq!(tell(Window::Open { closes_at: None }, false), "open");
        assert_eq!(tell(Window::Closed { opens_at: later }, false), "opens in 3h");
        assert_eq!(tell(Window::Closed { opens_at: later }, true), "opens in 3h, run by hand");
        assert_eq!(cell_text(None, now), "always");
    }
}
