//! `tidewatch versions`: the orders of versions, by which advisories are matched, for people to look at and to check.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::anyhow;
use serde::{Serialize, Serializer};
use tidewatch_advisories::order::{ORDERS, Order};

use super::Context;
use crate::cli::{CompareVersions, Versions};
use crate::failure::Failure;
use crate::output::{advise, print_document, print_line};

pub(super) fn run(context: &Context, command: Versions) -> Result<(), Failure> {
    context.place.folder()?;
    let Versions::Compare(CompareVersions { ecosystem, a, b, file }) = command;
    let order = order_of(&ecosystem)?;
    match (a, b, file) {
        (Some(a), Some(b), _) => compare(context, ecosystem, order, a, b),
        (_, _, Some(file)) => check(context, &ecosystem, order, &file),
        _ => Err(Failure::wrong_use(anyhow!("there are neither two versions nor a file of comparisons"))
            .hint("give two versions, or --file FILE")),
    }
}

/// The order of an ecosystem, or with this name.
fn order_of(ecosystem: &str) -> Result<&'static Order, Failure> {
    Order::of_ecosystem(ecosystem).or_else(|| Order::of_name(ecosystem)).ok_or_else(|| {
        let names: Vec<_> = ORDERS.iter().map(|order| order.name).collect();
        Failure::wrong_use(anyhow!("there is no order of versions for the ecosystem {ecosystem:?}")).hint(
            format!(
                "name it as OSV does (Debian:12, Alpine:v3.19, PyPI, npm), or name an order: {}",
                names.join(", ")
            ),
        )
    })
}

/// How the first version compares with the second, by its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sign(Ordering);

impl Sign {
    const ALL: [Self; 3] = [Self(Ordering::Less), Self(Ordering::Equal), Self(Ordering::Greater)];

    const fn text(self) -> &'static str {
        match self.0 {
            Ordering::Less => "<",
            Ordering::Equal => "=",
            Ordering::Greater => ">",
        }
    }
}

impl Serialize for Sign {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

#[derive(Serialize)]
struct ComparisonDocument {
    ecosystem: String,
    order: &'static str,
    a: String,
    b: String,
    result: Sign,
}

fn compare(
    context: &Context,
    ecosystem: String,
    order: &'static Order,
    a: String,
    b: String,
) -> Result<(), Failure> {
    let result = (order.compare)(&a, &b).map(Sign).map_err(|error| {
        Failure::wrong_use(error).hint(format!(
            "write it as packages of {ecosystem} do, or name the ecosystem whose versions look like this"
        ))
    })?;
    if context.is_json() {
        let document = ComparisonDocument { ecosystem, order: order.name, a, b, result };
        return print_document("version-comparison", 1, &document);
    }
    print_line(result.text());
    Ok(())
}

/// A line that says something else than the order.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Disagreement {
    /// The number of the line, from 1 on.
    line: usize,
    text: String,
    /// What is right; `None` when that cannot be told.
    result: Option<Sign>,
    /// Why it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Checked {
    /// How many lines are no comments.
    comparisons: usize,
    disagreements: Vec<Disagreement>,
}

#[derive(Serialize)]
struct CheckedDocument<'a> {
    ecosystem: &'a str,
    order: &'static str,
    #[serde(flatten)]
    checked: &'a Checked,
}

fn check(context: &Context, ecosystem: &str, order: &'static Order, file: &Path) -> Result<(), Failure> {
    let checked = open(file).and_then(|lines| check_lines(order, lines)).map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("failed to read {}", file.display()));
        Failure::wrong_use(error).hint("give a text file with a comparison on each line, such as `1.0 < 1.1`")
    })?;
    if context.is_json() {
        let document = CheckedDocument { ecosystem, order: order.name, checked: &checked };
        print_document("version-comparisons", 1, &document)?;
    } else {
        for disagreement in &checked.disagreements {
            print_line(&disagreement.sentence());
        }
    }
    let Checked { comparisons, disagreements } = checked;
    if disagreements.is_empty() {
        advise(context.quiet, &format!("{comparisons} comparisons agree with the order of {ecosystem}"));
        return Ok(());
    }
    let failure = anyhow!("{} of {comparisons} comparisons do not agree", disagreements.len());
    Err(Failure::new(failure)
        .hint(format!("see the lines that are printed: {ecosystem} orders them otherwise")))
}

fn open(file: &Path) -> io::Result<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(BufReader::new(File::open(file)?)))
}

fn check_lines(order: &Order, lines: impl BufRead) -> io::Result<Checked> {
    let mut checked = Checked::default();
    for (place, line) in lines.lines().enumerate() {
        let line = line?;
        let text = without_remark(&line);
        if text.is_empty() || text.starts_with("//") {
            continue;
        }
        checked.comparisons += 1;
        if let Err((result, reason)) = judge(order, text) {
            let text = text.to_owned();
            checked.disagreements.push(Disagreement { line: place + 1, text, result, reason });
        }
    }
    Ok(checked)
}

