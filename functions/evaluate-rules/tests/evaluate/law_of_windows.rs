//! The law of windows, in generated sequences: whatever ticks come when – late, twice, two evaluators at once, one that is
//! killed – nothing is dispatched while no rule that has found it has an open window, and everything is in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{Priority, RunId, ScanMessage, Work};
use tidewatch_testkit::interleave::Interleaving;

use crate::world::{MINUTE, World, acme, config, work};

/// The rules: two with windows, one that ends, one without.
const RULES: [&str; 3] = ["tokyo", "berlin", "free"];

/// How many images there are at a time.
const IMAGES: usize = 6;

#[derive(Clone, Debug)]
enum Event {
    /// So many minutes pass.
    Pass(u64),
    /// A tick from its beginning to its end.
    Tick,
    /// Two at once: in each step this one goes on by an operation, and so many minutes pass before some of them. The second
    /// may be killed where it stands.
    TwoTicks { steps: Vec<(bool, bool)>, minutes: u64, killed: bool },
    /// A run of this rule finds this image, perhaps by another tag that was seen later.
    Find { rule: usize, image: usize, later: bool },
    /// An image is pushed.
    Push(usize),
    /// A worker has done an image that was sent to it.
    Complete(usize),
    /// A worker has failed, and puts the image off by so many minutes.
    PutOff(usize, u64),
    /// Somebody runs this rule.
    RunByHand(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let image = || 0..IMAGES;
    let minutes = || prop_oneof![1..5_u64, 1..60_u64, 60..700_u64];
    let steps = prop::collection::vec((any::<bool>(), prop::bool::weighted(0.1)), 0..40);
    let event = prop_oneof![
        4 => minutes().prop_map(Event::Pass),
        5 => Just(Event::Tick),
        3 => (steps, minutes(), any::<bool>())
            .prop_map(|(steps, minutes, killed)| Event::TwoTicks { steps, minutes, killed }),
        6 => (0..RULES.len(), image(), any::<bool>())
            .prop_map(|(rule, image, later)| Event::Find { rule, image, later }),
        1 => image().prop_map(Event::Push),
        2 => image().prop_map(Event::Complete),
        3 => (image(), minutes()).prop_map(|(image, minutes)| Event::PutOff(image, minutes)),
        1 => (0..RULES.len()).prop_map(Event::RunByHand),
    ];
    prop::collection::vec(event, 1..60)
}

/// Over the change of the clocks in Berlin.
fn rules() -> Config {
    let mut config = serde_json::to_value(config("acme", &json!("manual"))).unwrap();
    config["rules"] = json!([
        {"id": "tokyo", "registries": ["hub"],
         "schedule": {"cron": "0 2 * * *", "timezone": "Asia/Tokyo", "until": "06:00"}},
        {"id": "berlin", "registries": ["hub"],
         "schedule": {"cron": "30 1,2 * * *", "timezone": "Europe/Berlin", "until": "03:15"}},
        {"id": "free", "registries": ["hub"], "schedule": {"cron": "0 * * * *"}},
    ]);
    serde_json::from_value(config).unwrap()
}

/// What is known of an image that is not done.
#[derive(Default)]
struct Known {
    /// The rules that have found it.
    rules: BTreeSet<usize>,
    pushed: bool,
    sent: bool,
}

struct Law {
    world: World,
    config: Config,
    /// How often each image was done: then another takes its place.
    generations: [usize; IMAGES],
    known: BTreeMap<usize, Known>,
    /// Until which opening a rule is free because it was run by hand.
    by_hand: BTreeMap<usize, Timestamp>,
    /// Times at which tags were seen.
    seconds: u64,
}

impl Law {
    async fn new() -> Self {
        let (world, config) = (World::empty(), rules());
        world.clock.set("2026-03-28T12:00:00Z".parse().unwrap());
        world.apply(&config).await;
        let (generations, known, by_hand) = ([0; IMAGES], BTreeMap::new(), BTreeMap::new());
        Self { world, config, generations, known, by_hand, seconds: 0 }
    }

    fn content(&self, image: usize) -> String {
        format!("{image}.{}", self.generations[image])
    }

    fn work(&self, image: usize, rule: Option<usize>) -> Work {
        let run = rule.map(|rule| RunId { rule: RULES[rule].parse().unwrap(), run: "1".to_owned() });
        Work { run, ..work(&self.content(image), Priority::New) }
    }

    fn is_open(&self, rule: usize) -> bool {
        let now = self.world.clock.now();
        let closed = self.config.rules[rule].schedule.closed_until(now);
        closed.is_none_or(|opens_at| self.by_hand.get(&rule) == Some(&opens_at))
    }

