//! Names and versions of JavaScript packages, which several readers check alike.
//!
//! Specification: <https://docs.npmjs.com/cli/configuring-npm/package-json#name>.

use tidewatch_core::package::{Package, PackageType};

use super::once::Once;
use super::{TEXT_BYTES, excerpt, short_text};

/// The name `text` of a package, `NAME` or `@SCOPE/NAME`; `None` when no package can have it. Also the capital letters and
/// signs of old packages are taken.
pub(crate) fn name_of(text: &str) -> Option<&str> {
    let is_part = |part: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_letter)
    };
    let is_name = match text.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| is_part(scope) && is_part(name)),
        None => is_part(text),
    };
    (is_name && text.len() <= TEXT_BYTES).then_some(text)
}

/// The version `text` as it stands; `None` when it is none, but an address, the placeholder of a template, or a range.
/// Versions of old packages have a `v` or `=` in front.
pub(crate) fn version_of(text: &str) -> Option<&str> {
    let text = text.trim();
    let number = text.trim_start_matches(['v', '=']);
    let is_version = number.starts_with(|first: char| first.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte))
        && text.len() <= TEXT_BYTES;
    is_version.then_some(text)
}

/// The name in `NAME@REST`, and the rest.
pub(crate) fn split_name(text: &str) -> Option<(&str, &str)> {
    // The name of a scope begins with an @ of its own.
    let at = text.char_indices().skip(1).find(|(_, character)| *character == '@')?.0;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The real name and version behind `npm:NAME@VERSION`, by which a package is known under another name.
pub(crate) fn alias(text: &str) -> Option<(&str, &str)> {
    let target = text.strip_prefix("npm:")?;
    split_name(target)
}

/// Adds the package of a lock file; a name or version that is none is a problem.
pub(crate) fn add(packages: &mut Once, name: &str, version: Option<&str>, reader: &str) {
    add_licensed(packages, name, version, None, reader);
}

/// Adds the package of a lock file that names its licence.
pub(crate) fn add_licensed(
    packages: &mut Once,
    name: &str,
    version: Option<&str>,
    license: Option<String>,
    reader: &str,
) {
    let shown = |text: &str| short_text("text", excerpt(text).as_bytes()).unwrap_or_default();
    let Some(name) = name_of(name) else {
        packages.problems().add(|| format!("names the package {:?}, which none can be called", shown(name)));
        return;
    };
    let Some(version) = version else {
        packages.problems().add(|| format!("names no version of {name}"));
        return;
    };
    let Some(version) = version_of(version) else {
        packages.problems().add(|| format!("names no version of {name}, but {:?}", shown(version)));
        return;
    };
    packages.add(Package { license, ..Package::new(PackageType::Npm, name, version, reader) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_registry_has_ever_had() {
        for name in
            ["lodash", "@babel/core", "JSONStream", "_x", "1", "hot-formula.js", "@a/b.c", "crazy~(!)*'"]
        {
            assert_eq!(name_of(name), Some(name));
        }
        for text in
            ["", ".hidden", "a b", "a/b", "@a", "@/a", "@a/", "@a/b/c", "<%= name %>", "{{name}}", "é", "a@1"]
        {
            assert_eq!(name_of(text), None, "{text}");
        }
    }

    #[test]
    fn versions_are_versions_and_nothing_else() {
        for version in ["1.2.3", "v1.0", "=1.0.0", "0.0.0-development", "1.0.0-beta.1+build_5", "2"] {
            assert_eq!(version_of(version), Some(version));
        }
        assert_eq!(version_of(" 1.0.0\n"), Some("1.0.0"));
        for text in
            ["", "^1.0.0", "latest", "git+https://x/y#1", "1.x || 2", "<%= v %>", "file:../1", "dev-1"]
        {
            assert_eq!(version_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_ends_at_the_at_sign_that_does_not_begin_it() {
        assert_eq!(split_name("lodash@^4"), Some(("lodash", "^4")));
        assert_eq!(split_name("@babel/core@npm:^7@x"), Some(("@babel/core", "npm:^7@x")));
        assert_eq!(split_name("@babel/core"), None);
        assert_eq!(split_name("é@1"), Some(("é", "1")));
        assert_eq!(split_name(""), None);
        assert_eq!(alias("npm:@a/b@1.0.0"), Some(("@a/b", "1.0.0")));
        assert_eq!(alias("1.0.0"), None);
    }
}
