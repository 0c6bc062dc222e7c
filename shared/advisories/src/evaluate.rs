//! Whether a version is affected, by OSV's own algorithm.
//!
//! Specification: <https://ossf.github.io/osv-schema/#evaluation>

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::order::{Compare, OrderError};
use crate::record;

/// Before every version, as a bound of `introduced` and `fixed`.
const FIRST: &str = "0";
/// After every version, as a bound of `limit`.
const INFINITY: &str = "*";

/// One event of a range, with the version at which it happens: a text that is owned, or borrowed from an index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event<S = String> {
    /// The first affected version; `0` is before every version.
    Introduced(S),
    /// The last affected version.
    LastAffected(S),
    /// The first version that is no longer affected.
    Fixed(S),
    /// No version from here on is affected; `*` is after every version.
    Limit(S),
}

impl<S: AsRef<str>> Event<S> {
    fn version(&self) -> &str {
        let (Self::Introduced(version)
        | Self::LastAffected(version)
        | Self::Fixed(version)
        | Self::Limit(version)) = self;
        version.as_ref()
    }

    fn borrowed(&self) -> Event<&str> {
        match self {
            Self::Introduced(version) => Event::Introduced(version.as_ref()),
            Self::LastAffected(version) => Event::LastAffected(version.as_ref()),
            Self::Fixed(version) => Event::Fixed(version.as_ref()),
            Self::Limit(version) => Event::Limit(version.as_ref()),
        }
    }

    /// Whether it is before every version whatever the order of versions says about "0".
    fn is_first(&self) -> bool {
        matches!(self, Self::Introduced(version) | Self::Fixed(version) if version.as_ref() == FIRST)
    }

    fn is_infinite(&self) -> bool {
        matches!(self, Self::Limit(version) if version.as_ref() == INFINITY)
    }

    /// Of events at one version: an affected span begins before it ends.
    fn rank(&self) -> u8 {
        match self {
            Self::Introduced(_) => 0,
            Self::LastAffected(_) => 1,
            Self::Fixed(_) => 2,
            Self::Limit(_) => 3,
        }
    }
}

/// The events of a published range, with versions in the normal form that `version` gives, and the last affected ones as
/// `last_affected` reads them. One that sets several fields is as many events.
pub fn events(
    events: &[record::Event],
    version: fn(&str) -> &str,
    last_affected: fn(&str) -> Cow<'_, str>,
) -> Vec<Event> {
    let normal = |text: &Option<String>| text.as_deref().map(|text| version(text).to_owned());
    let of = |event: &record::Event| {
        [
            normal(&event.introduced).map(Event::Introduced),
            normal(&event.last_affected).map(|last| Event::LastAffected(last_affected(&last).into_owned())),
            normal(&event.fixed).map(Event::Fixed),
            normal(&event.limit).map(Event::Limit),
        ]
    };
    events.iter().flat_map(of).flatten().collect()
}

/// A range of affected versions: its events in the order of their versions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range<S = String> {
    // Most ranges have two events: these are read without asking for memory.
    events: SmallVec<[Event<S>; 2]>,
}

impl<S: AsRef<str>> Range<S> {
    /// A range of `events` in any order. When a version among them cannot be ordered, the range is given together with
    /// the error: what it says about any version is then an error as well.
    pub fn new(mut events: Vec<Event<S>>, compare: Compare) -> (Self, Result<(), OrderError>) {
        let ordered = events
            .iter()
            .filter(|event| !event.is_first() && !event.is_infinite())
            .try_for_each(|event| compare(event.version(), event.version()).map(drop));
        events.sort_by(|a, b| {
            let versions = match (a.is_first() || b.is_infinite(), b.is_first() || a.is_infinite()) {
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (true, true) => Ordering::Equal,
                (false, false) => compare(a.version(), b.version()).unwrap_or(Ordering::Equal),
            };
            versions.then(a.rank().cmp(&b.rank()))
        });
        (Self { events: events.into() }, ordered)
    }

