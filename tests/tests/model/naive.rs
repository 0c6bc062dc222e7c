//! What the numbers have to be, worked out in the simplest way from what has happened: no shards, no sums, no results, and
//! of the product nothing but the pure judgement of one image.

use std::collections::{BTreeMap, BTreeSet};

use tidewatch_core::finding::Finding;
use tidewatch_core::judgement::{Criteria, Judgement, Judging, Scope, Subject, judge};
use tidewatch_core::names::{StreamName, Tag};
use tidewatch_core::policy::Outcome;
use tidewatch_core::result::ResultState;
use tidewatch_core::tables::{TableDate, Tables};
use tidewatch_core::{Severity, Timestamp};

use crate::advisories::{findings, is_covered};
use crate::entries::Entries;
use crate::events::Configuration;
use crate::images::{BUILT, IMAGES, QUAY, REPOSITORIES, counted};

/// Series, as they stand in a text, with their values.
pub(crate) type Numbers = BTreeMap<String, u64>;

/// What has happened so far.
pub(crate) struct Model {
    /// The number of the event.
    pub(crate) event: usize,
    pub(crate) configuration: Configuration,
    /// Which advisories are in force, and since when. When they were last confirmed stands among the tables.
    pub(crate) published: (usize, Timestamp),
    /// Which were in force at some time.
    pub(crate) ever_published: BTreeSet<usize>,
    pub(crate) tables: Tables,
    /// Until when Debian 13 is supported; none where no table says it.
    pub(crate) supported_until: Option<Timestamp>,
    pub(crate) repositories: Vec<Repository>,
    /// The environment of the command; none before it makes it.
    pub(crate) production: Option<Entries>,
    /// The environment of the file.
    pub(crate) staging: Entries,
    /// Whether one who tells events was killed, and so may have told some twice.
    pub(crate) has_killed_announcer: bool,
}

/// A repository, and its tag.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    /// What the tag points to, by the number of what was pushed.
    pub(crate) latest: Option<usize>,
    /// Whether a webhook has told of it.
    pub(crate) is_told_of: bool,
    /// The event after which the tag could be asked for all the time; none as long as it cannot.
    pub(crate) absent_until: usize,
    /// What the tag was moved to by which event.
    moves: Vec<(usize, usize)>,
}

/// The table of when advisories were confirmed, when those for Debian were at `now`.
pub(crate) fn confirmed(now: Timestamp) -> BTreeMap<String, TableDate> {
    [("debian".to_owned(), TableDate(now))].into()
}

/// An image that stands for something in a stream.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) repository: usize,
    pub(crate) image: usize,
    pub(crate) tag: Tag,
}

impl Repository {
    pub(crate) fn push(&mut self, event: usize, push: usize) {
        self.latest = Some(push);
        self.moves.push((event, push));
    }

    /// What the tag has pointed to from an event on.
    pub(crate) fn since(&self, event: usize) -> Vec<usize> {
        let before = self.moves.iter().rev().find(|(moved, _)| *moved <= event);
        let after = self.moves.iter().filter(|(moved, _)| *moved > event);
        before.into_iter().chain(after).map(|(_, push)| *push).collect()
    }
}

impl Model {
    pub(crate) fn new(now: Timestamp) -> Self {
        let repository =
            Repository { latest: None, is_told_of: false, absent_until: usize::MAX, moves: Vec::new() };
        Self {
            event: 0,
            configuration: Configuration::FIRST,
            published: (0, now),
            ever_published: BTreeSet::new(),
            tables: Tables { advisories: confirmed(now), ..Tables::default() },
            supported_until: None,
            repositories: vec![repository; REPOSITORIES.len()],
            production: None,
            staging: Entries::default(),
            has_killed_announcer: false,
        }
    }

    pub(crate) fn is_configured(&self, repository: usize) -> bool {
        self.configuration.has_quay || REPOSITORIES[repository].0 != QUAY
    }

    /// Notes of each repository since when it can be asked what its tag points to.
    pub(crate) fn note_presence(&mut self) {
        for number in 0..self.repositories.len() {
            let is_configured = self.is_configured(number);
            let repository = &mut self.repositories[number];
            let is_there = is_configured && repository.latest.is_some();
            repository.absent_until = match (is_there, repository.absent_until) {
                (false, _) => usize::MAX,
                (true, usize::MAX) => self.event,
                (true, since) => since,
            };
        }
    }

    /// The members of `latest-indexed`: of each repository the images that its tag points to, as far as they count. A tag that was
    /// deleted has left once two listings in a row have not found it.
    pub(crate) fn latest(&self) -> Vec<Member> {
        let pushes =
            self.repositories.iter().enumerate().filter_map(|(number, of)| Some((number, of.latest?)));
        let members = pushes.flat_map(|(repository, push)| {
            let images = counted(push, self.configuration.counts_all).iter();
            images.map(move |image| Member { repository, image: *image, tag: Tag::latest() })
        });
        members.collect()
    }

