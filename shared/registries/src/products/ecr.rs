//! Amazon Elastic Container Registry, one account in one region: lists by the API of AWS, and is read as any registry with
//! a password that the API hands out.
//!
//! API: <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html>; authentication:
//! <https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html>

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ecr::primitives::DateTime;
use aws_sdk_ecr::types::{
    AuthorizationData, DescribeImagesFilter, ImageDetail, ImageStatus, ImageStatusFilter, TagStatus,
};
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, StatusCode};
use tidewatch_core::Timestamp;
use tidewatch_core::manifest::media_type::{
    DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST,
};
use tidewatch_core::names::{RegistryId, RepositoryName};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{ListPage, ListedTag, ListingTells, RegistryError, TagState};
use tidewatch_core::rule::ImageTimes;

use crate::amazon::Caller;
use crate::answer::Subject;
use crate::auth::{Always, Authorize, Scope};
use crate::identity::{Issued, Issuer, Proof, Renewing};
use crate::listed_time::nanoseconds;
use crate::opening::Opening;
use crate::pages;
use crate::products::oci::OciClient;
use crate::products::{Listings, WithListings};
use crate::rights::Rights;
use crate::secrets::Login;
use crate::server::Http;

/// The most entries that a page may have.
const PAGE_SIZE: i32 = 1000;
/// How long a token lives, where the answer does not say it.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The permissions that the calls need.
const GET_TOKEN: &str = "ecr:GetAuthorizationToken";
const LIST_REPOSITORIES: &str = "ecr:DescribeRepositories";
const LIST_TAGS: &str = "ecr:DescribeImages";

/// What the role needs: every permission is named here, and the roles of the templates have these and no others.
pub(crate) const RIGHTS: Rights = Rights {
    authenticate: "allow the role of the process ecr:GetAuthorizationToken; with `role_arn` allow it sts:AssumeRole on that \
                   role instead, have that role trust it with the same external id, and allow that role \
                   ecr:GetAuthorizationToken (infra/aws/ecr-member.yaml makes it)",
    list_repositories: "allow the role ecr:DescribeRepositories on the repositories of the account",
    list_tags: "allow the role ecr:DescribeImages on the repository",
    pull: "allow the role ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability on the \
           repository; its own policy must not deny them",
};

/// Opens the registry of `opening`.
pub(crate) fn open(opening: &Opening) -> Result<Arc<dyn Registry>, RegistryError> {
    let caller = Arc::new(Caller::of(opening)?);
    let tokens = Tokens { caller: Arc::clone(&caller) };
    let identity = Arc::new(Renewing::new(tokens, opening.ports.clock.clone()));
    let endpoint = opening.endpoint(&opening.config.address(), "/v2/", Shown(Always(identity)))?;
    let oci = OciClient::at(endpoint, opening);
    let (id, account) = (opening.config.id.clone(), opening.config.account.clone());
    Ok(Arc::new(WithListings { oci, listings: EcrListings { caller, id, account } }))
}

/// Hands out passwords for the registry.
struct Tokens {
    caller: Arc<Caller>,
}

#[async_trait]
impl Issuer for Tokens {
    async fn issue(&self, subject: &Subject) -> Result<Issued, RegistryError> {
        let subject = Subject { what: format!("a token for {}", subject.what), ..subject.clone() };
        let call = self.caller.call(&subject, GET_TOKEN, |client| client.get_authorization_token().send());
        let data = call.await?.authorization_data.unwrap_or_default().into_iter().next();
        let data = data.ok_or_else(|| subject.invalid("it holds no token"))?;
        let login = login(&data).ok_or_else(|| subject.invalid("its token is not of the documented form"))?;
        let until = data.expires_at.and_then(|until| Timestamp::from_second(until.secs()).ok());
        let lifetime = until.map_or(TOKEN_LIFETIME, |until| {
            Duration::try_from(until.duration_since(self.caller.now())).unwrap_or_default()
        });
        // At half of its life, as the credential helper of Amazon renews it.
        Ok(Issued { proof: Proof::Password(login), lifetime: lifetime / 2 })
    }
}

/// The user and password of a token, which is `AWS:PASSWORD` in Base64.
fn login(data: &AuthorizationData) -> Option<Login> {
    let token = BASE64.decode(data.authorization_token()?.as_bytes()).ok()?;
    Login::parse(&String::from_utf8(token).ok()?).ok()
}

/// Shows the password with every request. One that has run out is refused with 403, and not with 401 alone.
struct Shown(Always);

#[async_trait]
impl Authorize for Shown {
    async fn prepare(
        &self,
        http: &Http,
        scope: &Scope,
        subject: &Subject,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        self.0.prepare(http, scope, subject).await
    }

    async fn answer(
        &self,
        http: &Http,
        headers: &HeaderMap,
        scope: &Scope,
        offered: Option<&HeaderValue>,
        subject: &Subject,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        self.0.answer(http, headers, scope, offered, subject).await
    }

