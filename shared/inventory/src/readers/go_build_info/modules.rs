//! What Go records of modules in a program: lines of fields between tabs, as `go version -m` shows them.
//!
//! Format: <https://pkg.go.dev/runtime/debug#BuildInfo>; versions: <https://go.dev/ref/mod#versions>.

use tidewatch_core::package::{Package, PackageType};

use super::SCANNER;
use crate::reading::{Problems, Reading, TooLong, short_text};

/// The name of the standard library, as Go's own advisories have it: <https://go.dev/doc/security/vuln/database>.
const STANDARD_LIBRARY: &str = "stdlib";

/// The version of a module whose version Go did not know when it built the program.
const UNKNOWN: &str = "(devel)";

/// Go's name for what was built from files instead of a package.
const FILES: &str = "command-line-arguments";

/// The names of variables that hold the version of a program, without `_` and in lower case.
const VERSION_VARIABLES: &[&str] = &[
    "appversion",
    "buildtag",
    "buildversion",
    "gittag",
    "gitversion",
    "releasetag",
    "releaseversion",
    "tag",
    "version",
];

/// Whether `text` is a version of Go, of a release or not: `go1.19.8`, `go1.21rc2 X:boringcrypto`, `devel go1.22-0123`.
pub(super) fn is_version(text: &str) -> bool {
    let known = text.strip_prefix("devel ").or_else(|| text.strip_prefix("go")).unwrap_or_default();
    !known.is_empty()
        && text.chars().all(|character| character.is_ascii_graphic() || character == ' ')
        && (text.starts_with("devel ") || release(text).is_some())
}

/// The release in a version of Go: `go1.21rc2`; `None` when it is not one, but something between releases.
fn release(text: &str) -> Option<&str> {
    let release = text.split(' ').next()?;
    let numbers = release.strip_prefix("go")?;
    let is_release = numbers.starts_with(|character: char| character.is_ascii_digit())
        && numbers.chars().all(|character| character.is_ascii_alphanumeric() || ".+-_~".contains(character));
    is_release.then_some(release)
}

/// Adds the packages that a program is made of, at most `most`: `version` is that of Go, `text` what Go recorded of modules.
pub(super) fn read(version: Option<&str>, text: &[u8], most: usize, reading: &mut Reading) {
    let recorded = Recorded::of(text);
    let main = reading.problems.ok_or_add(recorded.main());
    let mut packages: Vec<Package> = main.flatten().into_iter().collect();
    packages.extend(recorded.dependencies(&mut reading.problems));
    packages.extend(version.and_then(release).map(|release| Package {
        license: Some("BSD-3-Clause".to_owned()),
        ..Package::new(PackageType::Golang, STANDARD_LIBRARY, release, SCANNER.id)
    }));
    for package in packages {
        if !reading.add(package, most) {
            break;
        }
    }
}

/// A module, and what was built in place of it.
#[derive(Clone, Copy, Debug)]
struct Module<'a> {
    path: &'a [u8],
    version: &'a [u8],
    replacement: Option<(&'a [u8], &'a [u8])>,
}

impl Module<'_> {
    /// Its name and its version. What was replaced by a directory keeps its name, and its version is not known: what was
    /// there may be anything.
    fn name_and_version(&self) -> (&[u8], &[u8]) {
        match self.replacement {
            None => (self.path, self.version),
            Some((path, _)) if is_directory(path) => (self.path, UNKNOWN.as_bytes()),
            Some(replacement) => replacement,
        }
    }

    /// As a package with the version `version`, or its own.
    fn package(&self, version: Option<&str>) -> Result<Option<Package>, TooLong> {
        let (name, own) = self.name_and_version();
        let (name, own) = (short_text("module path", name)?, short_text("version", own)?);
        let version = match version {
            Some(version) => version,
            None if own.is_empty() => UNKNOWN,
            None => &own,
        };
        let package = || Package::new(PackageType::Golang, name.as_str(), version, SCANNER.id);
        Ok((!name.is_empty() && name != FILES).then(package))
    }

    fn is_unknown(&self) -> bool {
        self.version.is_empty() || self.version == UNKNOWN.as_bytes()
    }
}

/// Whether a replacement is a directory: <https://go.dev/ref/mod#go-mod-file-replace>.
fn is_directory(path: &[u8]) -> bool {
    [&b"./"[..], b"../", b"/"].iter().any(|start| path.starts_with(start)) || path == b"." || path == b".."
}

