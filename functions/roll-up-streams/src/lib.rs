//! Recomputes the totals of changed streams and publishes one snapshot per organisation.
