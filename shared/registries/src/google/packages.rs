//! The image paths of Artifact Registry by its API: the repositories of a project at one location, and the packages of each.
//! A package is an image path, so that listing them costs a request for a thousand, however many tags they have.
//!
//! API: <https://cloud.google.com/artifact-registry/docs/reference/rest>

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::{ListPage, RegistryError};

use crate::endpoint::Endpoint;
use crate::pages;
use crate::server::Request;

/// Packages to ask for on a page: the most that there may be.
const PACKAGES_PAGE: u16 = 1000;
/// Repositories to ask for on a page. Fewer, because their names stand in the cursor.
const REPOSITORIES_PAGE: u16 = 100;
/// Bytes that a page may have.
const PAGE_LIMIT: usize = 8 << 20;

/// `PROJECT` or `PROJECT/REPOSITORY` of Artifact Registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Namespace<'a> {
    project: &'a str,
    repository: Option<&'a str>,
}

/// How far the listing of a namespace came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// Repositories that are not done with. The first of them is being listed.
    left: Vec<String>,
    /// The token of the next page of its packages.
    packages: Option<String>,
    /// The token of the next page of repositories.
    repositories: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RepositoriesPage {
    repositories: Option<Vec<Value>>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct ListedRepository {
    /// `projects/P/locations/L/repositories/R`.
    name: String,
    format: Option<String>,
    mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PackagesPage {
    packages: Option<Vec<Value>>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct ListedPackage {
    /// `projects/P/locations/L/repositories/R/packages/team%2Fweb`.
    name: String,
}

impl<'a> Namespace<'a> {
    /// Reads `PROJECT` or `PROJECT/REPOSITORY`; `None` when it is neither.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let (project, repository) = text.split_once('/').map_or((text, None), |(p, r)| (p, Some(r)));
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        // A project of a domain is called `example.com:project`.
        let is_project = |c: char| is_word(c) || matches!(c, '.' | ':');
        let is_repository = |name: &str| !name.is_empty() && name.chars().all(|c| is_word(c) || c == '.');
        let is_good =
            !project.is_empty() && project.chars().all(is_project) && repository.is_none_or(is_repository);
        let is_path =
            [Some(project), repository].into_iter().flatten().any(|part| part.trim_matches('.').is_empty());
        (is_good && !is_path).then_some(Self { project, repository })
    }

    /// The path that its images are below.
    pub(crate) fn path(self) -> String {
        let project = self.project.replace(':', "/");
        self.repository.map_or_else(|| project.clone(), |repository| format!("{project}/{repository}"))
    }

    /// A page of its image paths at `location`; `cursor` is the `next` of the page before. A page can be empty.
    pub(crate) async fn page(
        self,
        api: &Endpoint,
        location: &str,
        cursor: Option<&str>,
    ) -> Result<ListPage<RepositoryName>, RegistryError> {
        let subject = api.subject(format!("the list of repositories of {}", self.project));
        let mut position = match (cursor, self.repository) {
            (Some(cursor), _) => serde_json::from_str(cursor)
                .map_err(|_| subject.invalid(format!("{cursor:?} is no page of it")))?,
            (None, Some(repository)) => Position { left: vec![repository.to_owned()], ..Position::default() },
            (None, None) => self.repositories(api, location, Position::default()).await?,
        };
        let entries = match position.left.first().cloned() {
            Some(repository) => self.packages(api, location, &repository, &mut position).await?,
            None if position.repositories.is_some() => {
                position = self.repositories(api, location, position).await?;
                Vec::new()
            }
            None => Vec::new(),
        };
        let is_done = position.left.is_empty() && position.repositories.is_none();
        let next = (!is_done).then(|| serde_json::to_string(&position)).transpose();
        Ok(ListPage { entries, next: next.map_err(|error| subject.invalid(error.to_string()))? })
    }

    /// The position at the first repository of the next page of them.
    async fn repositories(
        self,
        api: &Endpoint,
        location: &str,
        position: Position,
    ) -> Result<Position, RegistryError> {
        let path = format!("/v1/projects/{}/locations/{location}/repositories", self.project);
        let request = api.get(&path, format!("the list of repositories of {}", self.project))?;
        let request = paged(request, REPOSITORIES_PAGE, position.repositories.as_deref());
        let (page, _): (RepositoriesPage, _) = api.json(&request, PAGE_LIMIT).await?;
        let found = pages::entries(&request.subject, page.repositories.unwrap_or_default())?;
        let images = found.into_iter().filter(ListedRepository::holds_images);
        let left = images.filter_map(|one| Some(one.name.rsplit_once('/')?.1.to_owned())).collect();
        Ok(Position { left, packages: None, repositories: token(page.next_page_token) })
    }

    /// A page of the packages of `repository`, after which `position` stands.
    async fn packages(
        self,
        api: &Endpoint,
        location: &str,
        repository: &str,
        position: &mut Position,
    ) -> Result<Vec<RepositoryName>, RegistryError> {
        let project = self.project;
        let path = format!("/v1/projects/{project}/locations/{location}/repositories/{repository}/packages");
        let request = api.get(&path, format!("the list of images of {project}/{repository}"))?;
        let request = paged(request, PACKAGES_PAGE, position.packages.as_deref());
        let page: PackagesPage = match api.json(&request, PAGE_LIMIT).await {
            // It was listed a moment ago, and deleted meanwhile.
            Err(RegistryError::NotFound { .. }) if self.repository.is_none() => {
                PackagesPage { packages: None, next_page_token: None }
            }
            page => page?.0,
        };
        position.packages = token(page.next_page_token);
        if position.packages.is_none() {
            position.left.remove(0);
        }
        let found: Vec<ListedPackage> = pages::entries(&request.subject, page.packages.unwrap_or_default())?;
        let path = Namespace { repository: Some(repository), ..self }.path();
        let names = found.iter().filter_map(|package| {
            let image = package.name.rsplit_once('/')?.1.replace("%2F", "/").replace("%2f", "/");
            Some(format!("{path}/{image}"))
        });
        Ok(pages::names(&request.subject, names))
    }
}

impl ListedRepository {
    /// Whether images are read here. A virtual repository shows those of other ones, which are listed themselves.
    fn holds_images(&self) -> bool {
        self.format.as_deref().is_none_or(|format| format == "DOCKER")
            && self.mode.as_deref() != Some("VIRTUAL_REPOSITORY")
    }
}

/// The request for so many entries from the page with this token on.
fn paged(mut request: Request, size: u16, token: Option<&str>) -> Request {
    let mut query = request.url.query_pairs_mut();
    query.append_pair("pageSize", &size.to_string());
    query.extend_pairs(token.map(|token| ("pageToken", token)));
    drop(query);
    request
}

/// The token of a next page, which is empty at the end.
fn token(text: Option<String>) -> Option<String> {
    text.filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_a_project_or_a_repository_of_it() {
        for (text, project, repository) in [
            ("acme", "acme", None),
            ("acme/docker", "acme", Some("docker")),
            ("example.com:acme/gcr.io", "example.com:acme", Some("gcr.io")),
        ] {
            assert_eq!(Namespace::read(text), Some(Namespace { project, repository }));
        }
        for bad in ["", "/", "acme/", "acme/docker/web", "../acme", "acme/..", "acme?x", "acme%2Fx"] {
            assert_eq!(Namespace::read(bad), None, "{bad}");
        }
    }
}
