//! Builds, opens and asks indexes, and says how long that takes.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;
use tidewatch_advisories::{Build, BuildOptions, BuiltFamily, Index, Question, build};

/// How often all packages are asked for.
const ROUNDS: usize = 15;
/// How often each index is opened.
const OPENINGS: usize = 20;

/// What was measured of one source.
pub(crate) struct Measured {
    advisories: usize,
    bytes: u64,
    build: Duration,
    look_up: Duration,
}

/// A question about a version of a package that somebody may have installed.
struct Asked {
    /// Position of the index that knows it.
    index: usize,
    name: String,
    question: Question,
    /// The same about a package without advisories.
    absent: Question,
}

/// Measures the indexes of `source`, called `name`, and prints that.
pub(crate) fn run(name: &str, source: &Path) -> anyhow::Result<Measured> {
    let output = TempDir::new()?;
    let start = Instant::now();
    let built = compile(source, output.path())?;
    let took = start.elapsed();
    let sum = |of: fn(&BuiltFamily) -> u64| built.families.iter().map(of).sum::<u64>();
    let (records, advisories) = (sum(|family| family.records as u64), sum(|family| family.advisories as u64));
    let bytes = sum(|family| family.size);
    println!("{name}: {records} records, {advisories} advisories in {} indexes", built.families.len());
    println!(
        "  build     {:>9.2} s   {:.2} s for 40,000 records",
        took.as_secs_f64(),
        per_40_000(took.as_secs_f64(), records)
    );
    println!(
        "  size      {:>9.2} MB  {:.2} MB for 40,000 advisories",
        megabytes(bytes),
        per_40_000(megabytes(bytes), advisories)
    );
    let indexes: Vec<_> =
        built.families.iter().map(|family| Index::open(&family.path)).collect::<Result<_, _>>()?;
    print_openings(&built)?;
    let asked = questions(&indexes)?;
    let present = look_ups(&indexes, &asked, |asked| &asked.question)?;
    println!(
        "  look-up   {present}, of {} distinct versions of packages; {} advisories affect them",
        asked.len(),
        present.affected
    );
    let absent = look_ups(&indexes, &asked, |asked| &asked.absent)?;
    println!("  absent    {absent}, the same for packages without advisories");
    for (family, index) in built.families.iter().zip(&indexes) {
        println!(
            "    {:<12} {:>7} advisories {:>7} packages {:>8.2} MB",
            family.family,
            family.advisories,
            index.info().releases.values().sum::<usize>(),
            megabytes(family.size)
        );
    }
    Ok(Measured { advisories: usize::try_from(advisories)?, bytes, build: took, look_up: present.median })
}

/// Prints how what was measured has grown with the number of advisories.
pub(crate) fn print_growth(once: &Measured, many: &Measured) {
    let ratio = |a: f64, b: f64| b / a;
    #[allow(clippy::cast_precision_loss, reason = "it is printed with one decimal")]
    let count = |measured: &Measured| measured.advisories as f64;
    println!(
        "growth: advisories ×{:.1}, build ×{:.1}, size ×{:.1}, look-up ×{:.1}",
        ratio(count(once), count(many)),
        ratio(once.build.as_secs_f64(), many.build.as_secs_f64()),
        ratio(megabytes(once.bytes), megabytes(many.bytes)),
        ratio(once.look_up.as_secs_f64(), many.look_up.as_secs_f64()),
    );
}

fn compile(source: &Path, output: &Path) -> anyhow::Result<Build> {
    let now = "2026-11-22T00:00:00Z".parse()?;
    Ok(build(source, &BuildOptions { output: output.to_owned(), now }, &mut |_| {})?)
}

fn print_openings(built: &Build) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for family in &built.families {
        for _ in 0..OPENINGS {
            let start = Instant::now();
            black_box(Index::open(&family.path)?);
            times.push(start.elapsed());
        }
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    println!(
        "  open      {:>9.3} ms  the median; the slowest {:.3} ms",
        median.as_secs_f64() * 1e3,
        worst.as_secs_f64() * 1e3
    );
    Ok(())
}

/// For each package one version: one of those that advisories about it name, so that some are affected and some are not.
fn questions(indexes: &[Index]) -> anyhow::Result<Vec<Asked>> {
    let mut asked = Vec::new();
    for (number, index) in indexes.iter().enumerate() {
        for (position, (ecosystem, name)) in index.packages()?.into_iter().enumerate() {
            let Some(stored) = index.statements(&ecosystem, &name)? else { continue };
            let statements: Vec<_> = stored.read()?.collect::<Result<_, _>>()?;
            let versions: Vec<_> = statements
                .iter()
                .flat_map(|said| said.fixed_versions().chain(said.versions().iter().copied()))
                .collect();
            let version = versions.get(position % versions.len().max(1)).copied().unwrap_or("1.0");
            let question =
                |name: &str| Question::new(&ecosystem, name, version).context("no family knows it");
            let (question, absent) = (question(&name)?, question(&format!("{name}~"))?);
            asked.push(Asked { index: number, name, question, absent });
        }
    }
    // As packages of images come: not in the order of the index.
    asked.sort_by_key(|asked| twox_hash::XxHash64::oneshot(0, asked.name.as_bytes()));
    Ok(asked)
}

/// How long one look-up takes, over rounds that ask for everything once.
struct LookUps {
    /// That of the first round, in which nothing is remembered yet.
    first: Duration,
    median: Duration,
    fastest: Duration,
    slowest: Duration,
    /// How many advisories affect all that was asked for.
    affected: usize,
}

impl std::fmt::Display for LookUps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let microseconds = |duration: Duration| duration.as_secs_f64() * 1e6;
        let Self { first, median, fastest, slowest, .. } = self;
        write!(f, "{:>9.2} µs  the median of {ROUNDS} rounds, ", microseconds(*median))?;
        write!(f, "{:.2} to {:.2} µs, ", microseconds(*fastest), microseconds(*slowest))?;
        write!(f, "the first {:.2} µs", microseconds(*first))
    }
}

/// Asks the questions that `of` gives.
fn look_ups(indexes: &[Index], asked: &[Asked], of: impl Fn(&Asked) -> &Question) -> anyhow::Result<LookUps> {
    let (mut rounds, mut affected) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        affected = 0;
        for asked in asked {
            affected += black_box(of(asked).answer(&indexes[asked.index])?).ids.len();
        }
        rounds.push(each(start.elapsed(), asked.len()));
    }
    let first = rounds.first().copied().unwrap_or_default();
    rounds.sort();
    let at = |position: usize| rounds.get(position).copied().unwrap_or_default();
    Ok(LookUps { first, median: at(ROUNDS / 2), fastest: at(0), slowest: at(ROUNDS - 1), affected })
}

fn each(all: Duration, count: usize) -> Duration {
    all / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

#[allow(clippy::cast_precision_loss, reason = "it is printed with two decimals")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[allow(clippy::cast_precision_loss, reason = "it is printed with two decimals")]
fn per_40_000(value: f64, advisories: u64) -> f64 {
    value * 40_000.0 / advisories.max(1) as f64
}
