//! `pom.properties`, which Maven puts into an archive: group, artifact and version.
//!
//! Specification: <https://maven.apache.org/shared/maven-archiver/>, in the form of
//! <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/Properties.html#load(java.io.Reader)>.

use super::manifest::clean_group;
use crate::reading::pom::{Coordinates, is_name};
use crate::reading::short_text;

/// Reads the coordinates; what the build should have put in and has not (`${…}`) is missing.
pub(super) fn read(bytes: &[u8]) -> Coordinates {
    let mut coordinates = Coordinates::default();
    for line in bytes.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let line = line.trim_ascii();
        if line.starts_with(b"#") || line.starts_with(b"!") {
            continue;
        }
        let Some(split) = line.iter().position(|byte| matches!(byte, b'=' | b':')) else { continue };
        let (Some(name), Some(value)) = (line.get(..split), line.get(split + 1..)) else { continue };
        // A backslash only keeps what follows it from ending the name; there is none in coordinates.
        let value: Vec<u8> = value.trim_ascii().iter().copied().filter(|byte| *byte != b'\\').collect();
        let value = short_text("value", &value).ok();
        let value = value.filter(|value| !value.is_empty() && !value.contains("${"));
        match name.trim_ascii() {
            b"groupId" => {
                let group = value.map(|group| clean_group(&group).to_owned());
                coordinates.group = group.filter(|group| is_name(group));
            }
            b"artifactId" => coordinates.artifact = value.filter(|artifact| is_name(artifact)),
            b"version" => coordinates.version = value,
            _ => {}
        }
    }
    coordinates
}
