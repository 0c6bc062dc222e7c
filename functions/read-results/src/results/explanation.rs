//! What is behind a number: the rows that add up to it.

use tidewatch_core::finding::Finding;
use tidewatch_core::stream::Member;

use super::members::Rows;
use super::rows::MemberRows;
use super::{MOST_MEMBERS, MOST_REPORTS, PageRequest, ReadError, Results};
use crate::documents::{Explanation, ImageName, Row};
use crate::series::{Quantity, Series};

impl Results {
    /// A page of the rows behind the number of a series. On the first page the number as well: the counts of the rows of
    /// all pages add up to it, as long as nothing is written in between.
    pub async fn explanation(&self, series: &Series, page: &PageRequest) -> Result<Explanation, ReadError> {
        self.check_stream(&series.stream).await?;
        if let Quantity::Policy(_, id) = &series.quantity {
            self.display_name(id)?;
        }
        let mut explanation = Explanation {
            series: series.to_string(),
            stream: series.stream.clone(),
            value: None,
            published: None,
            behind: None,
            rows: Vec::new(),
            next: None,
        };
        if page.from.is_none() {
            self.add_numbers(series, &mut explanation).await?;
        }
        let most = if series.is_of_findings() { MOST_REPORTS } else { MOST_MEMBERS };
        let is_behind = |member: &Member| series.of_member(member) > 0;
        let read = |member: Member| async move {
            let rows = self.rows_behind(series, &member).await?;
            Ok((member, rows))
        };
        let Rows { rows, next } = self.rows_of_members(&series.stream, page, most, is_behind, read).await?;
        explanation.rows = rows;
        explanation.next = next.map(|next| next.to_string());
        Ok(explanation)
    }

    async fn add_numbers(&self, series: &Series, explanation: &mut Explanation) -> Result<(), ReadError> {
        let published = self.published(series).await?;
        let numbers = self.numbers_of(&series.stream).await?;
        let value = series.of_totals(&numbers.totals);
        explanation.behind = match &published {
            None => Some("no numbers are served yet".to_owned()),
            Some(published) if published.value.is_none() => Some(
                "the stream is not served: there are more series than the configuration allows, or it is new"
                    .to_owned(),
            ),
            Some(published) if !numbers.is_rolled_up || published.value != Some(value) => Some(format!(
                "the served number was computed at {}, and images of the stream have changed since",
                published.made_at
            )),
            Some(_) => None,
        };
        explanation.value = Some(value);
        explanation.published = published;
        Ok(())
    }

    /// The rows of one member, whose counts add up to what it adds to the number.
    async fn rows_behind(&self, series: &Series, member: &Member) -> Result<Vec<Row>, ReadError> {
        let name = ImageName::of(member);
        let counted = series.of_member(member);
        let (severity, suppressed) = match &series.quantity {
            Quantity::Vulnerabilities(severity) => (*severity, false),
            Quantity::Suppressed(severity) => (*severity, true),
            Quantity::Policy(_, id) => {
                let outcome = member.policies.get(id).copied();
                return Ok(vec![Row { outcome, ..Row::new(name, 1) }]);
            }
            Quantity::Images(_) => return Ok(vec![Row::new(name, 1)]),
        };
        let rows = self.rows_of(&series.stream, member).await?;
        let of_severity = rows.findings(suppressed).filter(|finding| finding.severity == severity);
        let mut found: Vec<Row> = of_severity.map(|finding| row(name.clone(), finding)).collect();
        found.extend(
            rest(name, counted, found.len(), &rows).map(|rest| Row { severity: Some(severity), ..rest }),
        );
        Ok(found)
    }
}

fn row(name: ImageName, finding: &Finding) -> Row {
    Row {
        vulnerability: Some(finding.vulnerability.clone()),
        package: Some(finding.package.clone()),
        version: Some(finding.version.clone()),
        purl: Some(finding.purl.clone()),
        severity: Some(finding.severity),
        fixed_version: finding.fixed_version.clone(),
        ..Row::new(name, 1)
    }
}

/// A row for what the member counts and the rows that were found do not make up for, or make up for too much.
fn rest(name: ImageName, counted: u64, found: usize, rows: &MemberRows) -> Option<Row> {
    let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
    let rest = number(counted) - number(found as u64);
    let reason = rows.problem.clone();
    (rest != 0).then(|| Row { reason, ..Row::new(name, rest) })
}
