//! `tidewatch rules preview`: what a run of a rule would choose and why, and what it would cost, by the same code, with
//! nothing written.

mod cost;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, RuleId};
use tidewatch_core::rule::{Decision, LeftOut, Pattern};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_resolve_images::{Measure, PreviewedTag, RepositoryPreview, ResolveImages, Verdict, apply_cap};
use tidewatch_runtime::messages::describe;
use tidewatch_runtime::system::{SystemClock, SystemRandomness, SystemSleeper};
use tidewatch_store::records::AppliedConfig;

use super::Context;
use crate::aws::CallerAws;
use crate::cli::PreviewRule;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{ProgressBars, Table, cell, number_cell, print_document, print_line};

use cost::Counting;
pub(super) use cost::RunCost;

/// How many repositories are read at the same time.
const REPOSITORIES_AT_ONCE: usize = 4;

/// What a run would choose.
#[derive(Debug, Serialize)]
struct Preview {
    rule: RuleId,
    repositories: Vec<RepositoryRow>,
    /// What it would cost to scan what is chosen; without registries and repositories that could not be read.
    cost: RunCost,
    /// Registries and repositories that could not be read.
    errors: Vec<String>,
}

/// What is known of a run while registries are read.
#[derive(Default)]
struct Found {
    previews: Vec<RepositoryPreview>,
    repositories: Vec<RepositoryRow>,
    counting: Counting,
    errors: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RepositoryRow {
    registry: RegistryId,
    repository: RepositoryName,
    tags: Vec<TagRow>,
}

#[derive(Debug, Serialize)]
struct TagRow {
    tag: String,
    digest: Option<String>,
    chosen: bool,
    /// Why not, in a word.
    left_out: Option<LeftOut>,
    /// Why, or why not, for people.
    reason: String,
    /// Images behind it, and those that would be scanned: of which nothing is known, and whose result is out of date.
    images: usize,
    new: usize,
    stale: usize,
}

pub(super) async fn preview(
    context: &Context,
    instance: &Instance,
    org: &OrgName,
    applied: &AppliedConfig,
    arguments: &PreviewRule,
) -> Result<(), Failure> {
    let rule = applied.config.rule(&arguments.rule).ok_or_else(|| no_such_rule(&arguments.rule))?;
    let measure = if arguments.measure { Measure::All } else { Measure::Known };
    let bars = ProgressBars::new(context.quiet);
    let run =
        PreviewedRun { instance, org, applied, rule, repository: arguments.repository.as_ref(), measure };
    let found = run.find(&bars).await?.ended(&run);
    let cost = found.counting.cost(&instance.records, org, &applied.config).await?;
    let (repositories, errors) = (found.repositories, found.errors);
    let preview = Preview { rule: rule.id.clone(), repositories, cost, errors };
    if context.is_json() {
        print_document("preview", 1, &preview)?;
    } else {
        print(&preview, arguments.chosen);
    }
    match preview.errors.len() {
        0 => Ok(()),
        failed => Err(Failure::new(anyhow::anyhow!("{failed} registries or repositories cannot be read"))),
    }
}

/// What a run of `rule` would cost, as far as registries can be read; and what cannot be read. `None` when it has more than
/// `most` repositories: that takes too many requests for something that nobody has asked for by name.
pub(super) async fn cost_of(
    instance: &Instance,
    org: &OrgName,
    applied: &AppliedConfig,
    rule: &RuleConfig,
    most: usize,
) -> Result<Option<(RunCost, Vec<String>)>, Failure> {
    let run = PreviewedRun { instance, org, applied, rule, repository: None, measure: Measure::Known };
    let bars = ProgressBars::new(true);
    let resolver = resolver(instance);
    let mut found = Found::default();
    let wanted = run.repositories(&resolver, &bars, &mut found).await;
    if wanted.iter().map(|(_, repositories)| repositories.len()).sum::<usize>() > most {
        return Ok(None);
    }
    run.read(&resolver, wanted, &bars, &mut found).await?;
    let found = found.ended(&run);
    let cost = found.counting.cost(&instance.records, org, &applied.config).await?;
    Ok(Some((cost, found.errors)))
}

/// A run that is not made.
struct PreviewedRun<'a> {
    instance: &'a Instance,
    org: &'a OrgName,
    applied: &'a AppliedConfig,
    rule: &'a RuleConfig,
    repository: Option<&'a Pattern>,
    measure: Measure,
}

