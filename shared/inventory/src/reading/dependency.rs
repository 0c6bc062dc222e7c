//! Which lock files say nothing about an image: those that came with somebody else's code. Sources of dependencies, caches of
//! package tools, tool chains and documentation are full of lock files, which name what their authors once built with.

/// Directories whose contents belong to a dependency, a tool or a test, as parts between slashes; a `*` at the end of a part
/// stands for any text.
const PLACES: &[&str] = &[
    // Installed packages, and what projects keep of others' code.
    "__pypackages__",
    "bower_components",
    "dist-packages",
    "gems",
    "node_modules",
    "share/nodejs",
    "site-packages",
    "vendor",
    "vendor_ruby",
    // Caches and stores of package tools. Go: <https://go.dev/ref/mod#module-cache>.
    // Cargo: <https://doc.rust-lang.org/cargo/guide/cargo-home.html>.
    ".bundle",
    ".cache",
    ".cargo",
    ".composer",
    ".gradle",
    ".ivy2",
    ".m2",
    ".npm",
    ".nuget",
    ".pnpm",
    ".pnpm-store",
    ".rustup",
    ".yarn",
    "cargo/git",
    "cargo/registry",
    "pkg/mod",
    // Tool chains with their sources: Go where its installer, Debian, Alpine and Fedora put it, and Rust.
    "lib/go",
    "lib/go-*",
    "lib/golang",
    "local/go",
    "rustlib/src",
    "sdk/go1.*",
    "share/go-*",
    // Documentation and tests.
    "share/doc",
    "test-fixtures",
    "testdata",
];

/// Whether the file at `path`, a cleaned one, came with the code of a dependency, a tool or a test, so that what it asks for is
/// no evidence of packages in the image.
pub(crate) fn is_of_a_dependency(path: &str) -> bool {
    let mut parts: Vec<&str> = path.split('/').collect();
    // Only directories count.
    parts.pop();
    (0..parts.len()).any(|start| {
        let parts = parts.get(start..).unwrap_or_default();
        PLACES.iter().any(|place| begins_with(parts, place))
    })
}

fn begins_with(parts: &[&str], place: &str) -> bool {
    place.split('/').enumerate().all(|(position, expected)| {
        parts.get(position).is_some_and(|part| match expected.strip_suffix('*') {
            Some(start) => part.starts_with(start),
            None => *part == expected,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_among_the_code_of_others_is_of_a_dependency_and_one_of_an_application_is_not() {
        for (path, expected) in [
            ("go.mod", false),
            ("app/go.mod", false),
            ("go/src/app/go.mod", false),
            ("usr/src/app/package-lock.json", false),
            ("srv/vendor", false),
            ("app/vendors/Cargo.lock", false),
            ("root/pkg/server/go.mod", false),
            ("usr/local/go-app/go.mod", false),
            ("opt/cargo/Cargo.lock", false),
            ("app/node_modules/handlebars/package-lock.json", true),
            ("usr/lib/python3/dist-packages/x/poetry.lock", true),
            ("usr/local/lib/python3.12/site-packages/x/uv.lock", true),
            ("var/lib/gems/3.1.0/gems/rake-13.0.6/Gemfile.lock", true),
            ("usr/lib/ruby/vendor_ruby/x/Gemfile.lock", true),
            ("var/www/vendor/symfony/yaml/composer.lock", true),
            ("usr/share/nodejs/x/yarn.lock", true),
            ("usr/local/cargo/registry/src/index.crates.io-1949cf8c6b5b557f/regex-1.5.4/Cargo.lock", true),
            ("usr/local/cargo/git/checkouts/x/Cargo.lock", true),
            ("usr/share/cargo/registry/regex-1.5.4/Cargo.lock", true),
            ("root/.cargo/registry/src/x/Cargo.lock", true),
            ("usr/local/rustup/toolchains/stable/lib/rustlib/src/rust/library/Cargo.lock", true),
            ("go/pkg/mod/golang.org/x/net@v0.1.0/go.mod", true),
            ("usr/local/go/src/go.mod", true),
            ("usr/share/go-1.19/src/cmd/go.mod", true),
            ("usr/lib/go-1.19/src/go.mod", true),
            ("usr/lib/golang/src/go.mod", true),
            ("root/sdk/go1.21.0/src/go.mod", true),
            ("root/.m2/repository/x/pom.xml", true),
            ("root/.gradle/caches/x/gradle.lockfile", true),
            ("root/.npm/_cacache/package-lock.json", true),
            ("app/internal/testdata/go.mod", true),
            ("usr/share/doc/x/examples/Pipfile.lock", true),
        ] {
            assert_eq!(is_of_a_dependency(path), expected, "{path}");
        }
    }
}
