//! The build information that Go's linker puts into a program: its own module, those that were linked into it, and the
//! version of Go, which is that of the standard library.
//!
//! A program is searched as it comes by, and only what is found is kept. Since Go 1.18 everything stands in one place. Before,
//! there are pointers to strings in another part of the file, which mostly came by already: what may be such a string is
//! remembered, and so are the places that point to it.
//!
//! Format: <https://pkg.go.dev/debug/buildinfo>, and the header `buildInfoHeader` in its source,
//! <https://cs.opensource.google/go/go/+/master:src/debug/buildinfo/buildinfo.go>.

mod header;
mod layout;
mod modules;
mod search;
mod strings;
mod texts;

use super::{Scan, Scanner};
use crate::reading::Reading;
use header::{Headers, Info};
use layout::Layout;
use search::Search;
use strings::Strings;
use texts::Texts;

pub(super) const SCANNER: Scanner = Scanner { id: "go-build-info", start: || Box::new(BuildInfo::default()) };

/// One program.
#[derive(Default)]
struct BuildInfo {
    search: Search,
    layout: Layout,
    headers: Headers,
    strings: Strings,
    texts: Texts,
    /// Everything was found: the rest of the program is not looked at.
    done: bool,
}

impl Scan for BuildInfo {
    fn push(&mut self, bytes: &[u8]) {
        if self.done {
            return;
        }
        let position = self.search.position();
        self.layout.push(bytes);
        self.headers.push(position, bytes, &self.layout);
        self.strings.push(position, bytes);
        let found = self.search.push(bytes);
        for at in found.headers {
            self.headers.begin(at, position, bytes, &self.layout);
        }
        for at in found.versions {
            self.strings.begin(at, position, bytes);
        }
        self.texts.push(position, bytes, &found.texts);
        self.strings.find_pointers(position, bytes, &found.before, &self.layout, &self.texts);
        self.done = self.headers.certain().is_some_and(|info| match info {
            Info::Inline { text, .. } => text.is_none_or(|text| self.texts.at(text).is_some()),
            Info::Pointers { .. } => false,
        });
    }

    fn finish(mut self: Box<Self>, complete: bool, packages: usize) -> Reading {
        self.headers.finish(&self.layout);
        let mut reading = Reading::default();
        let (version, text, has_text) = match self.headers.best() {
            Some(Info::Inline { version, text }) => {
                (Some(version.as_str()), text.and_then(|at| self.texts.at(at)), text.is_some())
            }
            Some(Info::Pointers { version, text }) => {
                let text = self.strings.text(*text).and_then(|at| self.texts.at(at));
                (self.strings.version(*version), text.or_else(|| self.texts.only()), false)
            }
            // Go 1.12 recorded the modules, and nothing that leads to them.
            None => (None, self.texts.only(), false),
        };
        // Of a program that is cut off that much is known already.
        if has_text && text.is_none() && complete {
            reading.problems.add(|| "holds build information of Go whose modules cannot be read".to_owned());
        }
        modules::read(version, text.unwrap_or_default(), packages, &mut reading);
        reading
    }
}

#[cfg(test)]
mod tests;
