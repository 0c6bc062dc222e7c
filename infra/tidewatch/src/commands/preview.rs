//! `tidewatch rules preview`: what a run of a rule would choose and why, by the same code, with nothing written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, RuleId};
use tidewatch_core::rule::{Decision, LeftOut, Pattern};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_resolve_images::{PreviewedTag, ResolveImages, Verdict};
use tidewatch_runtime::messages::describe;
use tidewatch_runtime::system::{SystemClock, SystemRandomness, SystemSleeper};
use tidewatch_store::records::AppliedConfig;

use super::Context;
use crate::cli::PreviewRule;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{ProgressBars, Table, cell, number_cell, print_document, print_line};

/// How many repositories are read at the same time.
const REPOSITORIES_AT_ONCE: usize = 4;

/// What a run would choose.
#[derive(Debug, Serialize)]
struct Preview {
    rule: RuleId,
    repositories: Vec<RepositoryRow>,
    /// Registries and repositories that could not be read.
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
    let resolver = resolver(instance);
    let bars = ProgressBars::new(context.quiet);
    let mut preview = Preview { rule: rule.id.clone(), repositories: Vec::new(), errors: Vec::new() };
    for registry in &rule.registries {
        let asking = bars.spinner(&format!("asking {registry} for its repositories"));
        let repositories = resolver.preview_repositories(org, applied, rule, registry).await;
        asking.finish();
        let repositories = match repositories {
            Ok(repositories) => repositories,
            Err(error) => {
                preview.errors.push(format!("{registry}: {}", describe(&error)));
                continue;
            }
        };
        let is_wanted = |repository: &RepositoryName| {
            arguments.repository.as_ref().is_none_or(|pattern| pattern.may_match_repository(repository))
        };
        let wanted: Vec<RepositoryName> = repositories.into_iter().filter(is_wanted).collect();
        let read = Reading { resolver: &resolver, org, applied, rule, registry };
        read.all(wanted, &bars, &mut preview).await?;
    }
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

fn no_such_rule(rule: &RuleId) -> Failure {
    Failure::wrong_use(anyhow::anyhow!("there is no rule {rule}"))
        .hint("see which there are: tidewatch rules list")
}

fn resolver(instance: &Instance) -> ResolveImages {
    let (clock, sleeper) = (Arc::new(SystemClock), Arc::new(SystemSleeper));
    let ports = Ports { clock: clock.clone(), sleeper, randomness: Arc::new(SystemRandomness) };
    let secrets = LocalSecrets::new(tidewatch_runtime::environment::variable);
    let budgets = Arc::new(instance.records.clone());
    let registries = Arc::new(ConfiguredRegistries::new(Arc::new(secrets), ports).within(budgets));
    // Nothing is tried again later, and nothing is sent.
    let pause = Duration::ZERO;
    ResolveImages::new(instance.records.clone(), registries, Arc::clone(&instance.queue), clock, pause)
}

/// What is read of one registry.
struct Reading<'a> {
    resolver: &'a ResolveImages,
    org: &'a OrgName,
    applied: &'a AppliedConfig,
    rule: &'a RuleConfig,
    registry: &'a RegistryId,
}

impl Reading<'_> {
    async fn all(
        &self,
        repositories: Vec<RepositoryName>,
        bars: &ProgressBars,
        preview: &mut Preview,
    ) -> Result<(), Failure> {
        let bar = bars.bar(&format!("repositories of {}", self.registry));
        let total = repositories.len() as u64;
        let mut read = futures::stream::iter(repositories)
            .map(|repository| async move {
                let place = (self.registry, &repository);
                let previewed = self.resolver.preview(self.org, self.applied, self.rule, place).await;
                Ok::<_, Failure>((repository, previewed))
            })
            .buffered(REPOSITORIES_AT_ONCE);
        let mut done = 0;
        while let Some((repository, previewed)) = read.try_next().await? {
            done += 1;
            bar.set(done, total);
            match previewed {
                Ok(previewed) => {
                    if let Some(problem) = previewed.problem {
                        preview.errors.push(format!("{}/{repository}: {problem}", self.registry));
                    }
                    preview.repositories.push(RepositoryRow {
                        registry: previewed.registry,
                        repository: previewed.repository,
                        tags: previewed.tags.iter().map(TagRow::of).collect(),
                    });
                }
                Err(error) => {
                    preview.errors.push(format!("{}/{repository}: {}", self.registry, describe(&error)));
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
            Verdict::Artifact | Verdict::LeftOut(_) | Verdict::Skipped(..) => (0, 0, 0),
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
    for error in &preview.errors {
        print_line(&format!("cannot be read: {error}"));
    }
}
