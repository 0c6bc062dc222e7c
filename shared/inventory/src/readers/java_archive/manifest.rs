//! The manifest of a Java archive, as far as it tells what the archive is.
//!
//! Specification: <https://docs.oracle.com/en/java/javase/21/docs/specs/jar/jar.html#jar-manifest>.

use crate::reading::pom::is_name;
use crate::reading::{TEXT_BYTES, short_text};

/// The fields that matter, in lower case: names are compared without case.
const FIELDS: &[&str] = &[
    "automatic-module-name",
    "bundle-activator",
    "bundle-license",
    "bundle-name",
    "bundle-symbolicname",
    "bundle-version",
    "created-by",
    "extension-name",
    "group-id",
    "implementation-title",
    "implementation-vendor",
    "implementation-vendor-id",
    "implementation-version",
    "main-class",
    "name",
    "package",
    "plugin-license-name",
    "plugin-version",
    "short-name",
    "specification-vendor",
    "specification-version",
    "weave-classes",
];

/// Fields that may name the group, those that do so more reliably first.
const GROUP_FIELDS: [&[&str]; 2] = [
    &[
        "group-id",
        "bundle-symbolicname",
        "extension-name",
        "specification-vendor",
        "implementation-vendor",
        "implementation-vendor-id",
        "implementation-title",
        "bundle-activator",
    ],
    &["automatic-module-name", "main-class", "package"],
];

/// What names of groups begin with.
const DOMAINS: [&str; 5] = ["com", "org", "net", "io", "be"];

/// The most fields that are kept: a signed archive has a section for each of its files.
const KEPT_FIELDS: usize = 1000;

/// The fields of a manifest that matter, in their order.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    main: Vec<(&'static str, String)>,
    /// Those of the sections for single files and packages.
    others: Vec<(&'static str, String)>,
}

impl Manifest {
    /// Reads a manifest, or the beginning of one.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut manifest = Self::default();
        // 0 is before the first section, 1 the main one.
        let mut section = 0_usize;
        let mut is_in_section = false;
        let mut open: Option<(&'static str, Vec<u8>)> = None;
        let end = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
        for line in bytes.split(|byte| *byte == end) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(rest) = line.strip_prefix(b" ") {
                if let Some((_, value)) = open.as_mut().filter(|(_, value)| value.len() <= TEXT_BYTES) {
                    value.extend_from_slice(rest);
                }
                continue;
            }
            manifest.add(section, open.take());
            let colon = line.iter().position(|byte| *byte == b':');
            let Some((name, value)) = colon.and_then(|colon| line.split_at_checked(colon)) else {
                is_in_section &= !line.is_empty();
                continue;
            };
            if !is_in_section {
                section += 1;
                is_in_section = true;
            }
            let name = name.trim_ascii();
            let field = FIELDS.iter().find(|field| name.eq_ignore_ascii_case(field.as_bytes()));
            open = field.map(|field| (*field, value.get(1..).unwrap_or_default().to_vec()));
        }
        manifest.add(section, open);
        manifest
    }

    fn add(&mut self, section: usize, field: Option<(&'static str, Vec<u8>)>) {
        let fields = if section <= 1 { &mut self.main } else { &mut self.others };
        let Some((name, value)) = field.filter(|_| fields.len() < KEPT_FIELDS) else { return };
        // Values that are too long are none of those that matter.
        let value = short_text("manifest field", value.trim_ascii()).ok();
        // What a build should have put in and has not says nothing.
        let value = value.filter(|value| !value.is_empty() && !value.contains("${"));
        fields.extend(value.map(|value| (name, value)));
    }

    /// A field of the main section.
    pub(super) fn main(&self, name: &str) -> Option<&str> {
        find(&self.main, name)
    }

    /// A field of the main section, else of any other.
    pub(super) fn anywhere(&self, name: &str) -> Option<&str> {
        find(&self.main, name).or_else(|| find(&self.others, name))
    }

    /// The licence that it names: `Apache-2.0;link=…` and `https://…` are customary.
    pub(super) fn license(&self) -> Option<&str> {
        let license = self.anywhere("bundle-license").or_else(|| self.anywhere("plugin-license-name"))?;
        let name = license.split(';').next().unwrap_or_default().trim().trim_matches('"');
        Some(name).filter(|name| !name.is_empty())
    }

    /// What may be the group: the first in the alphabet of all values that look like one. That is the custom of Syft,
    /// which advisories and other inventories are compared by, as nothing better is known.
    pub(super) fn group(&self) -> Option<&str> {
        GROUP_FIELDS.iter().find_map(|names| {
            let fields = self.main.iter().chain(&self.others);
            let values = fields.filter(|(name, _)| names.contains(name)).map(|(_, value)| value);
            values
                .filter(|value| DOMAINS.iter().any(|domain| value.starts_with(domain)))
                .map(|value| clean_group(value))
                .filter(|group| is_name(group))
                .min()
        })
    }
}

fn find<'a>(fields: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str())
}

/// A group without the directives of OSGi, `org.bar;uses:="org.foo"`, and without what follows a `#`.
pub(super) fn clean_group(group: &str) -> &str {
    group.split([';', '#']).next().unwrap_or_default().trim()
}
