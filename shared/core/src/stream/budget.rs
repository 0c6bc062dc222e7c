//! How many streams are served: no more than there may be series. Scrapers have limits of their own and cut silently (the
//! check of Datadog's agent keeps 2,000 samples), so what is left out is chosen here, and told.

use super::StreamTotals;
use crate::names::StreamName;
use crate::severity::Severity;

/// The most series that are served where the configuration says nothing.
pub const DEFAULT_SERIES: u32 = 1_900;

/// A stream that could be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The stream and its numbers.
    pub stream: StreamTotals,
    /// Whether the configuration asks for it before others.
    pub is_pinned: bool,
}

/// What is served of the streams of an organisation, and what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The streams that are served, by name.
    pub streams: Vec<StreamTotals>,
    /// Those that are not, by name.
    pub dropped: Vec<StreamName>,
    /// How many series one stream has.
    pub series_of_each: u64,
}

impl Served {
    /// How many series are not served.
    pub fn dropped_series(&self) -> u64 {
        self.series_of_each.saturating_mul(self.dropped.len() as u64)
    }
}

/// How many series of [`super::render`] a stream has with so many policies.
pub const fn series_of_stream(policies: usize) -> u64 {
    2 * policies as u64 + Severity::ALL.len() as u64
}

/// Which of the `candidates` are served, when each is judged by so many `policies` and there may be at most `most` series:
/// whole streams; `latest-indexed` always, then those that are pinned, then those with the most images, of those with as
/// many the first by name.
pub fn within_budget(candidates: Vec<Candidate>, policies: usize, most: u32) -> Served {
    let series_of_each = series_of_stream(policies);
    let room = usize::try_from(u64::from(most) / series_of_each).unwrap_or(usize::MAX);
    let mut candidates = candidates;
    candidates.sort_by(|one, other| {
        let rank = |candidate: &Candidate| {
            let is_latest = candidate.stream.name == StreamName::latest_indexed();
            (!is_latest, !candidate.is_pinned, std::cmp::Reverse(candidate.stream.totals.images))
        };
        rank(one).cmp(&rank(other)).then_with(|| one.stream.name.cmp(&other.stream.name))
    });
    let has_latest =
        candidates.first().is_some_and(|first| first.stream.name == StreamName::latest_indexed());
    let dropped = candidates.split_off(room.max(usize::from(has_latest)).min(candidates.len()));
    let mut streams: Vec<_> = candidates.into_iter().map(|candidate| candidate.stream).collect();
    streams.sort_by(|one, other| one.name.cmp(&other.name));
    let mut dropped: Vec<_> = dropped.into_iter().map(|candidate| candidate.stream.name).collect();
    dropped.sort();
    Served { streams, dropped, series_of_each }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::stream::Totals;

    fn candidate(name: &str, images: u64, is_pinned: bool) -> Candidate {
        let totals = Totals { images, ..Totals::default() };
        Candidate { stream: StreamTotals { name: name.parse().unwrap(), totals }, is_pinned }
    }

    /// `latest-indexed` without images, and environments: the one with the number n has n images.
    fn candidates(streams: u64) -> Vec<Candidate> {
        let environments = (1..streams).map(|number| candidate(&format!("env-{number:04}"), number, false));
        environments.chain([candidate("latest-indexed", 0, false)]).collect()
    }

    fn counts(streams: u64, policies: usize) -> (usize, usize, u64) {
        let served = within_budget(candidates(streams), policies, DEFAULT_SERIES);
        (served.streams.len(), served.dropped.len(), served.dropped_series())
    }

    #[test]
    fn streams_are_served_up_to_the_last_that_fits_whole() {
        // 19 series each with 7 policies: 100 streams are 1,900. 21 with 8: 90 are 1,890.
        assert_eq!(counts(95, 7), (95, 0, 0));
        assert_eq!(counts(96, 7), (96, 0, 0));
        assert_eq!(counts(100, 7), (100, 0, 0));
        assert_eq!(counts(101, 7), (100, 1, 19));
        assert_eq!(counts(1_000, 7), (100, 900, 17_100));
        assert_eq!(counts(90, 8), (90, 0, 0));
        assert_eq!(counts(95, 8), (90, 5, 105));
        assert_eq!(counts(96, 8), (90, 6, 126));
        assert_eq!(counts(1_000, 8), (90, 910, 19_110));
    }

    #[test]
    fn a_stream_of_the_text_has_as_many_series_as_are_counted() {
        for policies in [0, 1, 8] {
            let names: Vec<_> = (0..policies)
                .map(|number| (format!("policy-{number}").parse().unwrap(), String::new()))
                .collect();
            let served = within_budget(candidates(3), policies, DEFAULT_SERIES);
            let text = crate::stream::render(&served.streams, &names);
            let lines = text.lines().filter(|line| !line.starts_with('#')).count() as u64;
            assert_eq!(lines, 3 * served.series_of_each);
        }
    }

    #[test]
    fn latest_indexed_comes_first_then_what_is_pinned_then_the_largest() {
        let streams = vec![
            candidate("large", 900, false),
            candidate("larger", 1_000, false),
            candidate("pinned", 1, true),
            candidate("latest-indexed", 0, false),
        ];
        let names = |most: u32| {
            let served = within_budget(streams.clone(), 0, most);
            let mut names: Vec<_> = served.streams.iter().map(|stream| stream.name.to_string()).collect();
            names.push(format!("{} dropped", served.dropped.len()));
            names.join(" ")
        };
        assert_eq!(names(20), "large larger latest-indexed pinned 0 dropped");
        assert_eq!(names(19), "larger latest-indexed pinned 1 dropped");
        assert_eq!(names(14), "latest-indexed pinned 2 dropped");
        assert_eq!(names(5), "latest-indexed 3 dropped");
        assert_eq!(names(0), "latest-indexed 3 dropped", "a dashboard without any stream helps nobody");
    }

    #[test]
    fn of_streams_of_one_size_the_first_by_name_are_served() {
        let streams = ["c", "a", "b"].map(|name| candidate(name, 7, false)).to_vec();
        let served = within_budget(streams, 0, 10);
        assert_eq!(served.dropped, ["c".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn every_stream_is_served_or_dropped_and_never_over_the_budget(
            sizes in vec((0..5_u64, any::<bool>()), 0..40), policies in 0..9_usize, most in 0..400_u32,
        ) {
            let streams: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(number, (images, is_pinned))| candidate(&format!("s{number:02}"), *images, *is_pinned))
                .collect();
            let served = within_budget(streams.clone(), policies, most);
            prop_assert!(served.streams.len() as u64 * served.series_of_each <= u64::from(most));
            let names = served.streams.iter().map(|stream| &stream.name).chain(&served.dropped);
            let mut names: Vec<_> = names.cloned().collect();
            names.sort();
            let all: Vec<_> = streams.iter().map(|candidate| candidate.stream.name.clone()).collect();
            prop_assert_eq!(names, all);
            // Nobody is dropped for one who counts less.
            let of = |name: &StreamName| streams.iter().find(|candidate| candidate.stream.name == *name).unwrap();
            for dropped in served.dropped.iter().map(of) {
                for kept in served.streams.iter().map(|stream| of(&stream.name)) {
                    let rank = |one: &Candidate| (one.is_pinned, one.stream.totals.images);
                    prop_assert!(rank(kept) >= rank(dropped));
                }
            }
        }
    }
}
