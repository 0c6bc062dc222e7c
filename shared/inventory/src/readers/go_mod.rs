//! The modules that a Go module asks for: `go.mod`.
//!
//! Each is given with the version as it stands, which is the one that is built in the most cases: since Go 1.17 the file
//! names all modules of a build. `go.sum` is not read: it has the checksums of every version that was ever looked at, and
//! so is no evidence of any. The line `go` names the least version of Go, and not the one that builds.
//!
//! Format: <https://go.dev/ref/mod#go-mod-file>.

use std::collections::{HashMap, HashSet};

use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::{InputFile, Reading, excerpt, is_of_a_dependency, short_text};

pub(super) const READER: Reader = Reader {
    id: "go-mod",
    paths: &[PathPattern::new("**/go.mod")],
    evidence: Evidence::LockFile(PackageType::Golang),
    file_bytes: 4 << 20,
    access: Access::Whole(read),
};

/// The version of what is in a directory, as Go itself shows it.
const UNKNOWN: &str = "(devel)";

/// A module and, where it is named, its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Module<'a> {
    path: &'a str,
    version: Option<&'a str>,
}

#[derive(Default)]
struct Directives<'a> {
    required: Vec<Module<'a>>,
    replaced: HashMap<Module<'a>, Module<'a>>,
    excluded: HashSet<Module<'a>>,
}

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    if is_of_a_dependency(file.path) {
        return reading;
    }
    // A line that is cut off may lack its end.
    let end = if file.complete { None } else { file.bytes.iter().rposition(|byte| *byte == b'\n') };
    let bytes = file.bytes.get(..end.unwrap_or(file.bytes.len())).unwrap_or_default();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            reading.problems.add(|| format!("is no text that can be read: {error}"));
            return reading;
        }
    };
    let directives = Directives::of(text);
    for required in &directives.required {
        let Some(module) = directives.selected(*required) else { continue };
        let name = reading.problems.ok_or_add(short_text("module path", module.path.as_bytes()));
        let Some(name) = name else { continue };
        let Some(version) = module.version.filter(|version| !version.is_empty()) else {
            reading.problems.add(|| format!("names no version of {}", excerpt(&name)));
            continue;
        };
        let Some(version) = reading.problems.ok_or_add(short_text("version", version.as_bytes())) else {
            continue;
        };
        if !reading.add(Package::new(PackageType::Golang, name, version, READER.id), file.packages) {
            break;
        }
    }
    reading
}

impl<'a> Directives<'a> {
    fn of(text: &'a str) -> Self {
        let mut directives = Self::default();
        let mut block = None;
        for line in text.lines() {
            let words = words(line);
            match (block, words.as_slice()) {
                (_, []) => {}
                (None, [directive, "("]) => block = Some(*directive),
                (None, [directive, rest @ ..]) => directives.add(directive, rest),
                (Some(_), [")"]) => block = None,
                (Some(directive), rest) => directives.add(directive, rest),
            }
        }
        directives
    }

