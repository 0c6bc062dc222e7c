//! `tidewatch advisories query`: the advisories about a package, or those that affect each line of a batch.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tidewatch_advisories::{Question, Statement};

use super::indexes::Indexes;
use crate::cli::QueryAdvisories;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Table, advise, cell, print_document};

#[derive(Serialize)]
struct QueryRows {
    ecosystem: String,
    package: String,
    /// Where it was asked for: then only advisories that affect it are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(rename = "advisories")]
    rows: Vec<AdvisoryRow>,
    /// Advisories that cannot be evaluated for the version, as `subject: reason`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

#[derive(Serialize)]
struct AdvisoryRow {
    advisory: String,
    /// The vulnerability by all its ids; an advisory about several has a row for each.
    vulnerability: Vec<String>,
    severity: tidewatch_core::Severity,
    /// The versions that fix it, one for each range.
    fixed: Vec<String>,
}

pub(super) async fn run(context: &Context, arguments: QueryAdvisories) -> Result<(), Failure> {
    let indexes = Indexes::open(context, arguments.index.as_deref());
    match arguments {
        QueryAdvisories { batch: Some(file), .. } => batch(&indexes.await?, &file).await,
        QueryAdvisories { ecosystem, package, version, .. } => {
            // Both are there: the command line requires them.
            let (ecosystem, package) = (ecosystem.unwrap_or_default(), package.unwrap_or_default());
            let asked = version.as_deref().unwrap_or_default();
            let question = Question::new(&ecosystem, &package, asked).ok_or_else(|| {
                Failure::wrong_use(anyhow::anyhow!(no_ecosystem(&ecosystem)))
                    .hint("name it with its release, as OSV does: Debian:12, Alpine:v3.19, npm")
            })?;
            let rows = QueryRows { ecosystem, package, version, rows: Vec::new(), problems: Vec::new() };
            one(context, &indexes.await?, &question, rows).await
        }
    }
}

async fn one(
    context: &Context,
    indexes: &Indexes,
    question: &Question,
    mut answer: QueryRows,
) -> Result<(), Failure> {
    let family = question.family().id;
    let index = indexes.of(family).await?.ok_or_else(|| {
        Failure::new(anyhow::anyhow!(no_index(family)))
            .hint("compile them: tidewatch advisories build --from DIR")
    })?;
    let affecting = question.answer(&index)?;
    let asks_for_all = answer.version.is_none();
    question.for_each_statement(&index, |statement: &Statement<'_>| {
        let advisory = index.advisory(statement.advisory)?;
        if asks_for_all || affecting.ids.contains(&advisory.id) {
            let fixed: Vec<String> = statement.fixed_versions().map(str::to_owned).collect();
            answer.rows.extend(advisory.vulnerabilities.into_iter().map(|vulnerability| AdvisoryRow {
                advisory: advisory.id.clone(),
                vulnerability: vulnerability.ids,
                severity: vulnerability.rating.severity,
                fixed: fixed.clone(),
            }));
        }
        Ok::<_, Failure>(())
    })?;
    if !asks_for_all {
        answer.problems = affecting.problems.iter().map(ToString::to_string).collect();
    }
    if context.is_json() {
        return print_document("advisory-query", 1, &answer);
    }
    print(context, &answer, question.is_covered(&index));
    Ok(())
}

fn print(context: &Context, answer: &QueryRows, is_covered: bool) {
    for problem in &answer.problems {
        advise(context.quiet, &format!("cannot be told: {problem}"));
    }
    if answer.rows.is_empty() {
        let known = if is_covered { "none is known" } else { "nothing is known of this release" };
        advise(context.quiet, &format!("{} {}: {known}", answer.ecosystem, answer.package));
        return;
    }
    let mut table = Table::new(["ADVISORY", "VULNERABILITY", "SEVERITY", "FIXED"]);
    for row in &answer.rows {
        let texts = [row.advisory.clone(), row.vulnerability.join(" "), row.severity.to_string()];
        table.row(texts.into_iter().chain([row.fixed.join(" ")]).map(cell));
    }
    table.print();
}

fn no_ecosystem(ecosystem: &str) -> String {
    format!("there are no advisories for the ecosystem {ecosystem:?}")
}

fn no_index(family: &str) -> String {
    format!("there are no advisories yet for {family}")
}

/// A line of a batch.
#[derive(Deserialize)]
struct BatchLine {
    ecosystem: String,
    name: String,
    version: String,
}

/// The answer to a line.
#[derive(Default, Serialize)]
struct BatchAnswer {
    #[serde(skip_serializing_if = "String::is_empty")]
    ecosystem: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    ids: Vec<String>,
    /// Why something cannot be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

async fn batch(indexes: &Indexes, file: &Path) -> Result<(), Failure> {
    let unreadable = || format!("failed to read {}", file.display());
    let lines: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let opened = File::open(file).with_context(unreadable).map_err(Failure::wrong_use)?;
        Box::new(BufReader::new(opened))
    };
    let mut output = BufWriter::new(std::io::stdout().lock());
    let mut malformed = 0;
    for (number, line) in lines.lines().enumerate() {
        let line = line.with_context(unreadable)?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str(&line) {
            Ok(asked) => answer(indexes, asked).await?,
            Err(error) => {
                malformed += 1;
                let problem = format!("line {}: {error}", number + 1);
                BatchAnswer { problems: vec![problem], ..BatchAnswer::default() }
            }
        };
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
    }
    output.flush()?;
    if malformed > 0 {
        let error = anyhow::anyhow!("{malformed} lines of {} are no questions", file.display());
        return Err(Failure::wrong_use(error)
            .hint("a line is {\"ecosystem\": \"npm\", \"name\": \"lodash\", \"version\": \"4.17.20\"}"));
    }
    Ok(())
}

async fn answer(indexes: &Indexes, asked: BatchLine) -> Result<BatchAnswer, Failure> {
    let BatchLine { ecosystem, name, version } = asked;
    let mut answer = BatchAnswer { ecosystem, name, version, ..BatchAnswer::default() };
    let BatchAnswer { ecosystem, name, version, .. } = &answer;
    let Some(question) = Question::new(ecosystem, name, version) else {
        answer.problems.push(no_ecosystem(ecosystem));
        return Ok(answer);
    };
    let Some(index) = indexes.of(question.family().id).await? else {
        answer.problems.push(no_index(question.family().id));
        return Ok(answer);
    };
    if !question.is_covered(&index) {
        answer.problems.push(format!("there are no advisories for {ecosystem}"));
    }
    let found = question.answer(&index)?;
    answer.ids = found.ids.into_iter().collect();
    answer.problems.extend(found.problems.iter().map(ToString::to_string));
    Ok(answer)
}
