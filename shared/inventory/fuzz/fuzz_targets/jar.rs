//! Java archives that are valid zip archives, in one another, with whatever is in them.
#![no_main]

use std::io::{Cursor, Write as _};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::{Corpus, fuzz_target};
use tidewatch_inventory::fuzzing::{read, reader_id_for};
use tidewatch_inventory_fuzz::{PACKAGES, check_findings};
use zip::write::{SimpleFileOptions, ZipWriter};

const PATHS: [&str; 5] =
    ["app/name-1.0.jar", "app/name.war", "app/x.ear", "a.jar", "app/name-1.0-SNAPSHOT.jar"];

const NAMES: [&str; 10] = [
    "META-INF/MANIFEST.MF",
    "META-INF/maven/org.example/name/pom.properties",
    "META-INF/maven/org.example/name/pom.xml",
    "META-INF/maven/org.other/shaded/pom.properties",
    "META-INF/LICENSE",
    "BOOT-INF/lib/name-1.0.jar",
    "WEB-INF/lib/inner-2.jar",
    "lib/x.jar",
    "META-INF/",
    "../x.jar",
];

/// Archives in archives are made as deep as this.
const DEPTH: usize = 6;

#[derive(Arbitrary, Debug)]
struct File<'a> {
    name: u8,
    deflated: bool,
    content: Content<'a>,
}

#[derive(Arbitrary, Debug)]
enum Content<'a> {
    Bytes(&'a [u8]),
    Manifest { name: &'a str, version: &'a str, group: &'a str },
    Properties { group: &'a str, artifact: &'a str, version: &'a str },
    Archive(Vec<File<'a>>),
}

fuzz_target!(|input: (u8, Vec<File<'_>>)| -> Corpus {
    let (path, files) = input;
    let path = PATHS[usize::from(path) % PATHS.len()];
    let Some(id) = reader_id_for(path) else { return Corpus::Reject };
    let Some(bytes) = zip(&files, DEPTH) else { return Corpus::Reject };
    check_findings(&read(id, path, &bytes, true, PACKAGES).expect("there is such a reader"));
    Corpus::Keep
});

/// The bytes of an archive with `files`; `None` when there can be no such archive.
fn zip(files: &[File<'_>], depth: usize) -> Option<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let method =
            if file.deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        let name = NAMES[usize::from(file.name) % NAMES.len()];
        writer.start_file(name, SimpleFileOptions::default().compression_method(method)).ok()?;
        writer.write_all(&content(&file.content, depth)?).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}

fn content(content: &Content<'_>, depth: usize) -> Option<Vec<u8>> {
    Some(match content {
        Content::Bytes(bytes) => bytes.to_vec(),
        Content::Manifest { name, version, group } => format!(
            "Manifest-Version: 1.0\r\nImplementation-Title: {name}\r\nImplementation-Version: {version}\r\n\
             Implementation-Vendor-Id: {group}\r\nBundle-SymbolicName: {group}.{name}\r\n\r\n"
        )
        .into_bytes(),
        Content::Properties { group, artifact, version } => {
            format!("#comment\ngroupId={group}\nartifactId = {artifact}\nversion:{version}\n").into_bytes()
        }
        Content::Archive(_) if depth == 0 => return None,
        Content::Archive(files) => zip(files, depth - 1)?,
    })
}