    fn add(&mut self, directive: &str, words: &[&'a str]) {
        let Some((&path, rest)) = words.split_first() else { return };
        let module = Module { path, version: rest.first().copied().filter(|word| *word != "=>") };
        match directive {
            "require" => self.required.push(module),
            "exclude" => {
                self.excluded.insert(module);
            }
            "replace" => {
                let mut new = words.iter().copied().skip_while(|word| *word != "=>").skip(1);
                if let Some(path) = new.next() {
                    self.replaced.insert(module, Module { path, version: new.next() });
                }
            }
            _ => {}
        }
    }

    /// What is built where `required` is asked for; `None` when that version is excluded, which leaves it to Go to choose
    /// another one.
    fn selected(&self, required: Module<'a>) -> Option<Module<'a>> {
        if self.excluded.contains(&required) {
            return None;
        }
        // A line with a version comes before one without.
        let rule = self.replaced.get(&required);
        let rule = rule.or_else(|| self.replaced.get(&Module { version: None, ..required }));
        Some(match rule {
            None => required,
            // What is in a directory may be of any version.
            Some(new) if new.version.is_none() => Module { version: Some(UNKNOWN), ..required },
            Some(new) => *new,
        })
    }
}

/// The words of a line without its comment. One in quotes has no blanks in it: paths and versions have none.
fn words(line: &str) -> Vec<&str> {
    let line = line.split_once("//").map_or(line, |(before, _)| before);
    let is_quote = |character: char| character == '"' || character == '`';
    let words = line.split_ascii_whitespace().flat_map(|word| match word.strip_suffix('(') {
        Some(directive) if !directive.is_empty() => [Some(directive), Some("(")],
        _ => [Some(word), None],
    });
    words.flatten().map(|word| word.trim_matches(is_quote)).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    fn packages(text: &str) -> Vec<String> {
        let reading = read(&file("app/go.mod", text.as_bytes()));
        assert!(reading.problems.is_empty());
        reading.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect()
    }

    const TEXT: &str = "// A comment\nmodule example.org/app // the module\n\ngo 1.21\n\ntoolchain go1.21.3\n\n\
        require golang.org/x/net v0.1.0\n\nrequire (\n\tgithub.com/a/b v1.2.3\r\n\tgithub.com/c/d/v2 v2.0.0 // indirect\n\
        \t\"github.com/e/f\" v0.0.0-20230101000000-0123456789ab // indirect\n\tgithub.com/g/h v1.0.0+incompatible\n)\n\n\
        exclude (\n\tgithub.com/a/b v1.2.2\n)\nretract v1.0.1\n";

    #[test]
    fn the_modules_that_are_asked_for_directly_and_indirectly_are_packages() {
        assert_eq!(
            packages(TEXT),
            [
                "golang.org/x/net@v0.1.0",
                "github.com/a/b@v1.2.3",
                "github.com/c/d/v2@v2.0.0",
                "github.com/e/f@v0.0.0-20230101000000-0123456789ab",
                "github.com/g/h@v1.0.0+incompatible",
            ]
        );
    }

    #[test]
    fn what_is_replaced_counts_as_what_replaces_it_and_what_is_excluded_does_not_count() {
        let text = "module m\nrequire(\n\ta v1.0.0\n\tb v1.0.0\n\tc v1.0.0\n\td v1.0.0\n\te v1.0.0\n)\n\
            replace a => example.org/a v1.5.0\n\
            replace (\n\tb v1.0.0 => ./b\n\tb => example.org/b v9.0.0\n\tc v1.1.0 => example.org/c v1.1.1\n\
            \td => example.org/d v2.0.0\n\td v1.0.0 => example.org/d v3.0.0\n\tunused => example.org/unused v1.0.0\n)\n\
            exclude e v1.0.0\nexclude a v0.9.0\n";
        assert_eq!(packages(text), ["example.org/a@v1.5.0", "b@(devel)", "c@v1.0.0", "example.org/d@v3.0.0"]);
    }

    #[test]
    fn a_file_of_a_dependency_names_nothing() {
        let reading = read(&file("go/pkg/mod/golang.org/x/net@v0.1.0/go.mod", TEXT.as_bytes()));
        assert_eq!(reading, Reading::default());
    }

    #[test]
    fn what_cannot_be_used_is_a_problem_and_the_others_count() {
        let text = format!("require (\n\ta\n\t{} v1\n\tb v1.0.0\n", "x".repeat(1025));
        let reading = read(&file("go.mod", text.as_bytes()));
        assert_eq!(reading.packages.len(), 1);
        assert_eq!(
            reading.problems.into_reasons(),
            ["names no version of a", "holds a module path of more than 1024 bytes"]
        );
        assert!(!read(&file("go.mod", b"require a\xff v1\n")).problems.is_empty());
    }

    #[test]
    fn of_a_cut_file_the_whole_lines_count() {
        let text = "require a v1.0.0\nrequire b v1.0";
        let reading = read(&InputFile { complete: false, ..file("go.mod", text.as_bytes()) });
        assert_eq!(reading.packages.len(), 1);
    }
}
