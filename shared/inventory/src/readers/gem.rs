//! Installed Ruby gems: the specification of each, Ruby source that RubyGems has written. Default gems, which came with
//! Ruby, count too. Only plain texts are taken from it: nothing is evaluated.
//!
//! Specification: <https://guides.rubygems.org/specification-reference/>; of the form, what writes it:
//! <https://github.com/rubygems/rubygems/blob/master/lib/rubygems/specification.rb> (`to_ruby`).

use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::licenses::Licenses;
use crate::reading::{InputFile, Reading, short_text};

pub(super) const READER: Reader = Reader {
    id: "gem",
    paths: &[
        PathPattern::new("**/specifications/*.gemspec"),
        PathPattern::new("**/specifications/default/*.gemspec"),
    ],
    evidence: Evidence::Installed,
    // Of large gems all files are listed.
    file_bytes: 4 << 20,
    access: Access::Whole(read),
};

/// The platform of gems that are for every one.
const ANY_PLATFORM: &str = "ruby";

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    match Specification::of(file.bytes).package(file.path) {
        Ok(package) => {
            reading.add(package, file.packages);
        }
        Err(reason) => reading.problems.add(|| reason),
    }
    reading
}

/// The fields that matter.
#[derive(Debug, Default)]
struct Specification {
    name: String,
    version: String,
    platform: String,
    licenses: Licenses,
}

impl Specification {
    fn of(bytes: &[u8]) -> Self {
        let mut specification = Self::default();
        for line in bytes.split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok()) {
            if let Some(stub) = line.strip_prefix("# stub: ") {
                specification.stub(stub);
            } else if let Some((field, value)) = assignment(line) {
                specification.field(field, value);
            }
        }
        specification
    }

    /// The line that RubyGems itself reads instead of the whole: `NAME VERSION PLATFORM REQUIRE_PATHS`.
    fn stub(&mut self, stub: &str) {
        let mut words = stub.split_ascii_whitespace();
        for place in [&mut self.name, &mut self.version, &mut self.platform] {
            words.next().unwrap_or_default().clone_into(place);
        }
    }

    fn field(&mut self, field: &str, value: &str) {
        let place = match field {
            "name" => &mut self.name,
            "version" => &mut self.version,
            "platform" => &mut self.platform,
            "license" | "licenses" => {
                let mut rest = value.trim_start_matches('[');
                while let Some((license, after)) = literal(rest) {
                    self.licenses.add(&license);
                    rest =
                        after.trim_start_matches(".freeze").trim_start().trim_start_matches(',').trim_start();
                }
                return;
            }
            _ => return,
        };
        // A value that is computed is that of the stub.
        if let Some((text, _)) = literal(value) {
            *place = text;
        }
    }

    fn package(self, path: &str) -> Result<Package, String> {
        let text = |name, text: &str| short_text(name, text.as_bytes()).map_err(|error| error.to_string());
        let (name, version) = (text("gem name", &self.name)?, text("version", &self.version)?);
        if name.is_empty() {
            return Err("names no gem".to_owned());
        }
        if version.is_empty() {
            return Err(format!("names no version of {name}"));
        }
        // Versions are numbers and words with dots between them: <https://guides.rubygems.org/patterns/>.
        let is_version = version.starts_with(|first: char| first.is_ascii_digit())
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if !is_version {
            return Err(format!("names no version of {name}, but {version:?}"));
        }
        // The files of other platforms end so.
        let from_path = paths::split(path).1.strip_suffix(".gemspec").and_then(|file| {
            file.strip_prefix(&name)?.strip_prefix('-')?.strip_prefix(&version)?.strip_prefix('-')
        });
        let platform = if self.platform.is_empty() { from_path.unwrap_or_default() } else { &self.platform };
        let platform = text("platform", platform)?;
        Ok(Package {
            architecture: Some(platform).filter(|platform| !platform.is_empty() && platform != ANY_PLATFORM),
            license: self.licenses.into_license(),
            ..Package::new(PackageType::Gem, name, version, READER.id)
        })
    }
}

/// Field and value of a line `s.FIELD = VALUE`, whatever `s` is called.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (target, value) = line.split_once('=')?;
    let (receiver, field) = target.trim().split_once('.')?;
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    (is_word(receiver) && is_word(field)).then(|| (field, value.trim()))
}

