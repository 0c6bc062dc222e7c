//! The numbers as the tables of docs/BENCHMARKS.md.

use std::collections::BTreeMap;

use crate::sweep::{StoreUse, Sweep};

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

    fn print_goals(&self) {
        let word = |is_met: bool| if is_met { "met" } else { "missed" };
        println!("\n| goal, for 100,000 images | measured with {} | |", self.images);
        println!("|---|---:|---|");
        let (first, unchanged) = (self.first.took.as_secs_f64(), self.unchanged.took.as_secs_f64());
        let more = self.changed.took.as_secs_f64() - unchanged;
        let line = |goal: &str, measured: String, is_met: bool| {
            println!("| {goal} | {measured} | {} |", word(is_met));
        };
        line("first sweep in 10 minutes", format!("{first:.1} s"), first <= 600.0);
        line("nothing changed: 60 s", format!("{unchanged:.1} s"), unchanged <= 60.0);
        let blobs = self.unchanged.blobs();
        line("nothing changed: no request for a blob", blobs.to_string(), blobs == 0);
        line("1 % moved: 30 s more", format!("{more:.1} s"), more <= 30.0);
        let memory = self.sweeps().map(|(_, sweep)| sweep.memory).into_iter().fold(0.0, f64::max);
        line("at most 512 MiB", format!("{memory:.0} MiB"), memory <= 512.0);
        let writes = self.first.writes().0 as f64 / self.images as f64;
        line("first sweep: 4 writes of an image", format!("{writes:.2}"), writes <= 4.0);
        let writes = self.unchanged.writes().0 as f64 / self.repositories as f64;
        line("nothing changed: 1 write of a repository", format!("{writes:.2}"), writes <= 1.05);
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
