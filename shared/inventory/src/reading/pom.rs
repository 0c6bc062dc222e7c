//! Maven's project files, `pom.xml`: who a project is, what it asks for, and its licences. Only what the file itself says
//! counts: a parent elsewhere is known by its coordinates alone. Entities other than XML's own are not expanded.
//!
//! Specification: <https://maven.apache.org/pom.html>.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use super::{TEXT_BYTES, short_text};

/// Elements within one another that are looked at; what matters is at most five deep.
const DEPTH: usize = 8;

/// Properties within one another, and all properties of one value: real ones take two or three.
const NESTED_PROPERTIES: usize = 8;
const PROPERTIES_OF_VALUE: usize = 16;

/// A project file, its values as they stand: with `${…}`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pom {
    own: Coordinates,
    parent: Coordinates,
    properties: BTreeMap<String, String>,
    /// What it asks for.
    dependencies: Vec<Dependency>,
    /// What is to be taken wherever somebody asks for it.
    managed: Vec<Dependency>,
    /// The names of its licences; of one without a name, its address.
    licenses: Vec<String>,
}

/// Where an artifact is in a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coordinates {
    pub(crate) group: Option<String>,
    pub(crate) artifact: Option<String>,
    pub(crate) version: Option<String>,
}

/// What a project asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) at: Coordinates,
    /// `compile`, `test`, `import`; compile where nothing stands.
    pub(crate) scope: Option<String>,
}

/// What an element that is not yet closed has said.
#[derive(Debug, Default)]
struct Open {
    dependency: Dependency,
    license: Option<String>,
}

/// The elements around the place that is read.
#[derive(Debug, Default)]
struct Place {
    /// Their names, with slashes: `project/parent/groupId`.
    path: String,
    depth: usize,
}