/// The text of the literal that `source` begins with, and what follows it. Old versions of RubyGems wrote `%q{TEXT}`.
fn literal(source: &str) -> Option<(String, &str)> {
    if let Some(source) = source.strip_prefix("%q{") {
        let (text, rest) = source.split_once('}')?;
        return Some((text.to_owned(), rest));
    }
    let quote = source.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let source = source.get(1..)?;
    let mut text = String::new();
    let mut characters = source.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
            // What is put into a text is no part of it.
            '#' if quote == '"' && source.get(position + 1..)?.starts_with('{') => return None,
            character if character == quote => return Some((text, source.get(position + 1..)?)),
            character => text.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::file;

    fn read_text(name: &str, text: &str) -> Reading {
        read(&file(&format!("var/lib/gems/3.1.0/specifications/{name}.gemspec"), text.as_bytes()))
    }

    const NOKOGIRI: &str = r#"# -*- encoding: utf-8 -*-
# stub: nokogiri 1.15.4 x86_64-linux lib

Gem::Specification.new do |s|
  s.name = "nokogiri".freeze
  s.version = "1.15.4"
  s.platform = "x86_64-linux".freeze

  s.required_rubygems_version = Gem::Requirement.new(">= 0".freeze) if s.respond_to? :required_rubygems_version=
  s.metadata = { "changelog_uri" => "https://nokogiri.org/CHANGELOG.html", "s.name = " => "x" }
  s.require_paths = ["lib".freeze]
  s.authors = ["Mike Dalessio".freeze, "Aaron Patterson".freeze]
  s.description = "It's easy = fast".freeze
  s.licenses = ["MIT".freeze]
  s.rubygems_version = "3.4.19".freeze

  s.installed_by_version = "3.4.19" if s.respond_to? :installed_by_version

  s.specification_version = 4

  s.add_runtime_dependency(%q<racc>.freeze, ["~> 1.4".freeze])
end
"#;

    const OLD: &str = r"Gem::Specification.new do |s|
  s.name = %q{rake}
  s.version = '0.8.7'
  s.licenses = [%q{MIT}, %q{Ruby's}]
  s.platform = Gem::Platform::RUBY
end
";

    const DEFAULT: &str = r#"# -*- encoding: utf-8 -*-
# stub: json 2.6.1 ruby lib

Gem::Specification.new do |spec|
  spec.name = "json"
  spec.version = JSON::VERSION
  spec.licenses = ["Ruby".freeze, "BSD-2-Clause".freeze]
end
"#;

    #[test]
    fn a_gem_has_name_version_platform_and_licences() {
        let java = "Gem::Specification.new do |s|\n  s.name = \"jruby-openssl\"\n  s.version = \"0.14.2\"\n  s.license = \"MIT\"\nend\n";
        let readings = [
            read_text("nokogiri-1.15.4-x86_64-linux", NOKOGIRI),
            read_text("rake-0.8.7", OLD),
            read_text("default/json-2.6.1", DEFAULT),
            read_text("jruby-openssl-0.14.2-java", java),
        ];
        let packages: Vec<&Package> = readings.iter().flat_map(|reading| &reading.packages).collect();
        insta::assert_json_snapshot!(packages);
        assert!(readings.iter().all(|reading| reading.problems.is_empty()));
    }

    #[test]
    fn what_names_no_gem_and_version_is_a_problem() {
        for (text, reason) in [
            ("", "names no gem"),
            ("  s.name = name\n  s.version = \"1.0\"\n", "names no gem"),
            ("  s.name = \"x\"\n  s.version = X::VERSION\n", "names no version of x"),
            ("  s.name = \"x\"\n  s.version = \"#{V}.0\"\n", "names no version of x"),
            ("  s.name = \"x\"\n  s.version = \"one\"\n", "names no version of x, but \"one\""),
            ("  s.name = \"x\n  s.version = \"1\n", "names no gem"),
        ] {
            let reading = read_text("x-1", text);
            assert!(reading.packages.is_empty());
            assert_eq!(reading.problems.into_reasons(), [reason], "{text}");
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_a_problem_and_many_lines_are_read() {
        let long = "x".repeat(1 << 20);
        let reading = read_text("x", &format!("  s.name = \"{long}\"\n  s.version = \"1\"\n"));
        assert_eq!(reading.problems.into_reasons(), ["holds a gem name of more than 1024 bytes"]);
        let text = format!("{}{NOKOGIRI}", "  s.licenses = [\"a\", \"b\"\n".repeat(50_000));
        assert_eq!(read_text("x", &text).packages.len(), 1);
    }

    proptest! {
        #[test]
        fn no_source_makes_it_panic(text in "(# stub: |s\\.|name|version|licenses| = |\"|'|%q\\{|\\}|\\[|\\\\|#\\{|é|1\\.0|,|\n){0,40}") {
            for package in read_text("name-1.0-é", &text).packages {
                prop_assert!(!package.name.is_empty() && !package.version.is_empty());
            }
        }
    }
}
