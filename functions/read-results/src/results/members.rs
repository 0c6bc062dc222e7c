//! The members of a stream in order, some at a time.
//!
//! `latest-indexed` has one slot for each repository, or one for each of its platforms, so they are found in the order of the
//! list of repositories. The members of an environment lie in a few shards, and are sorted here.

use futures::{StreamExt as _, stream};
use tidewatch_core::names::StreamName;
use tidewatch_core::stream::{Layout, Member};

use super::cursor::{Cursor, Place};
use super::{MEMBERS_AT_ONCE, MOST_MEMBERS, PageRequest, REPORTS_AT_ONCE, ReadError, Results};

/// Some members, sorted by place.
struct Members {
    members: Vec<Member>,
    /// Where to go on; `None` at the end.
    next: Option<Cursor>,
}

/// A walk over the members of a stream, which ends when so many have been looked at.
struct Walk<'a> {
    results: &'a Results,
    stream: &'a StreamName,
    from: Option<Cursor>,
    is_done: bool,
    seen: usize,
}

impl Walk<'_> {
    /// The next members; none at the end, or when enough have been looked at.
    async fn members(&mut self) -> Result<Vec<Member>, ReadError> {
        while !self.is_done && self.seen < MOST_MEMBERS {
            let found = self.results.some_members(self.stream, self.from.as_ref()).await?;
            self.is_done = found.next.is_none();
            self.from = found.next;
            // Repositories without a member have cost as much.
            self.seen += MEMBERS_AT_ONCE;
            if !found.members.is_empty() {
                return Ok(found.members);
            }
        }
        Ok(Vec::new())
    }
}

/// Some rows, and where to go on.
pub(super) struct Rows<T> {
    pub(super) rows: Vec<T>,
    pub(super) next: Option<Cursor>,
}

impl Results {
    /// A page of the rows that `read` gives of those members of a stream that are `wanted`. It reads for several members
    /// at the same time, and for at most `most` of them.
    pub(super) async fn rows_of_members<T, R>(
        &self,
        stream: &StreamName,
        page: &PageRequest,
        most: usize,
        wanted: impl Fn(&Member) -> bool,
        read: impl Fn(Member) -> R,
    ) -> Result<Rows<T>, ReadError>
    where
        R: Future<Output = Result<(Member, Vec<T>), ReadError>>,
    {
        let from = page.from.clone();
        let mut walk = Walk { results: self, stream, from, is_done: false, seen: 0 };
        let (mut rows, mut members_read) = (Vec::new(), 0);
        loop {
            let members = walk.members().await?;
            if members.is_empty() {
                return Ok(Rows { rows, next: walk.from });
            }
            let reading = members.into_iter().filter(&wanted).map(&read);
            let mut reading = stream::iter(reading).buffered(REPORTS_AT_ONCE);
            while let Some(read) = reading.next().await {
                let (member, of_member) = read?;
                members_read += 1;
                let done = page.from.as_ref().map_or(0, |from| from.rows_of(&member));
                let (room, left) = (page.limit - rows.len(), of_member.len().saturating_sub(done));
                rows.extend(of_member.into_iter().skip(done).take(room));
                if left > room {
                    return Ok(Rows { rows, next: Some(Cursor::within(&member, done + room)) });
                }
                if rows.len() == page.limit || members_read == most {
                    return Ok(Rows { rows, next: Some(Cursor::after(&member)) });
                }
            }
        }
    }

    /// Up to [`MEMBERS_AT_ONCE`] of the members, or those of as many repositories, without those that do not count. There may
    /// be none though more come.
    async fn some_members(&self, stream: &StreamName, from: Option<&Cursor>) -> Result<Members, ReadError> {
        let mut found = if *stream == StreamName::latest_indexed() {
            self.latest_members(stream, from).await?
        } else {
            self.environment_members(stream, from).await?
        };
        found.members.retain(|member| self.counts(stream, member));
        Ok(found)
    }

    /// Whether a member of `stream` counts: its registry is configured, and images are counted so that its slot is one.
    pub(super) fn counts(&self, stream: &StreamName, member: &Member) -> bool {
        self.in_force.applied.counts(stream, member)
    }

    async fn latest_members(&self, stream: &StreamName, from: Option<&Cursor>) -> Result<Members, ReadError> {
        let after = from.map(Cursor::repository);
        let page = self.records.repositories_page(&self.org, after, MEMBERS_AT_ONCE).await?;
        let mut repositories = page.repositories;
        // Rows of the one that the page before has ended in may be left, and members after it.
        if let Some(place) = from
            .filter(|from| !matches!(from, Cursor::AfterRepository(_)))
            .and_then(Cursor::registry_and_repository)
        {
            repositories.insert(0, place);
        }
        let counting = &self.in_force.applied.counting;
        let slots = repositories.iter().flat_map(|(registry, name)| counting.slots(registry, name));
        let slots = self.records.members_of(&self.org, stream, &slots.collect::<Vec<_>>()).await?;
        let is_left = |member: &Member| from.is_none_or(|from| from.is_before(&Place::of(member)));
        let mut members: Vec<Member> = slots.into_iter().flatten().filter(is_left).collect();
        // Of one repository they come by platform, and cursors go by digest.
        members.sort_by_cached_key(Place::of);
        Ok(Members { members, next: page.next.map(Cursor::AfterRepository) })
    }

    async fn environment_members(
        &self,
        stream: &StreamName,
        from: Option<&Cursor>,
    ) -> Result<Members, ReadError> {
        let mut first: Vec<(Place, Member)> = Vec::new();
        let mut is_cut = false;
        for group in Layout::of(stream).groups() {
            for (shard, state) in self.records.shards(&self.org, stream, group).await? {
                if !state.has_members() {
                    continue;
                }
                let members = self.records.members(&self.org, stream, shard).await?;
                let places = members.into_iter().map(|member| (Place::of(&member), member));
                first.extend(places.filter(|(place, _)| from.is_none_or(|from| from.is_before(place))));
                first.sort_by(|(one, _), (other, _)| one.cmp(other));
                is_cut |= first.len() > MEMBERS_AT_ONCE;
                first.truncate(MEMBERS_AT_ONCE);
            }
        }
        let members: Vec<Member> = first.into_iter().map(|(_, member)| member).collect();
        let next = members.last().filter(|_| is_cut).map(Cursor::after);
        Ok(Members { members, next })
    }
}