    /// The same range over texts that it lends.
    pub(crate) fn borrowed(&self) -> Range<&str> {
        Range { events: self.events.iter().map(Event::borrowed).collect() }
    }

    /// The version that fixes it, where the range is all versions before that.
    pub(crate) fn is_before(&self) -> Option<&str> {
        match self.events.as_slice() {
            [first @ Event::Introduced(_), Event::Fixed(fixed)] if first.is_first() => Some(fixed.as_ref()),
            _ => None,
        }
    }

    /// The versions that end the range because they fix it, in order.
    pub(crate) fn fixed_versions(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|event| match event {
            Event::Fixed(version) => Some(version.as_ref()),
            _ => None,
        })
    }

    /// What the range says about `version`: affected or not, and if affected, the lowest version of the range that is
    /// greater than `version` and has it fixed.
    fn judge(&self, version: &str, compare: Compare) -> Result<(bool, Option<&str>), OrderError> {
        let (mut affected, mut fixed) = (false, None);
        let (mut limited, mut within_a_limit) = (false, false);
        for event in &self.events {
            let order = if event.is_first() {
                Ordering::Greater
            } else if event.is_infinite() {
                Ordering::Less
            } else {
                compare(version, event.version())?
            };
            match event {
                Event::Introduced(_) if order.is_ge() => affected = true,
                Event::Fixed(_) if order.is_ge() => affected = false,
                Event::LastAffected(_) if order.is_gt() => affected = false,
                Event::Fixed(bound) if affected => fixed = fixed.or(Some(bound.as_ref())),
                Event::Limit(_) => {
                    limited = true;
                    within_a_limit |= order.is_lt();
                }
                _ => {}
            }
        }
        Ok(if affected && (within_a_limit || !limited) { (true, fixed) } else { (false, None) })
    }
}

/// Of the listed `versions`, those of which `ranges` do not say already that they are affected: with these alone, [`judge`]
/// says the same about every version. One that cannot be ordered stays, because it is told by its text.
pub fn beyond_ranges(versions: Vec<String>, ranges: &[Range], compare: Compare) -> Vec<String> {
    let is_in =
        |version: &String| ranges.iter().any(|range| matches!(range.judge(version, compare), Ok((true, _))));
    versions.into_iter().filter(|version| !is_in(version)).collect()
}

/// What an advisory says about one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement<'a> {
    /// The version is affected.
    Affected {
        /// The lowest version that is greater and has it fixed, over all ranges that hold the version.
        fixed: Option<&'a str>,
    },
    /// The version is not affected.
    NotAffected,
    /// It cannot be said, because a version cannot be ordered.
    Unknown(OrderError),
}

/// Judges `version` by the listed `versions` and by `ranges`: it is affected when one of them says so. A listed version
/// is the same when it is written or ordered the same. A listed version that cannot be ordered is the same as no other.
pub fn judge<'a, S: AsRef<str>>(
    version: &str,
    versions: &[S],
    ranges: &'a [Range<S>],
    compare: Compare,
) -> Judgement<'a> {
    let mut unknown = None;
    let mut affected = versions.iter().any(|listed| listed.as_ref() == version);
    let mut lowest: Option<&str> = None;
    for listed in versions {
        match compare(version, listed.as_ref()) {
            Ok(order) => affected |= order.is_eq(),
            Err(error) if error.version() == version => unknown = unknown.or(Some(error)),
            Err(_) => {}
        }
    }
    for range in ranges {
        match range.judge(version, compare) {
            Ok((true, fixed)) => {
                affected = true;
                lowest = match (lowest, fixed) {
                    (Some(a), Some(b)) => Some(if compare(a, b).is_ok_and(Ordering::is_le) { a } else { b }),
                    (a, b) => a.or(b),
                };
            }
            Ok((false, _)) => {}
            Err(error) => unknown = unknown.or(Some(error)),
        }
    }
    match unknown {
        _ if affected => Judgement::Affected { fixed: lowest },
        Some(error) => Judgement::Unknown(error),
        None => Judgement::NotAffected,
    }
}

