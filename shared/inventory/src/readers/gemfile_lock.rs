//! The lock file of Bundler, `Gemfile.lock` or `gems.locked`: gems from servers and repositories with the version, and where
//! there is one the platform, that was chosen. Gems of the project itself (`PATH`) do not count. The file does not tell
//! what only developers need.
//!
//! Specification: <https://bundler.io/guides/rationale.html#checking-your-code-into-version-control>; of the form, what reads
//! it: <https://github.com/rubygems/rubygems/blob/master/bundler/lib/bundler/lockfile_parser.rb>.

use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::once::Once;
use crate::reading::{InputFile, Reading, is_of_a_dependency, short_text};

pub(super) const READER: Reader = Reader {
    id: "gemfile-lock",
    paths: &[PathPattern::new("**/Gemfile.lock"), PathPattern::new("**/gems.locked")],
    evidence: Evidence::LockFile(PackageType::Gem),
    file_bytes: 32 << 20,
    access: Access::Whole(read),
};

/// The sections whose gems come from elsewhere.
const SECTIONS: [&[u8]; 3] = [b"GEM", b"GIT", b"PLUGIN SOURCE"];

fn read(file: &InputFile<'_>) -> Reading {
    let mut packages = Once::new(file.packages);
    if is_of_a_dependency(file.path) {
        return packages.into_reading();
    }
    let mut lines: Vec<&[u8]> = file.bytes.split(|byte| *byte == b'\n').collect();
    if !file.complete {
        lines.pop();
    }
    let mut section: &[u8] = b"";
    for line in lines.iter().map(|line| line.trim_ascii_end()) {
        if packages.is_full() {
            break;
        }
        if line.first().is_some_and(|first| *first != b' ') {
            section = line;
        } else if SECTIONS.contains(&section)
            && let Some(gem) = line.strip_prefix(b"    ").filter(|gem| !gem.starts_with(b" "))
        {
            add(gem, &mut packages);
        }
    }
    packages.into_reading()
}

/// Adds the gem of the line `NAME (VERSION)` or `NAME (VERSION-PLATFORM)`.
fn add(line: &[u8], packages: &mut Once) {
    let Some(line) = packages.problems().ok_or_add(short_text("line", line)) else { return };
    let (name, version) = line.trim_end_matches('!').split_once(' ').unwrap_or((&line, ""));
    let version = version.trim_matches(['(', ')']);
    let (version, platform) = version.split_once('-').unwrap_or((version, ""));
    if name.is_empty() {
        packages.problems().add(|| "holds a gem without a name".to_owned());
    } else if !version.starts_with(|first: char| first.is_ascii_digit()) {
        packages.problems().add(|| format!("names no version of {name}"));
    } else {
        packages.add(Package {
            architecture: (!platform.is_empty()).then(|| platform.to_owned()),
            ..Package::new(PackageType::Gem, name, version, READER.id)
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::file;

    const LOCK: &str = "GIT
  remote: https://github.com/rails/rails.git
  revision: 0a1b2c3d
  branch: main
  specs:
    rails (7.2.0.alpha)
      activesupport (= 7.2.0.alpha)

PATH
  remote: engines/shop
  specs:
    shop (0.1.0)
      rails

GEM
  remote: https://gems.example/
  specs:
    concurrent-ruby (1.2.2)
    nokogiri (1.15.4-arm64-darwin)
      racc (~> 1.4)
    nokogiri (1.15.4-x86_64-linux)
      racc (~> 1.4)
    racc (1.7.1)

PLATFORMS
  arm64-darwin
  x86_64-linux

DEPENDENCIES
  nokogiri
  rails!
  shop!

CHECKSUMS
  racc (1.7.1) sha256=0a1b

RUBY VERSION
   ruby 3.2.2p53

BUNDLED WITH
   2.4.19
";

    fn read_text(text: &str) -> Reading {
        read(&file("app/Gemfile.lock", text.as_bytes()))
    }

    #[test]
    fn gems_from_servers_and_repositories_count_with_their_platforms() {
        let reading = read_text(LOCK);
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.is_empty());
        assert_eq!(read_text(&LOCK.replace('\n', "\r\n")), reading);
    }

    #[test]
    fn a_gem_without_a_version_is_a_problem_and_the_others_count() {
        let reading = read_text("GEM\n  specs:\n    a\n    b ()\n    c (1.0)\n    d (>= 1)\n");
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(
            reading.problems.into_reasons(),
            ["names no version of a", "names no version of b", "names no version of d"]
        );
    }

    #[test]
    fn the_last_line_of_a_cut_file_does_not_count() {
        let text = "GEM\n  specs:\n    a (1.0)\n    b (1.0";
        let reading = read(&InputFile { complete: false, ..file("Gemfile.lock", text.as_bytes()) });
        assert_eq!(reading.packages.len(), 1);
    }

    #[test]
    fn the_lock_file_of_a_gem_asks_for_nothing() {
        let path = "var/lib/gems/3.1.0/gems/rake-13.0.6/Gemfile.lock";
        assert_eq!(read(&file(path, LOCK.as_bytes())), Reading::default());
    }

    #[test]
    fn very_many_gems_and_huge_lines_are_read() {
        let gems: Vec<String> = (0..100_000).map(|number| format!("    g{number} (1.0)\n")).collect();
        let reading =
            read_text(&format!("GEM\n  specs:\n    {} (1.0)\n{}", "x".repeat(1 << 20), gems.concat()));
        assert_eq!(reading.packages.len(), 100_000);
        assert_eq!(reading.problems.into_reasons(), ["holds a line of more than 1024 bytes"]);
    }

    proptest! {
        #[test]
        fn no_lines_make_it_panic(text in "(GEM\n|GIT\n|    |[a-z]| |\\(|\\)|-|1|!|\n){0,60}") {
            for package in read_text(&text).packages {
                prop_assert!(!package.name.is_empty() && !package.version.is_empty());
            }
        }
    }
}
