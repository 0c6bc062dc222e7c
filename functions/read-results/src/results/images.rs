//! The images of a stream.

use std::collections::{BTreeMap, BTreeSet};

use tidewatch_core::image::ImageId;
use tidewatch_core::names::{RepositoryName, StreamName, Tag};
use tidewatch_core::result::{ImageResult, ResultState};
use tidewatch_core::rule::Pattern;
use tidewatch_core::stream::Member;

use super::members::Rows;
use super::vulnerability::Presence;
use super::{MOST_MEMBERS, MOST_REPORTS, PageRequest, ReadError, Results};
use crate::documents::{ImageName, ImagePage, ImageRow, UnknownImage};

/// Which images of a stream.
#[derive(Clone, Debug)]
pub struct ImageQuery {
    /// The stream.
    pub stream: StreamName,
    /// Only those in this state.
    pub state: Option<ResultState>,
    /// Only those whose repository, or repository and tag, matches.
    pub pattern: Option<Pattern>,
    /// Only those that have this vulnerability, by any of its ids.
    pub vulnerability: Option<String>,
}

impl ImageQuery {
    /// All images of a stream.
    pub const fn all(stream: StreamName) -> Self {
        Self { stream, state: None, pattern: None, vulnerability: None }
    }

    /// Whether an image may be shown, by its place and state.
    pub fn takes(&self, repository: &RepositoryName, tag: &Tag, state: ResultState) -> bool {
        self.state.is_none_or(|wanted| wanted == state) && self.takes_place(repository, tag)
    }

    /// The same by its place alone.
    pub fn takes_place(&self, repository: &RepositoryName, tag: &Tag) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(repository, tag))
    }
}

impl Results {
    /// A page of the images that are asked for. Those of which it cannot be told whether they have the vulnerability are
    /// told apart.
    pub async fn image_page(&self, query: &ImageQuery, page: &PageRequest) -> Result<ImagePage, ReadError> {
        self.check_stream(&query.stream).await?;
        let is_wanted = |member: &Member| query.takes(&member.image.repository, &member.tag, member.state);
        let read = |member: Member| async move {
            let presence = match &query.vulnerability {
                None => Presence::Found(Vec::new()),
                Some(id) => self.presence(&query.stream, &member, id).await?,
            };
            let rows = match presence {
                Presence::Absent => Vec::new(),
                presence => vec![(member.clone(), presence)],
            };
            Ok((member, rows))
        };
        let most = if query.vulnerability.is_some() { MOST_REPORTS } else { MOST_MEMBERS };
        let Rows { rows, next } = self.rows_of_members(&query.stream, page, most, is_wanted, read).await?;
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        for (member, presence) in rows {
            match presence {
                Presence::Unknown(reason) => {
                    unknown.push(UnknownImage { name: ImageName::of(&member), state: member.state, reason });
                }
                _ => found.push(member),
            }
        }
        let results = self.results_of(&found).await?;
        let rows = found.iter().map(|member| ImageRow::of_member(member, results.get(&member.image.id())));
        Ok(ImagePage {
            stream: query.stream.clone(),
            images: rows.collect(),
            unknown,
            next: next.map(|next| next.to_string()),
        })
    }

    /// The results of members, by image. One that cannot be read hides nothing else.
    async fn results_of(&self, members: &[Member]) -> Result<BTreeMap<ImageId, ImageResult>, ReadError> {
        let images: BTreeSet<ImageId> = members.iter().map(|member| member.image.id()).collect();
        let images: Vec<ImageId> = images.into_iter().collect();
        let results = self.records.results(&self.org, &images).await?;
        let known = images.into_iter().zip(results).filter_map(|(image, stored)| match stored {
            Ok(stored) => Some((image, stored?.result)),
            Err(error) => {
                tracing::warn!(org.name = %self.org, %image, %error, "a result cannot be read");
                None
            }
        });
        Ok(known.collect())
    }
}
