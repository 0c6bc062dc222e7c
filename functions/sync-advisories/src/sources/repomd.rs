//! The index of a repository of RPM packages, `repodata/repomd.xml`: where its updateinfo is, and its checksum.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use sha2::{Sha256, Sha512};

/// The kind of data that names advisories.
const UPDATEINFO: &str = "updateinfo";

/// What cannot be used of an index.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RepomdError {
    #[error("it is no XML: {0}")]
    Xml(String),
    #[error("it names no updateinfo")]
    NoUpdateinfo,
    #[error("it leads out of the repository: {0:?}")]
    Location(String),
    #[error("it has no checksum of SHA-256 or SHA-512 for the updateinfo")]
    NoChecksum,
}

/// Where the advisories of a repository are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Updateinfo {
    /// The names that lead to the file, from the repository on.
    pub(super) path: Vec<String>,
    /// `sha256` or `sha512`.
    algorithm: Algorithm,
    /// The checksum of the file as it is stored, in lower-case hexadecimal digits.
    checksum: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha512,
}

/// A `data` element.
#[derive(Debug, Default)]
struct Data {
    kind: String,
    location: String,
    algorithm: String,
    checksum: String,
}

impl Updateinfo {
    /// Reads an index.
    pub(super) fn of_repomd(xml: &[u8]) -> Result<Self, RepomdError> {
        let data = data(xml)?.into_iter().find(|data| data.kind == UPDATEINFO);
        let Data { location, algorithm, checksum, .. } = data.ok_or(RepomdError::NoUpdateinfo)?;
        let path: Vec<String> = location.split('/').map(str::to_owned).collect();
        let is_name =
            |name: &String| !matches!(name.as_str(), "" | "." | "..") && !name.contains(['\\', ':']);
        if !path.iter().all(is_name) {
            return Err(RepomdError::Location(location));
        }
        let (algorithm, digits) = match algorithm.as_str() {
            "sha256" => (Algorithm::Sha256, 64),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return Err(RepomdError::NoChecksum),
        };
        let checksum = checksum.trim().to_ascii_lowercase();
        if checksum.len() != digits || !checksum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(RepomdError::NoChecksum);
        }
        Ok(Self { path, algorithm, checksum })
    }

    /// What changes when the advisories do.
    pub(super) fn mark(&self) -> &str {
        &self.checksum
    }

    /// Whether a file is the one that the index names.
    pub(super) fn is(&self, file: &mut impl std::io::Read) -> std::io::Result<bool> {
        let checksum = match self.algorithm {
            Algorithm::Sha256 => checksum::<Sha256>(file)?,
            Algorithm::Sha512 => checksum::<Sha512>(file)?,
        };
        Ok(checksum == self.checksum)
    }

    /// The last name of the path.
    pub(super) fn file_name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }
}

fn checksum<H: sha2::Digest>(file: &mut impl std::io::Read) -> std::io::Result<String> {
    let (mut hasher, mut buffer) = (H::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    Ok(data_encoding::HEXLOWER.encode(&hasher.finalize()))
}

/// The `data` elements, each with what the last elements of their kind in it say.
fn data(xml: &[u8]) -> Result<Vec<Data>, RepomdError> {
    let mut reader = Reader::from_reader(xml);
    let failed = |error: &dyn std::fmt::Display| RepomdError::Xml(error.to_string());
    let (mut found, mut current, mut in_checksum) = (Vec::new(), None::<Data>, false);
    loop {
        let event = reader.read_event().map_err(|error| failed(&error))?;
        match event {
            Event::Start(element) | Event::Empty(element) => match element.local_name().as_ref() {
                b"data" => {
                    current = Some(Data { kind: attribute(&element, b"type")?, ..Data::default() });
                }
                b"location" => {
                    if let Some(data) = &mut current {
                        data.location = attribute(&element, b"href")?;
                    }
                }
                b"checksum" => {
                    if let Some(data) = &mut current {
                        data.algorithm = attribute(&element, b"type")?;
                        data.checksum.clear();
                        in_checksum = true;
                    }
                }
                _ => {}
            },
            Event::Text(text) if in_checksum => {
                if let Some(data) = &mut current {
                    data.checksum.push_str(&text.decode().map_err(|error| failed(&error))?);
                }
            }
            Event::End(element) => match element.local_name().as_ref() {
                b"checksum" => in_checksum = false,
                b"data" => found.extend(current.take()),
                _ => {}
            },
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

/// An attribute of an element; empty where it has none.
fn attribute(element: &BytesStart<'_>, name: &[u8]) -> Result<String, RepomdError> {
    let failed = |error: &dyn std::fmt::Display| RepomdError::Xml(error.to_string());
    let attribute = element.try_get_attribute(name).map_err(|error| failed(&error))?;
    let Some(attribute) = attribute else { return Ok(String::new()) };
    let value = std::str::from_utf8(&attribute.value).map_err(|error| failed(&error))?;
    quick_xml::escape::unescape(value).map(std::borrow::Cow::into_owned).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    fn repomd(data: &str) -> Result<Updateinfo, RepomdError> {
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <repomd xmlns=\"http://linux.duke.edu/metadata/repo\">\n  <revision>1</revision>\n\
             <data type=\"primary\"><checksum type=\"sha256\">{0}</checksum><location href=\"repodata/p.xml.gz\"/></data>\n\
             {data}</repomd>",
            "0".repeat(64)
        );
        Updateinfo::of_repomd(xml.as_bytes())
    }

    fn updateinfo(checksum: &str, kind: &str, location: &str) -> Result<Updateinfo, RepomdError> {
        repomd(&format!(
            "<data type=\"updateinfo\"><checksum type=\"{kind}\">{checksum}</checksum>\
             <open-checksum type=\"sha256\">{0}</open-checksum><location href=\"{location}\"/></data>",
            "f".repeat(64)
        ))
    }

    #[test]
    fn the_updateinfo_is_found_with_its_checksum() {
        let content = b"<updates/>";
        let checksum = data_encoding::HEXLOWER.encode(&Sha256::digest(content));
        let found = updateinfo(&checksum, "sha256", "repodata/updateinfo.xml.gz").unwrap();
        assert_eq!(
            (found.path.join("/").as_str(), found.file_name()),
            ("repodata/updateinfo.xml.gz", "updateinfo.xml.gz")
        );
        assert!(found.is(&mut &content[..]).unwrap());
        assert!(!found.is(&mut &b"<updates> </updates>"[..]).unwrap());
        let checksum = data_encoding::HEXLOWER.encode(&Sha512::digest(content));
        assert!(updateinfo(&checksum, "sha512", "u.xml").unwrap().is(&mut &content[..]).unwrap());
    }

    #[test]
    fn what_cannot_be_verified_or_leads_elsewhere_is_refused() {
        let checksum = "a".repeat(64);
        assert_eq!(repomd(""), Err(RepomdError::NoUpdateinfo));
        for (checksum, kind) in [(checksum.as_str(), "md5"), ("abc", "sha256"), (&"z".repeat(64), "sha256")] {
            assert_eq!(updateinfo(checksum, kind, "u.xml"), Err(RepomdError::NoChecksum));
        }
        for location in ["", "/etc/passwd", "../../u.xml", "https://elsewhere/u.xml", "a//b", "a\\b"] {
            let refused = updateinfo(&checksum, "sha256", location);
            assert_eq!(refused, Err(RepomdError::Location(location.to_owned())));
        }
        assert!(matches!(Updateinfo::of_repomd(b"<repomd><data></repomd>"), Err(RepomdError::Xml(_))));
    }
}