impl Place {
    fn enter(&mut self, name: &[u8]) {
        self.depth += 1;
        if self.depth <= DEPTH {
            if self.depth > 1 {
                self.path.push('/');
            }
            let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= TEXT_BYTES);
            self.path.push_str(name.unwrap_or("?"));
        }
    }

    fn leave(&mut self) {
        if self.depth <= DEPTH {
            self.path.truncate(self.path.rfind('/').unwrap_or(0));
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// The path; `None` too deep inside for anything that matters.
    fn path(&self) -> Option<&str> {
        (self.depth <= DEPTH).then_some(&self.path)
    }
}

impl Pom {
    /// Reads a project file; what is wrong with it comes beside what was read until then. A file of XML that is no project
    /// says nothing.
    pub(crate) fn read(bytes: &[u8]) -> (Self, Result<(), quick_xml::Error>) {
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let (mut pom, mut place, mut open) = (Self::default(), Place::default(), Open::default());
        let mut value = String::new();
        let result = loop {
            match reader.read_event() {
                Ok(Event::Start(tag)) => {
                    place.enter(tag.local_name().as_ref());
                    value.clear();
                }
                Ok(Event::End(_)) => {
                    if let Some(path) = place.path() {
                        pom.take(path, &value, &mut open);
                    }
                    place.leave();
                    value.clear();
                }
                Ok(Event::Text(text)) => push(&mut value, &text.decode().unwrap_or_default()),
                Ok(Event::CData(text)) => push(&mut value, &text.decode().unwrap_or_default()),
                Ok(Event::GeneralRef(reference)) => push(&mut value, &resolved(&reference)),
                Ok(Event::Eof) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        (pom, result)
    }

    /// Takes what the element at `path`, which ends here, says.
    fn take(&mut self, path: &str, value: &str, open: &mut Open) {
        let Some(path) = path.strip_prefix("project/") else { return };
        let Some(value) = short_text("value", value.trim().as_bytes()).ok() else { return };
        let value = Some(value).filter(|value| !value.is_empty());
        match path {
            "licenses/license" => self.licenses.extend(open.license.take()),
            "licenses/license/name" => open.license = value,
            "licenses/license/url" if open.license.is_none() => open.license = value,
            "dependencies/dependency" => self.dependencies.push(std::mem::take(&mut open.dependency)),
            "dependencyManagement/dependencies/dependency" => {
                self.managed.push(std::mem::take(&mut open.dependency));
            }
            _ => {
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
                match (parent, name, value) {
                    ("properties", name, Some(value)) => {
                        self.properties.insert(name.to_owned(), value);
                    }
                    (
                        "dependencies/dependency" | "dependencyManagement/dependencies/dependency",
                        "scope",
                        value,
                    ) => {
                        open.dependency.scope = value;
                    }
                    (
                        "dependencies/dependency" | "dependencyManagement/dependencies/dependency",
                        name,
                        value,
                    ) => {
                        open.dependency.at.set(name, value);
                    }
                    ("parent", name, value) => self.parent.set(name, value),
                    ("", name, value) => self.own.set(name, value),
                    _ => {}
                }
            }
        }
    }

    /// Its group, which is its parent's where it names none.
    pub(crate) fn group(&self) -> Option<String> {
        self.resolve(self.own.group.as_ref().or(self.parent.group.as_ref())?).filter(|group| is_name(group))
    }

    /// Its artifact.
    pub(crate) fn artifact(&self) -> Option<String> {
        self.resolve(self.own.artifact.as_ref()?).filter(|artifact| is_name(artifact))
    }

    /// Its version, which is its parent's where it names none.
    pub(crate) fn version(&self) -> Option<String> {
        self.resolve(self.own.version.as_ref().or(self.parent.version.as_ref())?)
    }

    /// Its licences, in the file's own words.
    pub(crate) fn licenses(&self) -> impl Iterator<Item = String> {
        self.licenses.iter().filter_map(|license| self.resolve(license))
    }

    /// What it asks for, with the version of its own dependency management where a dependency names none. What cannot be
    /// told within the file is missing.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = Dependency> {
        let name = |text: &Option<String>| self.resolve(text.as_ref()?).filter(|name| is_name(name));
        let names = move |at: &Coordinates| (name(&at.group), name(&at.artifact));
        // The first that says it counts.
        let managed = self.managed.iter().rev().map(|managed| (names(&managed.at), &managed.at.version));
        let managed: BTreeMap<_, _> = managed.collect();
        self.dependencies.iter().map(move |dependency| {
            let (group, artifact) = names(&dependency.at);
            let key = (group, artifact);
            let own = dependency.at.version.as_ref();
            let version = own.or_else(|| managed.get(&key).copied().and_then(Option::as_ref));
            let version = version.and_then(|version| self.resolve(version));
            let (group, artifact) = key;
            Dependency { at: Coordinates { group, artifact, version }, scope: dependency.scope.clone() }
        })
    }

    /// `text` with its properties put in; `None` when one is not in the file, or nothing is left.
    fn resolve(&self, text: &str) -> Option<String> {
        let text = self.expand(text, 0, &mut { PROPERTIES_OF_VALUE })?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn expand(&self, text: &str, depth: usize, left: &mut usize) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}')?;
            *left = left.checked_sub(1).filter(|_| depth < NESTED_PROPERTIES)?;
            expanded.push_str(before);
            expanded.push_str(&self.expand(self.property(name)?, depth + 1, left)?);
            rest = after;
            if expanded.len() > TEXT_BYTES {
                return None;
            }
        }
        expanded.push_str(rest);
        (expanded.len() <= TEXT_BYTES).then_some(expanded)
    }

    fn property(&self, name: &str) -> Option<&String> {
        let own = name.strip_prefix("project.").or_else(|| name.strip_prefix("pom."));
        match own {
            Some("groupId") => self.own.group.as_ref().or(self.parent.group.as_ref()),
            Some("artifactId") => self.own.artifact.as_ref(),
            Some("version") => self.own.version.as_ref().or(self.parent.version.as_ref()),
            Some("parent.groupId") => self.parent.group.as_ref(),
            Some("parent.artifactId") => self.parent.artifact.as_ref(),
            Some("parent.version") => self.parent.version.as_ref(),
            _ => None,
        }
        .or_else(|| self.properties.get(name))
    }
}

