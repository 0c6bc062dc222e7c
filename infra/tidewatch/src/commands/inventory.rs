//! `tidewatch inventory`: the packages of one image, now, with nothing kept.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::problem::Problem;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::system::SystemClock;

use super::Context;
use crate::cli::{Format, Inventory};
use crate::failure::Failure;
use crate::output::{advise, write_out};
use crate::sbom::{Layout, Sbom, parse_time};
use crate::source;

/// The variable that says what time it is for whatever is to be made the same again:
/// <https://reproducible-builds.org/specs/source-date-epoch/>.
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

pub(super) async fn run(context: &Context, arguments: Inventory) -> Result<(), Failure> {
    // Refused before anything is pulled.
    context.place.folder()?;
    check(context.format, &arguments)?;
    let created = created(&arguments)?;
    let image = source::read(context.quiet, &arguments.image).await?;
    let sbom = Sbom {
        reference: &arguments.image.reference,
        image: &image,
        without_owned: arguments.without_owned,
        created,
    };
    let layout = Layout { wide: arguments.wide, terminal: arguments.output.is_none() };
    let text = sbom.text(context.format, layout)?;
    match &arguments.output {
        Some(path) => write_file(path, &text)?,
        None => write_out(&text)?,
    }
    say_problems(context, &image.inventory.problems);
    Ok(())
}

fn check(format: Format, arguments: &Inventory) -> Result<(), Failure> {
    if arguments.wide && format != Format::Table {
        return Err(Failure::wrong_use(anyhow!(
            "--wide is for the table: every other format has all it can have"
        ))
        .hint("leave --wide out, or choose --format table"));
    }
    if let Some(path) = &arguments.output {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if path.is_dir() || folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(Failure::wrong_use(anyhow!(
                "failed to write {}: there is no such folder, or it is one",
                path.display()
            ))
            .hint("give the path of a file in a folder that is there"));
        }
    }
    Ok(())
}

/// The time that bills of materials carry.
fn created(arguments: &Inventory) -> Result<Timestamp, Failure> {
    if let Some(created) = arguments.created {
        return Ok(created);
    }
    match variable(SOURCE_DATE_EPOCH) {
        Some(text) => parse_time(&text)
            .map_err(|reason| Failure::wrong_use(anyhow!("the variable {SOURCE_DATE_EPOCH}: {reason}"))),
        None => Ok(SystemClock.now()),
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display())).map_err(
        |error| {
            Failure::new(error)
                .hint("what the file holds now is not the whole; choose another place by --output")
        },
    )
}

/// Names what could not be read. That is part of the result, so it is said even if nothing else is, unless the result
/// itself says it.
fn say_problems(context: &Context, problems: &[Problem]) {
    if problems.is_empty() {
        return;
    }
    let is_in_result = !matches!(context.format, Format::Table | Format::Tsv);
    let quiet = context.quiet && is_in_result;
    for problem in problems {
        advise(quiet, &format!("not read: {problem}"));
    }
    advise(quiet, "so the image is only partly known: packages may be missing");
}
