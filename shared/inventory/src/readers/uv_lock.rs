//! `uv.lock` of uv, and the lock files that it writes for single scripts, `NAME.py.lock`. The project itself, and whatever
//! else of it is only a directory, is no package of the index.
//!
//! Form: <https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile>.

use serde::Deserialize;

use tidewatch_core::package::PackageType;

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::toml_packages::packages;
use crate::reading::{InputFile, Reading, is_of_a_dependency, pypi};

pub(super) const READER: Reader = Reader {
    id: "uv-lock",
    paths: &[PathPattern::new("**/uv.lock"), PathPattern::new("**/*.py.lock")],
    evidence: Evidence::LockFile(PackageType::Pypi),
    file_bytes: 8 << 20,
    access: Access::Whole(read),
};

#[derive(Deserialize)]
struct Locked {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    source: Source,
}

/// Where a package comes from; one of several keys.
#[derive(Default, Deserialize)]
struct Source {
    directory: Option<serde::de::IgnoredAny>,
    editable: Option<serde::de::IgnoredAny>,
    r#virtual: Option<serde::de::IgnoredAny>,
}

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    if is_of_a_dependency(file.path) {
        return reading;
    }
    for locked in packages::<Locked>(file.bytes, file.complete) {
        let Some(Locked { name, version, source }) = reading.problems.ok_or_add(locked) else { continue };
        if source.directory.is_some() || source.editable.is_some() || source.r#virtual.is_some() {
            continue;
        }
        let package = pypi::package(&name, &version, READER.id, &mut reading);
        if package.is_some_and(|package| !reading.add(package, file.packages)) {
            break;
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const LOCK: &str = r#"version = 1
revision = 2
requires-python = ">=3.12"
resolution-markers = [
    "python_full_version >= '3.13'",
    "python_full_version < '3.13'",
]

[[package]]
name = "certifi"
version = "2025.10.5"
source = { registry = "https://index.example/simple" }
sdist = { url = "https://files.example/packages/certifi-2025.10.5.tar.gz", hash = "sha256:47c09d31ccf2acf0be3f701ea53595ee7e0b8fa08801c6624be771df09ae7b43", size = 164519 }
wheels = [
    { url = "https://files.example/packages/certifi-2025.10.5-py3-none-any.whl", hash = "sha256:0f212c2744a9bb6de0c56639a6f68afe01ecd92d91f14ae897c4fe7bbeeef0de", size = 163286 },
]

[[package]]
name = "my-app"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "certifi" },
    { name = "my_fork" },
]

[package.metadata]
requires-dist = [{ name = "certifi", specifier = ">=2025" }]

[[package]]
name = "my-editable"
source = { editable = "packages/editable" }

[[package]]
name = "my-directory"
version = "2.0"
source = { directory = "packages/directory" }

[[package]]
name = "my_fork"
version = "0.4.0"
source = { git = "https://example.org/my-fork.git?rev=main#4b220de5058abfd01ff619c9d2ff6b09a049bea0" }
"#;

    #[test]
    fn what_is_locked_counts_but_for_the_project_itself() {
        for path in ["app/uv.lock", "app/tool.py.lock"] {
            let reading = read(&file(path, LOCK.as_bytes()));
            let packages: Vec<_> = reading
                .packages
                .iter()
                .map(|package| (package.name.as_str(), package.version.as_str()))
                .collect();
            assert_eq!(packages, [("certifi", "2025.10.5"), ("my-fork", "0.4.0")]);
            assert!(reading.problems.is_empty());
        }
    }

    #[test]
    fn a_package_that_cannot_be_used_does_not_lose_the_others() {
        let text = format!("[[package]]\nname = \"a\"\n\n[[package]]\nname = [\n\n{LOCK}");
        let reading = read(&file("uv.lock", text.as_bytes()));
        assert_eq!((reading.packages.len(), reading.problems.into_reasons().len()), (2, 2));
        let reading = read(&InputFile { packages: 1, ..file("uv.lock", LOCK.as_bytes()) });
        assert_eq!((reading.packages.len(), reading.problems.into_reasons().len()), (1, 1));
    }
}
