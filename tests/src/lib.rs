//! Contract and end-to-end tests, and the demonstration.