    fn state(&self, image: usize, now: Timestamp) -> ResultState {
        let content = &IMAGES[image];
        match content.release {
            _ if content.is_cut => ResultState::Partial,
            None => ResultState::Unsupported,
            Some(release) if !is_covered(self.published.0, release) => ResultState::Unsupported,
            Some("13") if self.supported_until.is_some_and(|end| end <= now) => ResultState::Eol,
            Some(_) => ResultState::Scanned,
        }
    }

    fn judged(
        &self,
        criteria: &Criteria,
        stream: &StreamName,
        member: &Member,
        now: Timestamp,
    ) -> (ResultState, Judgement) {
        let (registry, repository) = REPOSITORIES[member.repository];
        let scope = Scope {
            registry: Some(&registry.parse().unwrap()),
            repository: Some(&repository.parse().unwrap()),
            tag: Some(&member.tag),
            digest: Some(&BUILT[member.image].digest),
            stream: Some(stream),
        };
        let findings = findings(self.published.0, &IMAGES[member.image]);
        self.judge(member.image, &findings, scope, Judging { criteria, tables: &self.tables, now })
    }

    /// What is said of an image with these findings in one place.
    pub(crate) fn judge(
        &self,
        image: usize,
        findings: &[Finding],
        scope: Scope<'_>,
        judging: Judging<'_>,
    ) -> (ResultState, Judgement) {
        let content = &IMAGES[image];
        let (packages, state) = (content.installed(), self.state(image, judging.now));
        let (distribution, metadata) = (content.distribution(), content.metadata());
        let families: Vec<&str> = content.release.map(|_| "debian").into_iter().collect();
        let subject = Subject {
            findings,
            packages: &packages,
            distribution: distribution.as_ref(),
            metadata: &metadata,
            families: &families,
            state,
        };
        (state, judge(subject, scope, judging))
    }

    /// Both texts, but for when the oldest result of each stream was computed: only what is stored says that.
    pub(crate) fn numbers(&self, streams: &BTreeMap<StreamName, Vec<Member>>, now: Timestamp) -> Numbers {
        let config = self.configuration.config();
        let criteria = Criteria::new(&config, Vec::new());
        let policies: Vec<(String, String)> =
            config.policy_set().names().map(|(id, name)| (id.to_string(), name.to_owned())).collect();
        let mut numbers = Numbers::new();
        for (stream, members) in streams {
            let members = members.iter().filter(|member| self.is_configured(member.repository));
            let judged: Vec<(ResultState, Judgement)> =
                members.map(|member| self.judged(&criteria, stream, member, now)).collect();
            of_stream(&mut numbers, stream, &judged, &policies);
        }
        let seconds = |time: Timestamp| u64::try_from(time.as_second()).unwrap();
        let (_, built_at) = self.published;
        let newest: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let family = |name: &str| format!("tidewatch_advisory_{name}_timestamp_seconds{{family=\"debian\"}}");
        numbers.insert(family("index_built"), seconds(built_at));
        numbers.insert(family("newest"), seconds(newest));
        numbers.insert("tidewatch_dropped_series".to_owned(), 0);
        numbers.insert("tidewatch_dropped_streams".to_owned(), 0);
        numbers
    }
}

fn of_stream(
    numbers: &mut Numbers,
    stream: &StreamName,
    judged: &[(ResultState, Judgement)],
    policies: &[(String, String)],
) {
    let count = |wanted: &dyn Fn(&(ResultState, Judgement)) -> bool| {
        judged.iter().filter(|judged| wanted(judged)).count() as u64
    };
    for severity in Severity::ALL {
        let labels = format!("{{streamName=\"{stream}\",severity=\"{severity}\"}}");
        let counted = judged.iter().map(|(_, judgement)| judgement.severities.of(severity)).sum();
        numbers.insert(format!("scout_stream_vulnerabilities{labels}"), counted);
        let suppressed = judged.iter().map(|(_, judgement)| judgement.suppressed.of(severity)).sum();
        numbers.insert(format!("tidewatch_suppressed_findings{labels}"), suppressed);
    }
    for (id, name) in policies {
        let answered = |wanted: &[Outcome]| {
            count(&|(_, judgement)| {
                let evaluation = judgement.policies.iter().find(|(policy, _)| policy.as_str() == id);
                evaluation.is_some_and(|(_, evaluation)| wanted.contains(&evaluation.outcome))
            })
        };
        let labels = format!("{{id=\"{id}\",displayName=\"{name}\",streamName=\"{stream}\"}}");
        numbers.insert(format!("scout_policy_compliant_images{labels}"), answered(&[Outcome::Pass]));
        numbers.insert(
            format!("scout_policy_evaluated_images{labels}"),
            answered(&[Outcome::Pass, Outcome::Fail]),
        );
        let labels = format!("{{id=\"{id}\",streamName=\"{stream}\"}}");
        numbers.insert(format!("tidewatch_policy_no_data_images{labels}"), answered(&[Outcome::NoData]));
        numbers.insert(format!("tidewatch_policy_unjudged_images{labels}"), 0);
    }
    for state in [ResultState::Scanned, ResultState::Partial, ResultState::Unsupported, ResultState::Eol] {
        let images = count(&|(of_image, _)| *of_image == state);
        numbers.insert(format!("tidewatch_images{{streamName=\"{stream}\",state=\"{state}\"}}"), images);
    }
}
