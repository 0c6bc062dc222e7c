//! What matching promises, each promise against records that are built for it.

#![allow(clippy::unwrap_used, reason = "a broken set-up ends a test")]

mod families;
mod index;
mod keys;
mod matching;
mod set_up;
mod severity;
