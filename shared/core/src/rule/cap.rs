//! The cap of a run: which images it takes when all that its rule chooses need more work than one run may queue.
//!
//! Those of which nothing is known come first; then the newest image of each repository, the second newest of each, and so
//! on, repository by repository in the order of their names. So the order does not depend on which listing ends first, and
//! what is left over is taken by the next runs.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::names::Tag;
use crate::work::Priority;

/// A tag that needs work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanting {
    /// The tag.
    pub tag: Tag,
    /// The higher of the priorities of its images.
    pub priority: Priority,
    /// When it was made or pushed, where the rule looks at that.
    pub born_at: Option<Timestamp>,
    /// How many images behind it need work; at least one.
    pub images: u32,
}

/// Some tags of a repository that follow each other and want as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// Their priority.
    pub priority: Priority,
    /// How many images of each need work.
    pub images: u32,
    /// How many tags.
    pub tags: u32,
}

/// The positions of tags of one repository, in the order in which a run takes them.
pub fn order(wanting: &[Wanting]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..wanting.len()).collect();
    positions.sort_by_key(|position| {
        let Wanting { tag, priority, born_at, .. } = &wanting[*position];
        (*priority, Reverse(*born_at), tag)
    });
    positions
}

/// What tags want that are in this order.
pub fn wants<'a>(wanting: impl IntoIterator<Item = &'a Wanting>) -> Vec<Wants> {
    let mut wants: Vec<Wants> = Vec::new();
    for Wanting { priority, images, .. } in wanting {
        match wants.last_mut() {
            Some(last) if (last.priority, last.images) == (*priority, *images) => last.tags += 1,
            _ => wants.push(Wants { priority: *priority, images: *images, tags: 1 }),
        }
    }
    wants
}

/// How many of its tags, from the first in its order on, a run takes of each repository when it may queue `most` images.
/// The repositories have to be sorted by registry and name. A tag whose images do not all fit is not taken, and none after it;
/// but the first one always is, so that every run goes on.
pub fn admitted(most: u64, repositories: &[Vec<Wants>]) -> Vec<usize> {
    let mut taken = vec![0; repositories.len()];
    let (mut left, mut is_first) = (most, true);
    for priority in Priority::ALL {
        // The tags of this priority, of each repository that has any left.
        let mut waiting: Vec<(usize, Vec<u32>)> = repositories
            .iter()
            .map(|wants| wants.iter().filter(|wants| wants.priority == priority))
            .map(|wants| wants.flat_map(|wants| std::iter::repeat_n(wants.images, wants.tags as usize)))
            .map(Iterator::collect)
            .enumerate()
            .collect();
        let mut level = 0;
        loop {
            waiting.retain(|(_, images)| level < images.len());
            if waiting.is_empty() {
                break;
            }
            for (repository, images) in &waiting {
                match left.checked_sub(u64::from(images[level])) {
                    Some(rest) => left = rest,
                    None if is_first && most > 0 => left = 0,
                    None => return taken,
                }
                is_first = false;
                taken[*repository] += 1;
            }
            level += 1;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanting(tag: &str, priority: Priority, day: Option<i64>, images: u32) -> Wanting {
        let born_at = day.map(|day| Timestamp::from_second(day * 86_400).unwrap());
        Wanting { tag: tag.parse().unwrap(), priority, born_at, images }
    }

    #[test]
    fn what_is_not_known_comes_first_then_the_newest() {
        let tags = [
            wanting("stale", Priority::Stale, Some(9), 1),
            wanting("b", Priority::New, None, 1),
            wanting("a", Priority::New, None, 1),
            wanting("old", Priority::New, Some(1), 1),
            wanting("new", Priority::New, Some(2), 2),
        ];
        let order = order(&tags);
        let names: Vec<&str> = order.iter().map(|position| tags[*position].tag.as_str()).collect();
        assert_eq!(names, ["new", "old", "a", "b", "stale"]);
        let wants = wants(order.iter().map(|position| &tags[*position]));
        let counts: Vec<(u32, u32)> = wants.iter().map(|wants| (wants.images, wants.tags)).collect();
        assert_eq!(counts, [(2, 1), (1, 3), (1, 1)]);
    }

    #[test]
    fn each_repository_gets_its_first_before_any_gets_its_second() {
        let one = |priority, tags| Wants { priority, images: 1, tags };
        let repositories =
            [vec![one(Priority::New, 3), one(Priority::Stale, 2)], vec![], vec![one(Priority::New, 1)]];
        for (most, expected) in
            [(0, [0, 0, 0]), (1, [1, 0, 0]), (2, [1, 0, 1]), (3, [2, 0, 1]), (5, [4, 0, 1]), (9, [5, 0, 1])]
        {
            assert_eq!(admitted(most, &repositories), expected, "{most}");
        }
    }

    fn repositories() -> impl Strategy<Value = Vec<Vec<Wants>>> {
        let priority = prop::sample::select(vec![Priority::New, Priority::Stale]);
        let wants = (priority, 1..4_u32, 1..4_u32).prop_map(|(priority, images, tags)| Wants {
            priority,
            images,
            tags,
        });
        let sorted = |mut wants: Vec<Wants>| {
            wants.sort_by_key(|wants| wants.priority);
            wants
        };
        prop::collection::vec(prop::collection::vec(wants, 0..5).prop_map(sorted), 0..6)
    }

    fn images(repositories: &[Vec<Wants>], taken: &[usize]) -> u64 {
        let of = |(wants, taken): (&Vec<Wants>, &usize)| {
            let each = wants.iter().flat_map(|wants| std::iter::repeat_n(wants.images, wants.tags as usize));
            each.take(*taken).map(u64::from).sum::<u64>()
        };
        repositories.iter().zip(taken).map(of).sum()
    }

    proptest! {
        #[test]
        fn a_run_takes_no_more_than_it_may_and_stops_only_at_that(
            repositories in repositories(), most in 0..40_u64,
        ) {
            let taken = admitted(most, &repositories);
            let total = |wants: &Vec<Wants>| wants.iter().map(|wants| wants.tags as usize).sum::<usize>();
            let is_one = taken.iter().sum::<usize>() == 1;
            prop_assert!(images(&repositories, &taken) <= most || (is_one && most > 0));
            let all: Vec<usize> = repositories.iter().map(total).collect();
            if taken != all {
                // The largest tag that is left out would not fit.
                prop_assert!(images(&repositories, &taken) + 3 > most);
            }
            // Who may take more takes all of what it took before.
            let more = admitted(most + 1, &repositories);
            prop_assert!(taken.iter().zip(&more).all(|(taken, more)| taken <= more));
            prop_assert_eq!(admitted(u64::MAX, &repositories), all);
        }
    }
}