/// What Go recorded.
#[derive(Debug, Default)]
struct Recorded<'a> {
    /// Path of the package that the program is.
    path: &'a [u8],
    main: Option<Module<'a>>,
    dependencies: Vec<Module<'a>>,
    /// The flags of the linker.
    flags: &'a [u8],
}

impl<'a> Recorded<'a> {
    fn of(text: &'a [u8]) -> Self {
        let mut recorded = Self::default();
        let mut of_main = false;
        for line in text.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b'\t');
            let mut next = || fields.next().unwrap_or_default();
            let (kind, path, version) = (next(), next(), next());
            let module = Module { path, version, replacement: None };
            match kind {
                b"path" => recorded.path = path,
                b"mod" => (recorded.main, of_main) = (Some(module), true),
                b"dep" => {
                    recorded.dependencies.push(module);
                    of_main = false;
                }
                b"=>" => {
                    let module =
                        if of_main { recorded.main.as_mut() } else { recorded.dependencies.last_mut() };
                    if let Some(module) = module {
                        module.replacement = Some((path, version));
                    }
                }
                b"build" => {
                    recorded.flags = path.strip_prefix(b"-ldflags=").unwrap_or(recorded.flags);
                }
                _ => {}
            }
        }
        recorded.find_main();
        recorded
    }

    /// A program built from files, or without modules, names no module of its own: it is the one dependency that has no
    /// version, else what is known is the path of its package.
    fn find_main(&mut self) {
        if self.main.is_some_and(|main| main.path != FILES.as_bytes()) {
            return;
        }
        let mut unknown = self.dependencies.iter().enumerate().filter(|(_, module)| module.is_unknown());
        self.main = match (unknown.next(), unknown.next()) {
            (Some((number, _)), None) => Some(self.dependencies.remove(number)),
            _ => Some(Module { path: self.path, version: UNKNOWN.as_bytes(), replacement: None }),
        };
    }

    fn main(&self) -> Result<Option<Package>, TooLong> {
        let Some(main) = self.main else { return Ok(None) };
        let version = main.is_unknown().then(|| self.declared_version(main.path)).flatten();
        main.package(version.as_deref())
    }

    fn dependencies(&self, problems: &mut Problems) -> Vec<Package> {
        let packages = self.dependencies.iter().filter_map(|module| problems.ok_or_add(module.package(None)));
        packages.flatten().collect()
    }

    /// The version that the linker was told to write into a variable of the main module, `-X main.version=1.2.3`.
    fn declared_version(&self, module: &[u8]) -> Option<String> {
        let flags = std::str::from_utf8(self.flags).ok()?;
        let module = std::str::from_utf8(module).ok()?;
        let is_own = |package: &str| {
            package == "main"
                || package.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        flags
            .split(|character: char| character.is_whitespace() || "\"'\\`".contains(character))
            .filter_map(|flag| flag.strip_prefix("-X=").unwrap_or(flag).split_once('='))
            .filter_map(|(variable, value)| Some((variable.rsplit_once('.')?, value)))
            .filter(|((package, variable), _)| {
                let variable = variable.replace('_', "").to_ascii_lowercase();
                is_own(package) && VERSION_VARIABLES.contains(&variable.as_str())
            })
            .find_map(|(_, value)| declared(value))
    }
}

