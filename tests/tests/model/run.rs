//! Lets events happen, to the system and to the model, and settles what they leave behind.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::TestCaseError;
use serde_json::json;
use tidewatch_core::Timestamp;
use tidewatch_core::environment::{EnvironmentEntry, EnvironmentTarget};
use tidewatch_core::names::{StreamName, Tag};
use tidewatch_core::ports::queue::{OutgoingMessage, QueueName};
use tidewatch_core::ports::{Clock as _, QueueSender as _, Sleeper as _};
use tidewatch_core::tables::{EndOfLife, TableDate};
use tidewatch_core::work::HintMessage;
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_runtime::{Deadline, MessageHandler as _};
use tidewatch_testkit::interleave::Interleaving;

use crate::advisories::compiled;
use crate::check::check;
use crate::entries::{Entries, Wanted};
use crate::events::{EnvironmentEvent, Event, LOST_WEBHOOKS};
use crate::images::{BUILT_PUSHES, QUAY, REPOSITORIES};
use crate::naive::{Model, confirmed};
use crate::news::check_news;
use crate::world::{World, acme};

/// Longer than work that was dispatched takes to be due again.
const ROUND: Duration = Duration::from_secs(21 * 60);

/// In which rounds every rule is started: the first comes to its end before the second.
const LISTED_IN: [usize; 2] = [1, 3];

/// How long an operation takes.
const OPERATION: Duration = Duration::from_millis(1);

/// How many rounds everything takes at most, whatever was killed.
const MOST_ROUNDS: usize = 40;

/// Those who are at work, each with the message that it handles.
#[derive(Default)]
struct AtWork<'a> {
    tasks: Interleaving<'a, bool>,
    messages: Vec<Option<u64>>,
    /// Those who tell events.
    announcers: BTreeSet<usize>,
}

pub(crate) async fn run(events: &[Event]) -> Result<(), TestCaseError> {
    let world = World::new();
    let mut model = Model::new(world.clock.now());
    world.apply(&model.configuration.config()).await;
    publish(&world, &mut model, 0).await;
    let mut at_work = AtWork::default();
    for event in events {
        world.clock.advance(Duration::from_secs(1));
        model.event += 1;
        happen(&world, &mut model, &mut at_work, event).await;
        model.note_presence();
        observe(&world, &mut model).await?;
    }
    at_work.finish(&world).await;
    settle(&world, &model).await;
    observe(&world, &mut model).await?;
    world.functions.roll_up.roll_up(&acme()).await.unwrap();
    check(&world, &model).await?;
    count_otherwise(&world, &mut model).await;
    world.functions.roll_up.roll_up(&acme()).await.unwrap();
    check(&world, &model).await?;
    check_news(&world, &mut model).await
}

async fn happen<'a>(world: &'a World, model: &mut Model, at_work: &mut AtWork<'a>, event: &Event) {
    match event {
        Event::Push { repository, push, is_told } => {
            model.repositories[*repository].push(model.event, *push);
            world.held.set(*repository, Some(BUILT_PUSHES[*push].digest));
            let is_told_of = &mut model.repositories[*repository].is_told_of;
            *is_told_of |= is_told;
            if *is_told || (*is_told_of && !LOST_WEBHOOKS) {
                let body = serde_json::to_string(&hint(world, *repository)).unwrap();
                let message = OutgoingMessage { body, delay: Duration::ZERO };
                world.in_flight.send(QueueName::Hints, vec![message]).await.unwrap();
            }
        }
        Event::Delete { repository } => delete(world, model, *repository).await,
        Event::List => list(world, model).await,
        Event::Publish(number) => publish(world, model, *number).await,
        Event::Confirm => {
            let mut current = world.records.current_advisories().await.unwrap();
            let debian = current.families.get_mut("debian").unwrap();
            debian.confirmed_at = Some(world.clock.now());
            world.records.publish_advisories(current.families).await.unwrap();
            model.tables.advisories = confirmed(world.clock.now());
        }
        Event::PublishExploited { days_ago } => {
            let date = TableDate(days(world.clock.now(), -days_ago));
            world.records.publish_known_exploited(date).await.unwrap();
            model.tables.known_exploited = Some(date);
        }
        Event::PublishSupport { days_ago, days } => publish_support(world, model, *days_ago, *days).await,
        Event::Configure(configuration) => {
            model.configuration = configuration.clone();
            world.apply(&configuration.config()).await;
            let images = configuration.staging_images().unwrap_or_default();
            let stand_beside = |place| images.iter().filter(|(other, _)| *other == place).count() > 1;
            let wanted = |(repository, image): &(usize, Option<usize>)| {
                // The next tick puts them there, which may have done so for an earlier configuration.
                let (kept, follows, since) = (stand_beside(*repository), false, 0);
                Wanted { repository: *repository, image: *image, kept, follows, since }
            };
            model.staging.set(images.iter().map(wanted).collect());
        }
        Event::Environment(change) => environment(world, model, change).await,
        Event::Tick => at_work.begin(None, async { world.pausing.evaluate.tick().await.is_ok() }),
        Event::RollUp => {
            at_work.begin(None, async { world.pausing.roll_up.roll_up(&acme()).await.is_ok() });
        }
        Event::Deliver(place) => {
            if let Some((id, message)) = world.in_flight.get(*place) {
                let handle = async move { world.pausing.handle(&message).await.is_ok() };
                at_work.begin(Some(id), handle);
            }
        }
        Event::Announce => {
            at_work.begin_to_announce(async { world.pausing.roll_up.announce(&acme()).await.is_ok() });
        }
        Event::Step(task, steps) => at_work.step(world, *task, *steps).await,
        Event::Kill(task) => model.has_killed_announcer |= at_work.kill(*task),
        Event::Pass { hours } => {
            at_work.finish(world).await;
            world.clock.advance(Duration::from_secs(hours * 3600));
        }
    }
}

