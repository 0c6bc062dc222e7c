//! What is told of listings that were put off because their registry throttles.

use jiff::Timestamp;
use serde::Serialize;
use tidewatch_store::records::{ListingProgress, ListingState, PutOff};

use crate::output::ago;

/// The listings of a run that were put off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PutOffRow {
    /// How many there are.
    listings: u64,
    /// Since when the first of them is put off.
    since: Timestamp,
    /// When the next of them goes on.
    next_at: Timestamp,
    /// Why that one was put off.
    because: String,
}

impl PutOffRow {
    /// Those among `listings`; `None` when there are none.
    pub(super) fn of(listings: &[ListingProgress]) -> Option<Self> {
        let queued = listings.iter().filter(|listing| listing.state == ListingState::Queued);
        let put_off: Vec<&PutOff> = queued.filter_map(|listing| listing.put_off.as_ref()).collect();
        let next = put_off.iter().min_by_key(|put_off| put_off.until)?;
        Some(Self {
            listings: put_off.len() as u64,
            since: put_off.iter().map(|put_off| put_off.since).min()?,
            next_at: next.until,
            because: next.because.clone(),
        })
    }

    /// The same in a line.
    pub(super) fn text(&self, now: Timestamp) -> String {
        let Self { listings, next_at, because, .. } = self;
        let listings =
            if *listings == 1 { "1 listing is".to_owned() } else { format!("{listings} listings are") };
        format!("{listings} put off, the next one goes on {}: {because}", ago(*next_at, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_listings_that_are_put_off_the_next_one_is_told() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let listing = |state, put_off: Option<(&str, &str, &str)>| {
            let queued = ListingProgress::queued("hub".parse().unwrap(), None);
            let put_off = put_off.map(|(since, until, because)| PutOff {
                since: at(since),
                until: at(until),
                because: because.to_owned(),
            });
            ListingProgress { state, put_off, ..queued }
        };
        let (now, queued) = (at("2026-01-01T00:10:00Z"), ListingState::Queued);
        assert_eq!(PutOffRow::of(&[listing(queued, None)]), None);
        let late = Some(("2026-01-01T00:01:00Z", "2026-01-01T00:20:00Z", "late"));
        assert_eq!(PutOffRow::of(&[listing(ListingState::Failed, late)]), None);
        let next = Some(("2026-01-01T00:05:00Z", "2026-01-01T00:13:00Z", "registry hub throttles"));
        let row =
            PutOffRow::of(&[listing(queued, late), listing(queued, next), listing(queued, None)]).unwrap();
        assert_eq!((row.listings, row.since), (2, at("2026-01-01T00:01:00Z")));
        assert_eq!(
            row.text(now),
            "2 listings are put off, the next one goes on in 3m: registry hub throttles"
        );
    }
}