/// A version `1.2.3` as Go writes it, `v1.2.3`; `None` when it is none of a release, but one that tells how far it is from
/// a release: that is no version by which it can be compared.
fn declared(value: &str) -> Option<String> {
    let version = value.strip_prefix('v').unwrap_or(value);
    let end = version.find(['-', '+']).unwrap_or(version.len());
    let (numbers, rest) = version.split_at_checked(end)?;
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_release = rest.is_empty()
        || rest.starts_with('+')
        || ["-alpha", "-beta", "-pre", "-rc"].iter().any(|start| rest.starts_with(start));
    let fits = version.len() <= 64
        && numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && is_release
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte));
    fits.then(|| format!("v{version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(version: Option<&str>, text: &str) -> Vec<String> {
        let mut reading = Reading::default();
        read(version, text.as_bytes(), usize::MAX, &mut reading);
        assert!(reading.problems.is_empty());
        reading.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect()
    }

    #[test]
    fn a_program_is_its_own_module_its_dependencies_as_replaced_and_the_standard_library() {
        let text = "path\texample.org/tool/cmd/tool\n\
                    mod\texample.org/tool\tv1.4.0\th1:abc=\n\
                    dep\tgolang.org/x/net\tv0.1.0\th1:abc=\n\
                    dep\texample.org/old\tv1.0.0\n\
                    =>\texample.org/new\tv1.2.3\th1:abc=\n\
                    dep\texample.org/forked\tv2.0.0+incompatible\n\
                    =>\t./forked\t(devel)\t\n\
                    dep\texample.org/workspace\t\n\
                    build\tGOOS=linux\n";
        assert_eq!(
            packages(Some("go1.21.3 X:boringcrypto"), text),
            [
                "example.org/tool@v1.4.0",
                "golang.org/x/net@v0.1.0",
                "example.org/new@v1.2.3",
                "example.org/forked@(devel)",
                "example.org/workspace@(devel)",
                "stdlib@go1.21.3",
            ]
        );
    }

    #[test]
    fn a_program_without_a_module_is_known_by_the_path_of_its_package() {
        assert_eq!(
            packages(Some("go1.19.8"), "path\texample.org/tool/cmd/tool\nbuild\t-compiler=gc\n"),
            ["example.org/tool/cmd/tool@(devel)", "stdlib@go1.19.8"]
        );
        assert_eq!(packages(Some("go1.19.8"), ""), ["stdlib@go1.19.8"]);
    }

    #[test]
    fn a_program_built_from_files_is_the_one_dependency_without_a_version() {
        let text = "path\tcommand-line-arguments\ndep\texample.org/tool\t(devel)\ndep\texample.org/a\tv1.0.0\th1:abc=\n";
        assert_eq!(packages(None, text), ["example.org/tool@(devel)", "example.org/a@v1.0.0"]);
        assert!(packages(None, "path\tcommand-line-arguments\n").is_empty());
    }

    #[test]
    fn a_version_between_releases_of_go_is_none_of_the_standard_library() {
        assert!(packages(Some("devel go1.22-0123abc Mon Aug 7"), "").is_empty());
        for (text, expected) in [
            ("go1.19.8", true),
            ("go1.21rc2", true),
            ("go1.20.1 X:nocoverageredesign", true),
            ("devel +0123 Mon Aug 7", true),
            ("go", false),
            ("gopher", false),
            ("go1.2\n", false),
            ("", false),
        ] {
            assert_eq!(is_version(text), expected, "{text}");
        }
    }

    #[test]
    fn the_version_that_the_linker_was_told_counts_where_go_knew_none() {
        for (flags, expected) in [
            ("-X main.version=1.2.3", "v1.2.3"),
            ("\"-s -w -X 'example.org/tool/internal.GitVersion=v1.2.3-rc.1'\"", "v1.2.3-rc.1"),
            ("-X=example.org/tool.BUILD_VERSION=2.8.2+ds1", "v2.8.2+ds1"),
            ("-X main.version=v1.2.3-5-g0123abc", "(devel)"),
            ("-X main.version=1.2", "(devel)"),
            ("-X main.goVersion=1.21.3", "(devel)"),
            ("-X example.org/toolbox.version=1.2.3", "(devel)"),
            ("-X github.com/prometheus/common/version.Version=1.5.0", "(devel)"),
        ] {
            let text = format!(
                "path\texample.org/tool\nmod\texample.org/tool\t(devel)\t\nbuild\t-ldflags={flags}\n"
            );
            assert_eq!(packages(None, &text), [format!("example.org/tool@{expected}")], "{flags}");
            let text = text.replace("(devel)", "v9.0.0");
            assert_eq!(packages(None, &text), ["example.org/tool@v9.0.0"]);
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_a_problem_and_the_other_modules_count() {
        let text = format!("mod\ta\tv1.0.0\ndep\t{}\tv1.0.0\ndep\tb\tv1.0.0\n", "x".repeat(1025));
        let mut reading = Reading::default();
        read(None, text.as_bytes(), usize::MAX, &mut reading);
        assert_eq!(reading.packages.len(), 2);
        assert_eq!(reading.problems.into_reasons(), ["holds a module path of more than 1024 bytes"]);
    }
}
