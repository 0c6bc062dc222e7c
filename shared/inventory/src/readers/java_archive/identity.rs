//! What an archive is, from what is known of it: Maven's files, then the manifest, then the file name; and its group, which
//! without Maven's files is that of a well-known artifact, else what looks like one in the manifest, else the name of the
//! artifact. The order is that of Syft, so that both give an archive the same purl.

use super::file_name::FileName;
use super::groups;
use super::manifest::{Manifest, clean_group};
use crate::license::{any_of, license_of};
use crate::reading::pom::{Coordinates, Pom, is_name};

/// All that is known of an archive.
pub(super) struct Evidences {
    pub(super) file: FileName,
    pub(super) manifest: Option<Manifest>,
    pub(super) projects: Vec<Project>,
    pub(super) has_classes: bool,
}

/// A project of Maven whose files an archive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Project {
    group: Option<String>,
    artifact: Option<String>,
    version: Option<String>,
    license: Option<String>,
    has_pom: bool,
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    group: Option<String>,
    artifact: String,
    pub(super) version: String,
    pub(super) license: Option<String>,
}

impl Project {
    /// What `pom.properties` says, and what it leaves out from the `pom.xml` beside it.
    pub(super) fn of(properties: Coordinates, pom: Option<&Pom>) -> Self {
        Self {
            group: properties.group.or_else(|| pom?.group()),
            artifact: properties.artifact.or_else(|| pom?.artifact()),
            version: properties.version.or_else(|| pom?.version()),
            license: pom.and_then(|pom| any_of(pom.licenses())),
            has_pom: pom.is_some(),
        }
    }

    fn identity(&self) -> Option<Identity> {
        let artifact = self.artifact.clone()?;
        // Some publishers write the group where the artifact belongs.
        let own = self.group.clone().or_else(|| artifact.contains('.').then(|| artifact.clone()));
        let group = own.or_else(|| groups::group(&artifact).map(str::to_owned));
        Some(Identity { group, artifact, version: self.version.clone()?, license: self.license.clone() })
    }
}

impl Identity {
    /// `group:artifact`; where no group is known the artifact stands for it.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.group.as_ref().unwrap_or(&self.artifact), self.artifact)
    }
}

impl Evidences {
    /// The package that the archive itself is, if that can be told, and those that it holds.
    pub(super) fn identities(self) -> (Option<Identity>, Vec<Identity>) {
        let mut main = self.main();
        let mut is_of_maven = false;
        let mut others = Vec::new();
        for project in self.projects.iter().filter_map(Project::identity) {
            match &mut main {
                // Of two projects with one name, in two groups, the first is the archive.
                Some(main) if main.artifact == project.artifact && !is_of_maven => {
                    main.version = Some(project.version);
                    main.group = project.group.or(main.group.take());
                    main.license = main.license.take().or(project.license);
                    is_of_maven = true;
                }
                _ => others.push(project),
            }
        }
        match main.and_then(Main::identity) {
            // The one project that an archive without a version of its own holds is the archive.
            None if others.len() == 1 => (others.pop(), others),
            main => (main, others),
        }
    }

    /// What the archive is before Maven's files of the same name are counted in.
    fn main(&self) -> Option<Main> {
        if self.manifest.as_ref().is_some_and(|manifest| manifest.main("weave-classes").is_some()) {
            // It changes the library that it is named after.
            return None;
        }
        let project = self.main_project();
        if self.manifest.is_none() && project.is_none() && !self.has_classes {
            return None;
        }
        let manifest = self.manifest.as_ref();
        let artifact = project.and_then(|project| project.artifact.clone()).or_else(|| self.artifact())?;
        let version = project.and_then(|project| project.version.clone()).or_else(|| self.version());
        let group = groups::group(&artifact).or_else(|| manifest?.group()).map(str::to_owned);
        let license = manifest.and_then(Manifest::license).and_then(|words| license_of(words.as_bytes()));
        Some(Main { group, artifact, version, license })
    }

    /// The project that the file seems to be named after: that of its very name, else one whose name begins with it or
    /// with which it ends. Of several the first with a `pom.xml` counts, else the last.
    fn main_project(&self) -> Option<&Project> {
        let file = self.file.name.as_str();
        let artifact = |project: &&Project| project.artifact.clone().unwrap_or_default();
        let is_exact = self.projects.iter().any(|project| artifact(&project) == file);
        let is_named = |project: &&Project| {
            let artifact = artifact(project);
            let is_similar = artifact.starts_with(file) || file.ends_with(&artifact);
            !artifact.is_empty() && !file.is_empty() && if is_exact { artifact == file } else { is_similar }
        };
        let named: Vec<&Project> = self.projects.iter().filter(is_named).collect();
        named.iter().find(|project| project.has_pom).or(named.last()).copied()
    }

    /// The artifact by the manifest and the file name.
    fn artifact(&self) -> Option<String> {
        let manifest = self.manifest.as_ref();
        let fields = ["name", "bundle-name", "short-name", "extension-name", "implementation-title"];
        let file = Some(artifact_of_file(&self.file.name)).filter(|name| !name.is_empty());
        let by_field = || fields.iter().find_map(|field| manifest?.main(field));
        let artifact = self.artifact_of_bundle().or(file).or_else(by_field)?;
        // What is no name, but a title for people, names nothing that can be looked up.
        is_name(artifact).then(|| artifact.to_owned())
    }

    /// The artifact of an archive that Maven's bundle plugin made: its symbolic name is `GROUP.ARTIFACT`, and an artifact
    /// mostly has no dot.
    fn artifact_of_bundle(&self) -> Option<&str> {
        let manifest = self.manifest.as_ref()?;
        if !manifest.main("created-by")?.contains("Apache Maven Bundle Plugin") {
            return None;
        }
        let symbolic = clean_group(manifest.main("bundle-symbolicname")?);
        if manifest.main("implementation-vendor-id") == Some(symbolic) {
            return None;
        }
        // Of a group of one word the plugin takes the first package instead, `org.apache.commons.logging`, of which the
        // file name then is more: `commons-logging`.
        let file = self.file.name.as_str();
        if file.contains('-') && symbolic.replace('.', "-").ends_with(&format!("-{file}")) {
            return Some(file);
        }
        symbolic.rsplit('.').next().filter(|artifact| !artifact.is_empty())
    }

    /// The version by the file name and the manifest.
    fn version(&self) -> Option<String> {
        let fields = ["implementation-version", "specification-version", "plugin-version", "bundle-version"];
        let manifest = self.manifest.as_ref();
        let by_field = || fields.iter().find_map(|field| manifest?.anywhere(field));
        self.file.version.as_deref().or_else(by_field).map(str::to_owned)
    }
}

/// What an archive is, as far as it is known.
struct Main {
    group: Option<String>,
    artifact: String,
    version: Option<String>,
    license: Option<String>,
}

impl Main {
    fn identity(self) -> Option<Identity> {
        let Self { group, artifact, version, license } = self;
        Some(Identity { group, artifact, version: version?, license })
    }
}

/// The artifact in the name of a file: of `GROUP.ARTIFACT`, all words being names of Java, the last one; but those of
/// Eclipse are named with their group.
fn artifact_of_file(name: &str) -> &str {
    let begins_name = |word: &str| {
        word.starts_with(|character: char| character.is_alphabetic() || matches!(character, '_' | '$'))
    };
    if name.starts_with("org.eclipse.") || !name.split('.').all(begins_name) {
        return name;
    }
    name.rsplit('.').next().unwrap_or(name)
}
