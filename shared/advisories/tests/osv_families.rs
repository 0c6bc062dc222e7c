//! Every family on real data: what is read, what cannot be used and why, and what becomes of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a broken set-up ends a test, and a skipped one says so"
)]

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;
use tidewatch_advisories::{Build, BuildOptions, build};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

#[test]
fn print() {
    let folder = TempDir::new().unwrap();
    let now = "2026-11-22T00:00:00Z".parse().unwrap();
    let source = Path::new(DATA).join("osv");
    let built: Build =
        build(&source, &BuildOptions { output: folder.path().to_owned(), now }, &mut |_| {}).unwrap();
    for f in &built.families {
        let mut reasons: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
        for p in &f.problems {
            let reason = p.reason.split([':', '"']).next().unwrap_or_default().to_owned();
            let r = reasons.entry(reason).or_default();
            r.0 += 1;
            if r.1.len() < 6 {
                r.1.push(format!("{} {}", p.subject, p.reason));
            }
        }
        eprintln!(
            "{} records {} advisories {} withdrawn {} size {}: {reasons:#?}",
            f.family, f.records, f.advisories, f.withdrawn, f.size
        );
    }
    eprintln!("{:?}", built.problems);
}
