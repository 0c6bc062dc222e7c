//! Writes images as archives, as tools save them: OCI image layouts in a tar, and what `docker save` writes, of old and of
//! now.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use tidewatch_core::Digest;

use crate::image::{BuiltImage, write_oci_layout};
use crate::layer::Compression;

/// The members of an archive, by their names, in order.
#[derive(Clone, Debug, Default)]
pub struct Members(BTreeMap<String, Member>);

#[derive(Clone, Debug)]
enum Member {
    File(Bytes),
    Symlink(String),
}

impl Members {
    /// No members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or puts it in place of the one that is there.
    #[must_use]
    pub fn file(mut self, name: &str, bytes: impl Into<Bytes>) -> Self {
        self.0.insert(name.to_owned(), Member::File(bytes.into()));
        self
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(mut self, name: &str, target: &str) -> Self {
        self.0.insert(name.to_owned(), Member::Symlink(target.to_owned()));
        self
    }

    /// Leaves one out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The bytes of a file.
    ///
    /// # Panics
    /// When there is none with this name.
    pub fn bytes(&self, name: &str) -> Bytes {
        match &self.0[name] {
            Member::File(bytes) => bytes.clone(),
            Member::Symlink(target) => panic!("{name} is a link to {target}"),
        }
    }

    /// The tar archive.
    pub fn archive(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, member) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            match member {
                Member::File(bytes) => {
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, name, &bytes[..]).expect("writing to memory");
                }
                Member::Symlink(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    archive.append_link(&mut header, name, target).expect("writing to memory");
                }
            }
        }
        archive.into_inner().expect("writing to memory")
    }
}

/// An OCI image layout with these images, each with its name, as `skopeo copy … oci-archive:` writes it.
pub fn oci_archive(images: &[(&str, &BuiltImage)]) -> Members {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_oci_layout(folder.path(), images).expect("a layout in a temporary folder");
    let mut members = Members::new();
    for name in ["index.json", "oci-layout"] {
        members = members.file(name, read(&folder.path().join(name)));
    }
    for entry in std::fs::read_dir(folder.path().join("blobs/sha256")).expect("the folder of blobs") {
        let entry = entry.expect("a blob");
        let name = format!("blobs/sha256/{}", entry.file_name().to_str().expect("a digest"));
        members = members.file(&name, read(&entry.path()));
    }
    members
}

/// What `docker save` wrote up to Docker 24 for an image of one platform: plain layers, each once and else as a link, the
/// config, `manifest.json` and `repositories`. With [`Compression::Gzip`] the layers are compressed, as other tools do it.
pub fn docker_archive(image: &BuiltImage, names: &[&str], compression: Compression) -> Members {
    let manifest = json_of(&image.manifest().bytes);
    let config = digest_of(&manifest["config"]);
    let mut members = Members::new();
    let mut files: BTreeMap<Digest, String> = BTreeMap::new();
    let mut layers = Vec::new();
    for (number, layer) in manifest["layers"].as_array().expect("layers").iter().enumerate() {
        let digest = digest_of(layer);
        let name = format!("{number:064x}/layer.tar");
        members = match files.get(&digest) {
            Some(first) => members.symlink(&name, &format!("../{first}")),
            None => members.file(&name, compression.compress(&plain(&image.blobs[&digest]))),
        };
        files.entry(digest).or_insert_with(|| name.clone());
        layers.push(name);
    }
    let config_name = format!("{}.json", config.hex());
    let saved = json!([{ "Config": config_name, "RepoTags": names, "Layers": layers }]);
    let repositories: BTreeMap<&str, BTreeMap<&str, String>> = names
        .iter()
        .filter_map(|name| name.rsplit_once(':'))
        .map(|(repository, tag)| (repository, BTreeMap::from([(tag, config.hex())])))
        .collect();
    members
        .file(&config_name, image.blobs[&config].clone())
        .file("manifest.json", saved.to_string())
        .file("repositories", json!(repositories).to_string())
}

/// What `docker save` writes since Docker 25: an OCI image layout, with a `manifest.json` beside it for older readers.
pub fn docker_archive_of_now(image: &BuiltImage, name: &str) -> Members {
    let (_, tag) = name.rsplit_once(':').expect("a name with a tag");
    let members = oci_archive(&[(tag, image)]);
    let mut index = json_of(&members.bytes("index.json"));
    index["manifests"][0]["annotations"]["io.containerd.image.name"] =
        json!(format!("docker.io/library/{name}"));
    let manifest = json_of(&image.manifest().bytes);
    let blob = |descriptor: &Value| format!("blobs/sha256/{}", digest_of(descriptor).hex());
    let layers = manifest["layers"].as_array().map(|layers| layers.iter().map(blob).collect::<Vec<_>>());
    let saved = json!([{ "Config": blob(&manifest["config"]), "RepoTags": [name], "Layers": layers }]);
    members.file("index.json", index.to_string()).file("manifest.json", saved.to_string())
}

/// Writes the files of an image of one platform into a folder, layer by layer. Whiteouts are not applied.
pub fn unpack(image: &BuiltImage, folder: &Path) {
    let manifest = json_of(&image.manifest().bytes);
    for layer in manifest["layers"].as_array().expect("layers") {
        let layer = plain(&image.blobs[&digest_of(layer)]);
        tar::Archive::new(&layer[..]).unpack(folder).expect("a layer that can be unpacked");
    }
}

/// A layer before it was compressed.
fn plain(layer: &Bytes) -> Vec<u8> {
    if !layer.starts_with(&[0x1f, 0x8b]) {
        return layer.to_vec();
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&layer[..]).read_to_end(&mut bytes).expect("a layer in gzip");
    bytes
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn digest_of(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().expect("a digest").parse().expect("a digest")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a file of a layout")
}
