//! Reads the layers of an image one after the other, whatever it is in, and merges what they hold.

use std::collections::BTreeMap;

use anyhow::anyhow;
use futures::TryStreamExt as _;
use tidewatch_core::Digest;
use tidewatch_core::config::{Config, CountPlatforms, EventsConfig, MetricsConfig};
use tidewatch_core::image::{ManifestReference, Platform};
use tidewatch_core::manifest::{Classified, LayerDescriptor, classify, read_config};
use tidewatch_core::metadata::ManifestMetadata;
use tidewatch_core::names::OrgName;
use tidewatch_inventory::{ImageInventory, LayerInventory, Limits, merge};
use tidewatch_resolve_images::find_images;
use tidewatch_scan_image::{AttestedImage, ScanError, read_attestations, read_layer, unreadable_layer};
use tidewatch_store::records::TaggedImage;

use super::{Kind, ReadImage, Target};
use crate::cli::ImageArguments;
use crate::failure::Failure;
use crate::output::ProgressBars;

/// Reads the image of `target` for the platform that is asked for.
pub(super) async fn read(
    target: &Target,
    arguments: &ImageArguments,
    bars: &ProgressBars,
) -> Result<ReadImage, Failure> {
    let asking = bars.spinner(&format!("asking {}", target.place));
    let found = find(target, arguments).await;
    asking.finish();
    let found = found?;
    let manifest = found.digest;
    let (inventory, said) = inventory(target, found, arguments.limits.get(), bars).await?;
    let (digest, name) = match &target.kind {
        Kind::Remote(name) => (manifest, Some(name.clone())),
        Kind::Disk => (manifest, None),
        Kind::DockerArchive { image_id } => (*image_id, None),
    };
    let (digest, platform) = (Some(digest), Some(arguments.platform.clone()));
    Ok(ReadImage { digest, platform, name, inventory, said: Some(said) })
}

/// The image for the platform that is asked for.
async fn find(target: &Target, arguments: &ImageArguments) -> Result<TaggedImage, Failure> {
    let config = config_of(&arguments.platform)?;
    let found =
        find_images(&*target.registry, &target.id, &target.repository, &target.manifest, &config).await?;
    found.images.into_iter().next().ok_or_else(|| {
        let reason = found.skipped.unwrap_or_else(|| "there is no image".to_owned());
        Failure::new(anyhow!("{} cannot be scanned: {reason}", arguments.reference))
            .hint("choose another platform by --platform, or another tag")
    })
}

/// A configuration with nothing but the platform.
pub(crate) fn config_of(platform: &Platform) -> Result<Config, Failure> {
    let org: OrgName = "local".parse()?;
    Ok(Config {
        org,
        platforms: vec![platform.clone()],
        count_platforms: CountPlatforms::One,
        registries: vec![],
        rules: vec![],
        environments: vec![],
        policies: vec![].into(),
        exceptions: vec![],
        metrics: MetricsConfig::default(),
        events: EventsConfig::default(),
    })
}

async fn inventory(
    target: &Target,
    image: TaggedImage,
    limits: Limits,
    bars: &ProgressBars,
) -> Result<(ImageInventory, ManifestMetadata), Failure> {
    let reference = ManifestReference::Digest(image.digest);
    let manifest = target.registry.manifest(&target.repository, &reference).await?;
    let Classified::Image { layers, config } = classify(&manifest)? else {
        return Err(Failure::new(anyhow!("{} is not the manifest of an image", manifest.digest)));
    };
    let Target { registry, id, repository, .. } = target;
    let (_, mut said) = read_config(&**registry, id, repository, &manifest, &config).await?;
    let digests: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    // An archive of `docker save` has no place for any.
    let attestations =
        image.attestations.as_ref().filter(|_| !matches!(target.kind, Kind::DockerArchive { .. }));
    if let Some(attestations) = attestations {
        let attested = AttestedImage { registry: id, repository, digest: &image.digest, layers: &digests };
        said.attested = Some(read_attestations(&**registry, attested, attestations).await?);
    }
    let bar = bars.bar("layers");
    let read = read_layers(target, &layers, limits, bars, &bar).await;
    bar.finish();
    let read = read?;
    let mut inventory = merge(layers.iter().filter_map(|layer| read.get(&layer.digest)));
    inventory.problems.extend(layers.iter().filter_map(unreadable_layer));
    inventory.problems.sort();
    inventory.problems.dedup();
    Ok((inventory, said))
}

/// What the layers hold, each read once however often it is in the image.
async fn read_layers(
    target: &Target,
    layers: &[LayerDescriptor],
    limits: Limits,
    bars: &ProgressBars,
    bar: &crate::output::Progress,
) -> Result<BTreeMap<Digest, LayerInventory>, Failure> {
    let mut read = BTreeMap::new();
    for (done, layer) in layers.iter().enumerate() {
        bar.set(done as u64, layers.len() as u64);
        if unreadable_layer(layer).is_some() || read.contains_key(&layer.digest) {
            continue;
        }
        let progress = bars.bytes(layer.digest.to_string().get(..19).unwrap_or_default(), layer.size);
        let counted = progress.clone();
        let blob = target.registry.blob(&target.repository, &layer.digest).await?;
        let blob = blob.inspect_ok(move |chunk| counted.add(chunk.len() as u64));
        let inventory = read_layer(Box::pin(blob), layer, limits).await;
        progress.finish();
        read.insert(
            layer.digest,
            inventory.map_err(|error| match error {
                ScanError::Registry(error) => Failure::new(error),
                error => Failure::new(error),
            })?,
        );
    }
    Ok(read)
}
