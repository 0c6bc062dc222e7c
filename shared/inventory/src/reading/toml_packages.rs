//! Lock files in TOML with one table `[[package]]` for each package, as Python's tools and Cargo write them. Each of the
//! tables is parsed alone, so that memory is that of one of them and a damaged one does not lose the others.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::paths;
use crate::reading::excerpt;

/// The most bytes of one package: its table, and those of its files and dependencies. A package with a hundred wheels has
/// some 20 KiB. Parsing needs several times as much memory.
const PACKAGE_BYTES: usize = 256 << 10;

/// A package that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TomlError {
    #[error("is no TOML that can be read: {0}")]
    Malformed(String),
    #[error("has a package of more than {PACKAGE_BYTES} bytes")]
    TooLarge,
}

#[derive(Deserialize)]
struct Document<T> {
    #[serde(default = "Vec::new")]
    package: Vec<T>,
}

/// The packages of a lock file, as far as `T` says. Of a file that is not `complete` the last one is left out: it may lack
/// anything.
pub(crate) fn packages<T: DeserializeOwned>(
    bytes: &[u8],
    complete: bool,
) -> impl Iterator<Item = Result<T, TomlError>> {
    let mut tables: Vec<&[u8]> = tables(bytes);
    if !complete {
        tables.pop();
    } else if tables.is_empty() {
        // No package at all, or all of them in one line.
        tables.push(bytes);
    }
    tables.into_iter().flat_map(|table| match parse(table) {
        Ok(packages) => packages.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    })
}

fn parse<T: DeserializeOwned>(table: &[u8]) -> Result<Vec<T>, TomlError> {
    if table.len() > PACKAGE_BYTES {
        return Err(TomlError::TooLarge);
    }
    let malformed = |reason: &str| TomlError::Malformed(excerpt(&paths::text(reason.as_bytes())));
    let text = std::str::from_utf8(table).map_err(|error| malformed(&error.to_string()))?;
    let document: Document<T> = toml::from_str(text).map_err(|error| malformed(error.message()))?;
    Ok(document.package)
}

/// The bytes from each line `[[package]]` to the next header that does not belong to it. Headers stand at the beginning of
/// a line, and nothing else of these files begins with a bracket there.
fn tables(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut tables, mut start, mut position) = (Vec::new(), None, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let begins = line.trim_ascii_end() == b"[[package]]";
        let ends = begins || line.starts_with(b"[") && !is_of_package(line);
        if ends {
            tables.extend(start.take().and_then(|start| bytes.get(start..position)));
        }
        if begins {
            start = Some(position);
        }
        position += line.len();
    }
    tables.extend(start.and_then(|start| bytes.get(start..)));
    tables
}

fn is_of_package(header: &[u8]) -> bool {
    header.starts_with(b"[package.") || header.starts_with(b"[[package.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Named {
        name: String,
    }

    fn names(text: &str, complete: bool) -> Vec<Result<String, String>> {
        packages::<Named>(text.as_bytes(), complete)
            .map(|package| package.map(|package| package.name).map_err(|error| error.to_string()))
            .collect()
    }

    #[test]
    fn a_damaged_package_does_not_lose_the_others() {
        let text = "version = 3\n[metadata]\nx = 1\n\n[[package]]\nname = \"a\"\nfiles = [\n    {file = \"x\"},\n]\n\n\
                    [package.dependencies]\nb = \"*\"\n[[package.source]]\nx = 1\n\n[[package]]\nname = = \n\n\
                    [[package]]\r\nname = \"c\"\r\n\n[extras]\nname = \"d\"\n";
        let found = names(text, true);
        assert_eq!(found.len(), 3);
        assert_eq!((&found[0], &found[2]), (&Ok("a".to_owned()), &Ok("c".to_owned())));
        assert!(found[1].as_ref().unwrap_err().starts_with("is no TOML that can be read: "), "{found:?}");
    }

    #[test]
    fn of_a_cut_file_the_whole_packages_count() {
        assert_eq!(names("[[package]]\nname = \"a\"\n[[package]]\nname = \"b", false), [Ok("a".to_owned())]);
    }

    #[test]
    fn packages_in_one_line_count_and_no_packages_are_none() {
        assert_eq!(
            names("package = [{name = \"a\"}, {name = \"b\"}]", true),
            [Ok("a".into()), Ok("b".into())]
        );
        assert_eq!(names("package = []\n", true), []);
        assert_eq!(names("", true), []);
        assert!(names("no lock file", true)[0].is_err());
        assert!(names("\u{fffd}", true)[0].is_err());
    }

    #[test]
    fn nesting_and_sizes_have_an_end() {
        let long = |line: String| names(&format!("[[package]]\nname = \"a\"\n{line}\n"), true);
        assert_eq!(long(format!("# {}", "x".repeat(PACKAGE_BYTES))), [Err(TomlError::TooLarge.to_string())]);
        for line in [
            format!("x = {}", "[".repeat(100_000)),
            format!("x = {}", "{a = ".repeat(50_000)),
            format!("{}a = 1", "a.".repeat(100_000)),
            format!("{}a = 1", "a . ".repeat(50_000)),
            format!("{}a = 1", "'a' . ".repeat(40_000)),
            format!("{}a = 1", "'a'.".repeat(50_000)),
            format!("[package.{}a]", "a.".repeat(100_000)),
            format!("x = {{ {}a = 1 }}", "a . ".repeat(50_000)),
        ] {
            assert!(long(line.clone())[0].is_err(), "{}", &line[..20]);
        }
    }
}