/// Judges `version` by the range of all versions before `fixed`, as [`judge`] does.
pub(crate) fn judge_before<'a>(version: &str, fixed: &'a str, compare: Compare) -> Judgement<'a> {
    if fixed == FIRST {
        return Judgement::NotAffected;
    }
    match compare(version, fixed) {
        Ok(Ordering::Less) => Judgement::Affected { fixed: Some(fixed) },
        Ok(_) => Judgement::NotAffected,
        Err(error) => Judgement::Unknown(error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::order::dpkg;

    fn range(events: Vec<Event>) -> Range {
        let (range, ordered) = Range::new(events, dpkg::compare);
        ordered.unwrap();
        range
    }

    fn introduced(version: &str) -> Event {
        Event::Introduced(version.to_owned())
    }

    fn fixed(version: &str) -> Event {
        Event::Fixed(version.to_owned())
    }

    fn last_affected(version: &str) -> Event {
        Event::LastAffected(version.to_owned())
    }

    /// Of `versions` those that are affected, each with its fix.
    fn affected<'a>(ranges: &[Range], versions: &[&'a str]) -> Vec<(&'a str, Option<String>)> {
        let judge = |version: &&'a str| match judge(version, &[], ranges, dpkg::compare) {
            Judgement::Affected { fixed } => Some((*version, fixed.map(str::to_owned))),
            Judgement::NotAffected => None,
            Judgement::Unknown(error) => panic!("{error}"),
        };
        versions.iter().filter_map(judge).collect()
    }

    #[test]
    fn a_version_is_affected_from_its_introduction_up_to_its_fix() {
        let range = range(vec![introduced("2"), fixed("4")]);
        let fix = Some("4".to_owned());
        assert_eq!(affected(&[range], &["1", "2", "3", "4", "5"]), [("2", fix.clone()), ("3", fix)]);
    }

    #[test]
    fn zero_is_before_every_version() {
        let range = range(vec![fixed("1"), introduced("0")]);
        assert_eq!(affected(&[range], &["0~0", "0", "1"]).len(), 2);
    }

    #[test]
    fn fixed_in_zero_was_never_affected() {
        let range = range(vec![introduced("0"), fixed("0")]);
        assert_eq!(affected(&[range], &["0~0", "0", "1"]), []);
    }

    #[test]
    fn the_last_affected_version_is_affected_and_the_next_is_not() {
        let range = range(vec![last_affected("3"), introduced("0")]);
        assert_eq!(affected(&[range], &["3", "3.1"]), [("3", None)]);
        let one = self::range(vec![last_affected("3"), introduced("3")]);
        assert_eq!(affected(&[one], &["2", "3", "4"]), [("3", None)]);
    }

    #[test]
    fn events_count_in_the_order_of_versions_not_of_writing() {
        let range = range(vec![fixed("9"), introduced("5"), fixed("3"), introduced("0")]);
        let found = affected(&[range], &["1", "3", "4", "5", "9"]);
        assert_eq!(found, [("1", Some("3".to_owned())), ("5", Some("9".to_owned()))]);
    }

    #[test]
    fn a_limit_ends_a_range_and_one_of_several_is_enough() {
        let limit = |version: &str| Event::Limit(version.to_owned());
        let limited = range(vec![introduced("0"), limit("2")]);
        assert_eq!(affected(&[limited], &["1", "2"]), [("1", None)]);
        let unlimited = range(vec![introduced("0"), limit("2"), limit("*")]);
        assert_eq!(affected(&[unlimited], &["1", "2"]).len(), 2);
    }

    #[test]
    fn of_several_ranges_the_lowest_fix_counts() {
        let ranges = [range(vec![introduced("0"), fixed("9")]), range(vec![introduced("0"), fixed("4")])];
        assert_eq!(affected(&ranges, &["1"]), [("1", Some("4".to_owned()))]);
    }

    #[test]
    fn a_listed_version_is_affected_however_it_is_written() {
        let versions = ["1.0".to_owned()];
        let affected = Judgement::Affected { fixed: None };
        assert_eq!(judge("1.0", &versions, &[], dpkg::compare), affected);
        assert_eq!(judge("0:1.0-0", &versions, &[], dpkg::compare), affected);
        assert_eq!(judge("1.1", &versions, &[], dpkg::compare), Judgement::NotAffected);
    }

    #[test]
    fn what_cannot_be_ordered_is_unknown_unless_everything_is_affected() {
        let bounded = range(vec![introduced("0"), fixed("4")]);
        assert!(matches!(judge("not a version", &[], &[bounded], dpkg::compare), Judgement::Unknown(_)));
        let (broken, ordered) = Range::new(vec![introduced("0"), fixed("1 2")], dpkg::compare);
        assert_eq!(ordered.unwrap_err().version(), "1 2");
        assert!(matches!(judge("1", &[], &[broken], dpkg::compare), Judgement::Unknown(_)));
        let all = range(vec![introduced("0")]);
        assert_eq!(judge("not a version", &[], &[all], dpkg::compare), Judgement::Affected { fixed: None });
    }

    /// What is judged, in words, without the error that says why it cannot be told.
    fn told<'a>(judgement: &Judgement<'a>) -> &'a str {
        match judgement {
            Judgement::Affected { fixed } => fixed.unwrap_or("no fix"),
            Judgement::NotAffected => "not affected",
            Judgement::Unknown(_) => "unknown",
        }
    }

    proptest! {
        #[test]
        fn listed_versions_that_a_range_holds_can_be_left_out(
            listed in vec(version(), 0..8),
            ranges in vec(vec(event(), 0..5), 0..3),
        ) {
            let ranges: Vec<Range> =
                ranges.into_iter().map(|events| Range::new(events, dpkg::compare).0).collect();
            let few = beyond_ranges(listed.clone(), &ranges, dpkg::compare);
            prop_assert!(few.len() <= listed.len());
            for number in 0..60 {
                for installed in [number.to_string(), format!("0:{number}-0"), format!("bad version {number}")] {
                    let all = judge(&installed, &listed, &ranges, dpkg::compare);
                    let left = judge(&installed, &few, &ranges, dpkg::compare);
                    prop_assert_eq!(told(&all), told(&left), "{}: {:?} and {:?}", installed, all, left);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_fix_alone_says_the_same_as_the_range_of_all_before_it(installed in bound(), fixed in bound()) {
            let (range, _) = Range::new(vec![introduced("0"), self::fixed(&fixed)], dpkg::compare);
            prop_assert_eq!(range.is_before(), Some(fixed.as_str()));
            let ranges = [range];
            let by_range = judge(&installed, &[], &ranges, dpkg::compare);
            prop_assert_eq!(judge_before(&installed, &fixed, dpkg::compare), by_range);
        }
    }

    /// A version of a package or of a fix: also what stands for the beginning, and what comes before it in order.
    fn bound() -> impl Strategy<Value = String> {
        prop_oneof![4 => version(), 1 => Just("0".to_owned()), 1 => Just("0~1".to_owned())]
    }

    /// A version, one in ten that cannot be ordered.
    fn version() -> impl Strategy<Value = String> {
        (0..60_u32, 0..10_u32).prop_map(|(number, kind)| match kind {
            0 => format!("bad version {number}"),
            1 => format!("0:{number}"),
            _ => number.to_string(),
        })
    }

    fn event() -> impl Strategy<Value = Event> {
        let of: [fn(String) -> Event; 4] =
            [Event::Introduced, Event::Fixed, Event::LastAffected, Event::Limit];
        (version(), 0..4_usize).prop_map(move |(version, kind)| of[kind](version))
    }
}
