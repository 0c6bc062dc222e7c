//! What a bill of materials is about: the image, or the folder.

use std::fmt::Write as _;

use super::Sbom;

/// The package URL of an image in a registry: `pkg:oci/NAME@DIGEST?repository_url=…`; `None` for anything else.
///
/// Specification: <https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md>
pub(super) fn purl(sbom: &Sbom<'_>) -> Option<String> {
    let (name, digest) = (sbom.image.name.as_ref()?, sbom.image.digest?);
    let last = name.repository.rsplit('/').next()?.to_lowercase();
    let mut qualifiers = Vec::new();
    if let Some(platform) = &sbom.image.platform {
        qualifiers.push(format!("arch={}", encode(&platform.architecture)));
    }
    qualifiers.push(format!("repository_url={}/{}", encode(&name.host), encode(&name.repository)));
    if let Some(tag) = &name.tag {
        qualifiers.push(format!("tag={}", encode(tag)));
    }
    Some(format!("pkg:oci/{}@{}?{}", encode(&last), encode(&digest.to_string()), qualifiers.join("&")))
}

/// The version of the image: its digest, which says more than a tag.
pub(super) fn version(sbom: &Sbom<'_>) -> Option<String> {
    sbom.image.digest.map(|digest| digest.to_string())
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b".-_~:/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