impl PreviewedRun<'_> {
    async fn find(&self, bars: &ProgressBars) -> Result<Found, Failure> {
        let resolver = resolver(self.instance);
        let mut found = Found::default();
        let wanted = self.repositories(&resolver, bars, &mut found).await;
        self.read(&resolver, wanted, bars, &mut found).await?;
        Ok(found)
    }

    /// The repositories whose tags the run would list.
    async fn repositories(
        &self,
        resolver: &ResolveImages,
        bars: &ProgressBars,
        found: &mut Found,
    ) -> Vec<(RegistryId, Vec<RepositoryName>)> {
        let mut wanted = Vec::new();
        for registry in &self.rule.registries {
            let asking = bars.spinner(&format!("asking {registry} for its repositories"));
            let asked = resolver.preview_repositories(self.org, self.applied, self.rule, registry).await;
            asking.finish();
            match asked {
                Ok((mut repositories, requests)) => {
                    found.counting.note_requests(registry, requests);
                    repositories.retain(|repository| {
                        let names = self.applied.config.repository_names(registry, repository);
                        self.repository.is_none_or(|pattern| names.may_match_pattern(pattern))
                    });
                    wanted.push((registry.clone(), repositories));
                }
                Err(error) => found.errors.push(format!("{registry}: {}", describe(&error))),
            }
        }
        wanted
    }

    async fn read(
        &self,
        resolver: &ResolveImages,
        wanted: Vec<(RegistryId, Vec<RepositoryName>)>,
        bars: &ProgressBars,
        found: &mut Found,
    ) -> Result<(), Failure> {
        for (registry, repositories) in wanted {
            self.read_registry(resolver, &registry, repositories, bars, found).await?;
        }
        Ok(())
    }
}

impl Found {
    /// What was found, when all was read: only then it is known which images a run takes that takes only so many.
    fn ended(mut self, run: &PreviewedRun<'_>) -> Self {
        if run.repository.is_none() {
            apply_cap(run.rule, &mut self.previews);
        }
        for previewed in self.previews.drain(..) {
            self.counting.note(&previewed);
            self.repositories.push(RepositoryRow {
                registry: previewed.registry,
                repository: previewed.repository,
                tags: previewed.tags.iter().map(TagRow::of).collect(),
            });
        }
        self
    }
}

fn no_such_rule(rule: &RuleId) -> Failure {
    Failure::wrong_use(anyhow::anyhow!("there is no rule {rule}"))
        .hint("see which there are: tidewatch rules list")
}

fn resolver(instance: &Instance) -> ResolveImages {
    let (clock, sleeper) = (Arc::new(SystemClock), Arc::new(SystemSleeper));
    let ports = Ports { clock: clock.clone(), sleeper, randomness: Arc::new(SystemRandomness) };
    let secrets = LocalSecrets::new(tidewatch_runtime::environment::variable);
    let budgets = Arc::new(instance.records.clone());
    let registries = ConfiguredRegistries::new(Arc::new(secrets), ports).within(budgets);
    let registries = Arc::new(registries.with_aws(Arc::new(CallerAws::default())));
    // Nothing is tried again later, and nothing is sent.
    let pause = Duration::ZERO;
    ResolveImages::new(instance.records.clone(), registries, Arc::clone(&instance.queue), clock, pause)
}

impl PreviewedRun<'_> {
    async fn read_registry(
        &self,
        resolver: &ResolveImages,
        registry: &RegistryId,
        repositories: Vec<RepositoryName>,
        bars: &ProgressBars,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let bar = bars.bar(&format!("repositories of {registry}"));
        let total = repositories.len() as u64;
        let mut read = futures::stream::iter(repositories)
            .map(|repository| async move {
                let place = (registry, &repository);
                let previewed =
                    resolver.preview(self.org, self.applied, self.rule, place, self.measure).await;
                Ok::<_, Failure>((repository, previewed))
            })
            .buffered(REPOSITORIES_AT_ONCE);
        let mut done = 0;
        while let Some((repository, previewed)) = read.try_next().await? {
            done += 1;
            bar.set(done, total);
            match previewed {
                Ok(previewed) => {
                    if let Some(problem) = &previewed.problem {
                        found.errors.push(format!("{registry}/{repository}: {problem}"));
                    }
                    found.previews.push(previewed);
                }
                Err(error) => {
                    found.errors.push(format!("{registry}/{repository}: {}", describe(&error)));
                }
            }
        }
        bar.finish();
        Ok(())
    }
}

