//! Writes `docs/CONFIGURATION.md`: `make docs`.

use anyhow::Context as _;
use tidewatch_tests::configuration_docs::{page, place};

fn main() -> anyhow::Result<()> {
    let place = place();
    std::fs::write(&place, page()?).with_context(|| format!("failed to write {}", place.display()))
}
