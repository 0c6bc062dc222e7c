//! What was found for the packages that were evaluated before: many packages come from one source package, and many images
//! have the same packages. One memo holds what one index says; any number of threads use it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::matching::matcher::Evaluated;

/// Into how many parts a memo is split, so that threads seldom wait for each other.
const PARTS: usize = 16;

/// The size of the memo of an index, if nothing else is said.
const DEFAULT_SIZE: usize = 50_000;

/// What was found for packages by one index, as long as that is little. Any number of threads can share one.
#[derive(Debug)]
pub struct Memo {
    hasher: RandomState,
    parts: [Mutex<Part>; PARTS],
    max_size_of_part: usize,
}

#[derive(Debug, Default)]
struct Part {
    known: HashMap<Box<[u8]>, Arc<Evaluated>>,
    /// Of all that is known.
    size: usize,
}

impl Memo {
    /// A memo of at most about `max_size` packages, vulnerabilities and problems together.
    pub fn new(max_size: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            parts: std::array::from_fn(|_| Mutex::default()),
            max_size_of_part: max_size / PARTS,
        }
    }

    fn part(&self, key: &[u8]) -> MutexGuard<'_, Part> {
        let [first, ..] = self.hasher.hash_one(key).to_le_bytes();
        self.parts[usize::from(first) % PARTS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found for `key`, if that is still known.
    pub(super) fn get(&self, key: &[u8]) -> Option<Arc<Evaluated>> {
        self.part(key).known.get(key).cloned()
    }

    /// Remembers what was found for `key`, and forgets others first when there is no room.
    pub(super) fn insert(&self, key: Vec<u8>, evaluated: Arc<Evaluated>) {
        let (size, max_size) = (evaluated.size(), self.max_size_of_part);
        let mut part = self.part(&key);
        if part.size + size > max_size {
            part.known.clear();
            part.size = 0;
        }
        if size <= max_size {
            part.size += size;
            if let Some(before) = part.known.insert(key.into(), evaluated) {
                part.size -= before.size();
            }
        }
    }
}

impl Default for Memo {
    fn default() -> Self {
        Self::new(DEFAULT_SIZE)
    }
}

/// The memos of the indexes of a set, by the ids of their families.
#[derive(Debug, Default)]
pub struct Memos {
    by_family: HashMap<&'static str, Arc<Memo>>,
}

impl Memos {
    /// Adds the memo of a family's index.
    pub fn insert(&mut self, family: &'static str, memo: Arc<Memo>) {
        self.by_family.insert(family, memo);
    }

    /// The memo of a family's index; an empty one where there is none.
    pub(super) fn of(&self, family: &str) -> Arc<Memo> {
        self.by_family.get(family).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Found;

    fn key(number: usize) -> Vec<u8> {
        number.to_le_bytes().to_vec()
    }

    fn evaluated(found: usize) -> Arc<Evaluated> {
        Arc::new(Evaluated::new(vec![Found::new(); found], Vec::new(), 0))
    }

    fn found(memo: &Memo, number: usize) -> Option<usize> {
        memo.get(&key(number)).map(|evaluated| evaluated.found.len())
    }

    #[test]
    fn it_forgets_rather_than_grow_beyond_its_size() {
        let memo = Memo::new(10 * PARTS);
        for number in (0..1000).chain(0..1000) {
            memo.insert(key(number), evaluated(number % 4));
            assert_eq!(found(&memo, number), Some(number % 4));
            let part = memo.part(&key(number));
            let size: usize = part.known.values().map(|evaluated| evaluated.size()).sum();
            assert!(size <= 10 && size == part.size);
        }
        memo.insert(key(7), evaluated(10));
        assert_eq!(found(&memo, 7), None, "it is larger than there is room");
    }

    #[test]
    fn many_threads_use_one() {
        let memo = Memo::new(1000 * PARTS);
        std::thread::scope(|scope| {
            for first in 0..4 {
                let memo = &memo;
                scope.spawn(move || {
                    for number in (first * 50)..(first * 50 + 100) {
                        memo.insert(key(number), evaluated(number % 4));
                    }
                });
            }
        });
        assert!((0..250).all(|number| found(&memo, number) == Some(number % 4)));
    }
}
