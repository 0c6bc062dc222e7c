//! What was found for the packages that were matched before: many installed packages come from one source package.

use std::collections::HashMap;
use std::rc::Rc;

use crate::matching::Found;

/// Ecosystem, name and version by which advisories know a package.
pub(super) type Subject = (String, String, String);

/// The vulnerabilities of subjects that were evaluated, as long as there are few of them.
pub(super) struct Memo {
    known: HashMap<Subject, Rc<[Found]>>,
    /// Number of subjects and of their vulnerabilities.
    size: usize,
    max_size: usize,
}

impl Memo {
    /// A memo of at most `max_size` subjects and vulnerabilities together.
    pub(super) fn new(max_size: usize) -> Self {
        Self { known: HashMap::new(), size: 0, max_size }
    }

    /// What was found for `subject`, if that is still known.
    pub(super) fn get(&self, subject: &Subject) -> Option<Rc<[Found]>> {
        self.known.get(subject).cloned()
    }

    /// Remembers what was found for `subject`, and forgets all others first when there is no room.
    pub(super) fn insert(&mut self, subject: Subject, found: Rc<[Found]>) {
        let size = found.len() + 1;
        if self.size + size > self.max_size {
            self.known.clear();
            self.size = 0;
        }
        if size <= self.max_size {
            self.size += size;
            self.known.insert(subject, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Subject {
        ("Debian:12".to_owned(), name.to_owned(), "1".to_owned())
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
