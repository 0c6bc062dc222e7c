//! Randomness and fresh identifiers as ports, so that tests can repeat them.

/// Gives random bytes fit for secrets.
pub trait Randomness: Send + Sync {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Gives identifiers that have not been used before.
pub trait Ids: Send + Sync {
    /// A new identifier: 26 letters and digits, that sort by the time they were made at a resolution of a millisecond.
    fn next(&self) -> String;
}
