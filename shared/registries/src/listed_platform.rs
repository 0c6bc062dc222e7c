//! The platforms that listings tell.

use tidewatch_core::image::Platform;

/// The platform of a listed image; `None` where a part is not told, and for an attestation, which BuildKit gives the platform
/// `unknown/unknown`.
pub(crate) fn platform(
    os: Option<&str>,
    architecture: Option<&str>,
    variant: Option<&str>,
) -> Option<Platform> {
    let known = |part: &&str| !part.is_empty() && *part != "unknown";
    Some(Platform::new(os.filter(known)?, architecture.filter(known)?, variant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_or_is_an_attestation_has_no_platform() {
        assert_eq!(platform(Some("linux"), Some("arm64"), Some("v8")), Some(Platform::linux_arm64()));
        for (os, architecture) in [
            (Some("unknown"), Some("unknown")),
            (Some("linux"), Some("")),
            (Some(""), Some("amd64")),
            (None, Some("amd64")),
            (Some("linux"), None),
        ] {
            assert_eq!(platform(os, architecture, None), None, "{os:?} {architecture:?}");
        }
    }
}