impl<'a> AtWork<'a> {
    fn begin(&mut self, message: Option<u64>, task: impl Future<Output = bool> + 'a) {
        self.tasks.start(task);
        self.messages.push(message);
    }

    fn begin_to_announce(&mut self, task: impl Future<Output = bool> + 'a) {
        self.announcers.insert(self.messages.len());
        self.begin(None, task);
    }

    fn nth(&self, number: usize) -> Option<usize> {
        let running = self.tasks.running();
        running.get(number % running.len().max(1)).copied()
    }

    async fn step(&mut self, world: &World, number: usize, steps: usize) {
        let Some(task) = self.nth(number) else { return };
        // For the threads that it may wait for.
        SystemSleeper.sleep(Duration::from_micros(100)).await;
        for _ in 0..steps {
            if self.step_once(world, task) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Whether the task has ended. Only a message that was handled is acknowledged.
    fn step_once(&mut self, world: &World, task: usize) -> bool {
        world.clock.advance(OPERATION);
        let Some(is_done) = self.tasks.step(task) else { return false };
        if let Some(message) = self.messages[task].filter(|_| is_done) {
            world.in_flight.acknowledge(message);
        }
        true
    }

    /// Whether it is one who tells events.
    fn kill(&mut self, number: usize) -> bool {
        let task = self.nth(number);
        if let Some(task) = task {
            self.tasks.kill(task);
        }
        task.is_some_and(|task| self.announcers.contains(&task))
    }

    /// Lets all go on to their end, in turn.
    async fn finish(&mut self, world: &World) {
        for _ in 0..20_000 {
            let running = self.tasks.running();
            if running.is_empty() {
                return;
            }
            let is_ended = running.into_iter().fold(false, |ended, task| self.step_once(world, task) | ended);
            if !is_ended {
                SystemSleeper.sleep(Duration::from_micros(50)).await;
            }
        }
        panic!("somebody does not end");
    }
}

/// What a webhook says: the tag of a repository was pushed just now.
fn hint(world: &World, repository: usize) -> HintMessage {
    let (registry, name) = REPOSITORIES[repository];
    HintMessage {
        org: acme(),
        registry: registry.parse().unwrap(),
        repository: name.parse().unwrap(),
        tag: Tag::latest(),
        received_at: world.clock.now(),
        failures: 0,
        target: None,
        base: None,
    }
}

/// Deletes a tag that was seen as it is: of one that nobody has seen, nothing could be known.
async fn delete(world: &World, model: &mut Model, repository: usize) {
    if model.repositories[repository].latest.is_none() || !model.is_configured(repository) {
        return;
    }
    world.functions.hints.handle(hint(world, repository), Deadline::NONE).await.unwrap();
    model.repositories[repository].is_told_of = true;
    model.repositories[repository].latest = None;
    world.held.set(repository, None);
}

/// Starts every rule.
async fn list(world: &World, model: &Model) {
    for rule in model.configuration.config().rules {
        world.functions.evaluate.run_now(&acme(), &rule.id).await.unwrap();
    }
}

pub(crate) async fn publish(world: &World, model: &mut Model, number: usize) {
    let now = world.clock.now();
    let (family, file) = compiled(number, now);
    world.records.put_advisory_index("debian", &family.hash, file).await.unwrap();
    world.records.publish_advisories([("debian".to_owned(), family)]).await.unwrap();
    model.published = (number, now);
    model.ever_published.insert(number);
    model.tables.advisories = confirmed(now);
}

async fn publish_support(world: &World, model: &mut Model, days_ago: i64, supported: i64) {
    let now = world.clock.now();
    let last_day = TableDate(days(now, supported)).day();
    let document = json!({"debian": {"releases": [{"releaseCycle": "13", "eol": last_day.to_string()}]}});
    let table = EndOfLife::read(document.to_string().as_bytes(), TableDate(days(now, -days_ago))).unwrap();
    let version = world.records.put_end_of_life(&table).await.unwrap();
    world.records.publish_end_of_life(version).await.unwrap();
    model.tables.end_of_life = Some(table);
    // The last day is over when the next one begins, in UTC.
    model.supported_until = Some(format!("{}T00:00:00Z", last_day.tomorrow().unwrap()).parse().unwrap());
}

fn days(now: Timestamp, days: i64) -> Timestamp {
    Timestamp::from_second(now.as_second() + days * 86_400).unwrap()
}

/// Does what `tidewatch env` does.
async fn environment(world: &World, model: &mut Model, change: &EnvironmentEvent) {
    let (org, stream, since) = (acme(), production(), model.event);
    let (records, evaluate, now) = (&world.records, &world.functions.evaluate, world.clock.now());
    match change {
        EnvironmentEvent::Add { repository, image, keep, follow } => {
            // The command refuses what names no registry.
            if !model.is_configured(*repository) {
                return;
            }
            let (repository, image) = (*repository, *image);
            let wanted = Wanted { repository, image, kept: *keep, follows: *follow, since };
            records.note_environment(&org, &stream, true).await.unwrap();
            evaluate.add_entries(&org, &stream, &[wanted.entry(now)]).await.unwrap();
            model.production.get_or_insert_default().add(wanted);
        }
        EnvironmentEvent::Set { images, follow } => {
            let mut wanted: Vec<Wanted> = Vec::new();
            for (repository, image) in
                images.iter().filter(|(repository, _)| model.is_configured(*repository))
            {
                if wanted.iter().all(|wanted| wanted.repository != *repository) {
                    let (follows, kept) = (*follow && image.is_none(), false);
                    wanted.push(Wanted { repository: *repository, image: *image, kept, follows, since });
                }
            }
            let entries: Vec<EnvironmentEntry> = wanted.iter().map(|wanted| wanted.entry(now)).collect();
            records.note_environment(&org, &stream, true).await.unwrap();
            evaluate.set_entries(&org, &stream, &entries).await.unwrap();
            model.production.get_or_insert_default().set(wanted);
        }
        EnvironmentEvent::Remove(place) => {
            let entries = records.environment_entries(&org, &stream).await.unwrap();
            let Some(entry) = entries.get(place % entries.len().max(1)) else { return };
            let target = EnvironmentTarget { stream, entry: entry.id() };
            records.remove_entry(&org, &target, entry, now).await.unwrap();
            model.production.as_mut().expect("it has entries").remove(entry);
        }
        EnvironmentEvent::Delete => {
            evaluate.set_entries(&org, &stream, &[]).await.unwrap();
            records.note_environment(&org, &stream, false).await.unwrap();
            model.production = None;
        }
    }
}

pub(crate) fn production() -> StreamName {
    "production".parse().unwrap()
}

pub(crate) fn staging() -> StreamName {
    "staging".parse().unwrap()
}

/// Looks at what entries are pinned to.
async fn observe(world: &World, model: &mut Model) -> Result<(), TestCaseError> {
    let rows = async |stream| world.records.environment_entries(&acme(), &stream).await.unwrap();
    if let Some(production_entries) = &mut model.production {
        let rows = rows(production()).await;
        Entries::observe(production_entries, &rows)?;
    }
    model.staging.observe(&rows(staging()).await)
}

/// Has images counted the other way, and all done that follows from that alone: no listing helps.
async fn count_otherwise(world: &World, model: &mut Model) {
    model.configuration.counts_all = !model.configuration.counts_all;
    world.apply(&model.configuration.config()).await;
    settle_with(world, model, &[]).await;
}

/// Handles everything that there is to do, in rounds after each of which what was lost is due again, until nothing is. In the
/// meantime every rule is started twice, so that what is not there any more leaves.
pub(crate) async fn settle(world: &World, model: &Model) {
    settle_with(world, model, &LISTED_IN).await;
}

/// The same, with every rule started in these rounds.
async fn settle_with(world: &World, model: &Model, listed_in: &[usize]) {
    for round in 0..MOST_ROUNDS {
        if listed_in.contains(&round) {
            list(world, model).await;
        }
        world.functions.evaluate.tick().await.unwrap();
        world.deliver_all().await;
        if listed_in.iter().all(|listed| *listed < round) && is_idle(world, model).await {
            return;
        }
        world.clock.advance(ROUND);
    }
    panic!("work does not end");
}

async fn is_idle(world: &World, model: &Model) -> bool {
    let registries: &[&str] = if model.configuration.has_quay { &["hub", QUAY] } else { &["hub"] };
    for registry in registries {
        let left =
            world.records.count_work(&acme(), &registry.parse().unwrap(), Timestamp::MAX, 10).await.unwrap();
        if left > 0 {
            return false;
        }
    }
    world.in_flight.is_empty()
}
