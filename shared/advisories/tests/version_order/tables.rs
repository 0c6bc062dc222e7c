//! Published tables of comparisons. Every line must be judged as it says, but for a few that the tables have wrong.

use std::cmp::Ordering;
use std::path::Path;

use serde::Deserialize;
use tidewatch_advisories::order::{Compare, Order, apk};

use crate::tools::{self, Tool};
use crate::versions::data;

/// The tables of osv-scalibr: file, order, comparisons.
const SCALIBR: [(&str, &str, usize); 19] = [
    ("alpine-versions.txt", "apk", 778),
    ("alpine-versions-generated.txt", "apk", 13_979),
    ("cran-versions.txt", "cran", 21),
    ("cran-versions-generated.txt", "cran", 57),
    ("debian-versions.txt", "dpkg", 30),
    ("debian-versions-generated.txt", "dpkg", 14_442),
    ("hackage-versions.txt", "hackage", 11),
    ("maven-versions.txt", "maven", 102),
    ("maven-versions-generated.txt", "maven", 14_752),
    ("nuget-versions.txt", "nuget", 35),
    ("packagist-versions.txt", "packagist", 95),
    ("packagist-versions-generated.txt", "packagist", 10_630),
    ("pub-versions.txt", "pub", 100),
    ("pypi-versions.txt", "pypi", 37),
    ("pypi-versions-generated.txt", "pypi", 12_375),
    ("redhat-versions.txt", "rpm", 165),
    ("rubygems-versions.txt", "rubygems", 25),
    ("rubygems-versions-generated.txt", "rubygems", 4_098),
    ("semver-versions.txt", "semver", 86),
];

/// Orders that follow SemVer, and so the table of it too.
const SEMVER: [&str; 3] = ["semver", "npm", "go"];

/// A comparison that a table has wrong: it is the other way round.
struct Wrong {
    line: &'static str,
    /// A tool that says so too.
    oracle: &'static Tool,
}

/// These are by the order of Maven up to 3.8, which is not transitive: there both `2.9.0.RC1 < 2.9.0` and
/// `2.9.0 < 2.9.0-1`. Maven 4 orders them as here.
const WRONG: [Wrong; 3] = [
    Wrong { line: "2.9.0-1 < 2.9.0.RC1", oracle: &tools::PACKAGING },
    Wrong { line: "1.1.0-01-glassfish < 1.1.0.Beta1", oracle: &tools::RPM },
    Wrong { line: "1.0.0-gradle-rework-beta3 < 1.0.0.RC7-3", oracle: &tools::RPM },
];

/// One line of a table that compares two versions.
#[derive(Clone, Copy)]
pub(crate) struct Comparison<'a> {
    pub(crate) a: &'a str,
    pub(crate) order: Ordering,
    pub(crate) b: &'a str,
}

impl<'a> Comparison<'a> {
    /// The comparison of a line, without the remark at its end.
    pub(crate) fn of(line: &'a str) -> Option<Self> {
        let [a, sign, b] = without_remark(line).split(' ').collect::<Vec<_>>().try_into().ok()?;
        let order = match sign {
            "<" => Ordering::Less,
            "=" => Ordering::Equal,
            ">" => Ordering::Greater,
            _ => return None,
        };
        Some(Self { a, order, b })
    }

    fn holds(self, compare: Compare) -> bool {
        compare(self.a, self.b) == Ok(self.order) && compare(self.b, self.a) == Ok(self.order.reverse())
    }
}

fn without_remark(line: &str) -> &str {
    line.split(" #").next().unwrap_or_default().split('\t').next().unwrap_or_default().trim()
}

/// The lines of a table that are no comments; `None`, and a word about it, where the table is not there.
pub(crate) fn lines(file: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(data(Path::new("versions").join(file))?).unwrap();
    let is_comment = |line: &&str| line.is_empty() || line.starts_with('#') || line.starts_with("//");
    Some(text.lines().map(str::trim).filter(|line| !is_comment(line)).map(str::to_owned).collect())
}

pub(crate) fn compare_of(order: &str) -> Compare {
    Order::of_name(order).unwrap().compare
}

