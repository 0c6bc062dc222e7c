//! Installed packages of Python: the metadata that wheels (`NAME-VERSION.dist-info/METADATA`), eggs (`EGG-INFO/PKG-INFO`),
//! setuptools (`NAME-VERSION.egg-info/PKG-INFO`) and distutils (a file `NAME-VERSION.egg-info`) leave beside the code.
//! What a package has taken into its own code counts as well where it brings its metadata along.
//!
//! Specification: <https://packaging.python.org/en/latest/specifications/core-metadata/>.

mod license;

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::stanza::field;
use crate::reading::{InputFile, Reading, pypi, short_text};

pub(super) const READER: Reader = Reader {
    id: "python",
    paths: &[
        PathPattern::new("**/*dist-info/METADATA"),
        PathPattern::new("**/*DIST-INFO/METADATA"),
        PathPattern::new("**/*egg-info/PKG-INFO"),
        PathPattern::new("**/*EGG-INFO/PKG-INFO"),
        PathPattern::new("**/*.egg-info"),
    ],
    evidence: Evidence::Installed,
    // The description of a package may follow, and be long; nothing in it matters.
    file_bytes: 4 << 20,
    access: Access::Whole(read),
};

/// The most classifiers that say something of a licence.
const CLASSIFIERS: usize = 20;

/// The fields that matter. Those that only one package may have count where they stand first.
#[derive(Default)]
struct Fields<'a> {
    name: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    license_expression: Option<&'a [u8]>,
    /// The field, and whether it goes on in more lines.
    license: Option<(&'a [u8], bool)>,
    /// What follows `License :: `.
    classifiers: Vec<&'a [u8]>,
}

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let fields = Fields::of(file);
    let Some(name) = fields.name else {
        // Conda puts empty files in place, so that pip sees the packages that it has installed itself.
        if !file.bytes.trim_ascii().is_empty() {
            reading.problems.add(|| "names no package".to_owned());
        }
        return reading;
    };
    // Python itself leaves such a file, and is no package of the index.
    if name == b"Python" {
        return reading;
    }
    let Some(name) = reading.problems.ok_or_add(short_text("package name", name)) else { return reading };
    let version = short_text("version", fields.version.unwrap_or_default());
    let Some(version) = reading.problems.ok_or_add(version) else { return reading };
    if let Some(mut package) = pypi::package(&name, &version, READER.id, &mut reading) {
        package.license = fields.license();
        reading.add(package, file.packages);
    }
    reading
}

impl<'a> Fields<'a> {
    /// The fields up to the first blank line, which the description follows.
    fn of(file: &InputFile<'a>) -> Self {
        let mut fields = Self::default();
        let mut lines = file.bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).peekable();
        // Blank lines before the first field say nothing.
        while lines.next_if(|line| line.is_empty()).is_some() {}
        while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
            // The last line of a cut file may lack its end.
            if !file.complete && lines.peek().is_none() {
                break;
            }
            let goes_on = lines.peek().is_some_and(|next| next.starts_with(b" ") || next.starts_with(b"\t"));
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                fields.take(line, goes_on);
            }
        }
        fields
    }

    fn take(&mut self, line: &'a [u8], goes_on: bool) {
        let Some((name, value)) = field(line) else { return };
        let place = match name.to_ascii_lowercase().as_slice() {
            b"name" => &mut self.name,
            b"version" => &mut self.version,
            b"license-expression" => &mut self.license_expression,
            b"license" => {
                self.license.get_or_insert((value, goes_on));
                return;
            }
            b"classifier" if self.classifiers.len() < CLASSIFIERS => {
                self.classifiers.extend(value.strip_prefix(b"License :: "));
                return;
            }
            _ => return,
        };
        place.get_or_insert(value);
    }

    /// The licence. What older metadata has in many lines is the text of a licence, which is no name of it.
    fn license(&self) -> Option<String> {
        let text = |value: &[u8]| short_text("licence", value).ok();
        let own = self
            .license_expression
            .or_else(|| self.license.filter(|(_, goes_on)| !goes_on).map(|(license, _)| license));
        let classifiers: Vec<String> = self.classifiers.iter().filter_map(|value| text(value)).collect();
        license::license(own.and_then(text), &classifiers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const PATH: &str = "usr/lib/python3/dist-packages/x-1.dist-info/METADATA";

    fn read_text(text: &str) -> Reading {
        read(&file(PATH, text.as_bytes()))
    }

    #[test]
    fn a_package_has_its_normalised_name_its_version_as_it_stands_and_its_licence() {
        let texts = [
            "Metadata-Version: 2.1\nName: zope.interface\nVersion: 5.5.2\nSummary: Interfaces for Python\n\
             Author: Zope Foundation and Contributors\nLicense: ZPL 2.1\nKeywords: interface,components,plugins\n\
             Classifier: Development Status :: 5 - Production/Stable\n\
             Classifier: License :: OSI Approved :: Zope Public License\nProvides-Extra: docs\n\nName: description\n",
            "Metadata-Version: 2.4\r\nName: Jinja2\r\nVersion: 3.1.6\r\nLicense-Expression: BSD-3-Clause\r\n\
             License-File: LICENSE.txt\r\n\r\n",
            "\nMetadata-Version: 1.1\nName: lz4\nVersion: 4.0.2+dfsg\nDescription: First\n        Version: 5\n\
             \tLicense: GPL\nPlatform: UNKNOWN\n",
        ];
        let packages: Vec<_> = texts
            .into_iter()
            .flat_map(|text| {
                let reading = read_text(text);
                assert!(reading.problems.is_empty());
                reading.packages
            })
            .collect();
        insta::assert_json_snapshot!(packages);
    }

    #[test]
    fn empty_metadata_and_that_of_python_itself_are_no_package() {
        for text in
            ["", "\n \n", "Metadata-Version: 1.1\nName: Python\nVersion: 2.7.13\nLicense: PSF license\n"]
        {
            assert_eq!(read_text(text), Reading::default());
        }
    }

    #[test]
    fn metadata_without_name_or_version_is_a_problem() {
        for (text, problem) in [
            ("garbage", "names no package"),
            ("Metadata-Version: 2.1\n\nName: a\nVersion: 1\n", "names no package"),
            ("Name: a\n\nVersion: 1\n", "names no version of a"),
            ("Name: a\nVersion:\n", "names no version of a"),
            ("Name:\nVersion: 1\n", "names a package without a name"),
        ] {
            let reading = read_text(text);
            assert!(reading.packages.is_empty());
            assert_eq!(reading.problems.into_reasons(), [problem], "{text}");
        }
    }

    #[test]
    fn of_cut_metadata_the_last_line_does_not_count() {
        let cut = |text: &str| read(&InputFile { complete: false, ..file(PATH, text.as_bytes()) });
        assert_eq!(cut("Name: a\nVersion: 1.2").packages.len(), 0);
        assert_eq!(cut("Name: a\nVersion: 1.2\n\nDescr").packages[0].version, "1.2");
    }

    #[test]
    fn a_value_that_is_too_long_is_a_problem_and_a_licence_that_is_too_long_is_none() {
        let long = "x".repeat(1025);
        let reading = read_text(&format!("Name: a\nVersion: {long}\n"));
        assert_eq!(reading.problems.into_reasons(), ["holds a version of more than 1024 bytes"]);
        let reading = read_text(&format!("Name: a\nVersion: 1\nLicense: {long}\n"));
        assert_eq!(reading.packages[0].license, None);
    }
}