    /// Looks at what was sent since this was called last.
    fn check(&mut self) {
        let images: BTreeMap<Digest, usize> =
            (0..IMAGES).map(|image| (Digest::of(self.content(image).as_bytes()), image)).collect();
        let scans: Vec<ScanMessage> = self.world.queue.messages(QueueName::Scans);
        for message in scans {
            // One that is done may be sent once more by a tick that has read of it before.
            let Some(image) = images.get(&message.work.image.digest) else { continue };
            let open: Vec<usize> = (0..RULES.len()).filter(|rule| self.is_open(*rule)).collect();
            let known = self.known.get_mut(image).expect("it was queued");
            let allowed = known.pushed || open.iter().any(|rule| known.rules.contains(rule));
            assert!(allowed, "{image} of {:?} at {}, open: {open:?}", known.rules, self.world.clock.now());
            known.sent = true;
        }
        let pushed: Vec<ScanMessage> = self.world.queue.messages(QueueName::Pushed);
        for message in pushed {
            let Some(image) = images.get(&message.work.image.digest) else { continue };
            let known = self.known.get_mut(image).expect("it was queued");
            assert!(known.pushed);
            known.sent = true;
        }
        self.world.queue.clear();
    }

    fn two_ticks(&mut self, steps: &[(bool, bool)], minutes: u64, killed: bool) {
        let evaluator = self.world.pausing_evaluator();
        let mut tasks = Interleaving::new();
        let both = [tasks.start(evaluator.tick()), tasks.start(evaluator.tick())];
        for (first, passes) in steps {
            if *passes {
                self.world.clock.advance(Duration::from_secs(60 * minutes));
            }
            tasks.step(both[usize::from(*first)]);
            self.check();
        }
        if killed {
            tasks.kill(both[1]);
        }
        for task in both {
            tasks.finish(task);
            self.check();
        }
    }

    async fn put_off(&self, image: usize, minutes: u64) {
        let now = self.world.clock.now();
        let (image, until) = (self.work(image, None).image, now + MINUTE);
        let attempt = self.world.records.lease_attempt(&acme(), &image, "worker", now, until).await.unwrap();
        let Some(attempt) = attempt else { return };
        let due_at = now + Duration::from_secs(60 * minutes);
        self.world.records.postpone(&acme(), &attempt, due_at).await.unwrap();
        self.world.records.end_attempt(&acme(), &attempt).await.unwrap();
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::Pass(minutes) => self.world.clock.advance(Duration::from_secs(60 * minutes)),
            Event::Tick => drop(self.world.tick().await),
            Event::TwoTicks { steps, minutes, killed } => self.two_ticks(&steps, minutes, killed),
            Event::Find { rule, image, later } => {
                self.seconds += u64::from(later);
                let mut work = self.work(image, Some(rule));
                work.seen_at += Duration::from_secs(if later { self.seconds } else { 0 });
                self.known.entry(image).or_default().rules.insert(rule);
                self.world.enqueue(&work, 0).await;
            }
            Event::Push(image) => {
                let known = self.known.entry(image).or_default();
                (known.pushed, known.sent) = (true, true);
                let due_at = self.world.clock.now() + MINUTE * 20;
                let work = self.work(image, None);
                self.world.records.enqueue_pushed(&acme(), &work, due_at).await.unwrap();
            }
            Event::Complete(image) => {
                let image_of = self.work(image, None).image;
                if self.known.get(&image).is_some_and(|known| known.sent)
                    && let Some(pending) = self.world.records.pending_work(&acme(), &image_of).await.unwrap()
                {
                    self.world.records.complete(&acme(), &pending.work).await.unwrap();
                    self.known.remove(&image);
                    self.generations[image] += 1;
                }
            }
            Event::PutOff(image, minutes) => self.put_off(image, minutes).await,
            Event::RunByHand(rule) => {
                let now = self.world.clock.now();
                self.world.evaluator().run_now(&acme(), &RULES[rule].parse().unwrap()).await.unwrap();
                let closed = self.config.rules[rule].schedule.closed_until(now);
                self.by_hand.extend(closed.map(|opens_at| (rule, opens_at)));
            }
        }
        self.check();
    }

    /// Up to two days more, with a tick every few minutes.
    async fn end(&mut self) {
        self.known.values_mut().for_each(|known| known.sent = false);
        let end = self.world.clock.now() + MINUTE * 60 * 48;
        while self.world.clock.now() < end && self.known.values().any(|known| !known.sent) {
            self.world.tick().await;
            self.check();
            self.world.clock.advance(MINUTE * 11);
        }
        let lost: Vec<_> =
            self.known.iter().filter(|(_, known)| !known.sent).map(|(image, _)| image).collect();
        assert!(lost.is_empty(), "{lost:?} are never dispatched");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_dispatched_outside_of_its_windows_and_nothing_is_lost(events in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut law = Law::new().await;
            for event in events {
                law.happen(event).await;
            }
            law.end().await;
        });
    }
}
