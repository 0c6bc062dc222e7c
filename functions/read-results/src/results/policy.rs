//! What a policy says of the images of a stream.

use tidewatch_core::names::{PolicyId, StreamName};
use tidewatch_core::policy::{Evaluation, Outcome};
use tidewatch_core::stream::Member;

use super::members::Rows;
use super::{MOST_REPORTS, PageRequest, ReadError, Results};
use crate::documents::{ImageName, PolicyImage, PolicyNumbers, PolicyPage};

/// Which answers of a policy.
#[derive(Clone, Debug)]
pub struct PolicyQuery {
    /// The policy.
    pub id: PolicyId,
    /// The stream.
    pub stream: StreamName,
    /// Only images that fail it.
    pub failing: bool,
}

impl Results {
    /// A page of the images of a stream, with what the policy says of them.
    pub async fn policy_page(
        &self,
        query: &PolicyQuery,
        page: &PageRequest,
    ) -> Result<PolicyPage, ReadError> {
        let PolicyQuery { id, stream, failing } = query;
        self.check_stream(stream).await?;
        let display_name = self.display_name(id)?;
        let numbers = match page.from {
            None => Some(PolicyNumbers::of(&self.numbers_of(stream).await?.totals, id)),
            Some(_) => None,
        };
        let is_wanted = |member: &Member| !failing || member.policies.get(id) == Some(&Outcome::Fail);
        let read = |member: Member| async move {
            let image = self.policy_image(query, &member).await?;
            Ok((member, vec![image]))
        };
        let Rows { rows: images, next } =
            self.rows_of_members(stream, page, MOST_REPORTS, is_wanted, read).await?;
        Ok(PolicyPage {
            id: id.clone(),
            display_name,
            stream: stream.clone(),
            numbers,
            images,
            next: next.map(|next| next.to_string()),
        })
    }

    /// What people call a policy. [`ReadError::Policy`] when it is not in force.
    pub(super) fn display_name(&self, id: &PolicyId) -> Result<String, ReadError> {
        let policies = self.in_force.criteria.policies();
        policies.names().find(|(known, _)| *known == id).map(|(_, name)| name.to_owned()).ok_or_else(|| {
            let known = policies.names().map(|(known, _)| known.clone()).collect();
            ReadError::Policy { policy: id.clone(), known }
        })
    }

    async fn policy_image(&self, query: &PolicyQuery, member: &Member) -> Result<PolicyImage, ReadError> {
        let image = PolicyImage {
            name: ImageName::of(member),
            outcome: member.policies.get(&query.id).copied(),
            failing: Vec::new(),
            reason: None,
        };
        match image.outcome {
            Some(Outcome::Pass) => return Ok(image),
            None => {
                let reason = Some("the policy has not judged the image yet".to_owned());
                return Ok(PolicyImage { reason, ..image });
            }
            Some(Outcome::Fail | Outcome::NoData) => {}
        }
        let rows = self.rows_of(&query.stream, member).await?;
        let evaluation = rows.policies.get(&query.id).cloned();
        Ok(match evaluation.filter(|evaluation| Some(evaluation.outcome) == image.outcome) {
            Some(Evaluation { failing, reason, .. }) => PolicyImage { failing, reason, ..image },
            None => PolicyImage { reason: rows.problem, ..image },
        })
    }
}
