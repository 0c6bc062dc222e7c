//! Builders of what policies look at, for their tests. It is 15 June 2026.

use serde_json::{Value, json};

use super::{Evaluation, ImageFacts, TYPES};
use crate::finding::Finding;
use crate::metadata::{AttestationSummary, BaseImage, ConfigMetadata, ImageMetadata};
use crate::package::{Distribution, Package, PackageType};
use crate::result::ResultState;
use crate::severity::Severity;
use crate::tables::{EndOfLife, TableDate, Tables};

pub(crate) const NOW: &str = "2026-06-15T00:00:00Z";

/// An image of which all packages are known, and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    findings: Vec<Finding>,
    packages: Vec<Package>,
    distribution: Option<Distribution>,
    metadata: ImageMetadata,
    tables: Tables,
    state: ResultState,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            findings: Vec::new(),
            packages: Vec::new(),
            distribution: Some(debian()),
            metadata: ImageMetadata::default(),
            tables: Tables::default(),
            state: ResultState::Scanned,
        }
    }
}

fn debian() -> Distribution {
    Distribution { id: "debian".to_owned(), version_id: Some("12".to_owned()), pretty_name: String::new() }
}

/// A vulnerability of HIGH severity with a fix in a package of Debian.
pub(crate) fn finding(vulnerability: &str, package: &str) -> Finding {
    Finding {
        vulnerability: vulnerability.to_owned(),
        advisories: vec![format!("DEBIAN-{vulnerability}")],
        aliases: Vec::new(),
        package_type: PackageType::Deb,
        package: package.to_owned(),
        version: "1.0".to_owned(),
        purl: format!("pkg:deb/debian/{package}@1.0?arch=amd64&distro=debian-12"),
        severity: Severity::High,
        fixed_version: Some("2.0".to_owned()),
        fix_published_at: None,
        published_at: None,
        known_exploited: None,
    }
}

/// A package of Debian in version 1.0.
pub(crate) fn licensed(name: &str, license: Option<&str>) -> Package {
    Package { license: license.map(str::to_owned), ..Package::new(PackageType::Deb, name, "1.0", "dpkg") }
}

impl Facts {
    pub(crate) fn finding(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }

    pub(crate) fn package(mut self, package: Package) -> Self {
        self.packages.push(package);
        self
    }

    pub(crate) fn distribution(mut self, id: &str, version_id: Option<&str>) -> Self {
        let version_id = version_id.map(str::to_owned);
        self.distribution = Some(Distribution { id: id.to_owned(), version_id, pretty_name: String::new() });
        self
    }

    pub(crate) fn no_distribution(mut self) -> Self {
        self.distribution = None;
        self
    }

    pub(crate) fn state(mut self, state: ResultState) -> Self {
        self.state = state;
        self
    }

    pub(crate) fn base(mut self, base: BaseImage) -> Self {
        self.metadata.base = Some(base);
        self
    }

    pub(crate) fn no_base(mut self) -> Self {
        self.metadata.base = None;
        self
    }

    pub(crate) fn base_unknown(mut self, because: &str) -> Self {
        self.metadata.base_unknown_because = Some(because.to_owned());
        self
    }

    pub(crate) fn user(mut self, user: Option<&str>) -> Self {
        self.metadata.config = Some(ConfigMetadata { user: user.map(str::to_owned) });
        self
    }

    pub(crate) fn attestations(mut self, attestations: Vec<AttestationSummary>) -> Self {
        self.metadata.attestations = Some(attestations);
        self
    }

    pub(crate) fn known_exploited_of(mut self, date: &str) -> Self {
        self.tables.known_exploited = Some(TableDate(date.parse().unwrap()));
        self
    }

    /// Debian 10 has ended some time, 11 two years ago, and 12 will in a month.
    pub(crate) fn end_of_life_of(mut self, date: &str) -> Self {
        let document = json!({"debian": {"releases": [
            {"releaseCycle": "12", "eol": "2026-07-11"},
            {"releaseCycle": "11", "eol": "2024-08-14"},
            {"releaseCycle": "10", "eol": true},
        ]}});
        let date = TableDate(date.parse().unwrap());
        self.tables.end_of_life = Some(EndOfLife::read(document.to_string().as_bytes(), date).unwrap());
        self
    }

    /// The advisories of Debian, which the image needs, were last confirmed then.
    pub(crate) fn advisories_of(mut self, date: &str) -> Self {
        self.tables.advisories = [("debian".to_owned(), TableDate(date.parse().unwrap()))].into();
        self
    }

    pub(crate) fn no_tables(mut self) -> Self {
        self.tables = Tables::default();
        self
    }

    /// The answer of the policy of this type with these parameters.
    #[expect(clippy::needless_pass_by_value, reason = "tests pass literals")]
    pub(crate) fn evaluate(self, id: &str, parameters: Value) -> Evaluation {
        let policy_type = TYPES.iter().find(|policy_type| policy_type.id == id).unwrap();
        (policy_type.build)(&parameters).unwrap().evaluate(ImageFacts {
            findings: &self.findings.iter().collect::<Vec<_>>(),
            packages: &self.packages,
            distribution: self.distribution.as_ref(),
            metadata: &self.metadata,
            families: &["debian"],
            tables: &self.tables,
            state: self.state,
            now: NOW.parse().unwrap(),
        })
    }
}
