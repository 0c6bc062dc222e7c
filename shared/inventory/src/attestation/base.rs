//! The image that an image is built on, by the provenance of its build. A build has several stages, and provenance does not
//! say with which one the image ends; its layers do, where the builder tells those of its steps.

use tidewatch_core::Digest;
use tidewatch_core::base::with_host;
use tidewatch_core::metadata::{BaseEvidence, BaseImage};

use super::{Material, Provenance, Stage};
use crate::reading::purl::Purl;

/// Images that are a part of the builder, and no image is built on: `docker/dockerfile` reads Dockerfiles, the other makes
/// SBOMs.
const OF_THE_BUILDER: &[&str] = &[
    "docker.io/docker/dockerfile",
    "docker.io/docker/dockerfile-upstream",
    "docker.io/docker/buildkit-syft-scanner",
];

impl Provenance {
    /// The image that an image with these `layers`, base first, is built on, where the builder tells the layers of its steps.
    /// What its tag points to now is not known of it. Else why it cannot be told, a lower-case fragment.
    pub fn base(&self, layers: &[Digest]) -> Result<BaseImage, String> {
        let images = self.images();
        if let Some(stages) = &self.stages {
            let reference = beneath(stages, layers)
                .ok_or("the image is built on none of the images that its provenance names")?;
            let (name, digest) = resolved(reference);
            let digest = digest.or_else(|| images.iter().find(|(known, _)| *known == name)?.1);
            return Ok(found(name, digest));
        }
        Err(match images.len() {
            0 => "the provenance names no image".to_owned(),
            1 => "the provenance names one image, and not its layers".to_owned(),
            several => format!("the provenance names {several} images, and not the layers of each"),
        })
    }

    /// The only image that went into the build, where the builder does not tell the layers of its steps. Most images are built
    /// on it; one that begins with nothing (`FROM scratch`) has only copied from it.
    pub fn only_image(&self) -> Option<BaseImage> {
        match &self.images()[..] {
            [(reference, digest)] if self.stages.is_none() => Some(found(reference.clone(), *digest)),
            _ => None,
        }
    }

    /// The images that went into the build, but for those of the builder.
    fn images(&self) -> Vec<(String, Option<Digest>)> {
        let mut images: Vec<(String, Option<Digest>)> =
            self.materials.iter().filter_map(|material| Some((image(material)?, material.digest))).collect();
        images.retain(|(reference, _)| !OF_THE_BUILDER.contains(&name_of(reference)));
        images.sort();
        images.dedup();
        images
    }
}

const fn found(reference: String, digest: Option<Digest>) -> BaseImage {
    BaseImage { reference, digest, evidence: BaseEvidence::Provenance, current: None }
}

/// The image of the stage with the most layers that `layers` begin with.
fn beneath<'a>(stages: &'a [Stage], layers: &[Digest]) -> Option<&'a str> {
    let beneath = stages.iter().filter(|stage| !stage.layers.is_empty() && layers.starts_with(&stage.layers));
    beneath.max_by_key(|stage| stage.layers.len()).map(|stage| stage.image.as_str())
}

/// `docker.io/library/alpine:3.17` of `pkg:docker/alpine@3.17?platform=linux%2Famd64`.
fn image(material: &Material) -> Option<String> {
    if !material.is_image() {
        return None;
    }
    let Purl { name, version, .. } = Purl::parse(&material.uri)?;
    let is_tag = !version.is_empty() && !version.starts_with("sha256:");
    let tag = if is_tag { format!(":{version}") } else { String::new() };
    Some(format!("{}{tag}", with_host(&name)))
}

/// Name and digest of `docker.io/library/alpine:3.17@sha256:…`.
fn resolved(reference: &str) -> (String, Option<Digest>) {
    match reference.split_once('@') {
        Some((name, digest)) => (with_host(name), digest.parse().ok()),
        None => (with_host(reference), None),
    }
}

/// The name without its tag.
fn name_of(reference: &str) -> &str {
    reference.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(reference, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::ProvenanceMode;

    fn digest(content: &str) -> Digest {
        Digest::of(content.as_bytes())
    }

    fn material(uri: &str, content: &str) -> Material {
        Material { uri: uri.to_owned(), digest: Some(digest(content)) }
    }

    fn provenance(materials: Vec<Material>, stages: Option<Vec<Stage>>) -> Provenance {
        Provenance { mode: ProvenanceMode::Max, builder: None, materials, left_out: 0, stages }
    }

    fn stage(image: &str, layers: &[&str]) -> Stage {
        Stage { image: image.to_owned(), layers: layers.iter().map(|layer| digest(layer)).collect() }
    }

    fn layers(contents: &[&str]) -> Vec<Digest> {
        contents.iter().map(|content| digest(content)).collect()
    }

    #[test]
    fn the_only_image_that_went_in_is_no_more_than_that() {
        let known = provenance(
            vec![
                material("pkg:docker/docker/dockerfile@1.4", "frontend"),
                material("pkg:docker/node@18-slim?platform=linux%2Famd64", "node"),
                material("https://github.com/example/app.git", "source"),
            ],
            None,
        );
        let unknown = known.base(&layers(&["a", "b"])).unwrap_err();
        assert_eq!(unknown, "the provenance names one image, and not its layers");
        let only = known.only_image().unwrap();
        assert_eq!(only.reference, "docker.io/library/node:18-slim");
        assert_eq!((only.digest, only.evidence), (Some(digest("node")), BaseEvidence::Provenance));
        let told = Provenance { stages: Some(vec![]), ..known };
        assert_eq!(told.only_image(), None, "its layers say that it is built on nothing");
    }

    #[test]
    fn of_several_stages_the_base_is_the_one_whose_layers_the_image_begins_with() {
        let known = provenance(
            vec![
                material("pkg:docker/golang@1.22?platform=linux%2Famd64", "golang"),
                material("pkg:docker/ghcr.io/example/base@2?platform=linux%2Famd64", "base"),
            ],
            Some(vec![
                stage("docker.io/library/golang:1.22", &["g1", "g2"]),
                stage(
                    "ghcr.io/example/base:2@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    &["b1", "b2"],
                ),
            ]),
        );
        let base = known.base(&layers(&["b1", "b2", "app"])).unwrap();
        assert_eq!((base.reference.as_str(), base.digest), ("ghcr.io/example/base:2", Some(digest(""))));
        let on_golang = known.base(&layers(&["g1", "g2", "app"])).unwrap();
        assert_eq!(on_golang.digest, Some(digest("golang")), "the material says which one it was");
        let from_scratch = known.base(&layers(&["app"])).unwrap_err();
        assert_eq!(from_scratch, "the image is built on none of the images that its provenance names");
    }

    #[test]
    fn which_of_several_images_is_the_base_is_not_guessed() {
        let two =
            vec![material("pkg:docker/golang@1.22", "golang"), material("pkg:docker/alpine@3.17", "alpine")];
        let known = provenance(two, None);
        let unknown = known.base(&layers(&["a"])).unwrap_err();
        assert_eq!(known.only_image(), None);
        assert_eq!(unknown, "the provenance names 2 images, and not the layers of each");
        assert_eq!(provenance(vec![], None).base(&[]).unwrap_err(), "the provenance names no image");
    }
}