    fn is_asked_by(&self, status: StatusCode) -> bool {
        matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    }
}

struct EcrListings {
    caller: Arc<Caller>,
    id: RegistryId,
    account: Option<String>,
}

impl EcrListings {
    fn subject(&self, what: impl Into<String>) -> Subject {
        Subject { registry: self.id.clone(), what: what.into() }
    }
}

/// The cursor after a page at `cursor` that goes on at `token`.
fn next(
    token: Option<String>,
    cursor: Option<&str>,
    subject: &Subject,
) -> Result<Option<String>, RegistryError> {
    let token = token.filter(|token| !token.is_empty());
    if token.is_some() && token.as_deref() == cursor {
        return Err(subject.invalid("its next page is itself"));
    }
    Ok(token)
}

#[async_trait]
impl Listings for EcrListings {
    fn tells(&self) -> ListingTells {
        ListingTells { digest: true, pushed: true, pulled: true, size: true, ..ListingTells::NAMES }
    }

    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        let subject = self.subject("the list of repositories");
        let call = self.caller.call(&subject, LIST_REPOSITORIES, |client| {
            let request = client.describe_repositories().set_registry_id(self.account.clone());
            request.max_results(PAGE_SIZE).set_next_token(cursor.map(str::to_owned)).send()
        });
        let page = call.await?;
        let next = next(page.next_token, cursor, &subject)?;
        let listed = page.repositories.unwrap_or_default();
        let names = listed.into_iter().filter_map(|repository| repository.repository_name);
        Ok(ListPage { entries: pages::names(&subject, names), next })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        let subject = self.subject(format!("tags of {repository}"));
        // Without the status, what is archived would be left out.
        let tagged = DescribeImagesFilter::builder()
            .tag_status(TagStatus::Tagged)
            .image_status(ImageStatusFilter::Any);
        let tagged = tagged.build();
        let call = self.caller.call(&subject, LIST_TAGS, |client| {
            let request = client.describe_images().set_registry_id(self.account.clone());
            let request = request.repository_name(repository.as_str()).filter(tagged.clone());
            request.max_results(PAGE_SIZE).set_next_token(cursor.map(str::to_owned)).send()
        });
        let page = call.await?;
        let next = next(page.next_token, cursor, &subject)?;
        let images = page.image_details.unwrap_or_default();
        Ok(ListPage { entries: images.iter().flat_map(|image| listed(image, &subject)).collect(), next })
    }
}

/// The tags of an image. All have its times: when a tag was moved is not told.
fn listed(image: &ImageDetail, subject: &Subject) -> Vec<ListedTag> {
    let time = |time: Option<&DateTime>| nanoseconds(time.map(DateTime::as_nanos));
    let of_each = |tag| ListedTag {
        digest: image.image_digest().and_then(|digest| digest.parse().ok()),
        times: ImageTimes {
            created_at: None,
            pushed_at: time(image.image_pushed_at()),
            pulled_at: time(image.last_recorded_pull_time()),
        },
        size: image.image_size_in_bytes().and_then(|size| size.try_into().ok()),
        state: state(image),
        ..ListedTag::named(tag)
    };
    pages::names(subject, image.image_tags()).into_iter().map(of_each).collect()
}

fn state(image: &ImageDetail) -> TagState {
    let is_other = image.artifact_media_type().is_some_and(is_of_another_artifact);
    if is_other || image.subject_manifest_digest().is_some() {
        return TagState::NotAnImage;
    }
    match image.image_status() {
        Some(ImageStatus::Archived | ImageStatus::Activating) => TagState::Archived,
        _ => TagState::Available,
    }
}

/// Whether this type of an artifact is that of no image. Where the type of the manifest stands, nothing is said of what is in
/// it.
fn is_of_another_artifact(media_type: &str) -> bool {
    const OF_IMAGES: [&str; 6] =
        [DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST];
    !media_type.is_empty() && !OF_IMAGES.contains(&media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_among_the_rights_that_are_named() {
        let Rights { authenticate, list_repositories, list_tags, .. } = RIGHTS;
        for (right, action) in [
            (authenticate, GET_TOKEN),
            (authenticate, "sts:AssumeRole"),
            (list_repositories, LIST_REPOSITORIES),
            (list_tags, LIST_TAGS),
        ] {
            assert!(right.contains(action), "{action}: {right}");
        }
    }

    #[test]
    fn an_artifact_of_a_type_that_says_nothing_is_taken_for_an_image() {
        for of_image in [DOCKER_CONFIG, OCI_CONFIG, OCI_INDEX, DOCKER_LIST, ""] {
            assert!(!is_of_another_artifact(of_image), "{of_image}");
        }
        for other in ["application/vnd.cncf.helm.config.v1+json", "application/vnd.oci.empty.v1+json"] {
            assert!(is_of_another_artifact(other), "{other}");
        }
    }
}
