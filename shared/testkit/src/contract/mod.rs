//! The promises of the stateful ports as test suites. An adapter passes a suite by invoking its macro once in a test
//! file, which makes a module named after the adapter with one test for each promise.

pub mod objects;
pub mod queue;
pub mod table;
