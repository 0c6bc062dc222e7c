//! The process environment: read here and nowhere else.

/// The value of an environment variable; `None` when it is not set, empty, or not Unicode.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
