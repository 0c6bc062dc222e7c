//! Packages of an SPDX document in JSON, versions 2.2 and 2.3.
//!
//! Specification: <https://spdx.github.io/spdx-spec/v2.3/package-information/>.

use serde::{Deserialize, Deserializer};

use super::lenient_json::{Object, Text, fold_list};

/// The fields of a package that matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SpdxPackage {
    pub(crate) name: Text,
    pub(crate) version_info: Text,
    license_concluded: Text,
    license_declared: Text,
    /// The first package URL of `externalRefs`; empty when there is none.
    #[serde(rename = "externalRefs", deserialize_with = "first_purl")]
    pub(crate) purl: String,
}

impl SpdxPackage {
    /// The licence, what somebody has concluded before what the package declares; empty when nobody says it.
    pub(crate) fn license(&self) -> &str {
        // SPDX has two words for no licence.
        let is_license = |text: &&str| !matches!(*text, "" | "NOASSERTION" | "NONE");
        let licenses = [self.license_concluded.0.as_str(), self.license_declared.0.as_str()];
        licenses.into_iter().find(is_license).unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reference {
    reference_type: Text,
    reference_locator: Text,
}

/// Packages may have thousands of references of other kinds: they are not kept.
fn first_purl<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    fold_list(deserializer, String::new(), |purl, Object(reference): Object<Reference>| {
        if purl.is_empty() && reference.reference_type.0 == "purl" {
            *purl = reference.reference_locator.0;
        }
    })
}
