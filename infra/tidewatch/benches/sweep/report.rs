//! The numbers as the tables of docs/BENCHMARKS.md.

use std::collections::BTreeMap;

use crate::sweep::{StoreUse, Sweep};

/// How many images the goals are about.
const GOAL_IMAGES: f64 = 100_000.0;

/// The sweeps of one size.
pub(crate) struct Measured {
    pub(crate) images: usize,
    pub(crate) repositories: usize,
    /// Images behind the tags that have moved.
    pub(crate) moved: usize,
    /// What the data folder takes after all of them, in bytes.
    pub(crate) bytes: u64,
    pub(crate) first: Sweep,
    pub(crate) unchanged: Sweep,
    pub(crate) changed: Sweep,
}

impl Measured {
    fn sweeps(&self) -> [(&'static str, &Sweep); 3] {
        [("first", &self.first), ("nothing changed", &self.unchanged), ("1 % moved", &self.changed)]
    }

    pub(crate) fn print(&self) {
        let Self { images, repositories, moved, bytes, .. } = self;
        println!(
            "\n{images} images in {repositories} repositories; {moved} images moved; data folder {} MB\n",
            bytes / 1_000_000
        );
        println!("| sweep | time | images a second | CPU | registry's CPU | peak memory | load |");
        println!("|---|---:|---:|---:|---:|---:|---:|");
        for (name, sweep) in self.sweeps() {
            println!(
                "| {name} | {:.1} s | {:.0} | {:.1} s | {:.1} s | {:.0} MiB | {} |",
                sweep.took.as_secs_f64(),
                sweep.rate(*images),
                sweep.cpu.as_secs_f64(),
                sweep.registry_cpu.as_secs_f64(),
                sweep.memory,
                sweep.load,
            );
        }
        self.print_requests();
        self.print_writes();
        for (name, sweep) in self.sweeps() {
            print_store(name, &sweep.store, *images);
        }
        self.print_goals();
    }

    fn print_requests(&self) {
        println!("\n| requests to the registry | first | nothing changed | 1 % moved | first, of an image |");
        println!("|---|---:|---:|---:|---:|");
        let mut kinds: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
        for (position, (_, sweep)) in self.sweeps().iter().enumerate() {
            for (kind, count) in &sweep.requests {
                kinds.entry(kind).or_default()[position] = *count;
            }
        }
        for (kind, [first, unchanged, moved]) in kinds {
            let each = first as f64 / self.images as f64;
            println!("| {kind} | {first} | {unchanged} | {moved} | {each:.2} |");
        }
    }

    fn print_writes(&self) {
        println!(
            "\n| sweep | writing requests | of an image | items written | of an image | of a repository |"
        );
        println!("|---|---:|---:|---:|---:|---:|");
        for (name, sweep) in self.sweeps() {
            let (requests, items) = sweep.writes();
            let of = |count: u64, number: usize| count as f64 / number as f64;
            println!(
                "| {name} | {requests} | {:.2} | {items} | {:.2} | {:.2} |",
                of(requests, self.images),
                of(items, self.images),
                of(items, self.repositories)
            );
        }
    }

    /// The goals are about [`GOAL_IMAGES`]; times of fewer or more images are held to the same rate.
    fn print_goals(&self) {
        let share = self.images as f64 / GOAL_IMAGES;
        println!("\n| goal, for 100,000 images | for {} | measured | |", self.images);
        println!("|---|---:|---:|---|");
        let line = |goal: &str, here: String, measured: String, is_met: bool| {
            println!("| {goal} | {here} | {measured} | {} |", if is_met { "met" } else { "missed" });
        };
        let time = |goal: &str, seconds: f64, measured: f64| {
            let seconds = seconds * share;
            line(goal, format!("{seconds:.1} s"), format!("{measured:.1} s"), measured <= seconds);
        };
        let (first, unchanged) = (self.first.took.as_secs_f64(), self.unchanged.took.as_secs_f64());
        time("first sweep in 10 minutes", 600.0, first);
        time("nothing changed: 60 s", 60.0, unchanged);
        time("1 % moved: 30 s more", 30.0, self.changed.took.as_secs_f64() - unchanged);
        let blobs = self.unchanged.blobs();
        line("nothing changed: no request for a blob", "0".to_owned(), blobs.to_string(), blobs == 0);
        let memory = self.sweeps().map(|(_, sweep)| sweep.memory).into_iter().fold(0.0, f64::max);
        line("peak memory of 512 MiB", "512 MiB".to_owned(), format!("{memory:.0} MiB"), memory <= 512.0);
        let number = |goal: &str, most: f64, measured: f64| {
            line(goal, format!("{most:.2}"), format!("{measured:.2}"), measured <= most);
        };
        number("first sweep: 4 writes of an image", 4.0, self.first.writes().0 as f64 / self.images as f64);
        let of_repositories = |writes: f64| writes / self.repositories as f64;
        // Beside one for each, one for a hundred that are sent for together.
        let most = of_repositories((self.repositories + self.repositories.div_ceil(100)) as f64);
        let measured = of_repositories(self.unchanged.writes_of_repositories() as f64);
        number("nothing changed: 1 write of a repository", most, measured);
    }
}

/// What was asked of the stores, the most first.
fn print_store(name: &str, used: &[StoreUse], images: usize) {
    println!("\n| {name}: stores | kind | requests | items | requests of an image |");
    println!("|---|---|---:|---:|---:|");
    let mut used: Vec<&StoreUse> = used.iter().collect();
    used.sort_by_key(|one| std::cmp::Reverse((one.requests, one.items)));
    for one in used.iter().filter(|one| one.requests as f64 >= 0.01 * images as f64) {
        let StoreUse { operation, kind, requests, items } = one;
        println!("| {operation} | {kind} | {requests} | {items} | {:.2} |", *requests as f64 / images as f64);
    }
}

/// How much longer more images take.
pub(crate) fn print_growth(fewer: &Measured, more: &Measured) {
    let images = more.images as f64 / fewer.images as f64;
    println!("\n| {images:.1} times the images | times the time | goal {:.1} |", images * 1.05);
    println!("|---|---:|---|");
    for ((name, fewer), (_, more)) in fewer.sweeps().iter().zip(more.sweeps()) {
        let times = more.took.as_secs_f64() / fewer.took.as_secs_f64();
        let word = if times <= images * 1.05 { "met" } else { "missed" };
        println!("| {name} | {times:.2} | {word} |");
    }
}