impl TagRow {
    fn of(previewed: &PreviewedTag) -> Self {
        let (images, new, stale) = match previewed.verdict {
            Verdict::Chosen { images, new, stale, .. } => (images, new, stale),
            Verdict::Artifact | Verdict::LeftOut(_) | Verdict::Unavailable(_) | Verdict::Skipped(..) => {
                (0, 0, 0)
            }
        };
        let left_out = previewed.verdict.left_out();
        Self {
            tag: previewed.tag.to_string(),
            digest: previewed.digest.map(|digest| digest.to_string()),
            chosen: left_out.is_none(),
            left_out,
            reason: reason(&previewed.verdict),
            images,
            new,
            stale,
        }
    }
}

fn reason(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Artifact => "a tag of a signing tool".to_owned(),
        Verdict::Unavailable(state) => state.reason().unwrap_or("it cannot be pulled").to_owned(),
        Verdict::LeftOut(decision) | Verdict::Chosen { decision, .. } => of_decision(decision),
        Verdict::Skipped(decision, reason) => format!("{}; skipped: {reason}", of_decision(decision)),
    }
}

fn of_decision(decision: &Decision) -> String {
    let quoted = |key: &str, pattern: &Pattern| format!("{key} {pattern}");
    match decision {
        Decision::Selected(None) => "every image is included".to_owned(),
        Decision::Selected(Some(pattern)) => quoted("include", pattern),
        Decision::Always(pattern) => quoted("always", pattern),
        Decision::NotIncluded => "no include pattern matches".to_owned(),
        Decision::Excluded(pattern) => quoted("exclude", pattern),
        Decision::TooOld { limit, at } => format!("older than {} allows: of {at:.0}", limit.as_str()),
        Decision::AgeUnknown(limit) => format!("nobody tells the time for {}", limit.as_str()),
        Decision::NotAmongNewest { newest } => format!("not among the newest {newest} of the repository"),
        Decision::OverCap { max_images } => format!("after the first {max_images} images of a run"),
        Decision::Unused { last_used_at, .. } => format!("nobody has used it since {last_used_at:.0}"),
    }
}

fn print(preview: &Preview, chosen_only: bool) {
    let mut table = Table::new(["REPOSITORY", "TAG", "CHOSEN", "WHY", "IMAGES", "NEW", "STALE"]);
    let mut left_out: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut tags, mut chosen, mut to_scan) = (0_u64, 0_u64, 0);
    for RepositoryRow { registry, repository, tags: of_repository } in &preview.repositories {
        for tag in of_repository {
            tags += 1;
            chosen += u64::from(tag.chosen);
            to_scan += tag.new + tag.stale;
            if let Some(reason) = tag.left_out {
                *left_out.entry(reason.as_str()).or_default() += 1;
            }
            if chosen_only && !tag.chosen {
                continue;
            }
            let place = cell(format!("{registry}/{repository}"));
            let is_chosen = cell(if tag.chosen { "yes" } else { "no" });
            let numbers = [tag.images, tag.new, tag.stale].map(number_cell);
            let [images, new, stale] = numbers;
            table.row([place, cell(&tag.tag), is_chosen, cell(&tag.reason), images, new, stale]);
        }
    }
    table.print();
    let repositories = preview.repositories.len();
    print_line(&format!(
        "{tags} tags of {repositories} repositories: {chosen} chosen, with {to_scan} images to scan"
    ));
    for (reason, tags) in left_out {
        print_line(&format!("left out: {tags} {}", reason.replace('_', " ")));
    }
    for line in preview.cost.lines() {
        print_line(&line);
    }
    if preview.cost.measuring() > 0 {
        print_line(&format!("  {} manifests were asked for only to measure", preview.cost.measuring()));
    }
    for error in &preview.errors {
        print_line(&format!("cannot be read: {error}"));
    }
}