impl Coordinates {
    fn set(&mut self, name: &str, value: Option<String>) {
        match name {
            "groupId" => self.group = value,
            "artifactId" => self.artifact = value,
            "version" => self.version = value,
            _ => {}
        }
    }
}

/// Whether `text` may be a group or an artifact: those have letters, digits and `-_.` by
/// <https://maven.apache.org/pom.html#Maven_Coordinates>; what is only odd counts, and what would make the name of a package
/// ambiguous does not.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains([':', '/']) && !text.contains(char::is_whitespace)
}

/// Adds a part of a value; of what is too long to be one, enough to see it.
fn push(value: &mut String, part: &str) {
    if value.len() <= TEXT_BYTES {
        value.extend(part.chars().take(TEXT_BYTES + 1));
    }
}

/// What a reference to a character or to one of XML's own entities stands for; nothing for any other.
fn resolved(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return character.to_string();
    }
    match &**reference {
        b"amp" => "&",
        b"lt" => "<",
        b"gt" => ">",
        b"quot" => "\"",
        b"apos" => "'",
        _ => "",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Pom {
        let (pom, result) = Pom::read(text.as_bytes());
        result.unwrap();
        pom
    }

    #[test]
    fn a_project_has_what_its_parent_has_and_its_properties_are_put_in() {
        let pom = read(
            "<?xml version='1.0'?><!-- <groupId>no</groupId> -->\n<project xmlns='http://maven.apache.org/POM/4.0.0'>\
             <parent><groupId> org.a </groupId><artifactId>parent</artifactId><version>${major}.2</version></parent>\
             <artifactId>b&amp;&#99;</artifactId><properties><major>${first}</major><first>7</first></properties>\
             <build><plugins><plugin><groupId>no</groupId></plugin></plugins></build>\
             <licenses><license><name><![CDATA[MIT]]></name><url>https://no</url></license>\
             <license><url>https://yes</url></license></licenses></project>",
        );
        assert_eq!(pom.group().as_deref(), Some("org.a"));
        assert_eq!(pom.artifact().as_deref(), Some("b&c"));
        assert_eq!(pom.version().as_deref(), Some("7.2"));
        assert_eq!(pom.licenses().collect::<Vec<_>>(), ["MIT", "https://yes"]);
    }

    #[test]
    fn properties_that_are_not_there_or_have_no_end_give_nothing() {
        let grow: Vec<String> = (0..9)
            .map(|number| format!("<p{number}>{}</p{number}>", format!("${{p{}}}", number + 1).repeat(9)))
            .collect();
        let grow = grow.concat();
        for (version, properties) in [
            ("${nowhere}", ""),
            ("${open", ""),
            ("${a}", "<a>${b}</a><b>${a}</b>"),
            ("${a}", "<a>${a}x</a>"),
            ("${p0}", grow.as_str()),
        ] {
            let pom = read(&format!(
                "<project><version>{version}</version><properties>{properties}</properties></project>"
            ));
            assert_eq!(pom.version(), None, "{version}");
        }
    }

    #[test]
    fn entities_of_the_file_are_not_expanded() {
        let pom = read(
            "<!DOCTYPE p [<!ENTITY a \"aaaa\"><!ENTITY f SYSTEM \"file:///etc/passwd\">]>\
             <project><version>1&a;&f;</version></project>",
        );
        assert_eq!(pom.version().as_deref(), Some("1"));
    }

    #[test]
    fn other_xml_and_deep_xml_say_nothing_and_of_a_cut_file_the_beginning_counts() {
        assert_eq!(read("<html><version>1</version></html>"), Pom::default());
        assert_eq!(
            read(&format!("{}{}", "<project>".repeat(1000), "</project>".repeat(1000))),
            Pom::default()
        );
        let (pom, result) = Pom::read(b"<project><version>1</version><artifactId>x</group>");
        assert!(result.is_err());
        assert_eq!(pom.version().as_deref(), Some("1"));
    }
}
