//! Union-find: which of a number of things are one, when it becomes known pair by pair.

/// Disjoint sets of the numbers below a bound.
pub(super) struct Union {
    parents: Vec<usize>,
}

impl Union {
    /// `count` numbers, each alone.
    pub(super) fn new(count: usize) -> Self {
        Self { parents: (0..count).collect() }
    }

    /// The smallest number of the set that `number` is in.
    pub(super) fn root(&mut self, mut number: usize) -> usize {
        while self.parents[number] != number {
            self.parents[number] = self.parents[self.parents[number]];
            number = self.parents[number];
        }
        number
    }

    /// Makes the sets of `a` and `b` one.
    pub(super) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_through_others_is_one() {
        let mut union = Union::new(6);
        for (a, b) in [(4, 5), (0, 3), (3, 5)] {
            union.join(a, b);
        }
        assert_eq!([0, 1, 2, 3, 4, 5].map(|number| union.root(number)), [0, 1, 2, 0, 0, 0]);
    }
}
