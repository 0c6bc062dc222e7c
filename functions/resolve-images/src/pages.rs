//! From page to page of a listing, to its end: a registry whose pages lead in a circle, or never stop, is not followed
//! for ever.

use std::collections::HashSet;

use tidewatch_core::work::ListingPosition;

/// The most pages of one listing: 200,000 entries at 50 to a page, the smallest pages that registries are known to give.
const MOST_PAGES: usize = 4_000;

/// The most entries of one listing. Each chosen tag costs a request, which makes a longer listing take most of a day; a
/// repository with more tags is a mistake of its retention.
const MOST_ENTRIES: u64 = 200_000;

/// The place in a listing: before its first page at the start.
#[derive(Default)]
pub(crate) struct Pages {
    cursor: Option<String>,
    /// The last entry of the page at the cursor that is done with.
    after: Option<String>,
    /// How many pages are done with.
    turned: usize,
    /// The cursors since the listing was begun, or went on.
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
    /// The place where a listing goes on.
    pub(crate) fn at(position: &ListingPosition) -> Self {
        let ListingPosition { cursor, after, pages, .. } = position.clone();
        Self { seen: cursor.iter().cloned().collect(), cursor, after, turned: pages }
    }

    /// The place, with nothing said of what was found before it.
    pub(crate) fn position(&self) -> ListingPosition {
        let Self { cursor, after, turned, .. } = self;
        let (cursor, after) = (cursor.clone(), after.clone());
        ListingPosition { cursor, after, pages: *turned, ..ListingPosition::default() }
    }

    /// Those of the page's entries that are not done with: all, when the last one that was is not there any more.
    pub(crate) fn left<T>(&self, mut entries: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
        let after = self.after.as_deref();
        let done = after.and_then(|after| entries.iter().position(|entry| name(entry) == after));
        entries.drain(..done.map_or(0, |done| done + 1));
        entries
    }

    /// The entries of the page up to `last` are done with.
    pub(crate) fn done_with(&mut self, last: &str) {
        self.after = Some(last.to_owned());
    }

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
        self.turned += 1;
        if self.turned >= MOST_PAGES {
            return Err(Endless::Pages);
        }
        limit(entries)?;
        (self.cursor, self.after) = (Some(next), None);
        Ok(Turned::Next)
    }
}

/// Refuses a listing that goes on after so many entries.
pub(crate) const fn limit(entries: u64) -> Result<(), Endless> {
    if entries >= MOST_ENTRIES { Err(Endless::Entries) } else { Ok(()) }
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

    #[test]
    fn a_listing_that_goes_on_has_no_more_pages_than_another() {
        let last =
            ListingPosition { cursor: Some("last".to_owned()), pages: MOST_PAGES - 1, ..Default::default() };
        let mut pages = Pages::at(&last);
        assert_eq!(pages.position(), last);
        assert_eq!(pages.turn(Some("last".to_owned()), 0), Err(Endless::Circle));
        assert_eq!(pages.turn(Some("more".to_owned()), 0), Err(Endless::Pages));
    }

    #[test]
    fn a_page_goes_on_after_the_entry_that_was_last_and_begins_anew_when_that_is_gone() {
        let mut pages = Pages::default();
        pages.done_with("b");
        assert_eq!(pages.left(vec!["a", "b", "c", "d"], |name| name), ["c", "d"]);
        assert_eq!(pages.left(vec!["a", "c"], |name| name), ["a", "c"]);
        assert_eq!(pages.turn(Some("1".to_owned()), 4), Ok(Turned::Next));
        assert_eq!(pages.left(vec!["b", "e"], |name| name), ["b", "e"], "it is another page");
    }
}
