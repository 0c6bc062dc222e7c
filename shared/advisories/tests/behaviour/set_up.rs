//! Indexes from built records, and packages to match with them.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tidewatch_advisories::{
    Build, BuildError, BuildOptions, Coverage, Index, IndexSet, Matches, build, match_packages,
};
use tidewatch_core::finding::Finding;
use tidewatch_core::package::{Distribution, Package, PackageType, SourcePackage};
use tidewatch_core::{Severity, Timestamp};
use tidewatch_testkit::advisory::{AdvisoryBuilder, write_archive};

pub(crate) const DEBIAN: &str = "Debian:12";

/// Index files in a folder that lives as long as they are used.
pub(crate) struct Built {
    pub(crate) folder: TempDir,
    pub(crate) build: Build,
}

impl Built {
    /// Builds from records by ecosystem.
    pub(crate) fn of(records: &[(&str, &[Value])]) -> Self {
        let folder = TempDir::new().unwrap();
        for (ecosystem, records) in records {
            write_archive(&folder.path().join("osv"), ecosystem, records);
        }
        Self::compile(folder)
    }

    pub(crate) fn compile(folder: TempDir) -> Self {
        let build = build_from(&folder.path().join("osv"), folder.path()).unwrap();
        Self { folder, build }
    }

    pub(crate) fn debian(records: &[Value]) -> Self {
        Self::of(&[("Debian", records)])
    }

    pub(crate) fn indexes(&self) -> IndexSet {
        self.build.families.iter().map(|family| Index::open(&family.path).unwrap()).collect()
    }

    pub(crate) fn index(&self, family: &str) -> Index {
        let family = self.build.families.iter().find(|built| built.family == family).unwrap();
        Index::open(&family.path).unwrap()
    }

    pub(crate) fn matches(&self, distribution: &Distribution, packages: &[Package]) -> Matches {
        match_packages(&self.indexes(), Some(distribution), packages).unwrap()
    }

    /// Findings of one Debian package, with nothing in the way.
    pub(crate) fn findings(&self, name: &str, version: &str) -> Vec<Finding> {
        let matches = self.matches(&debian("12"), &[deb(name, version)]);
        assert_eq!((matches.coverage, matches.problems), (Coverage::Full, vec![]));
        matches.findings
    }

    /// The severity of the one finding of `pkg` 1.
    pub(crate) fn severity(&self) -> Severity {
        let findings = self.findings("pkg", "1");
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings[0].severity
    }
}

pub(crate) fn build_from(source: &Path, output: &Path) -> Result<Build, BuildError> {
    let options = BuildOptions { output: output.to_owned(), now: time("2026-01-01T00:00:00Z") };
    build(source, &options, &mut |_| {})
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn distribution(id: &str, version_id: &str) -> Distribution {
    Distribution { id: id.to_owned(), version_id: Some(version_id.to_owned()), ..Distribution::default() }
}

pub(crate) fn debian(version_id: &str) -> Distribution {
    distribution("debian", version_id)
}

pub(crate) fn package(package_type: PackageType, name: &str, version: &str) -> Package {
    let architecture = Some("amd64".to_owned());
    Package { architecture, ..Package::new(package_type, name, version, "test") }
}

pub(crate) fn deb(name: &str, version: &str) -> Package {
    package(PackageType::Deb, name, version)
}

pub(crate) fn built_from(package: Package, name: &str, version: &str) -> Package {
    Package { source: Some(SourcePackage { name: name.to_owned(), version: version.to_owned() }), ..package }
}

pub(crate) fn advisory(id: &str) -> AdvisoryBuilder {
    AdvisoryBuilder::new(id)
}
