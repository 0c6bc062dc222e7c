//! The images of an OCI layout, each as a layout of its own, so that every program is asked for the same one.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tidewatch_core::Digest;
use tidewatch_inventory::{ImageInventory, LayerReader, Limits, merge};

/// Bytes that are read from a file at once.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// One image.
pub(crate) struct Image {
    /// The name of its layout, with the tag or the platform where there are several images.
    pub(crate) name: String,
    /// A layout that holds nothing else.
    pub(crate) folder: PathBuf,
}

/// A layer of an image.
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    pub(crate) path: PathBuf,
}

/// The images of the layout `path`, a folder or a tar file, with what is needed for them in `scratch`.
pub(crate) fn images(path: &Path, scratch: &Path) -> anyhow::Result<Vec<Image>> {
    let name = path.file_stem().and_then(|name| name.to_str()).context("it has no name")?;
    let source = if path.is_dir() {
        path.canonicalize()?
    } else {
        let folder = scratch.join(format!("{name}.layout"));
        tar::Archive::new(File::open(path)?).unpack(&folder)?;
        folder
    };
    let mut manifests = Vec::new();
    collect(&source, &json_file(&source.join("index.json"))?, "", &mut manifests)?;
    let single = manifests.len() == 1;
    let view = |(label, manifest): &(String, Value)| {
        let name = if single { name.to_owned() } else { format!("{name}:{label}") };
        let folder = scratch.join(&name);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
        std::fs::write(
            folder.join("index.json"),
            json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string(),
        )?;
        std::os::unix::fs::symlink(source.join("blobs"), folder.join("blobs"))?;
        Ok(Image { name, folder })
    };
    manifests.iter().map(view).collect()
}

/// Adds the descriptors of the image manifests that `index` leads to, each with its tag or platform.
fn collect(
    source: &Path,
    index: &Value,
    label: &str,
    manifests: &mut Vec<(String, Value)>,
) -> anyhow::Result<()> {
    for descriptor in index["manifests"].as_array().context("the index has no manifests")? {
        let tag = descriptor["annotations"]["org.opencontainers.image.ref.name"].as_str();
        let label = descriptor["platform"]["architecture"]
            .as_str()
            .filter(|_| tag.is_none())
            .or(tag)
            .unwrap_or(label);
        let manifest = json_file(&blob(source, descriptor)?)?;
        if manifest["manifests"].is_array() {
            collect(source, &manifest, label, manifests)?;
        } else if manifest["layers"].is_array() {
            manifests.push((label.to_owned(), descriptor.clone()));
        }
    }
    Ok(())
}

/// The layers of the only image in the layout `folder`, the base first.
pub(crate) fn layers(folder: &Path) -> anyhow::Result<Vec<Layer>> {
    let index = json_file(&folder.join("index.json"))?;
    let manifest = json_file(&blob(folder, &index["manifests"][0])?)?;
    let layers = manifest["layers"].as_array().context("the manifest has no layers")?;
    layers.iter().map(|layer| Ok(Layer { digest: digest(layer)?, path: blob(folder, layer)? })).collect()
}

/// The inventory of the only image in the layout `folder`.
pub(crate) fn read(folder: &Path) -> anyhow::Result<ImageInventory> {
    let mut inventories = Vec::new();
    for layer in layers(folder)? {
        let mut reader = LayerReader::new(layer.digest, Limits::default());
        let mut file = File::open(&layer.path)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => reader.push(buffer.get(..count).unwrap_or_default()),
            }
        }
        inventories.push(reader.finish()?);
    }
    Ok(merge(&inventories))
}

fn digest(descriptor: &Value) -> anyhow::Result<Digest> {
    Ok(descriptor["digest"].as_str().context("a descriptor has no digest")?.parse()?)
}

fn blob(folder: &Path, descriptor: &Value) -> anyhow::Result<PathBuf> {
    let path = folder.join("blobs/sha256").join(digest(descriptor)?.hex());
    ensure!(path.exists(), "{} is not there", path.display());
    Ok(path)
}

fn json_file(path: &Path) -> anyhow::Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("failed to read {}", path.display()))
}
