//! The tools that define orders, asked for their own comparisons. One that is not installed is skipped, and says so.

use std::cmp::Ordering;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// A program that reads lines of two versions with a tab between them, and writes `<`, `=` or `>` for each, or `?` where it
/// does not compare them.
pub(crate) struct Tool {
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
}

/// dpkg, which warns of versions that it does not like: these are not compared.
pub(crate) const DPKG: Tool = Tool {
    name: "dpkg",
    program: "bash",
    arguments: &[
        "-c",
        r#"dpkg --version >/dev/null || exit
        compare() { dpkg --compare-versions "$@" 2>&1 && echo yes; }
        while IFS=$'\t' read -r a b; do
          case "$(compare "$a" lt "$b")" in yes) echo '<'; continue;; ?*) echo '?'; continue;; esac
          case "$(compare "$a" eq "$b")" in yes) echo '=';; *) echo '>';; esac
        done"#,
    ],
};

/// rpm's own function.
pub(crate) const RPM: Tool = Tool {
    name: "rpm",
    program: "rpm",
    arguments: &[
        "--eval",
        r#"%{lua:
            local signs = {[-1] = "<", [0] = "=", [1] = ">"}
            for line in io.stdin:lines() do
              local a, b = line:match("^(.*)\t(.*)$")
              print(signs[rpm.vercmp(a, b)] .. "\n")
            end
        }"#,
    ],
};

/// Python's library `packaging`; that of pip knows the versions before PEP 440 when it is old enough.
pub(crate) const PACKAGING: Tool = Tool {
    name: "Python's packaging",
    program: "python3",
    arguments: &[
        "-W",
        "ignore",
        "-c",
        r"
import sys
try:
    from pip._vendor.packaging.version import InvalidVersion, parse
except ImportError:
    from packaging.version import InvalidVersion, parse
for line in sys.stdin:
    try:
        a, b = map(parse, line.rstrip('\n').split('\t'))
        print('<' if a < b else '>' if a > b else '=')
    except InvalidVersion:
        print('?')
",
    ],
};

/// The library `semver` that npm brings along.
pub(crate) const NODE_SEMVER: Tool = Tool {
    name: "node-semver",
    program: "node",
    arguments: &[
        "-e",
        r"
const root = require('child_process').execFileSync('npm', ['root', '-g'], {encoding: 'utf8'}).trim();
const semver = require(root + '/npm/node_modules/semver');
const lines = require('fs').readFileSync(0, 'utf8').split('\n').slice(0, -1);
for (const [a, b] of lines.map(line => line.split('\t'))) {
  const valid = semver.valid(a) !== null && semver.valid(b) !== null;
  console.log(valid ? '<=>'[semver.compare(a, b) + 1] : '?');
}
",
    ],
};

impl Tool {
    /// How it compares each pair; `None`, and a word about it, where it is not installed.
    pub(crate) fn ask(&self, pairs: &[(String, String)]) -> Option<Vec<Option<Ordering>>> {
        if self.run(&[]).is_none() {
            tidewatch_testkit::skip::skipped(format_args!("{} is not installed", self.name));
            return None;
        }
        let answers = self.run(pairs).unwrap_or_else(|| panic!("{} failed", self.name));
        assert_eq!(answers.lines().count(), pairs.len(), "{}: {answers}", self.name);
        let ordering = |sign: &str| match sign {
            "<" => Some(Ordering::Less),
            "=" => Some(Ordering::Equal),
            ">" => Some(Ordering::Greater),
            _ => None,
        };
        Some(answers.lines().map(ordering).collect())
    }

    fn run(&self, pairs: &[(String, String)]) -> Option<String> {
        let mut command = Command::new(self.program);
        command.args(self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let input: String = pairs.iter().flat_map(|(a, b)| [a.as_str(), "\t", b, "\n"]).collect();
        let mut stdin = child.stdin.take().unwrap();
        // One that is not installed does not read.
        let writing = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        // rpm ends what it prints with a line of its own.
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }
}
