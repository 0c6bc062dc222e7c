//! Starts due rules and dispatches due work rows.
