//! By which names patterns know a repository: on Docker Hub, official images are known with and without `library/`.

use crate::config::RegistryKind;
use crate::names::{RepositoryName, Tag};
use crate::rule::Pattern;

/// The folder of the official images of Docker Hub, which people leave out.
const OFFICIAL: &str = "library/";

/// A repository by all of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryNames {
    whole: RepositoryName,
    short: Option<RepositoryName>,
}

impl RepositoryNames {
    /// The names of `repository` in a registry of this kind.
    pub fn of(kind: RegistryKind, repository: &RepositoryName) -> Self {
        let short = repository.as_str().strip_prefix(OFFICIAL).filter(|_| kind == RegistryKind::DockerHub);
        Self { whole: repository.clone(), short: short.and_then(|short| short.parse().ok()) }
    }

    fn all(&self) -> impl Iterator<Item = &RepositoryName> {
        [&self.whole].into_iter().chain(&self.short)
    }

    /// Whether `pattern` matches `tag` of it, by any of its names.
    pub fn match_pattern(&self, pattern: &Pattern, tag: &Tag) -> bool {
        self.all().any(|name| pattern.matches(name, tag))
    }

    /// Whether `pattern` could match some tag of it: `false` spares the listing of its tags.
    pub fn may_match_pattern(&self, pattern: &Pattern) -> bool {
        self.all().any(|name| pattern.may_match_repository(name))
    }
}

impl From<RepositoryName> for RepositoryNames {
    /// A repository that has one name.
    fn from(whole: RepositoryName) -> Self {
        Self { whole, short: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(kind: RegistryKind, pattern: &str, repository: &str) -> bool {
        let names = RepositoryNames::of(kind, &repository.parse().unwrap());
        let pattern: Pattern = pattern.parse().unwrap();
        let found = names.match_pattern(&pattern, &Tag::latest());
        assert!(names.may_match_pattern(&pattern) || !found);
        found
    }

    #[test]
    fn official_images_of_docker_hub_match_with_and_without_library() {
        for pattern in
            ["nginx", "library/nginx", "nginx:latest", "regex:^nginx:", "library/*", "contains:y/n"]
        {
            assert!(matches(RegistryKind::DockerHub, pattern, "library/nginx"), "{pattern}");
        }
        assert!(!matches(RegistryKind::DockerHub, "nginx", "acme/nginx"));
        assert!(!matches(RegistryKind::DockerHub, "library/nginx", "acme/nginx"));
        assert!(
            !matches(RegistryKind::Harbor, "nginx", "library/nginx"),
            "it is a project like others there"
        );
    }
}
