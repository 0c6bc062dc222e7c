//! What was found for the packages that were matched before: many installed packages come from one source package.

use std::collections::HashMap;
use std::rc::Rc;

use crate::matching::Found;
use crate::subject::Subject;

/// The vulnerabilities of subjects that were evaluated, as long as there are few of them.
pub(super) struct Memo {
    /// By the keys under which advisories know a package.
    known: HashMap<Vec<Subject>, Rc<[Found]>>,
    /// Number of subjects and of their vulnerabilities.
    size: usize,
    max_size: usize,
}

impl Memo {
    /// A memo of at most `max_size` subjects and vulnerabilities together.
    pub(super) fn new(max_size: usize) -> Self {
        Self { known: HashMap::new(), size: 0, max_size }
    }

    /// What was found under these keys, if that is still known.
    pub(super) fn get(&self, keys: &[Subject]) -> Option<Rc<[Found]>> {
        self.known.get(keys).cloned()
    }

    /// Remembers what was found under `keys`, and forgets all others first when there is no room.
    pub(super) fn insert(&mut self, keys: Vec<Subject>, found: Rc<[Found]>) {
        let size = found.len() + 1;
        if self.size + size > self.max_size {
            self.known.clear();
            self.size = 0;
        }
        if size <= self.max_size {
            self.size += size;
            self.known.insert(keys, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Vec<Subject> {
        let [ecosystem, name, version] = ["Debian:12", name, "1"].map(str::to_owned);
        vec![Subject { ecosystem, name, version }]
    }

    fn found(count: usize) -> Rc<[Found]> {
        vec![Found::new(); count].into()
    }

    #[test]
    fn it_forgets_rather_than_grow_beyond_its_size() {
        let mut memo = Memo::new(10);
        for number in 0..100 {
            memo.insert(subject(&number.to_string()), found(number % 4));
            assert!(memo.get(&subject(&number.to_string())).is_some());
            let size: usize = memo.known.values().map(|found| found.len() + 1).sum();
            assert!(size <= 10 && size == memo.size);
        }
        memo.insert(subject("huge"), found(10));
        assert!(memo.get(&subject("huge")).is_none());
    }
}
