//! Vulnerabilities found in an image: the rows behind every number.

use serde::{Deserialize, Serialize};

use crate::package::PackageType;
use crate::severity::Severity;
use crate::{Date, Timestamp};

/// One vulnerability in one package of an image. Aliases are merged: there is one finding for each vulnerability and
/// package, whatever the number of advisories that name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The id that people look for: the CVE id when there is one, else the first advisory id.
    pub vulnerability: String,
    /// Every advisory that says so, sorted: `DSA-5343-1`, `ALPINE-CVE-2023-0286`.
    pub advisories: Vec<String>,
    /// Other ids of the same vulnerability, sorted, without `vulnerability` itself.
    pub aliases: Vec<String>,
    /// The purl type of the affected package.
    pub package_type: PackageType,
    /// Name of the affected package as installed.
    pub package: String,
    /// Version of the affected package as installed.
    pub version: String,
    /// The package URL.
    pub purl: String,
    /// How bad it is.
    pub severity: Severity,
    /// The lowest version that has it fixed, in the numbering of the advisory (the source package's on Debian and
    /// Alpine); `None` when no fix is known.
    pub fixed_version: Option<String>,
    /// When the first of the advisories that name a version that has it fixed was published, where one says so: since
    /// then there is a fix.
    #[serde(default)]
    pub fix_published_at: Option<Timestamp>,
    /// When the first of the advisories was published, where one says so.
    pub published_at: Option<Timestamp>,
    /// Since when it is known to be exploited, by CISA's catalogue:
    /// <https://www.cisa.gov/known-exploited-vulnerabilities-catalog>
    #[serde(default)]
    pub known_exploited: Option<Date>,
}

impl Finding {
    /// Every id of the vulnerability: its own, the aliases, and those of the advisories.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let others = self.aliases.iter().chain(&self.advisories);
        std::iter::once(&self.vulnerability).chain(others).map(String::as_str)
    }

    /// What it is called among the rows that fail a policy: `VULNERABILITY PACKAGE`.
    pub fn row(&self) -> String {
        format!("{} {}", self.vulnerability, self.package)
    }
}