/// That every comparison of a table but those in [`WRONG`] holds in the order, and how many there are.
fn check(file: &str, order: &str) -> usize {
    let Some(lines) = lines(file) else { return 0 };
    let compare = compare_of(order);
    let (mut comparisons, mut bad) = (0, Vec::new());
    for line in &lines {
        let Some(comparison) = Comparison::of(line) else { continue };
        comparisons += 1;
        let is_wrong = WRONG.iter().any(|wrong| wrong.line == line);
        if comparison.holds(compare) == is_wrong {
            bad.push(format!("{line}: {:?}", compare(comparison.a, comparison.b)));
        }
    }
    assert!(bad.is_empty(), "{} of {comparisons} comparisons of {file}: {bad:#?}", bad.len());
    comparisons
}

#[test]
fn versions_are_ordered_as_in_the_tables_of_osv_scalibr() {
    if data("versions/osv-scalibr").is_none() {
        return;
    }
    let mut total = 0;
    for (file, order, comparisons) in SCALIBR {
        assert_eq!(check(&format!("osv-scalibr/{file}"), order), comparisons, "{file}");
        total += comparisons;
    }
    assert_eq!(total, 71_818);
}

#[test]
fn orders_that_follow_semver_agree_with_its_table() {
    for order in SEMVER {
        check("osv-scalibr/semver-versions.txt", order);
    }
}

#[test]
fn rpm_versions_are_ordered_as_in_the_table_of_rpm() {
    if data("versions/rpm-vercmp.txt").is_some() {
        assert_eq!(check("rpm-vercmp.txt", "rpm"), 91);
    }
}

#[test]
fn what_a_table_has_wrong_another_tool_orders_as_we_do() {
    for Wrong { line, oracle } in &WRONG {
        let Comparison { a, order, b } = Comparison::of(line).unwrap();
        assert_eq!(compare_of("maven")(a, b), Ok(order.reverse()), "{line}");
        if let Some(answers) = oracle.ask(&[(a.to_owned(), b.to_owned())]) {
            assert_eq!(answers, [Some(order.reverse())], "{line}");
        }
    }
}

/// Beside comparisons, the table of apk has single versions that are valid, `!` before those that are not, and signs with
/// `~`, which match what begins with a version: no advisory uses these.
#[test]
fn alpine_versions_are_ordered_and_validated_as_in_the_table_of_apk() {
    let Some(lines) = lines("apk-version.txt") else { return };
    assert_eq!(check("apk-version.txt", "apk"), 738);
    let (mut checked, mut bad) = (0, Vec::new());
    for line in lines.iter().map(|line| without_remark(line)).filter(|line| !line.contains(' ')) {
        let (version, valid) = line.strip_prefix('!').map_or((line, true), |version| (version, false));
        checked += 1;
        if apk::is_valid(version) != valid {
            bad.push(line);
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(checked, 31);
}

/// A line of the tables of node-semver.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Comparison {
        greater: String,
        less: String,
        loose: bool,
    },
    Equality {
        a: String,
        b: String,
        loose: bool,
    },
    Version {
        version: String,
        reason: Option<String>,
        #[serde(default)]
        loose: bool,
    },
}

fn node_semver(file: &str) -> Vec<Line> {
    let lines = lines(&format!("semver/{file}.ndjson")).unwrap_or_default();
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn npm_versions_are_ordered_as_in_the_tables_of_node_semver() {
    let compare = compare_of("npm");
    let mut compared = 0;
    for line in ["comparisons", "equality"].into_iter().flat_map(node_semver) {
        let (a, b, order) = match &line {
            Line::Comparison { greater, less, loose: false } => (greater, less, Ordering::Greater),
            Line::Equality { a, b, loose: false } => (a, b, Ordering::Equal),
            _ => continue,
        };
        assert_eq!(compare(a, b), Ok(order), "{a:?} {b:?}");
        assert_eq!(compare(b, a), Ok(order.reverse()), "{b:?} {a:?}");
        compared += 1;
    }
    assert!(compared == 22 || data("versions/semver").is_none(), "{compared} comparisons");
}

#[test]
fn npm_versions_are_versions_as_in_the_tables_of_node_semver() {
    let compare = compare_of("npm");
    for line in ["valid-versions", "invalid-versions"].into_iter().flat_map(node_semver) {
        let Line::Version { version, reason, loose: false } = &line else { continue };
        // A number that is too big for npm has its place in the order all the same.
        let is_version = reason.as_ref().is_none_or(|reason| reason.starts_with("too "));
        assert_eq!(compare(version, version).is_ok(), is_version, "{version:?}");
    }
}