/// The line without white space around it, and without the `#` after white space that begins a remark.
fn without_remark(line: &str) -> &str {
    let is_remark =
        |(place, _): &(usize, &str)| line[..*place].chars().next_back().is_none_or(char::is_whitespace);
    let end = line.match_indices('#').find(is_remark).map_or(line.len(), |(place, _)| place);
    line[..end].trim()
}

/// Whether a comparison is so; if not, what is right, or why that cannot be told.
fn judge(order: &Order, text: &str) -> Result<(), (Option<Sign>, Option<String>)> {
    let Some((a, expected, b)) = split(text) else {
        return Err((None, Some("it is no comparison such as 1.0 < 1.1".to_owned())));
    };
    match (order.compare)(a, b).map(Sign) {
        Ok(result) if result == expected => Ok(()),
        Ok(result) => Err((Some(result), None)),
        Err(error) => Err((None, Some(error.to_string()))),
    }
}

/// Splits at the first sign with spaces around it: versions may hold others.
fn split(text: &str) -> Option<(&str, Sign, &str)> {
    let place = Sign::ALL.iter().filter_map(|sign| {
        let place = text.find(&format!(" {} ", sign.text()))?;
        Some((place, *sign))
    });
    let (place, sign) = place.min_by_key(|(place, _)| *place)?;
    Some((&text[..place], sign, &text[place + 3..]))
}

impl Disagreement {
    fn sentence(&self) -> String {
        let Self { line, text, result, reason } = self;
        match (result, reason) {
            (Some(result), _) => format!("line {line}: {text}: it is {}", result.text()),
            (None, Some(reason)) => format!("line {line}: {text}: {reason}"),
            (None, None) => format!("line {line}: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed of a file.
    fn printed(ecosystem: &str, file: &str) -> Vec<String> {
        let checked = check_lines(order_of(ecosystem).unwrap(), file.as_bytes()).unwrap();
        checked.disagreements.iter().map(Disagreement::sentence).collect()
    }

    #[test]
    fn what_is_wrong_is_printed_with_its_line_and_what_is_right() {
        let file = "# a comment\n// another\n\n1.0 < 1.1\n1.0 > 1.1\n 1.0-1 = 1.0-2 \r\n1.0 > 1.0~rc1\n";
        assert_eq!(
            printed("Debian:12", file),
            ["line 5: 1.0 > 1.1: it is <", "line 6: 1.0-1 = 1.0-2: it is <"]
        );
        let checked = check_lines(order_of("debian").unwrap(), file.as_bytes()).unwrap();
        assert_eq!(checked.comparisons, 4);
    }

    #[test]
    fn what_cannot_be_ordered_or_is_no_comparison_is_printed_with_the_reason() {
        assert_eq!(
            printed("npm", "1.0.0 < one\n1.0.0 <= 1.0.0\n1.0.0<1.0.1\n1.0.0\n"),
            [
                "line 1: 1.0.0 < one: failed to order \"one\" as a version of npm: it does not begin with numbers",
                "line 2: 1.0.0 <= 1.0.0: it is no comparison such as 1.0 < 1.1",
                "line 3: 1.0.0<1.0.1: it is no comparison such as 1.0 < 1.1",
                "line 4: 1.0.0: it is no comparison such as 1.0 < 1.1",
            ]
        );
    }

    #[test]
    fn versions_may_hold_spaces_signs_and_hashes() {
        assert_eq!(split("a < b"), Some(("a", Sign(Ordering::Less), "b")));
        assert_eq!(split("1.2.3 = = 1.2.3"), Some(("1.2.3", Sign(Ordering::Equal), "= 1.2.3")));
        assert_eq!(split("v 1 > 2 < 3"), Some(("v 1", Sign(Ordering::Greater), "2 < 3")));
        assert_eq!(without_remark("1.# = 1.#\t# always"), "1.# = 1.#");
        assert!(printed("Packagist", "1.2.3.# = 1.2.3\n1.# = 1.0 # a remark\n").is_empty());
    }

    #[test]
    fn an_ecosystem_is_known_by_its_name_and_an_order_by_its_own() {
        for name in ["Red Hat:enterprise_linux:9::baseos", "RPM", "rpm", "Amazon Linux"] {
            assert_eq!(order_of(name).unwrap().name, "rpm", "{name}");
        }
        let failure = order_of("Slackware").unwrap_err().text();
        assert_eq!(failure, "there is no order of versions for the ecosystem \"Slackware\"");
    }
}
