//! The rows behind the numbers of a member: its findings, which of them count, and the answers of the policies.
//!
//! A member has numbers; its rows stand in the report of the result that they were computed from. Where both say the same,
//! the rows of the report are those behind the numbers. In a stream or repository that exceptions are limited to, the
//! numbers are others than those of the image as a whole: then the findings are judged in that place. Where neither gives
//! the numbers, somebody has just judged the image anew, or its last scan failed: that is said.

use std::collections::BTreeMap;

use tidewatch_core::finding::Finding;
use tidewatch_core::judgement::{Judgement, judge};
use tidewatch_core::names::{PolicyId, StreamName};
use tidewatch_core::policy::Evaluation;
use tidewatch_core::result::{ImageResult, Inventory, Report};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::stream::Member;
use tidewatch_store::records::{ResultRows, StoredResult};

use super::{ReadError, Results};

/// The rows behind the numbers of a member.
#[derive(Debug, Default)]
pub(super) struct MemberRows {
    pub(super) findings: Vec<Finding>,
    /// Of each finding whether it is suppressed.
    pub(super) is_suppressed: Vec<bool>,
    pub(super) policies: BTreeMap<PolicyId, Evaluation>,
    /// Why these are not just the rows behind the numbers; `None` where they are.
    pub(super) problem: Option<String>,
}

impl MemberRows {
    fn unknown(problem: impl Into<String>) -> Self {
        Self { problem: Some(problem.into()), ..Self::default() }
    }

    /// Findings that count, or (`suppressed`) those that do not.
    pub(super) fn findings(&self, suppressed: bool) -> impl Iterator<Item = &Finding> {
        let findings = self.findings.iter().zip(&self.is_suppressed);
        findings.filter(move |(_, is_suppressed)| **is_suppressed == suppressed).map(|(finding, _)| finding)
    }

    fn is_of(&self, member: &Member) -> bool {
        let counts = |suppressed| self.findings(suppressed).map(|finding| finding.severity).collect();
        let (counted, suppressed): (SeverityCounts, SeverityCounts) = (counts(false), counts(true));
        let outcomes = self.policies.iter().map(|(id, evaluation)| (id, evaluation.outcome));
        (counted, suppressed) == (member.severities, member.suppressed)
            && outcomes.eq(member.policies.iter().map(|(id, outcome)| (id, *outcome)))
    }
}

impl Results {
    /// The rows behind the numbers of a member of `stream`.
    pub(super) async fn rows_of(
        &self,
        stream: &StreamName,
        member: &Member,
    ) -> Result<MemberRows, ReadError> {
        let image = &member.image;
        let stored = self.records.result(&self.org, &image.digest, &image.platform).await?;
        let Some(StoredResult { result, .. }) = stored else {
            return Ok(MemberRows::unknown("there is no result yet"));
        };
        let Some(report) = self.report_of(&result).await? else {
            let reason = result.reason.unwrap_or_else(|| "its rows are not there".to_owned());
            return Ok(MemberRows::unknown(format!("the last result is {}: {reason}", result.state)));
        };
        let as_stored = as_stored(report.clone());
        if as_stored.is_of(member) {
            return Ok(as_stored);
        }
        let inventory = self.inventory_of(&result, &report).await?;
        let metadata = self.records.image_metadata(&self.org, result.metadata).await?;
        if let Some((inventory, metadata)) = inventory.zip(metadata) {
            let judged = self.judged(stream, member, &result, ResultRows { report, inventory, metadata });
            if judged.is_of(member) {
                return Ok(judged);
            }
        }
        let problem = "it has been judged anew, and the stream does not count that yet".to_owned();
        Ok(MemberRows { problem: Some(problem), ..as_stored })
    }

    /// The report behind a result; `None` where there is none.
    pub(super) async fn report_of(&self, result: &ImageResult) -> Result<Option<Report>, ReadError> {
        let Some(key) = &result.report else { return Ok(None) };
        Ok(self.records.report(key).await?)
    }

    /// The inventory behind a result.
    pub(super) async fn inventory_of(
        &self,
        result: &ImageResult,
        report: &Report,
    ) -> Result<Option<Inventory>, ReadError> {
        match &result.inventory {
            Some(hash) => Ok(self.records.inventory(&self.org, hash).await?),
            None => Ok(report.inventory()),
        }
    }

    /// The rows as they are judged where the member stands.
    fn judged(
        &self,
        stream: &StreamName,
        member: &Member,
        result: &ImageResult,
        rows: ResultRows,
    ) -> MemberRows {
        let judging = self.in_force.judging(self.now);
        let judgement = judge(rows.subject(result, &result.families()), member.scope(stream), judging);
        let Judgement { policies, suppressions, .. } = judgement;
        as_stored(Report { policies, suppressed: suppressions, ..rows.report })
    }
}

fn as_stored(report: Report) -> MemberRows {
    let mut is_suppressed = vec![false; report.findings.len()];
    for suppression in &report.suppressed {
        if let Some(is_suppressed) = is_suppressed.get_mut(suppression.finding) {
            *is_suppressed = true;
        }
    }
    MemberRows { findings: report.findings, is_suppressed, policies: report.policies, problem: None }
}
