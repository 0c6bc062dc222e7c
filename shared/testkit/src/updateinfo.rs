//! Repositories of Amazon Linux, as far as they tell of advisories: the mirror list, the index, and `updateinfo.xml`.

use std::io::Write as _;

use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::archives::ArchiveServer;

/// Where the repository of a release and an architecture is on the server of the distribution.
pub fn folder(release: &str, architecture: &str) -> String {
    match release {
        "2" => format!("2/core/latest/{architecture}"),
        _ => format!("al{release}/core/mirrors/latest/{architecture}"),
    }
}

/// One security update: its id, the CVE that it fixes, its severity, and the package and version with the fix.
pub fn update(id: &str, cve: &str, severity: &str, package: &str, version: &str) -> String {
    format!(
        "<update type=\"security\"><id>{id}</id><title>{id}</title><issued date=\"2024-07-01 20:41:00\"/>\
         <severity>{severity}</severity><references><reference href=\"x\" id=\"{cve}\" type=\"cve\"/></references>\
         <pkglist><collection><package name=\"{package}\" version=\"{version}\" release=\"1.amzn\" epoch=\"0\" \
         arch=\"x86_64\"/></collection></pkglist></update>\n"
    )
}

/// A feed of these updates.
pub fn feed(updates: &[String]) -> String {
    format!("<?xml version=\"1.0\"?>\n<updates>\n{}</updates>\n", updates.concat())
}

/// A file as gzip packs it.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A repository, file by file. Each can be changed before it is served.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The lines of its mirror list.
    pub mirrors: Vec<String>,
    /// The name of the file with the updates.
    pub file_name: String,
    /// What is stored under that name.
    pub stored: Vec<u8>,
    /// The kind of the checksum that the index has.
    pub algorithm: String,
    /// The checksum that the index has.
    pub checksum: String,
}

impl Repository {
    /// A repository of this feed, packed with gzip, on `server`.
    pub fn of(server: &ArchiveServer, release: &str, architecture: &str, feed: &str) -> Self {
        let stored = gzip(feed.as_bytes());
        Self {
            mirrors: vec![format!("{}/content/{release}/{architecture}", server.url())],
            file_name: "updateinfo.xml.gz".to_owned(),
            checksum: HEXLOWER.encode(&Sha256::digest(&stored)),
            algorithm: "sha256".to_owned(),
            stored,
        }
    }

    /// Has `server` serve it.
    pub fn serve(&self, server: &ArchiveServer, release: &str, architecture: &str) {
        let list = self.mirrors.join("\n") + "\n";
        server.put_file(&format!("/{}/mirror.list", folder(release, architecture)), list.into_bytes());
        let content = format!("/content/{release}/{architecture}");
        let Self { file_name, checksum, algorithm, .. } = self;
        let index = format!(
            "<?xml version=\"1.0\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>1</revision>\
             <data type=\"primary\"><checksum type=\"sha256\">00</checksum><location href=\"repodata/p\"/></data>\
             <data type=\"updateinfo\"><checksum type=\"{algorithm}\">{checksum}</checksum>\
             <location href=\"repodata/{file_name}\"/></data></repomd>"
        );
        server.put_file(&format!("{content}/repodata/repomd.xml"), index.into_bytes());
        server.put_file(&format!("{content}/repodata/{file_name}"), self.stored.clone());
    }
}

/// Has `server` serve these updates of each release, the same for both architectures.
pub fn serve(server: &ArchiveServer, releases: &[(&str, &[String])]) {
    for (release, updates) in releases {
        for architecture in ["x86_64", "aarch64"] {
            Repository::of(server, release, architecture, &feed(updates)).serve(
                server,
                release,
                architecture,
            );
        }
    }
}
