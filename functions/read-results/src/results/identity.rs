//! Which image is asked about: by its name in a registry, or by its digest alone.

use std::fmt;
use std::str::FromStr;

use tidewatch_core::Digest;
use tidewatch_core::environment::{ImageReference, ImageReferenceError};

/// `REGISTRY/REPOSITORY[:TAG][@DIGEST]`, or `sha256:…`: the digest of the manifest of a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageIdentity {
    /// By its name.
    Reference(ImageReference),
    /// By its digest alone, wherever it is.
    Digest(Digest),
}

/// A text that names no image.
pub type ImageIdentityError = ImageReferenceError;

impl FromStr for ImageIdentity {
    type Err = ImageIdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::Digest).or_else(|_| text.parse().map(Self::Reference))
    }
}

impl fmt::Display for ImageIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => reference.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}
