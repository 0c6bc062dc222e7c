//! From page to page of a listing, to its end: a registry whose pages lead in a circle, or never stop, is not followed
//! for ever.

use std::collections::HashSet;

/// The most pages of one listing: 200,000 entries at 50 to a page, the smallest pages that registries are known to give.
const MOST_PAGES: usize = 4_000;

/// The most entries of one listing. Each chosen tag costs a request, which makes a longer listing take most of a day; a
/// repository with more tags is a mistake of its retention.
const MOST_ENTRIES: u64 = 200_000;

/// The place in a listing: before its first page at the start.
#[derive(Default)]
pub(crate) struct Pages {
    cursor: Option<String>,
    seen: HashSet<String>,
}

/// Where a listing goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// At the cursor.
    Next,
    /// It is complete.
    End,
}

/// A listing that is not worth following to its end, if it has one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Endless {
    #[error("its pages lead in a circle")]
    Circle,
    #[error("it has more than {MOST_PAGES} pages")]
    Pages,
    #[error("it has more than {MOST_ENTRIES} entries")]
    Entries,
}

impl Pages {
    /// The cursor of the page to ask for.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Goes on to `next`, after so many entries in all.
    pub(crate) fn turn(&mut self, next: Option<String>, entries: u64) -> Result<Turned, Endless> {
        let Some(next) = next else { return Ok(Turned::End) };
        if !self.seen.insert(next.clone()) {
            return Err(Endless::Circle);
        }
        // The first page has no cursor.
        if self.seen.len() >= MOST_PAGES {
            return Err(Endless::Pages);
        }
        if entries >= MOST_ENTRIES {
            return Err(Endless::Entries);
        }
        self.cursor = Some(next);
        Ok(Turned::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_may_have_so_many_pages_and_no_more() {
        let mut pages = Pages::default();
        for page in 1..MOST_PAGES {
            assert_eq!(pages.turn(Some(page.to_string()), 0), Ok(Turned::Next));
            assert_eq!(pages.cursor(), Some(page.to_string().as_str()));
        }
        assert_eq!(pages.turn(None, 0), Ok(Turned::End));
        assert_eq!(pages.turn(Some("more".to_owned()), 0), Err(Endless::Pages));
    }

    #[test]
    fn a_listing_ends_when_it_has_too_many_entries() {
        let mut pages = Pages::default();
        assert_eq!(pages.turn(Some("1".to_owned()), MOST_ENTRIES - 1), Ok(Turned::Next));
        assert_eq!(pages.turn(Some("2".to_owned()), MOST_ENTRIES), Err(Endless::Entries));
        assert_eq!(pages.turn(None, MOST_ENTRIES), Ok(Turned::End), "it was complete");
    }
}
