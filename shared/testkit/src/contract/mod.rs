//! The promises of the stateful ports as test suites. An adapter passes a suite by invoking its macro once in a test
//! file, which makes a module named after the adapter with one test for each promise.

pub mod budgets;
pub mod objects;
pub mod queue;
pub mod queue_depths;
pub mod table;

/// What the factory of a suite gives: something to test, with whatever must live as long as it, or `()`; or nothing
/// where it cannot be had, which the factory has said. Then a test of the suite does nothing.
pub trait Fresh {
    /// What is tested.
    type Backend;
    /// What must live as long as it.
    type Kept;
    /// Both of them, or nothing.
    fn fresh(self) -> Option<(Self::Backend, Self::Kept)>;
}

impl<B, K> Fresh for (B, K) {
    type Backend = B;
    type Kept = K;

    fn fresh(self) -> Option<Self> {
        Some(self)
    }
}

impl<B, K> Fresh for Option<(B, K)> {
    type Backend = B;
    type Kept = K;

    fn fresh(self) -> Self {
        self
    }
}
